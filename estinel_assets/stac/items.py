"""STAC items for what is made from scenes.

The result is plain JSON, the same for the same arguments, and valid STAC 1.1.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from estinel_assets.errors import BadInputError
from estinel_assets.stac.source import StacItem

STAC_VERSION = "1.1.0"
PROJECTION_EXTENSION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
EO_EXTENSION = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"

SENTINEL_LICENCE_URL = "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice"
"""The legal notice on the use of Copernicus Sentinel data."""

_MEDIA_TYPES = {
    ".tif": "image/tiff; application=geotiff",
    ".png": "image/png",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True)
class ItemGrid:
    """The grid of an item's rasters."""

    crs: str
    """As `EPSG:32755`."""
    transform: tuple[float, float, float, float, float, float]
    """x = a·column + b·row + c, y = d·column + e·row + f, as (a, b, c, d, e, f)."""
    shape: tuple[int, int]
    """(rows, columns)."""


@dataclass(frozen=True, slots=True)
class ItemAsset:
    """A file of an item."""

    href: str
    """Absolute, or relative to the item."""
    title: str
    """For people."""
    roles: tuple[str, ...]
    """As `data`, `visual`, `thumbnail`."""
    media_type: str | None = None
    """Told by the suffix of the address if not given."""
    bands: tuple[str, ...] = ()
    """Names of its bands, in order."""


@dataclass(frozen=True, slots=True)
class ItemProvider:
    """Who had a part in it."""

    name: str
    """Of the organisation."""
    roles: tuple[str, ...]
    """Among `producer`, `licensor`, `processor`, `host`."""
    url: str
    """Home page."""


COPERNICUS = ItemProvider(
    "European Union/ESA/Copernicus", ("producer", "licensor"), "https://www.copernicus.eu"
)
"""Who makes Sentinel data."""


def sentinel_attribution(year: int) -> str:
    """The notice that the Sentinel licence asks for with derived imagery."""
    return f"Contains modified Copernicus Sentinel data {year}"


def derived_item(
    item_id: str,
    *,
    when: datetime,
    geometry: Mapping[str, Any],
    bbox: Sequence[float],
    grid: ItemGrid,
    assets: Mapping[str, ItemAsset],
    derived_from: Iterable[str] = (),
    cloud_cover: float | None = None,
    attribution: str | None = None,
    providers: Iterable[ItemProvider] = (COPERNICUS,),
    licence: str = "other",
    licence_url: str = SENTINEL_LICENCE_URL,
    properties: Mapping[str, Any] | None = None,
    self_href: str | None = None,
) -> StacItem:
    """Describe files that were made from scenes.

    Args:
        item_id: of the new item.
        when: the instant that stands for the whole, timezone-aware.
        geometry: GeoJSON in longitude and latitude, as `geography.footprint` gives it.
        bbox: (west, south, east, north) in degrees; west > east across ±180°.
        grid: of the rasters.
        assets: by key.
        derived_from: addresses of the items of the scenes.
        cloud_cover: percent; None where it is not known.
        attribution: the notice to show with the files.
        providers: who had a part in it.
        licence: SPDX identifier or `other`.
        licence_url: text of the licence.
        properties: further ones; they may not replace those that the other arguments make.
        self_href: absolute address of the item.

    Raises:
        BadInputError: no time zone, or a further property that has an argument of its own.
    """
    if when.tzinfo is None:
        raise BadInputError(f"the datetime {when} of item {item_id} needs a time zone")
    own: dict[str, Any] = {
        "datetime": when.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "license": licence,
        "providers": [
            {"name": provider.name, "roles": list(provider.roles), "url": provider.url}
            for provider in providers
        ],
        "proj:code": grid.crs,
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.transform),
    }
    extensions = [PROJECTION_EXTENSION]
    if attribution is not None:
        own["attribution"] = attribution
    if cloud_cover is not None:
        own["eo:cloud_cover"] = cloud_cover
        extensions.append(EO_EXTENSION)
    further = dict(properties or {})
    if doubled := sorted(own.keys() & further.keys()):
        raise BadInputError(f"item {item_id} has {', '.join(doubled)} from arguments already")
    links = [{"rel": "license", "href": licence_url, "title": "Licence"}]
    if self_href is not None:
        links.append({"rel": "self", "href": self_href, "type": "application/geo+json"})
    links += [
        {"rel": "derived_from", "href": href, "type": "application/geo+json"}
        for href in derived_from
    ]
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted(extensions),
        "id": item_id,
        "geometry": dict(geometry),
        "bbox": list(bbox),
        "properties": {**own, **dict(sorted(further.items()))},
        "links": links,
        "assets": {key: _asset(asset) for key, asset in assets.items()},
    }


def _asset(asset: ItemAsset) -> dict[str, Any]:
    document: dict[str, Any] = {
        "href": asset.href,
        "title": asset.title,
        "roles": list(asset.roles),
    }
    suffix = "." + asset.href.split("?", 1)[0].rsplit(".", 1)[-1].lower()
    media_type = asset.media_type or _MEDIA_TYPES.get(suffix)
    if media_type:
        document["type"] = media_type
    if asset.bands:
        document["bands"] = [{"name": name} for name in asset.bands]
    return document
