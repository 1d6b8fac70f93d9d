"""A STAC catalogue of a job's folder as something that can be published."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from estinel_assets.publishing.catalog_checks import CHANGED
from estinel_assets.publishing.datasets_config import Route
from estinel_assets.publishing.item_documents import document_id, item_document
from estinel_assets.publishing.model import (
    DIGEST,
    CollectionEntry,
    DocumentEntry,
    ItemEntry,
    JsonObject,
)
from estinel_assets.publishing.product_files import ProductFiles
from estinel_assets.publishing.published_documents import (
    Target,
    published_collection,
    published_item,
    static_document,
)
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import (
    Fault,
    FolderRefusedError,
    Part,
    Placement,
    ScannedFile,
)
from estinel_assets.publishing.shelves import Form, Roll, Row, Shelf
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.stac_documents import Problem, digest_of, read_document
from estinel_assets.publishing.stac_hrefs import CatalogRoot
from estinel_assets.publishing.stac_validation import Kind, to_current_version


@dataclass(frozen=True, slots=True)
class CatalogDocument:
    """A document of a catalogue, without its content."""

    relative: str
    """Path relative to the catalogue's folder, with `/`."""
    digest: bytes
    """SHA-256 of the file."""
    kind: Kind
    id: str
    collection: str | None
    """That an item is published in; None for other documents."""
    absolute: bool
    """Whether it names its old place, and is rewritten."""


def document_roll(spool: Spool) -> Roll[CatalogDocument]:
    """A roll for the documents of a catalogue."""
    return spool.roll(Form(6, _document_row, _document))


@dataclass(frozen=True, slots=True)
class CatalogProduct:
    """A STAC catalogue that can be published; a `Product`."""

    id: str
    """Name of its folder."""
    root: CatalogRoot
    route: Route
    files: ProductFiles
    """Everything in its folder but hidden files."""
    documents: Roll[CatalogDocument]
    """Each once, collections before their items."""
    rewritten: Shelf[Row]
    """Path and digest of the absolute ones."""
    missing_collections: tuple[str, ...] = ()
    """Collections that items name and that the catalogue does not describe: they must stand in
    the API already."""
    made_collection: JsonObject | None = None
    """Collection for the items that name none."""
    browse_files: Sequence[ScannedFile] = ()
    """None: the thumbnails of items are assets."""

    @property
    def folder(self) -> Path:
        """Absolute."""
        return self.root.folder

    def parts(self, placement: Placement, spool: Spool) -> Iterator[Part]:
        """Make documents, collections and items for a place.

        Documents are read again, one at a time. Those of an absolute catalogue are written anew
        into the spool's folder, with relative addresses.

        Args:
            placement: where the catalogue goes.
            spool: takes the bodies.

        Raises:
            FolderRefusedError: a document changed since it was checked.
        """
        rewritten = _Rewritten(self.rewritten)
        target = Target(self.root, placement, rewritten)
        yield from self._files(rewritten, spool)
        yield from self._collections(target, spool)
        for each in self.documents:
            if each.collection is None:
                continue
            item = published_item(
                self._read(each), document=each.relative, collection=each.collection, target=target
            )
            digest = item["properties"][DIGEST]
            yield ItemEntry(each.collection, item["id"], digest, spool.add(item))
            document = item_document(item, version=self.route.version)
            yield DocumentEntry(document_id(item), digest_of(document), spool.add(document))

    def _collections(self, target: Target, spool: Spool) -> Iterator[CollectionEntry]:
        if self.made_collection is not None:
            yield _collection_entry(self.made_collection, spool)
        for each in self.documents:
            if each.kind == "Collection":
                body = published_collection(self._read(each), document=each.relative, target=target)
                yield _collection_entry(body, spool)

    def _files(self, rewritten: "_Rewritten", spool: Spool) -> Iterator[ScannedFile]:
        """The scanned files, with those documents made anew that name their old place."""
        made = spool.folder / f"catalog-{sha256(str(self.folder).encode()).hexdigest()[:16]}"
        for file in self.files:
            digest = rewritten.digest(file.relative)
            if digest is None:
                yield file
                continue
            body = static_document(
                self._read_as_written(file.relative, digest),
                document=file.relative,
                root=self.root,
                rewritten=rewritten,
            )
            raw = json.dumps(body, ensure_ascii=False, indent=2).encode()
            source = made / file.relative
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(raw)
            yield replace(file, source=source, size=len(raw), sha256=sha256(raw).hexdigest())

    def _read(self, each: CatalogDocument) -> JsonObject:
        document = to_current_version(self._read_as_written(each.relative, each.digest))
        if isinstance(document, Problem):
            raise self._changed(each.relative)
        return document

    def _read_as_written(self, relative: str, digest: bytes) -> JsonObject:
        try:
            reading = read_document(self.folder / relative)
        except OSError:
            raise self._changed(relative) from None
        if reading.document is None or reading.digest != digest:
            raise self._changed(relative)
        return reading.document

    def _changed(self, relative: str) -> FolderRefusedError:
        where = f"{self.id}/{relative}"
        return FolderRefusedError([Fault(PublishingReason.INVALID_CATALOG, where, CHANGED)])


class _Rewritten:
    """Which documents are made anew."""

    def __init__(self, digests: Shelf[Row]) -> None:
        self._digests = digests
        self._any = len(digests) > 0

    def digest(self, relative: str) -> bytes | None:
        """Of a document's file; None for what stays as it is."""
        row = self._digests.get("", relative) if self._any else None
        return None if row is None else row[2]

    def __contains__(self, relative: object) -> bool:
        return self.digest(str(relative)) is not None


def _document_row(each: CatalogDocument) -> Row:
    return each.relative, each.digest, each.kind, each.id, each.collection, each.absolute


def _document(row: Row) -> CatalogDocument:
    relative, digest, kind, own_id, collection, absolute = row
    return CatalogDocument(relative, digest, kind, own_id, collection, bool(absolute))


def _collection_entry(body: JsonObject, spool: Spool) -> CollectionEntry:
    return CollectionEntry(body["id"], digest_of(body), spool.add(body))
