"""What all raters together think of each image: a table, and a document a site for the page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa

from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.imagery.catalog_fragments import is_fragment
from estinel_assets.imagery.catalog_ratings import announce_ratings
from estinel_assets.imagery.layout import FRAGMENTS, RATINGS
from estinel_assets.imagery.rating_store import read_users
from estinel_assets.imagery.ratings import Votes, votes_by_image
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json
from estinel_assets.storage.lease import Lease, hold_lease
from estinel_assets.storage.port import ObjectStore

RATINGS_LEASE: Final = "leases/imagery-ratings.json"

SCHEMA: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("site", pa.string()),
        ("date", pa.date32()),
        ("good", pa.int32()),
        ("ok", pa.int32()),
        ("bad", pa.int32()),
        ("raters", pa.int32()),
        ("consensus", pa.string()),
    ]
)
"""One row an image that somebody rated; site (SITE_ID) and date (solar day) are null where the
catalogue does not list the image."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image that the catalogue lists."""

    site_id: str
    day: date


@dataclass(frozen=True, slots=True)
class Listing:
    """What the sites' parts of the catalogue list."""

    images: Mapping[str, ListedImage]
    """By image id."""
    site_ids: frozenset[str]
    """Every site, also one without images."""


@dataclass(frozen=True, slots=True)
class RatingsMade:
    """What a run made of everybody's ratings."""

    table: pa.Table
    """See `SCHEMA`."""
    n_users: int
    """Users who have an object, whether or not a rating of theirs stands."""
    n_unknown: int
    """Rated images that the catalogue does not list."""
    n_written: int
    """Sites whose document was new or changed."""

    def counts(self) -> dict[str, int]:
        """The numbers, for metadata."""
        return {
            "images": self.table.num_rows,
            "users": self.n_users,
            "unknown_images": self.n_unknown,
            "sites_written": self.n_written,
        }


def site_ratings_path(site_id: str) -> str:
    """Where the page finds the consensus of a site's images."""
    return f"{RATINGS}/{site_id}.json"


def read_listing(store: ObjectStore) -> Listing:
    """Read which images the sites' parts of the catalogue list.

    Raises:
        StoreError: a part of the catalogue is none, or the store refuses.
    """
    images: dict[str, ListedImage] = {}
    site_ids = set()
    for path in sorted(meta.path for meta in store.list(FRAGMENTS)):
        fragment = load_json(store.get(path).data, what=store.uri(path))
        if not is_fragment(fragment):
            raise _no_fragment(store, path)
        location = fragment["location"]
        site_ids.add(location["id"])
        try:
            for image in location["images"]:
                listed = ListedImage(location["id"], date.fromisoformat(image["date"]))
                images.setdefault(str(image["id"]), listed)
        except (KeyError, TypeError, ValueError):
            raise _no_fragment(store, path) from None
    return Listing(images, frozenset(site_ids))


def make_ratings(store: ObjectStore, *, lease_ttl_s: float, lease_wait_s: float) -> RatingsMade:
    """Count everybody's ratings, and write each site's document where it changed.

    The catalogue's index then says which sites have one.

    Args:
        store: where ratings and catalogue are.
        lease_ttl_s: a run silent for this long counts as dead, in seconds.
        lease_wait_s: how long to wait for another run, in seconds.

    Raises:
        LeaseHeldError: another run, or a merge of the catalogue, went on for longer than that.
        LeaseLostError: another run took over; it writes the documents itself.
        StoreError: ratings or a part of the catalogue cannot be read; the message names the object.
    """
    with hold_lease(store, RATINGS_LEASE, ttl_s=lease_ttl_s, wait_s=lease_wait_s) as lease:
        users = read_users(store)
        votes = votes_by_image(user.ratings for user in users)
        listing = read_listing(store)
        written = _write_sites(store, votes, listing, lease)
    announce_ratings(store, lease_ttl_s=lease_ttl_s, lease_wait_s=lease_wait_s)
    return RatingsMade(
        table=ratings_table(votes, listing.images),
        n_users=len(users),
        n_unknown=sum(image_id not in listing.images for image_id in votes),
        n_written=written,
    )


def ratings_table(votes: Mapping[str, Votes], images: Mapping[str, ListedImage]) -> pa.Table:
    """The votes as a table, by image id. See `SCHEMA`."""
    rows = [
        {
            "image_id": image_id,
            "site": None if (listed := images.get(image_id)) is None else listed.site_id,
            "date": None if listed is None else listed.day,
            **_counts(counted),
        }
        for image_id, counted in votes.items()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def site_document(votes: Iterable[tuple[str, Votes]]) -> dict[str, Any]:
    """A site's document: its rated images with their consensus."""
    return {"images": {image_id: _counts(counted) for image_id, counted in votes}}


def _counts(votes: Votes) -> dict[str, Any]:
    return {
        "consensus": votes.consensus,
        "good": votes.good,
        "ok": votes.ok,
        "bad": votes.bad,
        "raters": votes.raters,
    }


def _write_sites(
    store: ObjectStore,
    votes: Mapping[str, Votes],
    listing: Listing,
    lease: Lease,
) -> int:
    """Write the documents that changed, also of sites whose ratings were all taken back."""
    rated: dict[str, list[tuple[str, Votes]]] = {}
    for image_id, counted in votes.items():
        listed = listing.images.get(image_id)
        if listed is not None:
            rated.setdefault(listed.site_id, []).append((image_id, counted))
    standing = {meta.path for meta in store.list(RATINGS)}
    written = 0
    for site_id in sorted(listing.site_ids):
        path = site_ratings_path(site_id)
        if site_id not in rated and path not in standing:
            continue
        body = dump_json(site_document(rated.get(site_id, [])))
        if _read(store, path) != body:
            lease.check()
            store.put(path, body, content_type=JSON_TYPE)
            written += 1
    return written


def _read(store: ObjectStore, path: str) -> bytes | None:
    try:
        return store.get(path).data
    except NotFoundError:
        return None


def _no_fragment(store: ObjectStore, path: str) -> StoreError:
    return StoreError(f"{store.uri(path)} is no part of a catalogue; delete it and update the site")
