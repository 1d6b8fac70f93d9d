"""Where imagery's published products stand in the store. These paths are a contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

VIEW_NAMES = ("q128", "histeq", "stretch")
"""The three views, in the order in which people look at them."""


@dataclass(frozen=True, slots=True)
class DayPaths:
    """Paths of one site's products of one solar day, relative to the store's root."""

    scl: str
    rgb: str
    views: Mapping[str, str]
    """By view name."""
    thumbnails: Mapping[str, str]
    """By view name."""
    item: str

    @property
    def image_id(self) -> str:
        """What the catalogue calls the day's image: the composite's path without its ending."""
        return self.rgb.removesuffix(".tif")


def day_paths(collection: str, day: date, stem: str) -> DayPaths:
    """The paths of a site's day.

    Args:
        collection: STAC collection of the scenes.
        day: the solar day.
        stem: the site's name as it stands in file names.
    """
    base = f"{collection}/{day:%Y/%m/%d}/{stem}_{day.isoformat()}"
    return DayPaths(
        scl=f"{base}_scl.tif",
        rgb=f"{base}.tif",
        views={name: f"{base}_{name}.png" for name in VIEW_NAMES},
        thumbnails={name: f"thumbs/{base}_{name}.png" for name in VIEW_NAMES},
        item=f"{base}.json",
    )


def fragment_path(site_id: str) -> str:
    """The site's part of the web catalogue."""
    return f"catalog/fragments/{site_id}.json"


FRAGMENTS = "catalog/fragments"
RATINGS = "catalog/ratings"
CATALOG = "catalog/image-catalog.json"
INDEX = "catalog/index.json"
PAGE = "catalog"
"""The folder in which the catalogue's page stands, beside what it reads."""
PAGE_MANIFEST = "catalog/page.json"
"""Which files the page consists of, as they were published."""
CATALOG_STATE = "catalog/merged.json"
CATALOG_LEASE = "leases/imagery-catalog.json"
