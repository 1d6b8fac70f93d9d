"""The index of the web catalogue: what its page shows of every site before one is opened.

The catalogue itself holds every image, tens of megabytes of them; the index holds a summary and
the newest image of each site, and says where the rest stands. Pure: no storage.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from estinel_assets.imagery.reasons import ImageryReason

INDEX_VERSION = 1
"""Of the index's schema; a reader that knows another one must not guess."""

_OF_SITE = ("id", "name", "lon", "lat", "purpose", "grid")
_FAULTS = frozenset(str(reason) for reason in ImageryReason if reason.fault)


def index_entry(fragment: Mapping[str, Any], *, file: str, version: str) -> dict[str, Any]:
    """What the index says of a site.

    Args:
        fragment: the site's part of the catalogue. One that an earlier release wrote has no grid
            and no days; the entry then has the grid None and no faults.
        file: where the part stands, relative to the index.
        version: changes whenever the part does.
    """
    location = fragment["location"]
    images = location["images"]
    days = fragment.get("days", {})
    return {
        **{name: location.get(name) for name in _OF_SITE},
        "n_images": len(images),
        "first": images[0]["date"] if images else None,
        "newest": images[-1]["date"] if images else None,
        "newest_image": images[-1] if images else None,
        "faults": sum(reason in _FAULTS for reason in days.values()),
        "file": file,
        "version": version,
    }


def with_ratings(entry: Mapping[str, Any], rated: Collection[str]) -> dict[str, Any]:
    """An entry that says where the ratings of the site's images stand.

    Its field `ratings` is None where nobody rated one, so that the page need not ask.

    Args:
        entry: what the index says of a site.
        rated: files that stand, relative to the index.
    """
    file = f"ratings/{entry['id']}.json"
    return {**entry, "ratings": file if file in rated else None}


def index_document(root: str, entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The index.

    Args:
        root: what the addresses of images begin with.
        entries: of the sites, in the order of the catalogue.
    """
    return {
        "version": INDEX_VERSION,
        "root": root,
        "reasons": {
            str(reason): {"fault": reason.fault, "meaning": reason.meaning}
            for reason in ImageryReason
        },
        "locations": list(entries),
    }


def entries_by_site(document: object) -> dict[str, Mapping[str, Any]]:
    """The entries of an index by SITE_ID; none where it is no index of this version."""
    if not isinstance(document, dict) or document.get("version") != INDEX_VERSION:
        return {}
    entries = document.get("locations")
    if not isinstance(entries, list):
        return {}
    return {
        str(entry["id"]): entry for entry in entries if isinstance(entry, dict) and "id" in entry
    }
