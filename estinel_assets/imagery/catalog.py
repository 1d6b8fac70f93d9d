"""The web catalogue: the sites' fragments, merged into one document and an index of it.

The document is for whoever wants everything in one piece; the page reads the index and then the
fragments of the sites it opens. A merge reads only fragments that changed since the last one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    LeaseLostError,
    NotFoundError,
    StoreError,
)
from estinel_assets.imagery.catalog_entries import PublicAddress
from estinel_assets.imagery.catalog_fragments import is_fragment
from estinel_assets.imagery.catalog_index import (
    entries_by_site,
    index_document,
    index_entry,
    with_ratings,
)
from estinel_assets.imagery.catalog_ratings import rated_files
from estinel_assets.imagery.layout import (
    CATALOG,
    CATALOG_LEASE,
    CATALOG_STATE,
    FRAGMENTS,
    INDEX,
    PAGE,
    fragment_path,
)
from estinel_assets.logs import get_logger
from estinel_assets.storage.documents import JSON_TYPE, dump_json, gzip_bytes, load_json
from estinel_assets.storage.lease import Lease, hold_lease
from estinel_assets.storage.port import ObjectStore, StoredObject

PACKED_CATALOG = f"{CATALOG}.gz"
"""The catalogue, compressed."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CatalogMerge:
    """What a merge did."""

    n_locations: int
    n_images: int
    n_changed: int
    """Fragments that were new or changed."""
    n_bytes: int
    """Size of the document; 0 where nothing had to be written."""
    n_index_bytes: int
    """Size of the index; 0 where it did not have to be written."""

    def counts(self) -> dict[str, int]:
        """The numbers, for metadata."""
        return {
            "locations": self.n_locations,
            "images": self.n_images,
            "changed_fragments": self.n_changed,
            "bytes": self.n_bytes,
            "index_bytes": self.n_index_bytes,
        }


def merge_catalog(
    store: ObjectStore, *, lease_ttl_s: float, lease_wait_s: float, public_url: str | None = None
) -> CatalogMerge:
    """Bring the catalogue and its index up to date with the fragments that changed.

    Args:
        store: where all of them are.
        lease_ttl_s: a merge silent for this long counts as dead, in seconds.
        lease_wait_s: how long to wait for another merge, in seconds.
        public_url: address of the store's root for readers; None for the store's own.

    Raises:
        LeaseHeldError: another merge went on for longer than that.
        LeaseLostError: another merge wrote the catalogue meanwhile; its own stands.
        StoreError: a fragment is none; the message names it.
    """
    root = PublicAddress(store, public_url).root
    with hold_lease(store, CATALOG_LEASE, ttl_s=lease_ttl_s, wait_s=lease_wait_s) as lease:
        former = _Former.read(store)
        parts = _merged_parts(store, former)
        ordered = sorted(parts.locations.values(), key=lambda entry: (entry["name"], entry["id"]))
        document = _compact({"root": root, "locations": ordered}, what=store.uri(CATALOG))
        rated = rated_files(store)
        entries = (with_ratings(parts.entries[location["id"]], rated) for location in ordered)
        index = dump_json(index_document(root, entries))
        lease.check()
        written = _write_document(store, former, document)
        indexed = _write_index(store, former, index, lease)
        if parts.n_changed or former.state != parts.state:
            # An older state only makes the next merge read more, so it may overwrite a newer one.
            store.put(CATALOG_STATE, dump_json(parts.state), content_type=JSON_TYPE)
    return CatalogMerge(
        n_locations=len(ordered),
        n_images=sum(len(location["images"]) for location in ordered),
        n_changed=parts.n_changed,
        n_bytes=len(document) if written else 0,
        n_index_bytes=len(index) if indexed else 0,
    )


@dataclass(frozen=True, slots=True)
class _Former:
    """What earlier merges left."""

    catalog: StoredObject | None
    packed: str | None
    """ETag of the compressed document."""
    index: StoredObject | None
    state: Mapping[str, str]
    """By fragment, the version that is merged; empty where nothing is known of it."""
    locations: Mapping[str, dict[str, Any]]
    """By SITE_ID, as the document lists them."""
    entries: Mapping[str, Mapping[str, Any]]
    """By SITE_ID, as the index lists them."""

    @classmethod
    def read(cls, store: ObjectStore) -> "_Former":
        catalog, index = _stored(store, CATALOG), _stored(store, INDEX)
        packed = _etag(store, PACKED_CATALOG)
        stored_state = None if catalog is None else _stored(store, CATALOG_STATE)
        if catalog is None or stored_state is None:
            return cls(catalog, packed, index, {}, {}, {})
        state = load_json(stored_state.data, what=store.uri(CATALOG_STATE))
        document = load_json(catalog.data, what=store.uri(CATALOG))
        locations = {location["id"]: location for location in document["locations"]}
        entries = {} if index is None else _entries(store, index)
        return cls(catalog, packed, index, state, locations, entries)

    def is_merged(self, site_id: str, etag: str) -> bool:
        """Whether this version of a site's fragment is in document and index."""
        return (
            self.state.get(fragment_path(site_id)) == etag
            and site_id in self.locations
            and self.entries.get(site_id, {}).get("version") == etag
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What goes into document and index, by SITE_ID."""

    locations: dict[str, dict[str, Any]]
    entries: dict[str, Mapping[str, Any]]
    state: dict[str, str]
    n_changed: int


def _merged_parts(store: ObjectStore, former: _Former) -> _Parts:
    present = {meta.path: meta.etag for meta in store.list(FRAGMENTS)}
    kept = [
        site_id
        for site_id in former.locations
        if former.is_merged(site_id, present.get(fragment_path(site_id), ""))
    ]
    locations = {site_id: former.locations[site_id] for site_id in kept}
    entries = {site_id: former.entries[site_id] for site_id in kept}
    unchanged = {fragment_path(site_id) for site_id in kept}
    changed = sorted(present.keys() - unchanged)
    for path in changed:
        stored = store.get(path)
        present[path] = stored.meta.etag
        location, entry = _read_fragment(store, stored)
        locations[location["id"]], entries[location["id"]] = location, entry
    return _Parts(locations, entries, present, len(changed))


def _read_fragment(
    store: ObjectStore, stored: StoredObject
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A fragment's location for the document, and its entry for the index."""
    path = stored.meta.path
    fragment = load_json(stored.data, what=store.uri(path))
    if not is_fragment(fragment):
        raise StoreError(
            f"{store.uri(path)} is no part of a catalogue; delete it and update the site"
        )
    file = path.removeprefix(f"{PAGE}/")
    return fragment["location"], index_entry(fragment, file=file, version=stored.meta.etag)


def _entries(store: ObjectStore, index: StoredObject) -> Mapping[str, Mapping[str, Any]]:
    try:
        return entries_by_site(load_json(index.data, what=store.uri(INDEX)))
    except StoreError as error:  # it is derived
        log.warning("the catalogue's index is made anew", problem=str(error))
        return {}


def _write_document(store: ObjectStore, former: _Former, document: bytes) -> bool:
    """Write the document and its compressed copy, where they changed."""
    if former.catalog is not None and former.packed is not None and former.catalog.data == document:
        return False
    # A worker that slept through the end of its lease must not undo what another wrote
    # meanwhile. Compressed first: where the plain one is right, so is the compressed one.
    _swap(store, PACKED_CATALOG, gzip_bytes(document), former.packed, "application/gzip")
    _swap(store, CATALOG, document, _etag_of(former.catalog), JSON_TYPE)
    return True


def _write_index(store: ObjectStore, former: _Former, index: bytes, lease: Lease) -> bool:
    """Write the index, where it changed; after the document, which takes the longest."""
    if former.index is not None and former.index.data == index:
        return False
    lease.check()
    _swap(store, INDEX, index, _etag_of(former.index), JSON_TYPE)
    return True


def _compact(document: object, *, what: str) -> bytes:
    """The document without spaces and line breaks: nobody reads a hundred thousand images by eye.

    It is made of what was read as JSON, so but for half characters it can be written as JSON.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError as error:
        near = text[max(0, error.start - 60) : error.start]
        raise StoreError(
            f"{what} cannot be written: what follows {near!r} in a site's part of the catalogue is "
            "not valid Unicode; delete that part and update the site"
        ) from None


def _stored(store: ObjectStore, path: str) -> StoredObject | None:
    try:
        return store.get(path)
    except NotFoundError:
        return None


def _etag_of(stored: StoredObject | None) -> str | None:
    return None if stored is None else stored.meta.etag


def _etag(store: ObjectStore, path: str) -> str | None:
    try:
        return store.head(path).etag
    except NotFoundError:
        return None


def _swap(store: ObjectStore, path: str, body: bytes, etag: str | None, content_type: str) -> None:
    """Write over the version with that etag; without one, only where nothing stands."""
    try:
        if etag is None:
            store.create(path, body, content_type=content_type)
        else:
            store.replace(path, body, etag=etag, content_type=content_type)
    except (AlreadyExistsError, ChangedError, NotFoundError):
        raise LeaseLostError(
            f"{store.uri(path)} was written by another merge meanwhile; merge again"
        ) from None
