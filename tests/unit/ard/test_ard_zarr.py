"""The store of a tile-year: what comes back, and what a reader meets when a writer dies."""

import datetime as dt
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rioxarray  # noqa: F401 - gives datasets their `rio`
import xarray as xr
import zarr
from affine import Affine

from estinel_assets.ard.ard_zarr import (
    GROUPS,
    check_group,
    grid_coordinates,
    groups_in,
    read_group,
    remove_group,
    write_group,
)
from estinel_assets.ard.dem_cells import CellState, DemCell
from estinel_assets.ard.sentinel1_composite import compose_s1, s1_dataset
from estinel_assets.ard.sentinel1_selection import S1Rules, select_s1
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS
from estinel_assets.ard.sentinel2_composite import S2Step, clouds_dataset, s2_dataset
from estinel_assets.ard.sentinel2_rules import S2Rules
from estinel_assets.ard.sentinel2_selection import Drop, score_clouds
from estinel_assets.ard.slope import slope_dataset
from estinel_assets.ard.tiles import Tile, TileYear
from estinel_assets.errors import BadInputError, NotFoundError, StoreError
from estinel_assets.raster.grids import Grid
from estinel_assets.stac.offsets import OffsetDecision
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.ard_groups import composed, decoded
from tests.support.s3 import S3Access, s3_server
from tests.support.watched_store import Crash, WatchedStore, crashing, refusing

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

TILE_YEAR = TileYear(Tile(1035, 727, 15.0, -20.0), 2023)
PATH = TILE_YEAR.store_path
ROOT = {"tile": TILE_YEAR.tile.tag, "year": TILE_YEAR.year, "longitude_deg": 15.0}
GRID = Grid("EPSG:32733", 499_920.0, 7_789_080.0, 10.0, 36, 24)
DAYS = [dt.date(2023, 1, 5), dt.date(2023, 2, 9), dt.date(2023, 12, 31)]


def coarser(resolution: float) -> Grid:
    factor = resolution / GRID.resolution
    return replace(
        GRID,
        resolution=resolution,
        width=round(GRID.width / factor),
        height=round(GRID.height / factor),
    )


def reflectance(
    bands: tuple[str, ...],
    resolution: float,
    seed: int,
    *,
    days: Sequence[dt.date] = DAYS,
    blank: int | None = None,
) -> xr.Dataset:
    grid = coarser(resolution)
    shape = (len(days), len(bands), *grid.shape)
    pixels = np.random.default_rng(seed).integers(1, 12_000, shape).astype(np.uint16)
    pixels[0, :, :5, :5] = 0
    if blank is not None:
        pixels[blank] = 0
    wide = np.full((8, 9), 4, dtype=np.uint8)
    steps = [
        S2Step(score_clouds(day, wide), 0.0, 1.0, {f"S2_{day}": OffsetDecision(-1000, "baseline")})
        for day in days
    ]
    return s2_dataset(composed(pixels, bands, grid), steps, S2Rules())


def product(group: str, seed: int = 0) -> xr.Dataset:
    """A small dataset as the group keeps it."""
    rng = np.random.default_rng(seed)
    if group == "dem":
        slope = rng.uniform(0, 60, GRID.shape).astype(np.float32)
        return slope_dataset(slope, GRID, cells={DemCell(-21, 15): CellState.PRESENT})
    if group == "s1":
        grid = coarser(40)
        median = rng.uniform(0, 1.2, (2, *grid.shape)).astype(np.float32)
        composite = compose_s1({"Q1": median, "Q2": median, "Q4": median / 2}, grid.shape)
        return s1_dataset(composite, select_s1([], TILE_YEAR.tile, 2023), grid, S1Rules())
    if group == "s2_10":
        return reflectance(S2_10_BANDS, 10, seed)
    if group == "s2_20":
        return reflectance(S2_20_BANDS, 20, seed)
    wide_grid, quality = replace(GRID, resolution=640.0, width=9, height=8), coarser(120)
    wide = {day: rng.integers(0, 12, wide_grid.shape).astype(np.uint8) for day in DAYS}
    used = {day: rng.integers(0, 12, quality.shape).astype(np.uint8) for day in DAYS[:2]}
    scores = {day: score_clouds(day, scl) for day, scl in wide.items()}
    return clouds_dataset(
        wide, wide_grid, used, quality, scores, {DAYS[2]: Drop.BAD_PIXELS}, S2Rules()
    )


def bytes_of(store: ObjectStore) -> dict[str, bytes]:
    return {found.path: store.get(found.path).data for found in store.list()}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


@pytest.fixture
def store() -> ObjectStore:
    return open_store("memory://")


@pytest.fixture(params=["file", "memory", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "s3":
        access: S3Access = request.getfixturevalue("s3")
        return access.open(tmp_path.name)
    return open_store("memory://" if request.param == "memory" else f"file://{tmp_path}/store")


def test_all_groups_come_back_as_they_were_written(any_store: ObjectStore):
    for number, group in enumerate(GROUPS):
        assert groups_in(any_store, PATH) == GROUPS[:number]
        dataset = product(group)
        stored = write_group(any_store, PATH, group, dataset, root=ROOT)
        found = read_group(any_store, PATH, group)
        xr.testing.assert_identical(found.load(), decoded(dataset))
        assert stored == check_group(any_store, PATH, group, checksums=True)
        assert stored.n_bytes > 0
    assert groups_in(any_store, PATH) == GROUPS


def test_scaled_values_have_their_units_and_nan_for_nodata(store: ObjectStore):
    for group, name, scale in (("s2_10", "reflectance", 1e-4), ("s1", "backscatter", 1 / 65535)):
        dataset = product(group)
        write_group(store, PATH, group, dataset, root=ROOT)
        found = read_group(store, PATH, group, scaled=True)[name]
        raw = decoded(dataset)[name].values
        assert np.isnan(found.values[raw == 0]).all()
        np.testing.assert_allclose(found.values[raw > 0], raw[raw > 0] * scale, rtol=1e-6)


def test_other_libraries_open_the_store(tmp_path: Path):
    folder = open_store(f"file://{tmp_path}")
    for group in GROUPS:
        write_group(folder, PATH, group, product(group), root=ROOT)
    opened = zarr.open_group(str(tmp_path / PATH), mode="r", zarr_format=3)
    assert dict(opened.attrs) == ROOT
    assert {name for name, _ in opened.groups()} == set(GROUPS)
    assert opened["s2_10/reflectance"].dtype == np.uint16
    tree = xr.open_datatree(tmp_path / PATH, engine="zarr", consolidated=False)
    assert set(tree.children) == set(GROUPS)
    for group in GROUPS:
        dataset = xr.open_zarr(
            tmp_path / PATH, group=group, consolidated=False, decode_coords="all"
        )
        assert dataset.rio.crs.to_epsg() == 32733
    slope = xr.open_zarr(tmp_path / PATH, group="dem", consolidated=False, decode_coords="all")
    assert slope["slope"].rio.bounds() == GRID.bounds
    assert slope["slope"].dtype == np.float32


def test_coordinates_are_cfs_and_rioxarrays():
    for grid in (GRID, coarser(40), replace(GRID, crs="EPSG:32601")):
        dataset = xr.Dataset(
            {"a": (("y", "x"), np.zeros(grid.shape), {"grid_mapping": "spatial_ref"})},
            coords=grid_coordinates(grid),
        )
        assert dataset.rio.crs == grid.crs
        assert dataset.rio.transform() == Affine(*grid.transform)
        assert dataset.rio.transform(recalc=True).almost_equals(Affine(*grid.transform))
        assert dataset["x"].attrs["standard_name"] == "projection_x_coordinate"
        assert dataset["spatial_ref"].attrs["grid_mapping_name"] == "transverse_mercator"


def test_a_day_of_reflectance_is_one_object_and_so_is_every_other_array(store: ObjectStore):
    for group in GROUPS:
        write_group(store, PATH, group, product(group), root=ROOT)
    folder = f"{PATH}/s2_10/reflectance/c"
    assert sorted(found.path for found in store.list(folder)) == [
        f"{folder}/{number}/0/0/0" for number in range(len(DAYS))
    ]
    for array in ("dem/slope", "s1/backscatter", "clouds/scl", "clouds/cloudy"):
        assert len(list(store.list(f"{PATH}/{array}/c"))) == 1


def test_a_step_of_nodata_needs_no_object_and_is_none_lost(store: ObjectStore):
    dataset = reflectance(S2_10_BANDS, 10, 0, blank=1)
    write_group(store, PATH, "s2_10", dataset, root=ROOT)
    assert f"{PATH}/s2_10/reflectance/c/1/0/0/0" not in bytes_of(store)
    xr.testing.assert_identical(read_group(store, PATH, "s2_10").load(), decoded(dataset))


@pytest.mark.parametrize("group", GROUPS)
def test_equal_values_are_equal_bytes(group: str):
    stores = [open_store("memory://") for _ in range(2)]
    for each in stores:
        write_group(each, PATH, group, product(group), root=ROOT)
    assert bytes_of(stores[0]) == bytes_of(stores[1])


def test_writing_the_same_again_writes_nothing(store: ObjectStore):
    watched = WatchedStore(store)
    first = write_group(watched, PATH, "dem", product("dem"), root=ROOT)
    done = len(watched.writes)
    assert done > 3
    assert write_group(watched, PATH, "dem", product("dem"), root=ROOT) == first
    assert len(watched.writes) == done


def test_a_loss_is_made_good_by_writing_again(store: ObjectStore):
    write_group(store, PATH, "dem", product("dem"), root=ROOT)
    whole = bytes_of(store)
    store.delete(f"{PATH}/dem/slope/c/0/0")
    store.put(f"{PATH}/dem/foreign", b"x")
    write_group(store, PATH, "dem", product("dem"), root=ROOT)
    assert bytes_of(store) == whole


def test_other_values_replace_all_of_the_former(store: ObjectStore):
    clean = open_store("memory://")
    fewer = reflectance(S2_10_BANDS, 10, 2, days=DAYS[:1])
    write_group(clean, PATH, "s2_10", fewer, root=ROOT)
    write_group(store, PATH, "s2_10", product("s2_10", 1), root=ROOT)
    write_group(store, PATH, "s2_10", fewer, root=ROOT)
    assert bytes_of(store) == bytes_of(clean)


# What a reader meets when a writer dies


def standing(store: ObjectStore, group: str) -> xr.Dataset | None:
    try:
        return read_group(store, PATH, group).load()
    except NotFoundError:
        return None


def copied(store: ObjectStore) -> ObjectStore:
    copy = open_store("memory://")
    for path, body in bytes_of(store).items():
        copy.put(path, body)
    return copy


def writes_of(store: ObjectStore, dataset: xr.Dataset) -> int:
    watched = WatchedStore(copied(store))
    write_group(watched, PATH, "dem", dataset, root=ROOT)
    return len(watched.writes)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("replacing", [False, True])
def test_a_dying_writer_leaves_all_or_nothing(after: bool, replacing: bool):
    former, dataset = product("dem", 1) if replacing else None, product("dem", 2)
    before = open_store("memory://")
    write_group(before, PATH, "s1", product("s1"), root=ROOT)
    clean = copied(before)
    write_group(clean, PATH, "dem", dataset, root=ROOT)
    if former is not None:
        write_group(before, PATH, "dem", former, root=ROOT)
    seen = []
    for at in range(writes_of(before, dataset)):
        store = copied(before)
        with pytest.raises(Crash):
            write_group(crashing(store, at, after=after), PATH, "dem", dataset, root=ROOT)
        found = standing(store, "dem")
        whole = [each for each in (former, dataset) if each is not None]
        assert found is None or any(found.identical(each) for each in whole)
        assert groups_in(store, PATH) == (("s1",) if found is None else ("dem", "s1"))
        check_group(store, PATH, "s1", checksums=True)
        write_group(store, PATH, "dem", dataset, root=ROOT)
        assert bytes_of(store) == bytes_of(clean)
        seen.append("none" if found is None else "new" if found.identical(dataset) else "former")
    assert len(seen) > 8
    first = "former" if replacing and not after else "none"
    last = "new" if after else "none"
    assert seen == [first, *["none"] * (len(seen) - 2), last]


def test_a_store_that_refuses_leaves_nothing_that_looks_complete(store: ObjectStore):
    dataset = product("dem")
    for at in range(writes_of(store, dataset)):
        fresh = open_store("memory://")
        with pytest.raises(StoreError, match="refuses"):
            write_group(refusing(fresh, at), PATH, "dem", dataset, root=ROOT)
        assert standing(fresh, "dem") is None


def test_leftovers_do_not_disturb_other_readers(tmp_path: Path):
    folder = open_store(f"file://{tmp_path}")
    write_group(folder, PATH, "s1", product("s1"), root=ROOT)
    last = writes_of(folder, product("dem")) - 1
    with pytest.raises(Crash):
        write_group(crashing(folder, last, after=False), PATH, "dem", product("dem"), root=ROOT)
    assert (tmp_path / PATH / "dem" / "slope" / "zarr.json").exists()
    with warnings.catch_warnings():
        # zarr says that it does not know what the folder is.
        warnings.simplefilter("ignore")
        opened = zarr.open_group(str(tmp_path / PATH), mode="r", zarr_format=3)
        assert [name for name, _ in opened.groups()] == ["s1"]
    with pytest.raises(FileNotFoundError):
        xr.open_zarr(tmp_path / PATH, group="dem", consolidated=False)


def test_many_workers_at_the_same_tile_write_the_same(tmp_path: Path):
    folder = open_store(f"file://{tmp_path}")
    datasets = {group: product(group) for group in GROUPS}

    def write(group: str) -> None:
        write_group(folder, PATH, group, datasets[group], root=ROOT)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(write, GROUPS * 2))
    clean = open_store("memory://")
    for group in GROUPS:
        write_group(clean, PATH, group, datasets[group], root=ROOT)
    assert bytes_of(folder) == bytes_of(clean)


# What is refused


def test_a_group_that_is_not_there_says_so(store: ObjectStore):
    for look in (read_group, check_group):
        with pytest.raises(NotFoundError, match=r"1035X727Y.zarr has no finished group 's1'"):
            look(store, PATH, "s1")
    assert groups_in(store, PATH) == ()


def test_a_lost_object_is_never_read_as_nodata(store: ObjectStore):
    write_group(store, PATH, "s2_10", product("s2_10"), root=ROOT)
    lazy = read_group(store, PATH, "s2_10")
    store.delete(f"{PATH}/s2_10/reflectance/c/1/0/0/0")
    with pytest.raises(StoreError, match="is gone"):
        lazy.load()
    for look in (read_group, check_group):
        with pytest.raises(StoreError, match=r"s2_10 is damaged: \d+ objects of \d+ bytes"):
            look(store, PATH, "s2_10")


def test_a_foreign_object_is_told(store: ObjectStore):
    write_group(store, PATH, "dem", product("dem"), root=ROOT)
    store.put(f"{PATH}/dem/slope/c/0/1", b"")
    with pytest.raises(StoreError, match="is damaged"):
        read_group(store, PATH, "dem")


def test_a_changed_object_is_found_by_its_checksum(store: ObjectStore):
    write_group(store, PATH, "dem", product("dem"), root=ROOT)
    path = f"{PATH}/dem/slope/c/0/0"
    body = store.get(path).data
    store.put(path, body[:-1] + bytes([body[-1] ^ 1]))
    check_group(store, PATH, "dem")
    with pytest.raises(StoreError, match="not the ones that were written"):
        check_group(store, PATH, "dem", checksums=True)


@pytest.mark.parametrize("body", [b"[]", b'{"attributes": {}}', b'{"attributes": null}'])
def test_a_header_that_is_not_ours_is_told(store: ObjectStore, body: bytes):
    store.put(f"{PATH}/dem/zarr.json", body)
    with pytest.raises(StoreError, match=r"is damaged: its zarr.json is not one of ours"):
        read_group(store, PATH, "dem")


def test_what_cannot_be_written_is_told(store: ObjectStore):
    with pytest.raises(BadInputError, match="no group is called 's3'; choose one of: dem, s1"):
        write_group(store, PATH, "s3", product("dem"), root=ROOT)
    odd = product("dem").assign_attrs(made_by=object())
    with pytest.raises(BadInputError, match="cannot be stored as Zarr"):
        write_group(store, PATH, "dem", odd, root=ROOT)
    assert bytes_of(store) == {}


def test_removing_a_group(store: ObjectStore):
    write_group(store, PATH, "dem", product("dem"), root=ROOT)
    alone = bytes_of(store)
    write_group(store, PATH, "s1", product("s1"), root=ROOT)
    remove_group(store, PATH, "s1")
    remove_group(store, PATH, "s1")
    assert bytes_of(store) == alone
    assert groups_in(store, PATH) == ("dem",)
