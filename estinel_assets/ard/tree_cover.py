"""Tree cover of a tile-year: a model over its arrays, as a COG with its STAC item.

The raster lies on the tile's own 10 m grid, so that nothing is resampled: uint8, 0 to 100 percent,
255 = nodata; blocks of 256, deflate, overviews by average. The item is written last: where it
stands, the raster beside it is whole.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from estinel_assets.ard.ard_zarr import check_group
from estinel_assets.ard.inference import NODATA, predict_cover
from estinel_assets.ard.model import Model
from estinel_assets.ard.model_stack import groups_for, input_stack
from estinel_assets.ard.tiles import TileYear
from estinel_assets.ard.tree_cover_item import (
    Inputs,
    TreeCoverPaths,
    collection_document,
    cover_attribution,
    tree_cover_item,
)
from estinel_assets.errors import AlreadyExistsError, NotFoundError
from estinel_assets.raster.grids import Grid
from estinel_assets.storage.documents import JSON_TYPE, dump_json, read_json
from estinel_assets.storage.port import ObjectStore

BLOCK_PX = 256
_COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"


@dataclass(frozen=True, slots=True)
class TreeCover:
    """A prediction that stands."""

    cog: str
    """Address of the raster."""
    item: str
    """Address of its STAC item."""
    model_sha256: str
    shape: tuple[int, int]
    """(height, width), in pixels."""
    valid_fraction: float
    """Share of the pixels that have a cover, 0 to 1."""
    mean_percent: float | None
    """Mean cover of these; None where there is none."""

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "cog": self.cog,
            "item": self.item,
            "model_sha256": self.model_sha256,
            "shape": list(self.shape),
            "valid_fraction": self.valid_fraction,
            "mean_percent": self.mean_percent,
        }


def make_tree_cover(
    store: ObjectStore,
    tile_year: TileYear,
    model: Model,
    *,
    run_id: str,
    code_version: str,
    overlap_px: int | None = None,
) -> TreeCover:
    """Predict the tree cover of a tile-year and store it, over what stands there.

    Args:
        store: where its groups stand, and the results go.
        tile_year: the tile-year.
        model: of `load_model`.
        run_id: the run, for the item.
        code_version: of this package, for the item.
        overlap_px: see `predict_cover`.

    Raises:
        BadInputError: the model fails, or does not fit.
        NotFoundError: a group that the model needs does not stand.
        StoreError: the store refuses, or a group is damaged.
    """
    groups = _standing(store, tile_year, model)
    stack = input_stack(store, tile_year, model.spec.channels)
    cover = predict_cover(model, stack, overlap_px=overlap_px)
    known = cover[cover != NODATA]
    valid_fraction = known.size / cover.size
    mean_percent = float(known.mean()) if known.size else None
    item = tree_cover_item(
        tile_year,
        stack.grid,
        model,
        Inputs(groups, stack.gaps),
        run_id=run_id,
        code_version=code_version,
        valid_fraction=valid_fraction,
        mean_percent=mean_percent,
    )
    paths = TreeCoverPaths.of(tile_year)
    store.delete(paths.item)
    store.put(
        paths.cog, cover_cog(cover, stack.grid, _tags(tile_year, model)), content_type=_COG_TYPE
    )
    _put_collection(store, paths.collection)
    store.put(paths.item, dump_json(item, what=paths.item), content_type="application/geo+json")
    return TreeCover(
        cog=store.uri(paths.cog),
        item=store.uri(paths.item),
        model_sha256=model.sha256,
        shape=stack.grid.shape,
        valid_fraction=valid_fraction,
        mean_percent=mean_percent,
    )


def is_current(store: ObjectStore, tile_year: TileYear, model: Model) -> bool:
    """Whether a prediction stands that was made by this model, from the groups that stand now.

    Args:
        store: where its groups and results stand.
        tile_year: the tile-year.
        model: of `load_model`.

    Raises:
        NotFoundError: a group that the model needs does not stand.
        StoreError: the store refuses, or what stands is damaged.
    """
    try:
        said = read_json(store, TreeCoverPaths.of(tile_year).item)["properties"]
    except NotFoundError:
        return False
    inputs = Inputs(_standing(store, tile_year, model), ()).document()
    made_by = said.get("gri:model_sha256"), said.get("estinel:inputs")
    return made_by == (model.sha256, inputs)


def cover_cog(cover: NDArray[np.uint8], grid: Grid, tags: dict[str, str]) -> bytes:
    """Encode a cover as a cloud-optimised GeoTIFF; the same input gives the same bytes.

    Args:
        cover: (height, width), percent; 255 = nodata.
        grid: where it lies.
        tags: metadata.
    """
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            width=grid.width,
            height=grid.height,
            count=1,
            dtype="uint8",
            crs=grid.crs,
            transform=Affine(*grid.transform),
            nodata=NODATA,
            blocksize=BLOCK_PX,
            compress="deflate",
            overview_resampling="average",
            num_threads=1,
        ) as raster:
            raster.write(cover, 1)
            raster.set_band_description(1, "tree_cover")
            raster.update_tags(**dict(sorted(tags.items())))
        return bytes(memory.getbuffer())


def _tags(tile_year: TileYear, model: Model) -> dict[str, str]:
    return {
        "TILE": tile_year.tile.tag,
        "YEAR": str(tile_year.year),
        "MODEL": model.name,
        "MODEL_SHA256": model.sha256,
        "UNITS": "percent",
        "ATTRIBUTION": cover_attribution(tile_year.year),
    }


def _standing(store: ObjectStore, tile_year: TileYear, model: Model) -> dict[str, tuple[str, Any]]:
    path = tile_year.store_path
    return {
        name: (store.uri(f"{path}/{name}"), check_group(store, path, name))
        for name in groups_for(model.spec.channels)
    }


def _put_collection(store: ObjectStore, path: str) -> None:
    try:
        store.create(path, dump_json(collection_document()), content_type=JSON_TYPE)
    except AlreadyExistsError:
        return
