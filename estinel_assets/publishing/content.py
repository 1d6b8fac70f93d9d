"""What a scanned folder becomes at chosen places: objects, documents, collections and items."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from estinel_assets.errors import BadInputError
from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.entry_forms import document_shelf, item_shelf, object_shelf
from estinel_assets.publishing.model import (
    CollectionEntry,
    Content,
    DocumentEntry,
    ItemEntry,
    ObjectEntry,
    Place,
)
from estinel_assets.publishing.reading import readable
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import (
    Fault,
    FolderRefusedError,
    Part,
    Placement,
    Product,
    Scan,
    ScannedFile,
)
from estinel_assets.publishing.shelves import AT_ONCE, Shelf
from estinel_assets.publishing.spool import Spool
from estinel_assets.storage.paths import check_path

_ONE_PUBLICATION = "correct the locations in datasets.json"


@dataclass(slots=True)
class _Gathered:
    """What all products add up to."""

    objects: Shelf[ObjectEntry]
    documents: Shelf[DocumentEntry]
    items: Shelf[ItemEntry]
    places: dict[tuple[str, str], tuple[Place, Product]] = field(default_factory=dict)
    collections: dict[str, CollectionEntry] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def content_of(
    scan: Scan,
    *,
    publication: str,
    suffix: str = "",
    revision: str = "",
    spool: Spool,
    open_url: Callable[[Place], str],
) -> Content:
    """Make the content of a publication. Nothing is written but into the spool.

    Args:
        scan: the folder.
        publication: id of the publication.
        suffix: added to ids, and to the last segment of places and addresses, such as `-v2`.
        revision: added to places and addresses as `-r{revision}`, so that they are new ones.
        spool: takes the bodies.
        open_url: the store's own address of a place, for a route that gives none.

    Raises:
        FolderRefusedError: two products claim one key, place, document or item, describe one
            collection in two ways, or a key is none that every store takes; all are listed.
    """
    gathered = _Gathered(object_shelf(spool), document_shelf(spool), item_shelf(spool))
    ending = suffix + (f"-r{revision}" if revision else "")
    for product in scan.products:
        placement = _placement(product, publication, suffix, ending, open_url)
        _take_places(gathered, product, placement)
        for parts in batches(product.parts(placement, spool), AT_ONCE):
            _take_parts(gathered, product, placement.place, parts)
        if placement.browse_place is not None:
            _take_objects(gathered, product, placement.browse_place, product.browse_files)
    gathered.faults += _nested(gathered.places.values())
    if gathered.faults:
        raise FolderRefusedError(gathered.faults)
    return Content(
        publication=publication,
        fingerprint=scan.fingerprint,
        places=tuple(place for place, _ in gathered.places.values()),
        objects=gathered.objects,
        documents=gathered.documents,
        collections=tuple(gathered.collections.values()),
        items=gathered.items,
        warnings=scan.warnings,
    )


def _placement(
    product: Product,
    publication: str,
    suffix: str,
    ending: str,
    open_url: Callable[[Place], str],
) -> Placement:
    route = product.route
    place = _moved(route.place, ending)
    browse = _moved(route.browse_place, ending) if route.browse_place is not None else None
    browse_urls: tuple[str, ...] = ()
    if browse is not None:
        browse_urls = tuple(_moved_url(url, ending) for url in route.browse_urls)
        browse_urls = browse_urls or (open_url(browse),)
    return Placement(
        publication=publication,
        place=place,
        urls=tuple(_moved_url(url, ending) for url in route.urls) or (open_url(place),),
        browse_place=browse,
        browse_urls=browse_urls,
        suffix=suffix,
    )


def _moved(place: Place, ending: str) -> Place:
    return Place(place.store, place.path + ending)


def _moved_url(url: str, ending: str) -> str:
    """An address with an ending after its last segment."""
    if not ending:
        return url
    parts = urlsplit(url)
    bare = parts.path.rstrip("/")
    slashes = parts.path[len(bare) :]
    return urlunsplit(parts._replace(path=f"{bare}{ending}{slashes}"))


def _take_places(gathered: _Gathered, product: Product, placement: Placement) -> None:
    for place in (placement.place, placement.browse_place):
        if place is None:
            continue
        try:
            check_path(place.path)
        except BadInputError as error:
            _refuse(gathered, product, PublishingReason.INVALID_DATASET, str(error))
            continue
        _, other = gathered.places.setdefault((place.store.group, place.path), (place, product))
        if other is not product:
            what = f"has the location {place.path!r}, and so has {other.id}; {_ONE_PUBLICATION}"
            _refuse(gathered, product, PublishingReason.INVALID_DATASET, what)


def _take_parts(gathered: _Gathered, product: Product, place: Place, parts: Iterable[Part]) -> None:
    files: list[ScannedFile] = []
    documents: list[DocumentEntry] = []
    items: list[ItemEntry] = []
    for part in parts:
        match part:
            case ScannedFile():
                files.append(part)
            case DocumentEntry():
                documents.append(part)
            case CollectionEntry():
                _take_collection(gathered, product, part)
            case ItemEntry():
                items.append(part)

    def same_document(one: DocumentEntry, _: DocumentEntry) -> None:
        what = f"the document {one.id!r} is there twice; ids must be unique in a folder"
        _refuse(gathered, product, PublishingReason.INVALID_DATASET, what)

    def same_item(one: ItemEntry, _: ItemEntry) -> None:
        what = f"the item {one.id!r} is twice in collection {one.collection!r}; remove one"
        _refuse(gathered, product, PublishingReason.INVALID_CATALOG, what)

    _take_objects(gathered, product, place, files)
    gathered.documents.put(documents, same_document)
    gathered.items.put(items, same_item)


def _take_objects(
    gathered: _Gathered, product: Product, place: Place, files: Iterable[ScannedFile]
) -> None:
    def entries() -> Iterator[ObjectEntry]:
        for file in files:
            path = f"{place.path}/{file.relative}"
            try:
                check_path(path)
            except BadInputError as error:
                _refuse(gathered, product, PublishingReason.INVALID_DATASET, readable(str(error)))
                continue
            yield ObjectEntry(
                place.store, path, file.source, file.size, file.sha256, file.media_type
            )

    def same_key(one: ObjectEntry, other: ObjectEntry) -> None:
        if (other.sha256, other.size) != (one.sha256, one.size):
            what = f"two files have the key {one.path!r}; {_ONE_PUBLICATION}"
            _refuse(gathered, product, PublishingReason.INVALID_DATASET, what)

    gathered.objects.put(entries(), same_key)


def _take_collection(gathered: _Gathered, product: Product, one: CollectionEntry) -> None:
    if gathered.collections.setdefault(one.id, one).digest != one.digest:
        what = f"the collection {one.id!r} is described in two ways; keep one of them"
        _refuse(gathered, product, PublishingReason.INVALID_CATALOG, what)


def _nested(places: Iterable[tuple[Place, Product]]) -> Iterator[Fault]:
    """Places of one product that lie inside a place of another."""
    by_store: dict[tuple[str, str], list[tuple[list[str], Product]]] = {}
    for place, product in places:
        key = (place.store.endpoint_url, place.store.url)
        by_store.setdefault(key, []).append((place.path.split("/"), product))
    for standing in by_store.values():
        around: list[tuple[list[str], Product]] = []
        for segments, product in sorted(standing, key=lambda one: one[0]):
            while around and segments[: len(around[-1][0])] != around[-1][0]:
                around.pop()
            for outer, other in around:
                if other is not product:
                    yield Fault(
                        PublishingReason.INVALID_DATASET,
                        readable(product.id),
                        f"its location {'/'.join(segments)!r} lies in that of {other.id}, "
                        f"{'/'.join(outer)!r}; {_ONE_PUBLICATION}",
                    )
            around.append((segments, product))


def _refuse(gathered: _Gathered, product: Product, reason: PublishingReason, what: str) -> None:
    gathered.faults.append(Fault(reason, readable(product.id), what))
