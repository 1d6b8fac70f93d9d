"""One document of a catalogue after the other: is it valid, and does all that it names exist."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from estinel_assets.errors import public_url
from estinel_assets.publishing.catalog_files import CatalogFiles, Findings
from estinel_assets.publishing.model import JsonObject
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault, ScannedFile
from estinel_assets.publishing.stac_documents import Problem, pointer, read_document
from estinel_assets.publishing.stac_hrefs import (
    STRUCTURE,
    CatalogRoot,
    LocalHref,
    OutsideHref,
    RemoteHref,
    resolve,
)
from estinel_assets.publishing.stac_rules import (
    id_problem,
    place_problems,
    place_warnings,
    time_problems,
)
from estinel_assets.publishing.stac_validation import (
    Kind,
    schema_problems,
    to_current_version,
    unchecked_extensions,
)
from estinel_assets.stac.fields import as_list, as_mapping, as_text

CHANGED = "it changed while it was read: publish again when the job has ended"
_KINDS: Mapping[str, tuple[Kind, ...]] = {
    "item": ("Feature",),
    "child": ("Catalog", "Collection"),
    "root": ("Catalog", "Collection"),
}
_DECLARED = ("file:size", "file:checksum")
_LONGEST_TYPE = 200


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document that can be used, valid or not."""

    document: JsonObject
    """Of STAC 1.1."""
    kind: Kind
    digest: bytes
    """SHA-256 of the file."""


@dataclass(frozen=True, slots=True)
class NamedDocument:
    """A link from a catalogue or collection to a document of the same folder."""

    relation: str
    """`child` or `item`."""
    relative: str
    """Path relative to the catalogue's folder."""
    at: str
    """JSON Pointer of the link."""


class DocumentCheck:
    """Checks documents of one catalogue; what is wrong goes into the findings."""

    def __init__(self, files: CatalogFiles, findings: Findings) -> None:
        self._files = files
        self._findings = findings

    def load(self, file: ScannedFile, relation: str) -> Loaded | None:
        """Read a document and check all of it that needs no other document.

        Args:
            file: the document.
            relation: how it is linked: `root`, `child` or `item`.

        Returns:
            None where it cannot be used at all.
        """
        relative = file.relative
        try:
            reading = read_document(file.source)
        except OSError as error:
            what = f"it cannot be read ({error.strerror}): make it readable"
            self._findings.fault(relative, Problem("", what))
            return None
        for problem in reading.problems:
            self._findings.fault(relative, problem)
        if reading.document is not None and reading.digest.hex() != file.sha256:
            self._findings.fault(relative, Problem("", CHANGED))
        if reading.document is None:
            return None
        document = to_current_version(reading.document)
        if isinstance(document, Problem):
            self._findings.fault(relative, document)
            return None
        kind = document.get("type")
        if kind not in _KINDS[relation]:
            needed = " or ".join(_KINDS[relation])
            what = f"it is linked as {relation} and is no {needed}: correct the type or the link"
            self._findings.fault(relative, Problem("/type", what))
            return None
        self._check(document, kind, relative)
        return Loaded(document, kind, reading.digest)

    def _check(self, document: JsonObject, kind: Kind, relative: str) -> None:
        own = list(_own_problems(document, kind))
        places = {problem.at for problem in own}
        own += [each for each in schema_problems(document, kind) if each.at not in places]
        if kind == "Feature" and not any(
            problem.at.startswith(("/geometry", "/bbox")) for problem in own
        ):
            own += place_problems(document)
            for what in place_warnings(document):
                self._findings.warn(what, relative)
        for problem in own:
            self._findings.fault(relative, problem)
        for uri in unchecked_extensions(document):
            self._findings.warn(f"extension {public_url(uri)[:200]} is not validated", relative)

    def assets(self, document: JsonObject, relative: str, root: CatalogRoot) -> bool:
        """Check that all files exist that a document's assets name.

        Returns:
            Whether any is named by an absolute address of the old place.
        """
        absolute = False
        for key, value in as_mapping(document.get("assets")).items():
            asset = as_mapping(value)
            href = as_text(asset.get("href"))
            at = pointer(["assets", key, "href"])
            if href is None:
                continue  # the schema says so
            meant = resolve(href, document=relative, root=root)
            if isinstance(meant, OutsideHref):
                self._findings.fault(
                    relative, Problem(at, meant.what), PublishingReason.PATH_TRAVERSAL
                )
            elif isinstance(meant, LocalHref):
                absolute = absolute or meant.absolute
                self._asset_file(asset, meant.relative, relative, at)
        return absolute

    def _asset_file(self, asset: Mapping[str, Any], named: str, relative: str, at: str) -> None:
        if self._files.is_folder(named):
            if any(name in asset for name in _DECLARED):
                self._findings.warn("size and checksum of a folder are not checked", relative, at)
            return
        found = self._files.find(named)
        if isinstance(found, Fault):
            self._findings.file_fault(relative, at, found)
            return
        fault, warning = self._files.check_declared(found, asset)
        if fault is not None:
            self._findings.file_fault(relative, at, fault)
        if warning is not None:
            self._findings.warn(warning, relative, at)
        media_type = as_text(asset.get("type"))
        if media_type and len(media_type) <= _LONGEST_TYPE and media_type.isprintable():
            self._files.published.set_type(named, media_type)

    def links(
        self, document: JsonObject, relative: str, root: CatalogRoot
    ) -> tuple[list[NamedDocument], bool]:
        """Follow the links of a document.

        Returns:
            The documents of the same catalogue that it names, and whether any link is an absolute
            address of the old place.
        """
        named: list[NamedDocument] = []
        absolute = False
        for index, value in enumerate(as_list(document.get("links"))):
            link = as_mapping(value)
            relation, href = as_text(link.get("rel")), as_text(link.get("href"))
            if relation is None or href is None:
                continue  # the schema says so
            meant = resolve(href, document=relative, root=root)
            absolute = absolute or (isinstance(meant, LocalHref) and meant.absolute)
            at = pointer(["links", index, "href"])
            if relation in {"child", "item"}:
                if isinstance(meant, LocalHref):
                    named.append(NamedDocument(relation, meant.relative, at))
                elif isinstance(meant, RemoteHref):
                    what = f"a link `{relation}` leads elsewhere, and is not followed"
                    self._findings.warn(what, relative, at)
                else:
                    self._findings.fault(
                        relative, Problem(at, meant.what), PublishingReason.PATH_TRAVERSAL
                    )
            elif relation not in STRUCTURE and not self._leads_somewhere(meant):
                what = f"a link `{relation[:50]}` leads to no published file, and is left out"
                self._findings.warn(what, relative, at)
        return named, absolute

    def _leads_somewhere(self, meant: LocalHref | RemoteHref | OutsideHref) -> bool:
        if isinstance(meant, LocalHref):
            return meant.relative in self._files
        return isinstance(meant, RemoteHref)


def _own_problems(document: JsonObject, kind: Kind) -> Iterator[Problem]:
    if kind != "Catalog" and (what := id_problem(document.get("id"))):
        yield Problem("/id", what)
    if kind == "Feature":
        yield from time_problems(document)
        collection = document.get("collection")
        if isinstance(collection, str) and (what := id_problem(collection)):
            yield Problem("/collection", what)
