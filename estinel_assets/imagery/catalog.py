"""The web catalogue: a fragment a site, merged into one document for the browser.

Its schema is the one that existing catalogue browsers read: locations, each with its images.
A fragment also remembers which version of which outcome each image was listed from, so that
writing it again reads only what changed; the merge does the same with fragments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    LeaseLostError,
    NotFoundError,
)
from estinel_assets.imagery.attempts import standing_images
from estinel_assets.imagery.layout import (
    CATALOG,
    CATALOG_LEASE,
    CATALOG_STATE,
    FRAGMENTS,
    day_paths,
    fragment_path,
)
from estinel_assets.imagery.reasons import SEARCH_KEY
from estinel_assets.imagery.site import Site
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.ledger import Entry, Ledger
from estinel_assets.storage.documents import dump_json, gzip_bytes, load_json
from estinel_assets.storage.lease import hold_lease
from estinel_assets.storage.port import ObjectStore, StoredObject

PACKED_CATALOG = f"{CATALOG}.gz"
"""The catalogue, compressed."""

VIEW_KEYS = {"q128": "view_q128", "histeq": "view_hist", "stretch": "view_stretch"}
"""What the catalogue calls the views."""


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """Turns paths of the store into addresses that readers of the catalogue can open."""

    store: ObjectStore
    public_url: str | None
    """Address of the store's root for readers; None for the store's own."""

    @property
    def root(self) -> str:
        """What every address begins with."""
        return self.public_url or self.store.url

    def __call__(self, path: str) -> str:
        """The address of one object."""
        if self.public_url is None:
            return self.store.uri(path)
        return f"{self.public_url.rstrip('/')}/{quote(path)}"


def image_entry(
    site: Site, day: date, images: Mapping[str, Any], address: PublicAddress
) -> dict[str, Any]:
    """A day's images as the catalogue lists them.

    Args:
        site: the site.
        day: the solar day.
        images: what the outcome that made them says of them.
        address: where readers find them.
    """
    paths = day_paths(images["collection"], day, site.file_stem)
    return {
        "id": paths.image_id,
        "date": day.isoformat(),
        "url": {VIEW_KEYS[name]: address(path) for name, path in paths.views.items()},
        "thumbnail": {VIEW_KEYS[name]: address(path) for name, path in paths.thumbnails.items()},
        "download": address(paths.rgb),
        "stac-item": address(paths.item),
        "valid_fraction": images["valid_fraction"],
        "cloud_fraction": images["cloud_fraction"],
        "clear_fraction": images["clear_fraction"],
        "attribution": images["attribution"],
    }


@dataclass(frozen=True, slots=True)
class Fragment:
    """A site's part of the catalogue."""

    location: dict[str, Any]
    """As the catalogue shows it, images by date."""
    listed: dict[str, str]
    """By solar day, the version of the outcome that was looked at."""

    @property
    def n_images(self) -> int:
        """How many days have images."""
        return len(self.location["images"])


def update_fragment(
    store: ObjectStore,
    site: Site,
    rows: Iterable[IndexRow],
    ledger: Ledger,
    address: PublicAddress,
) -> Fragment:
    """Write a site's fragment, if it changed. The caller holds the site's partition.

    A day whose rebuild failed keeps its former images listed.
    """
    path = fragment_path(site.site_id)
    former = _read(store, path)
    location = _location(site)
    known: dict[str, str] = {}
    images: dict[str, Any] = {}
    # Another public address changes every entry: start from nothing.
    if former is not None and former["address"] == address.root:
        known = former["listed"]
        images = {image["date"]: image for image in former["location"]["images"]}

    listed: dict[str, str] = {}
    changed = []
    for row in rows:
        day = row.key[-1]
        if day == SEARCH_KEY:
            continue
        listed[day] = row.etag
        if known.get(day) != row.etag:
            changed.append(Entry(row.key, row.status, row.reason, row.path, row.etag))
    for outcome in ledger.read(changed):
        day = outcome.key[-1]
        images.pop(day, None)
        shown = standing_images(outcome)
        if shown is not None:
            images[day] = image_entry(site, date.fromisoformat(day), shown, address)
    location["images"] = [images[day] for day in sorted(images) if day in listed]
    fragment = Fragment(location, dict(sorted(listed.items())))
    document = {
        "location": fragment.location,
        "listed": fragment.listed,
        "address": address.root,
    }
    if document != former:
        store.put(path, dump_json(document), content_type="application/json")
    return fragment


@dataclass(frozen=True, slots=True)
class CatalogMerge:
    """What a merge did."""

    n_locations: int
    n_images: int
    n_changed: int
    """Fragments that were new or changed."""
    n_bytes: int
    """Size of the document; 0 where nothing had to be written."""


def merge_catalog(store: ObjectStore, *, lease_ttl_s: float, lease_wait_s: float) -> CatalogMerge:
    """Bring the catalogue up to date with the fragments. Reads only those that changed.

    Args:
        store: where both are.
        lease_ttl_s: a merge silent for this long counts as dead, in seconds.
        lease_wait_s: how long to wait for another merge, in seconds.

    Raises:
        LeaseHeldError: another merge went on for longer than that.
        LeaseLostError: another merge wrote the catalogue meanwhile; its own stands.
    """
    with hold_lease(store, CATALOG_LEASE, ttl_s=lease_ttl_s, wait_s=lease_wait_s) as lease:
        former, packed = _stored(store, CATALOG), _etag(store, PACKED_CATALOG)
        state = (_read(store, CATALOG_STATE) if former is not None else None) or {}
        catalog = load_json(former.data) if former is not None and state else {"locations": []}
        locations = {entry["id"]: entry for entry in catalog["locations"]}
        by_site = {fragment_path(site_id): site_id for site_id in locations}
        present = {meta.path: meta.etag for meta in store.list(FRAGMENTS)}
        merged = {path: state[path] for path in by_site if path in state and path in present}
        changed = [path for path, etag in sorted(present.items()) if merged.get(path) != etag]
        kept = {by_site[path]: locations[by_site[path]] for path in merged}
        for path in changed:
            stored = store.get(path)
            location = load_json(stored.data)["location"]
            kept[location["id"]] = location
            present[path] = stored.meta.etag
        ordered = sorted(kept.values(), key=lambda entry: (entry["name"], entry["id"]))
        document = dump_json({"locations": ordered})
        n_images = sum(len(entry["images"]) for entry in ordered)
        lease.check()
        written = former is None or packed is None or former.data != document
        if written:
            # A worker that slept through the end of its lease must not undo what another wrote
            # meanwhile. Compressed first: where the plain one is right, so is the compressed one.
            _swap(store, PACKED_CATALOG, gzip_bytes(document), packed, "application/gzip")
            etag = former.meta.etag if former is not None else None
            _swap(store, CATALOG, document, etag, "application/json")
        if changed or state != present:
            # An older state only makes the next merge read more, so it may overwrite a newer one.
            store.put(CATALOG_STATE, dump_json(present), content_type="application/json")
    return CatalogMerge(len(ordered), n_images, len(changed), len(document) if written else 0)


def _location(site: Site) -> dict[str, Any]:
    return {
        "id": site.site_id,
        "name": site.location,
        "lon": site.lon,
        "lat": site.lat,
        "purpose": list(site.purpose),
        "images": [],
    }


def _read(store: ObjectStore, path: str) -> dict[str, Any] | None:
    stored = _stored(store, path)
    document: dict[str, Any] | None = None if stored is None else load_json(stored.data)
    return document


def _stored(store: ObjectStore, path: str) -> StoredObject | None:
    try:
        return store.get(path)
    except NotFoundError:
        return None


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
