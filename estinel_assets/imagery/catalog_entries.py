"""What the web catalogue says of a site and of an image, and the addresses it gives.

Its schema is the one that existing catalogue browsers read: locations, each with its images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

from estinel_assets.imagery.layout import day_paths
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.storage.port import ObjectStore

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


def location_entry(site: Site, window: SiteWindow) -> dict[str, Any]:
    """A site as the catalogue lists it, without images yet.

    Args:
        site: the site.
        window: where the pixels of its images lie.
    """
    grid = window.grid
    return {
        "id": site.site_id,
        "name": site.location,
        "lon": site.lon,
        "lat": site.lat,
        "purpose": list(site.purpose),
        "grid": {
            "epsg": int(grid.crs.removeprefix("EPSG:")),
            "transform": list(grid.transform),
            "shape": list(grid.shape),
        },
        "images": [],
    }
