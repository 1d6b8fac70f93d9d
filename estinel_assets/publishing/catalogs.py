"""STAC catalogues of a job's folder: found, walked and checked, with every fault in one list.

Documents are read one at a time and dropped; what is kept of one is its path, id and digest.
"""

import os
from dataclasses import astuple, dataclass
from pathlib import Path

from estinel_assets.errors import PermanentError
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.publishing.catalog_checks import DocumentCheck, Loaded
from estinel_assets.publishing.catalog_files import CatalogFiles, Findings, FolderFiles
from estinel_assets.publishing.catalog_product import (
    CatalogDocument,
    CatalogProduct,
    document_roll,
)
from estinel_assets.publishing.datasets_config import DatasetsConfig, Route
from estinel_assets.publishing.model import JsonObject
from estinel_assets.publishing.published_documents import Extent
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault
from estinel_assets.publishing.shelves import Form, plain
from estinel_assets.publishing.stac_documents import Problem
from estinel_assets.publishing.stac_hrefs import CatalogRoot, stated_address
from estinel_assets.publishing.stac_rules import id_problem
from estinel_assets.stac.fields import as_text

__all__ = ["CATALOG_FILE", "FolderFiles", "find_catalogs", "read_catalog"]

CATALOG_FILE = "catalog.json"
"""What makes a folder a STAC catalogue."""
MAX_DEPTH = 32
"""Catalogues within catalogues."""
_STRUCTURAL_FILES = frozenset({CATALOG_FILE, "collection.json"})


def find_catalogs(folder: Path) -> list[Path]:
    """Find the folders of STAC catalogues.

    Args:
        folder: of the job.

    Returns:
        Folders with a `catalog.json`, in the order of their paths; none that lies inside another
        one, that is hidden or that a link leads to.
    """
    found: list[Path] = []
    for here, folders, files in os.walk(folder):
        if CATALOG_FILE in files:
            found.append(Path(here))
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return sorted(found)


def read_catalog(
    folder: Path, *, config: DatasetsConfig, files: FolderFiles
) -> tuple[CatalogProduct | None, list[Fault], list[str]]:
    """Read and check a whole catalogue.

    Args:
        folder: of the catalogue, in the job's folder or that itself.
        config: says where it goes.
        files: of the job's folder.

    Returns:
        The catalogue, or None where anything is wrong; all faults; warnings.
    """
    inside = folder.relative_to(files.folder).as_posix() if folder != files.folder else ""
    findings = Findings(inside)
    known = CatalogFiles(folder, files, findings)
    walk = _Walk(known, findings)
    walk.run()
    findings.faults += known.untold()
    route: Route | None = None
    try:
        route = config.route(
            folder,
            product_id=folder.name,
            kind="stac_catalog",
            dataset={},
            met={},
            files=(file.relative for file in known.published),
        )
    except PermanentError as error:
        reason = parse_reason(PublishingReason, error.reason)
        findings.faults.append(Fault(reason, inside or folder.name, str(error)))
    if findings.faults or route is None:
        return None, findings.faults, findings.warnings
    product = CatalogProduct(
        id=folder.name,
        root=walk.root,
        route=route,
        files=known.published,
        documents=walk.documents,
        rewritten=walk.rewritten,
        missing_collections=walk.missing_collections(),
        made_collection=walk.made_collection(),
    )
    return product, [], findings.warnings


@dataclass(frozen=True, slots=True)
class _Step:
    """A document that is to be visited."""

    relative: str
    relation: str
    depth: int
    collection: str | None = None
    """The collection that it stands in."""
    named_in: str = ""
    """Path of the document that links to it."""
    at: str = ""
    """JSON Pointer of the link there."""


_STEP: Form[_Step] = Form(6, astuple, lambda row: _Step(*row))


class _Walk:
    """One pass over a catalogue's documents, collections before their items."""

    def __init__(self, files: CatalogFiles, findings: Findings) -> None:
        self._files = files
        self._findings = findings
        self._check = DocumentCheck(files, findings)
        self._visited = files.spool.shelf(plain(2))
        self._collections: dict[str, str] = {}
        self._items = files.spool.shelf(plain(3))
        self._named: dict[str, None] = {}
        self._extent = Extent()
        self._top: JsonObject | None = None
        self._without_collection = False
        self.root = CatalogRoot(files.folder)
        self.documents = document_roll(files.spool)
        self.rewritten = files.spool.shelf(plain(3))

    def run(self) -> None:
        """Visit everything."""
        waiting = self._files.spool.roll(_STEP)
        waiting.extend([_Step(CATALOG_FILE, "root", 1)])
        linked: set[str] = set()
        while (step := waiting.pop()) is not None:
            if _is_structural(step.relative):
                linked.add(step.relative)
            waiting.extend(reversed(self._visit(step)))
        for file in self._files.published:
            if _is_structural(file.relative) and file.relative not in linked:
                what = "no document of the catalogue links to it, so its items are not published"
                self._findings.warn(what, file.relative)

    def missing_collections(self) -> tuple[str, ...]:
        """Collections that items name and that no document describes."""
        return tuple(name for name in self._named if name not in self._collections)

    def made_collection(self) -> JsonObject | None:
        """The collection of the items that name none."""
        if not self._without_collection or self._top is None:
            return None
        return self._extent.collection(self._top)

    def _visit(self, step: _Step) -> list[_Step]:
        """Check one document; the ones that it names come back, items last."""
        file = self._files.find(step.relative)
        if isinstance(file, Fault):
            self._findings.file_fault(step.named_in or step.relative, step.at, file)
            return []
        row = "", os.fsencode(file.source)
        if self._visited.setdefault(row) is not row:
            return []
        loaded = self._check.load(file, step.relation)
        if loaded is None:
            return []
        document = loaded.document
        if step.relation == "root":
            self._top = document
            self.root = CatalogRoot(self._files.folder, stated_address(document))
        absolute = self._check.assets(document, step.relative, self.root)
        links, also = self._check.links(document, step.relative, self.root)
        self._note(step, loaded, absolute=absolute or also)
        if loaded.kind == "Feature":
            self._files.published.set_type(step.relative, "application/geo+json")
            return []
        self._files.published.set_type(step.relative, "application/json")
        if step.depth >= MAX_DEPTH and links:
            what = f"it stands {step.depth} levels deep: nest catalogues less"
            self._findings.fault(step.relative, Problem("", what))
            return []
        own_id = as_text(document.get("id"))
        collection = own_id if loaded.kind == "Collection" else step.collection
        steps = [
            _Step(link.relative, link.relation, step.depth + 1, collection, step.relative, link.at)
            for link in links
        ]
        return sorted(steps, key=lambda following: following.relation == "item")

    def _note(self, step: _Step, loaded: Loaded, *, absolute: bool) -> None:
        own_id = as_text(loaded.document.get("id")) or ""
        collection = None
        if loaded.kind == "Collection":
            self._note_collection(own_id, step.relative)
        elif loaded.kind == "Feature":
            collection = self._collection_of(step, loaded.document)
            self._note_item(own_id, collection, step.relative)
        self.documents.extend(
            [
                CatalogDocument(
                    step.relative, loaded.digest, loaded.kind, own_id, collection, absolute
                )
            ]
        )
        if absolute:
            self.rewritten.put([("", step.relative, loaded.digest)])

    def _note_collection(self, own_id: str, relative: str) -> None:
        former = self._collections.setdefault(own_id, relative)
        if own_id and former != relative:
            what = f"collection {own_id!r} stands in {former} already: give it an id of its own"
            self._findings.fault(relative, Problem("/id", what))

    def _note_item(self, own_id: str, collection: str, relative: str) -> None:
        *_, former = self._items.setdefault((collection, own_id, relative))
        if own_id and former != relative:
            what = (
                f"item {own_id!r} of collection {collection!r} stands in {former} already: give "
                "it an id of its own"
            )
            self._findings.fault(relative, Problem("/id", what))

    def _collection_of(self, step: _Step, item: JsonObject) -> str:
        said = as_text(item.get("collection"))
        if said is not None:
            self._named.setdefault(said)
            if step.collection is not None and said != step.collection:
                what = (
                    f"the item says collection {said!r} and is linked from collection "
                    f"{step.collection!r}: make them agree"
                )
                self._findings.fault(step.relative, Problem("/collection", what))
            return said
        if step.collection is not None:
            what = "items without `collection` get the collection that links to them"
            self._findings.warn(what, step.relative)
            return step.collection
        return self._own_collection(item)

    def _own_collection(self, item: JsonObject) -> str:
        """The collection that is made for items without one; its id is the catalogue's."""
        made = (as_text(self._top.get("id")) if self._top else None) or ""
        if not self._without_collection:
            self._without_collection = True
            if what := id_problem(made):
                what = f"{what}; its items without `collection` need it as a collection's id"
                self._findings.fault(CATALOG_FILE, Problem("/id", what))
            former = self._collections.setdefault(made, CATALOG_FILE)
            if former != CATALOG_FILE:
                what = (
                    f"items without `collection` would go to {made!r}, which is the collection of "
                    f"{former} already: name their collection"
                )
                self._findings.fault(CATALOG_FILE, Problem("/id", what))
        self._extent.add(item)
        return made


def _is_structural(relative: str) -> bool:
    return relative.rpartition("/")[2] in _STRUCTURAL_FILES
