"""What is said about a day's images: the outcome's detail, the GeoTIFF's tags, the STAC item."""

import posixpath
from typing import Any
from urllib.parse import quote

from estinel_assets.imagery.composites import DayInput
from estinel_assets.imagery.layout import DayPaths
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.raster.scl import SclFractions
from estinel_assets.stac.bands import RGB, SCL
from estinel_assets.stac.geography import footprint
from estinel_assets.stac.items import ItemAsset, ItemGrid, derived_item, sentinel_attribution
from estinel_assets.stac.source import StacItem


def attribution(day: DayInput) -> str:
    """The notice that the Sentinel licence asks for with derived images."""
    return sentinel_attribution(day.solar_day.day.year)


def day_record(site: Site, day: DayInput, fractions: SclFractions) -> dict[str, Any]:
    """What the day's outcome says beyond status and reason; JSON values only."""
    superseded = day.solar_day.superseded
    return {
        "location": site.location,
        "scenes": [scene.id for scene in day.solar_day.scenes],
        "superseded": {kept: list(older) for kept, older in sorted(superseded.items())},
        "valid_fraction": fractions.valid_fraction,
        "cloud_fraction": fractions.cloud_fraction,
        "clear_fraction": fractions.clear_fraction,
        "attribution": attribution(day),
    }


def image_tags(site: Site, day: DayInput, fractions: SclFractions) -> dict[str, str]:
    """The composite's GeoTIFF tags."""
    return {
        "LOCATION": site.location,
        "SITE_ID": site.site_id,
        "SOLAR_DAY": day.solar_day.day.isoformat(),
        "SCENES": ",".join(scene.id for scene in day.solar_day.scenes),
        "OFFSETS": ",".join(str(part.offset.offset_dn) for part in day.scenes),
        "OFFSET_RULES": ";".join(part.offset.rule for part in day.scenes),
        "VALID_FRACTION": _fraction(fractions.valid_fraction),
        "CLOUD_FRACTION": _fraction(fractions.cloud_fraction),
        "CLEAR_FRACTION": _fraction(fractions.clear_fraction),
        "UNITS": "reflectance x 10000",
        "ATTRIBUTION": attribution(day),
    }


def day_item(
    site: Site, window: SiteWindow, day: DayInput, fractions: SclFractions, paths: DayPaths
) -> StacItem:
    """The STAC item that stands beside a day's composite; addresses are relative to it."""
    geometry, bbox = footprint(window.bboxes)
    scenes = [part.scene for part in day.scenes]
    cloud = fractions.cloud_fraction
    grid = window.grid
    return derived_item(
        posixpath.basename(paths.image_id),
        when=scenes[0].datetime,
        geometry=geometry,
        bbox=bbox,
        grid=ItemGrid(grid.crs, grid.transform, grid.shape),
        assets=_assets(paths),
        derived_from=[scene.self_href for scene in scenes if scene.self_href],
        cloud_cover=None if cloud is None else round(100 * cloud, 4),
        attribution=attribution(day),
        properties={
            "title": f"{site.location}, {day.solar_day.day.isoformat()}",
            "estinel:location": site.location,
            "estinel:site_id": site.site_id,
            "estinel:solar_day": day.solar_day.day.isoformat(),
            "estinel:scenes": [scene.id for scene in scenes],
            "estinel:valid_fraction": fractions.valid_fraction,
            "estinel:clear_fraction": fractions.clear_fraction,
        },
    )


def _assets(paths: DayPaths) -> dict[str, ItemAsset]:
    def asset(path: str, title: str, *roles: str, bands: tuple[str, ...] = ()) -> ItemAsset:
        folder, name = posixpath.split(path)
        beside = posixpath.dirname(paths.item)
        relative = name if folder == beside else "../" * len(beside.split("/")) + path
        # Names may hold percent signs, which an address must encode once more.
        href = quote(relative)
        return ItemAsset(href, title, roles, bands=bands)

    return {
        "rgb": asset(paths.rgb, "RGB composite", "data", "reflectance", bands=RGB),
        "scl": asset(paths.scl, "Scene classification", "data", bands=(SCL,)),
        **{name: asset(path, f"View {name}", "visual") for name, path in paths.views.items()},
        **{
            f"thumbnail_{name}": asset(path, f"Thumbnail of {name}", "thumbnail")
            for name, path in paths.thumbnails.items()
        },
    }


def _fraction(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
