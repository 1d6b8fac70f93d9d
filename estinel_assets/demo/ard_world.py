"""The made world of the ARD tiles on disk: scenes, items, the tile table and requests.

{folder}/
    tiledb.parquet          the table of tiles
    requests/               missing.json, tiles.csv, areas.geojson: the tiles in three forms
    collections.json        three STAC collections
    items.json              a STAC item collection
    scenes/{item id}/       GeoTIFFs: a year of Sentinel-2 and Sentinel-1, and elevations

Everything is a function of the seed. The files have the extent of real scenes, and pixels where
the tiles need them.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from shapely.geometry import box, mapping

from estinel_assets.ard.tiles import Tile
from estinel_assets.demo.ard_elevation import cells_of_land
from estinel_assets.demo.ard_items import (
    DEM_FILE,
    S2_FILES,
    StacObject,
    collections,
    dem_item,
    s1_item,
    s2_item,
)
from estinel_assets.demo.ard_land import Land, land_of
from estinel_assets.demo.ard_places import GROUPS, Group, group_named
from estinel_assets.demo.ard_radar import Frame, frame_files, frames_of
from estinel_assets.demo.ard_scenes import Sight, scenes_of, sights_of
from estinel_assets.demo.cogs import write_whole
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.demo.world import COLLECTIONS_FILE, DEMO_SEED, ITEMS_FILE

ARD_YEAR: Final = 2024
TILE_TABLE_FILE: Final = "tiledb.parquet"
REQUESTS_FOLDER: Final = "requests"
_PROJECT: Final = "DEMO_01"
_WORKERS: Final = 2


@dataclass(frozen=True, slots=True)
class ArdWorld:
    """What was built."""

    folder: Path
    """Root of the scenes' relative addresses."""
    seed: int
    collections: tuple[StacObject, ...]
    items: tuple[StacObject, ...]
    """Ordered by collection, time and id; asset addresses are relative to `folder`."""
    tile_table: Path
    """Parquet: X, Y, Y_tile, X_tile."""
    tiles: tuple[Tile, ...]
    """Those that have scenes, of the groups in order."""
    requests: tuple[Path, ...]
    """The original's JSON, the tiles' CSV and GeoJSON; each asks for all `tiles` in `ARD_YEAR`."""


def build_ard_world(
    folder: Path,
    *,
    seed: int = DEMO_SEED,
    groups: Collection[str] | None = None,
    months: Collection[int] = range(1, 13),
) -> ArdWorld:
    """Make scenes, items, the table of tiles and three requests.

    Args:
        folder: where to; made if absent, files in it are replaced.
        seed: the same seed gives the same bytes.
        groups: only these, of `border` and `island`; None for both.
        months: of which scenes are made.

    Raises:
        BadInputError: there is no such group.
    """
    wanted = None if groups is None else [group_named(name) for name in groups]
    chosen = [group for group in GROUPS if wanted is None or group in wanted]
    items = sorted(_published(folder, chosen, seed, months), key=_order)
    table = made_tile_table(place for group in GROUPS for place in group.places)
    tiles = tuple(_tiles_at(table, [place for group in chosen for place in group.places]))
    buffer = BytesIO()
    pq.write_table(table, buffer)
    write_whole(folder / TILE_TABLE_FILE, buffer.getvalue())
    write_whole(folder / COLLECTIONS_FILE, _json(collections()))
    write_whole(folder / ITEMS_FILE, _json({"type": "FeatureCollection", "features": items}))
    return ArdWorld(
        folder=folder,
        seed=seed,
        collections=collections(),
        items=tuple(items),
        tile_table=folder / TILE_TABLE_FILE,
        tiles=tiles,
        requests=tuple(_write_requests(folder / REQUESTS_FOLDER, tiles)),
    )


def _published(
    folder: Path, groups: Iterable[Group], seed: int, months: Collection[int]
) -> Iterator[StacObject]:
    """Write all files; arrays and compression leave Python's lock to the other thread."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        for group in groups:
            land = land_of(group, seed)
            sights = [one for one in sights_of(group, ARD_YEAR) if one.moment.month in months]
            frames = [one for one in frames_of(group, ARD_YEAR) if one.moment.month in months]
            jobs: list[Callable[[], list[StacObject]]] = [
                *(partial(_publish_scenes, folder, sight, land, seed) for sight in sights),
                *(partial(_publish_frame, folder, frame, land, seed) for frame in frames),
                partial(_publish_cells, folder, land),
            ]
            for made in pool.map(lambda job: job(), jobs):
                yield from made


def _publish_scenes(folder: Path, sight: Sight, land: Land, seed: int) -> list[StacObject]:
    items = []
    for scene in scenes_of(sight, land, seed):
        item = s2_item(scene)
        _write(folder, item, {S2_FILES[key]: file for key, file in scene.files.items()})
        items.append(item)
    return items


def _publish_frame(folder: Path, frame: Frame, land: Land, seed: int) -> list[StacObject]:
    files = frame_files(frame, land, seed)
    item = s1_item(frame, files)
    _write(folder, item, {f"iw-{key}.rtc.tiff": file for key, file in files.items()})
    return [item]


def _publish_cells(folder: Path, land: Land) -> list[StacObject]:
    items = []
    for made in cells_of_land(land):
        item = dem_item(made)
        _write(folder, item, {DEM_FILE: made.file})
        items.append(item)
    return items


def _write(folder: Path, item: StacObject, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        write_whole(folder / "scenes" / str(item["id"]) / name, content)


def _order(item: StacObject) -> tuple[str, str, str]:
    return item["collection"], item["properties"]["datetime"], item["id"]


def _tiles_at(table: pa.Table, places: list[tuple[float, float]]) -> Iterator[Tile]:
    rows = {(row["X"], row["Y"]): row for row in table.to_pylist()}
    for place in places:
        row = rows[place]
        yield Tile(row["X_tile"], row["Y_tile"], lon=row["X"], lat=row["Y"])


def _write_requests(folder: Path, tiles: tuple[Tile, ...]) -> Iterator[Path]:
    tags = [tile.tag for tile in tiles]
    lines = ["Year,X,Y,Y_tile,X_tile"]
    lines += [f"{ARD_YEAR},{t.lon},{t.lat},{t.y_tile},{t.x_tile}" for t in tiles]
    areas = [
        {
            "type": "Feature",
            "properties": {"year": ARD_YEAR, "name": tile.tag},
            # Well inside the tile, whose neighbours are not asked for.
            "geometry": mapping(box(*tile.bbox).buffer(-0.01)),
        }
        for tile in tiles
    ]
    requests: dict[str, bytes] = {
        "missing.json": _json(
            {_PROJECT: {str(ARD_YEAR): {"all_tiles": [*tags], "missing_tiles": tags}}}
        ),
        "tiles.csv": ("\n".join(lines) + "\n").encode(),
        "areas.geojson": _json({"type": "FeatureCollection", "features": areas}),
    }
    for name, content in requests.items():
        write_whole(folder / name, content)
        yield folder / name


def _json(document: Any) -> bytes:
    return (json.dumps(document, sort_keys=True) + "\n").encode()
