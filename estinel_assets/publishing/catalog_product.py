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
    Placement,
    ProductParts,
    ScannedFile,
)
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


@dataclass(frozen=True, slots=True)
class CatalogProduct:
    """A STAC catalogue that can be published; a `Product`."""

    id: str
    """Name of its folder."""
    root: CatalogRoot
    route: Route
    files: Sequence[ScannedFile]
    """Everything in its folder but hidden files."""
    documents: Sequence[CatalogDocument]
    """Each once, collections before their items."""
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

    def parts(self, placement: Placement, spool: Spool) -> ProductParts:
        """Make documents, collections and items for a place.

        Documents are read again, one at a time. Those of an absolute catalogue are written anew
        into the spool's folder, with relative addresses.

        Args:
            placement: where the catalogue goes.
            spool: takes the bodies.

        Raises:
            FolderRefusedError: a document changed since it was checked.
        """
        rewritten = frozenset(each.relative for each in self.documents if each.absolute)
        files = self._files(rewritten, spool)
        target = Target(self.root, placement, rewritten)
        collections = list(self._collections(target, spool))
        items: list[ItemEntry] = []
        documents: list[DocumentEntry] = []
        for each in self.documents:
            if each.collection is None:
                continue
            item = published_item(
                self._read(each), document=each.relative, collection=each.collection, target=target
            )
            digest = item["properties"][DIGEST]
            items.append(ItemEntry(each.collection, item["id"], digest, spool.add(item)))
            document = item_document(item, version=self.route.version)
            body = spool.add(document)
            documents.append(DocumentEntry(document_id(item), digest_of(document), body))
        return ProductParts(documents, collections, items, files)

    def _collections(self, target: Target, spool: Spool) -> Iterator[CollectionEntry]:
        if self.made_collection is not None:
            yield _collection_entry(self.made_collection, spool)
        for each in self.documents:
            if each.kind == "Collection":
                body = published_collection(self._read(each), document=each.relative, target=target)
                yield _collection_entry(body, spool)

    def _files(self, rewritten: frozenset[str], spool: Spool) -> Sequence[ScannedFile]:
        """The scanned files, with those documents made anew that name their old place."""
        if not rewritten:
            return self.files
        made = spool.folder / f"catalog-{sha256(str(self.folder).encode()).hexdigest()[:16]}"
        by_path: dict[str, ScannedFile] = {file.relative: file for file in self.files}
        for each in self.documents:
            if each.absolute:
                body = static_document(
                    self._read_as_written(each),
                    document=each.relative,
                    root=self.root,
                    rewritten=rewritten,
                )
                raw = json.dumps(body, ensure_ascii=False, indent=2).encode()
                source = made / each.relative
                source.parent.mkdir(parents=True, exist_ok=True)
                source.write_bytes(raw)
                by_path[each.relative] = replace(
                    by_path[each.relative],
                    source=source,
                    size=len(raw),
                    sha256=sha256(raw).hexdigest(),
                )
        return list(by_path.values())

    def _read(self, each: CatalogDocument) -> JsonObject:
        document = to_current_version(self._read_as_written(each))
        if isinstance(document, Problem):
            raise self._changed(each)
        return document

    def _read_as_written(self, each: CatalogDocument) -> JsonObject:
        try:
            reading = read_document(self.folder / each.relative)
        except OSError:
            raise self._changed(each) from None
        if reading.document is None or reading.digest != each.digest:
            raise self._changed(each)
        return reading.document

    def _changed(self, each: CatalogDocument) -> FolderRefusedError:
        where = f"{self.id}/{each.relative}"
        return FolderRefusedError([Fault(PublishingReason.INVALID_CATALOG, where, CHANGED)])


def _collection_entry(body: JsonObject, spool: Spool) -> CollectionEntry:
    return CollectionEntry(body["id"], digest_of(body), spool.add(body))
