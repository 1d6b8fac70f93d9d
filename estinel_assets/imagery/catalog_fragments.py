"""A site's part of the web catalogue: its images, and how each of its days ended.

A fragment also remembers which version of which outcome each image was listed from, so that
writing it again reads only what changed. It is derived from the outcomes: one that an earlier
release wrote, or that cannot be read, is written anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.imagery.attempts import standing_images
from estinel_assets.imagery.catalog_entries import PublicAddress, image_entry, location_entry
from estinel_assets.imagery.layout import fragment_path
from estinel_assets.imagery.reasons import SEARCH_KEY
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.ledger import Entry, Ledger
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json
from estinel_assets.storage.port import ObjectStore

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A site's part of the catalogue."""

    location: dict[str, Any]
    """As the catalogue shows it, images by date."""
    days: dict[str, str]
    """By solar day that has an outcome, its reason: `none` where the images stand."""
    listed: dict[str, str]
    """By solar day, the version of the outcome that was looked at."""
    address: str
    """What the addresses of its images begin with."""

    @property
    def n_images(self) -> int:
        """How many days have images."""
        return len(self.location["images"])

    def document(self) -> dict[str, Any]:
        """The fragment as it is stored."""
        return {
            "location": self.location,
            "days": self.days,
            "listed": self.listed,
            "address": self.address,
        }


def update_fragment(
    store: ObjectStore,
    site: Site,
    window: SiteWindow,
    rows: Iterable[IndexRow],
    ledger: Ledger,
    address: PublicAddress,
) -> Fragment:
    """Write a site's fragment, if it changed. The caller holds the site's partition.

    A day whose rebuild failed keeps its former images listed.

    Args:
        store: where the fragment stands.
        site: the site.
        window: where the pixels of its images lie.
        rows: the index of the site's outcomes.
        ledger: the outcomes themselves.
        address: where readers find the images.
    """
    path = fragment_path(site.site_id)
    former = _former(store, path)
    # Another public address changes every entry: start from nothing.
    known: dict[str, str] = {}
    images: dict[str, Any] = {}
    if former is not None and former.get("address") == address.root:
        known = former.get("listed", {})
        images = {image["date"]: image for image in former["location"]["images"]}
    of_days = {row.key[-1]: row for row in rows if row.key[-1] != SEARCH_KEY}
    changed = [
        Entry(row.key, row.status, row.reason, row.path, row.etag)
        for day, row in of_days.items()
        if known.get(day) != row.etag
    ]
    for outcome in ledger.read(changed):
        day = outcome.key[-1]
        images.pop(day, None)
        shown = standing_images(outcome)
        if shown is not None:
            images[day] = image_entry(site, date.fromisoformat(day), shown, address)
    location = location_entry(site, window)
    location["images"] = [images[day] for day in sorted(images) if day in of_days]
    fragment = Fragment(
        location,
        {day: of_days[day].reason for day in sorted(of_days)},
        {day: of_days[day].etag for day in sorted(of_days)},
        address.root,
    )
    document = fragment.document()
    if document != former:
        store.put(path, dump_json(document), content_type=JSON_TYPE)
    return fragment


def is_fragment(document: object) -> bool:
    """Whether a document is a site's part of a catalogue, of this release or an earlier one."""
    if not isinstance(document, dict):
        return False
    location = document.get("location")
    if not isinstance(location, dict) or not isinstance(location.get("images"), list):
        return False
    return (
        all(isinstance(location.get(name), str) for name in ("id", "name"))
        and all(isinstance(image, dict) and "date" in image for image in location["images"])
        and all(isinstance(document.get(name, {}), dict) for name in ("days", "listed"))
    )


def _former(store: ObjectStore, path: str) -> dict[str, Any] | None:
    """The fragment as it stands; None where none stands that can be read."""
    try:
        stored = store.get(path)
    except NotFoundError:
        return None
    try:
        document = load_json(stored.data, what=store.uri(path))
    except StoreError as error:
        log.warning("the site's part of the catalogue is made anew", problem=str(error))
        return None
    return document if is_fragment(document) else None
