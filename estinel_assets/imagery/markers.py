"""Markers: how far each site is done, readable by people and computed from the ledger.

A marker says where the next search begins. It decides nothing else: which days are made follows
from their outcomes, so a marker that is lost, corrupt or set back costs a longer search and no
work done twice.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    StoreError,
)
from estinel_assets.imagery.site import Site
from estinel_assets.storage.documents import dump_json, load_json
from estinel_assets.storage.port import ObjectStore

MARKERS = "markers"
ADOPTED = "adopted"

# Beyond these years a marker is a slip, and days could not be counted back from it.
_FIRST_YEAR, _LAST_YEAR = 1970, 2999


@dataclass(frozen=True, slots=True)
class Marker:
    """How far a site is done."""

    site_id: str
    location: str
    last_solarday: date
    """Every known day up to it has a final outcome."""
    last_updated: datetime
    """When the marker was written, UTC."""
    n_images: int
    """Days with images that the run made which wrote it."""
    n_images_total: int | None
    """Days with images that stand; None in the markers of the R pipeline, which do not say."""

    def document(self) -> dict[str, Any]:
        """The marker as it is stored."""
        return {
            "SITE_ID": self.site_id,
            "location": self.location,
            "last_solarday": self.last_solarday.isoformat(),
            "last_updated": self.last_updated.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "n_images": self.n_images,
            "n_images_total": self.n_images_total,
        }


@dataclass(frozen=True, slots=True)
class StoredMarker:
    """What stands where a site's marker belongs."""

    marker: Marker | None
    """None where there is none, or a corrupt one."""
    etag: str | None
    """Version of the object; None where there is none."""
    problem: str | None = None
    """What is wrong with a corrupt one."""


def marker_path(site_id: str) -> str:
    """Where a site's marker stands."""
    return f"{MARKERS}/{site_id}.json"


def adoption_path(site_id: str) -> str:
    """Where it stands that another system's archive was taken over."""
    return f"{ADOPTED}/{site_id}.json"


def read_marker(store: ObjectStore, site_id: str) -> StoredMarker:
    """Read a site's marker; a corrupt one counts as absent, and says what is wrong with it.

    Raises:
        StoreError: the store refuses.
    """
    try:
        stored = store.get(marker_path(site_id))
    except NotFoundError:
        return StoredMarker(None, None)
    try:
        return StoredMarker(_parse(load_json(stored.data), site_id), stored.meta.etag)
    except (StoreError, KeyError, TypeError, ValueError, OverflowError) as error:
        problem = (
            f"{store.uri(marker_path(site_id))} is no marker ({type(error).__name__}: {error})"
        )
        return StoredMarker(None, stored.meta.etag, problem)


def write_marker(store: ObjectStore, marker: Marker, former: StoredMarker) -> bool:
    """Write a marker by compare-and-swap, if it says something else than the one that stands.

    Args:
        store: where to.
        marker: what to write.
        former: what stood there when the marker was computed.

    Returns:
        True when it was written, False when it says the same already.

    Raises:
        StoreError: somebody else wrote meanwhile, or the store refuses; nothing was written.
    """
    if former.marker is not None and _says(former.marker) == _says(marker):
        return False
    path, body = marker_path(marker.site_id), dump_json(marker.document())
    try:
        if former.etag is None:
            store.create(path, body, content_type="application/json")
        else:
            store.replace(path, body, etag=former.etag, content_type="application/json")
    except (AlreadyExistsError, ChangedError, NotFoundError):
        raise StoreError(
            f"{store.uri(path)} was written by somebody else meanwhile; the next run writes it"
        ) from None
    return True


def adoption_day(marker: Marker, site: Site, *, same_rule: bool) -> date:
    """Up to which of our days an archive of the R pipeline is complete.

    West of Greenwich its days run a day ahead of ours, so that the last one may be a day of ours
    that is still to come.

    Args:
        marker: of the archive.
        site: its site.
        same_rule: our days are counted like the archive's.
    """
    if same_rule or site.lon >= 0:
        return marker.last_solarday
    return marker.last_solarday - timedelta(days=1)


def read_adoption(store: ObjectStore, site_id: str) -> date | None:
    """The day up to which a site's archive was taken over; None where none was.

    Raises:
        StoreError: the object is unusable, or the store refuses.
    """
    path = adoption_path(site_id)
    try:
        document = load_json(store.get(path).data, what=store.uri(path))
    except NotFoundError:
        return None
    try:
        return date.fromisoformat(document["adopted_until"])
    except (KeyError, TypeError, ValueError):
        raise StoreError(
            f"{store.uri(path)} has no date adopted_until; run `estinel markers adopt` again"
        ) from None


def write_adoption(store: ObjectStore, marker: Marker, until: date, now: datetime) -> None:
    """Record that an archive was taken over; a later call replaces an earlier."""
    document = {
        "SITE_ID": marker.site_id,
        "location": marker.location,
        "adopted_until": until.isoformat(),
        "adopted_at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "marker": marker.document(),
    }
    path = adoption_path(marker.site_id)
    store.put(path, dump_json(document), content_type="application/json")


def _says(marker: Marker) -> tuple[object, ...]:
    return marker.site_id, marker.location, marker.last_solarday, marker.n_images_total


def _parse(document: Any, site_id: str) -> Marker:
    if document["SITE_ID"] != site_id:
        raise ValueError(f"it is of {document['SITE_ID']!r}")
    last_solarday = date.fromisoformat(document["last_solarday"])
    if not _FIRST_YEAR <= last_solarday.year <= _LAST_YEAR:
        raise ValueError(f"no scene was ever sensed on {last_solarday}")
    updated = datetime.fromisoformat(document["last_updated"])
    updated = updated if updated.tzinfo else updated.replace(tzinfo=UTC)
    total = document.get("n_images_total")
    return Marker(
        site_id=site_id,
        location=_text(document["location"]),
        last_solarday=last_solarday,
        last_updated=updated.astimezone(UTC),
        n_images=int(document["n_images"]),
        n_images_total=None if total is None else int(total),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # a lone surrogate could be read, but not written again
    return value
