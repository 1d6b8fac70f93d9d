"""What is said about a tile's tree cover: its STAC item, and the collection that it is in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pyproj import Transformer

from estinel_assets.ard.ard_zarr import StoredGroup
from estinel_assets.ard.model import Model
from estinel_assets.ard.model_stack import QUARTERS
from estinel_assets.ard.slope import ATTRIBUTION
from estinel_assets.ard.tiles import TileYear
from estinel_assets.raster.grids import Grid
from estinel_assets.stac.geography import Box, footprint
from estinel_assets.stac.items import (
    SENTINEL_LICENCE_URL,
    STAC_VERSION,
    ItemAsset,
    ItemGrid,
    derived_item,
    sentinel_attribution,
)
from estinel_assets.stac.source import StacItem

COLLECTION: Final = "gri-tree-cover-predictions"
"""Under which catalogues know tree cover."""
ROOT: Final = "tree_cover"
"""Folder of the store; its collection stands in it."""

_UP_TO_ROOT: Final = "../../../../collection.json"
_POINTS_A_SIDE = 21


@dataclass(frozen=True, slots=True)
class TreeCoverPaths:
    """Where the files of a tile-year stand in the store."""

    cog: str
    item: str
    collection: str

    @classmethod
    def of(cls, tile_year: TileYear) -> "TreeCoverPaths":
        """As `tree_cover/2023/tiles/1035/727/1035X727Y_FINAL.tif`."""
        tile = tile_year.tile
        stem = f"{ROOT}/{tile_year.year}/tiles/{tile.x_tile}/{tile.y_tile}/{tile.tag}_FINAL"
        return cls(f"{stem}.tif", f"{stem}.json", f"{ROOT}/collection.json")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a prediction was made from."""

    groups: Mapping[str, tuple[str, StoredGroup]]
    """For each group its address, and what stands there."""
    gaps: tuple[str, ...]
    """Quarters without Sentinel-1."""

    def document(self) -> dict[str, Any]:
        """As JSON values: address and checksum of each group."""
        return {
            name: {"href": uri, "sha256": group.sha256}
            for name, (uri, group) in sorted(self.groups.items())
        }


def tree_cover_item(
    tile_year: TileYear,
    grid: Grid,
    model: Model,
    inputs: Inputs,
    *,
    run_id: str,
    code_version: str,
    valid_fraction: float,
    mean_percent: float | None,
) -> StacItem:
    """The STAC item that stands beside the raster; addresses are relative to it.

    Args:
        tile_year: the tile-year.
        grid: of the raster.
        model: that made it.
        inputs: that it was made from.
        run_id: the run.
        code_version: of this package.
        valid_fraction: share of the pixels that have a cover.
        mean_percent: mean cover of these; None where there is none.
    """
    tile, year, spec = tile_year.tile, tile_year.year, model.spec
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    geometry, bbox = footprint(_boxes(grid))
    name = TreeCoverPaths.of(tile_year).cog.rpartition("/")[2]
    item = derived_item(
        f"{tile.tag}_{year}",
        when=start,
        geometry=geometry,
        bbox=bbox,
        grid=ItemGrid(grid.crs, grid.transform, grid.shape),
        assets={"data": ItemAsset(name, "Tree cover, percent", ("data",), bands=("tree_cover",))},
        attribution=cover_attribution(year),
        properties={
            "title": f"Tree cover of tile {tile.tag} in {year}",
            "start_datetime": start.isoformat().replace("+00:00", "Z"),
            "end_datetime": end.isoformat().replace("+00:00", "Z"),
            "gri:tile_id": tile.tag,
            "gri:x_tile": tile.x_tile,
            "gri:y_tile": tile.y_tile,
            "gri:year": year,
            "gri:pipeline_version": code_version,
            "gri:run_id": run_id,
            "gri:model_name": model.name,
            "gri:model_path": model.uri,
            "gri:model_sha256": model.sha256,
            "gri:input_size": spec.input_px,
            "gri:output_size": spec.output_px,
            "gri:length": QUARTERS,
            "estinel:channels": list(spec.channels),
            "estinel:inputs": inputs.document(),
            "estinel:sentinel1_gaps": list(inputs.gaps),
            "estinel:valid_fraction": round(valid_fraction, 6),
            "estinel:mean_percent": None if mean_percent is None else round(mean_percent, 3),
        },
    )
    # It stands for a whole year, of which no instant is more true than another.
    item["properties"]["datetime"] = None
    item["collection"] = COLLECTION
    item["links"].append({"rel": "collection", "href": _UP_TO_ROOT, "type": "application/json"})
    return item


def cover_attribution(year: int) -> str:
    """The notices that the licences of the sources ask for."""
    return f"{sentinel_attribution(year)}; {ATTRIBUTION}"


def collection_document() -> dict[str, Any]:
    """The collection that the items name."""
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": COLLECTION,
        "title": "Tree cover",
        "description": "Tree cover in percent, by tile and year, from Sentinel-1, Sentinel-2 and "
        "Copernicus DEM.",
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]},
        },
        "links": [{"rel": "license", "href": SENTINEL_LICENCE_URL, "title": "Licence"}],
    }


def _boxes(grid: Grid) -> list[Box]:
    """Where a grid lies, in degrees: one box, or two across ±180°."""
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(*grid.bounds, densify_pts=_POINTS_A_SIDE)
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]
