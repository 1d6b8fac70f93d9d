"""Exports of ratings for tests, and what puts a catalogue's parts into a store."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from estinel_assets.imagery.layout import fragment_path
from estinel_assets.imagery.rating_store import import_user
from estinel_assets.imagery.ratings import Entry, Rating
from estinel_assets.storage.port import ObjectStore

NOW = datetime(2024, 12, 20, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """A moment so many minutes before `NOW`, or after it."""
    return NOW + timedelta(minutes=minutes)


def text(instant: datetime) -> str:
    """A time as the page writes it."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def export(
    user_id: str, ratings: Mapping[str, str | None], minutes: float = -60, **more: object
) -> dict[str, Any]:
    """An export of ratings given at one moment; None is a rating that was taken back."""
    timestamp = text(at(minutes))
    return {
        "user_id": user_id,
        "timestamp": text(NOW),
        "location": "Hobart",
        "ratings": [
            {"image_id": image_id, "rating": rating, "timestamp": timestamp}
            for image_id, rating in ratings.items()
        ],
        **more,
    }


def entry(rating: str | None, minutes: float = -60) -> Entry:
    """One rating."""
    return Entry(None if rating is None else Rating(rating), at(minutes))


def put_fragment(store: ObjectStore, site_id: str, days: Iterable[str]) -> list[str]:
    """Put a site's part of the catalogue; returns the ids of its images."""
    images = [{"id": f"{site_id}/{day}", "date": day, "url": {}} for day in days]
    location = {"id": site_id, "name": site_id, "purpose": [], "images": images}
    document = {"location": location, "listed": {}, "address": "https://images.example"}
    store.put(fragment_path(site_id), json.dumps(document).encode())
    return [str(image["id"]) for image in images]


@dataclass(frozen=True)
class ImportRatings:
    """A racer that imports ratings of its own and one that all of them give, turn by turn."""

    user_id: str
    times: int

    def __call__(self, store: ObjectStore, number: int) -> str:
        for turn in range(self.times):
            given = {f"image-{number}-{turn}": entry("good"), "shared": entry("ok", number)}
            import_user(store, self.user_id, given)
        return "done"
