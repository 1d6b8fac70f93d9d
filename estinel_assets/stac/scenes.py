"""What an item says of a Sentinel-2 scene, in one place and in the same words for all providers.

Only id, collection and datetime are needed for a scene to exist. Everything else may be missing
or malformed in a real catalogue; then the field is None, or the band has no asset, and whoever
needs it decides what that means.
"""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from estinel_assets.errors import PermanentError, SourceFault
from estinel_assets.stac.bands import Provider, asset_keys
from estinel_assets.stac.fields import as_list, as_mapping, as_number, as_numbers, as_text
from estinel_assets.stac.geography import centroid_longitude_deg
from estinel_assets.stac.source import item_datetime, parse_instant

_BASELINE = re.compile(r"(\d{1,3})\.(\d{1,3})")
_BASELINE_OF_DATATAKE = re.compile(r"_N\d{2}\.\d{2}$")
_SENSING_START = re.compile(r"_S(\d{8}T\d{6})(?:_|$)")
_TILE = re.compile(r"(\d{1,2})([C-X])([A-Z]{2})")

Bounds = tuple[float, float, float, float]
"""(left, bottom, right, top), in CRS units."""


@dataclass(frozen=True, slots=True)
class SceneAsset:
    """Where one band of a scene is, and where it lies."""

    href: str
    """As the item gives it, not signed."""
    crs: str | None
    """As `EPSG:32755`; None where the item does not say."""
    bounds: Bounds | None
    """Outer edges of the raster in its CRS; None where the item does not say."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One Sentinel-2 L2A item."""

    id: str
    """Unique within the collection."""
    collection: str
    """STAC collection, empty where the item does not say."""
    datetime: dt.datetime
    """UTC; the start of the span where the item has one instead."""
    centroid_longitude_deg: float | None
    """Longitude of the footprint's middle, in [-180, 180)."""
    platform: str | None
    """As `sentinel-2a`."""
    mgrs_tile: str | None
    """As `55GDP`, always with two digits of zone."""
    datatake: str | None
    """`s2:datatake_id` without the processing baseline at its end."""
    sensing_start: str | None
    """When sensing of the datastrip began, UTC, as `20200305T103210`."""
    baseline: tuple[int, int] | None
    """Processing baseline; 05.10 is (5, 10). Compares as numbers."""
    updated: dt.datetime | None
    """The version's stamp, UTC: `updated`, else `created`, else `s2:generation_time`."""
    cloud_cover: float | None
    """`eo:cloud_cover` in percent."""
    assets: Mapping[str, SceneAsset] = field(hash=False)
    """By band (`red`, `green`, `blue`, `scl`); a band without usable address is absent."""
    self_href: str | None
    """Address of the item itself, for derived-from links."""
    withdrawn: bool = False
    """The source no longer lists it: it is known, but not to be used."""


def parse_scene(item: Mapping[str, Any], provider: Provider | str) -> Scene:
    """Read a scene from a STAC item.

    Args:
        item: STAC 0.9 to 1.1.
        provider: decides under which keys the bands stand.

    Raises:
        PermanentError: corrupt: no id, or no datetime.
    """
    properties = as_mapping(item.get("properties"))
    item_id = as_text(item.get("id"))
    instant = item_datetime(item)
    if item_id is None or instant is None:
        missing = "id" if item_id is None else "datetime"
        raise PermanentError(SourceFault.CORRUPT, f"the item {item_id!r} has no {missing}")
    platform = as_text(properties.get("platform"))
    datatake = as_text(properties.get("s2:datatake_id"))
    strip = _SENSING_START.search(as_text(properties.get("s2:datastrip_id")) or "")
    return Scene(
        id=item_id,
        collection=as_text(item.get("collection")) or "",
        datetime=instant,
        centroid_longitude_deg=centroid_longitude_deg(item),
        platform=platform.lower() if platform else None,
        mgrs_tile=_mgrs_tile(properties),
        datatake=_BASELINE_OF_DATATAKE.sub("", datatake) if datatake else None,
        sensing_start=strip[1] if strip else None,
        baseline=processing_baseline(properties),
        updated=version_stamp(properties),
        cloud_cover=as_number(properties.get("eo:cloud_cover")),
        assets=scene_assets(item, asset_keys(provider)),
        self_href=_self_href(item),
    )


def scene_assets(item: Mapping[str, Any], keys: Mapping[str, str]) -> Mapping[str, SceneAsset]:
    """Where bands of an item are.

    Args:
        item: of any mission.
        keys: for each band the key of its asset.

    Returns:
        By band; one without usable address is absent.
    """
    properties = as_mapping(item.get("properties"))
    listed = as_mapping(item.get("assets"))
    assets: dict[str, SceneAsset] = {}
    for band, key in keys.items():
        asset = as_mapping(listed.get(key))
        href = as_text(asset.get("href"))
        if href is not None:
            assets[band] = SceneAsset(href, _crs(asset, properties), _bounds(asset, properties))
    return assets


def nodata_percent(item: Mapping[str, Any]) -> float | None:
    """The share of the whole tile without data, in percent; None where the item does not say.

    Args:
        item: Earth Search v0 gives the share with data, others `s2:nodata_pixel_percentage`.
    """
    properties = as_mapping(item.get("properties"))
    without = as_number(properties.get("s2:nodata_pixel_percentage"))
    if without is not None:
        return without
    covered = as_number(properties.get("sentinel:data_coverage"))
    return None if covered is None else 100.0 - covered


def processing_baseline(properties: Mapping[str, Any]) -> tuple[int, int] | None:
    """The processing baseline as numbers; None where it is missing or unreadable.

    Args:
        properties: of an item; Earth Search v0 has another name for it.
    """
    for name in ("s2:processing_baseline", "sentinel:processing_baseline"):
        match = _BASELINE.fullmatch(as_text(properties.get(name)) or "")
        if match:
            return int(match[1]), int(match[2])
    return None


def version_stamp(properties: Mapping[str, Any]) -> dt.datetime | None:
    """When this version of an item was made, UTC: `updated`, `created` or `s2:generation_time`.

    Args:
        properties: of an item.
    """
    for name in ("updated", "created", "s2:generation_time"):
        stamp = parse_instant(properties.get(name))
        if stamp:
            return stamp
    return None


def _mgrs_tile(properties: Mapping[str, Any]) -> str | None:
    code = as_text(properties.get("grid:code")) or ""
    candidates = [
        code.removeprefix("MGRS-") if code.startswith("MGRS-") else None,
        (as_text(properties.get("s2:mgrs_tile")) or "").removeprefix("T"),
    ]
    for prefix in ("mgrs", "sentinel"):
        zone, band, square = (
            properties.get(f"{prefix}:{part}")
            for part in ("utm_zone", "latitude_band", "grid_square")
        )
        candidates.append(f"{zone}{band}{square}")
    for candidate in candidates:
        match = _TILE.fullmatch(candidate or "")
        if match and 1 <= int(match[1]) <= 60:
            return f"{int(match[1]):02d}{match[2]}{match[3]}"
    return None


def _crs(*sources: Mapping[str, Any]) -> str | None:
    """The first CRS given; an asset's own goes before its item's."""
    for source in sources:
        code = as_text(source.get("proj:code"))
        if code is not None:
            return code
        epsg = as_number(source.get("proj:epsg"))
        if epsg is not None and epsg.is_integer():
            return f"EPSG:{int(epsg)}"
    return None


def _bounds(*sources: Mapping[str, Any]) -> Bounds | None:
    """Outer edges from transform and shape, else from the projected bbox."""
    # An item that says 10 m of a file with 120 m is still right about the extent.
    for source in sources:
        transform = as_numbers(source.get("proj:transform"), (6, 9))
        shape = as_numbers(source.get("proj:shape"), (2,))
        if transform and shape:
            a, b, c, d, e, f = transform[:6]
            rows, columns = shape
            if b == 0 and d == 0 and a > 0 and e < 0 and rows > 0 and columns > 0:
                return c, f + e * rows, c + a * columns, f
    for source in sources:
        bbox = as_numbers(source.get("proj:bbox"), (4,))
        if bbox and bbox[0] < bbox[2] and bbox[1] < bbox[3]:
            return bbox[0], bbox[1], bbox[2], bbox[3]
    return None


def _self_href(item: Mapping[str, Any]) -> str | None:
    for link in as_list(item.get("links")):
        if isinstance(link, Mapping) and link.get("rel") == "self":
            return as_text(link.get("href"))
    return None
