"""The table of tiles: looked up by numbers and by area, and what is refused of it."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from estinel_assets.ard.cells import CellSearch
from estinel_assets.ard.tile_table import TileTable, open_tile_table
from estinel_assets.ard.tiles import CELL_DEG, Tile
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.real import ROOT, real_data
from tests.support.s3 import S3Access, s3_server
from tests.support.tile_tables import BAMENDA, MANAUS, small_table, table_of

ROWS = made_tile_table([BAMENDA, MANAUS, (179.99, -16.5), (-180.0, 52.0)], rings=2)
EVERY = [Tile(row["X_tile"], row["Y_tile"], row["X"], row["Y"]) for row in ROWS.to_pylist()]
KNOWN = (EVERY[0].x_tile, EVERY[0].y_tile)


class CountingStore:
    """Wraps a store; counts what is read by range, and may fail."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.read_bytes = 0
        self.failing = False

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def get_range(self, path: str, start: int, length: int) -> bytes:
        if self.failing:
            raise StoreError(f"{path} was refused; try later")
        self.read_bytes += length
        return self.store.get_range(path, start, length)


@pytest.fixture(scope="module")
def table() -> TileTable:
    return table_of(ROWS)


@pytest.fixture(scope="module")
def real() -> TileTable:
    return open_tile_table(str(real_data("ard/tiledb.parquet")))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


def changed(columns: dict[str, object]) -> pa.Table:
    """The made table with other columns."""
    rows = made_tile_table([BAMENDA], rings=0)
    return pa.table({name: columns.get(name, rows.column(name)) for name in rows.column_names})


def written(folder: Path, rows: pa.Table, **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(rows, folder / "tiles.parquet", **options)
    return folder / "tiles.parquet"


# --- by numbers


@given(st.sets(st.sampled_from(EVERY)), st.sets(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_tiles_are_found_by_their_numbers_and_unknown_ones_are_absent(
    table: TileTable, some: set[Tile], others: set[tuple[int, int]]
) -> None:
    wanted = {(tile.x_tile, tile.y_tile) for tile in some} | others
    expected = {
        (tile.x_tile, tile.y_tile): tile for tile in EVERY if (tile.x_tile, tile.y_tile) in wanted
    }
    assert table.by_numbers(wanted) == expected
    assert expected.keys() >= {(tile.x_tile, tile.y_tile) for tile in some}


@pytest.mark.parametrize("numbers", [(-1, 5), (5, -1), (2**31, 0), (0, 2**63), (10**30, 10**30)])
def test_numbers_that_no_tile_can_have_are_unknown(
    table: TileTable, numbers: tuple[int, int]
) -> None:
    known = EVERY[0]
    assert table.by_numbers([numbers]) == {}
    assert table.by_numbers([numbers, (known.x_tile, known.y_tile)]) == {
        (known.x_tile, known.y_tile): known
    }


@pytest.mark.parametrize("x_type", [pa.int16(), pa.int64(), pa.uint32(), pa.float64()])
@pytest.mark.parametrize("place_type", [pa.float32(), pa.float64()])
def test_a_table_with_other_number_types_is_read(x_type: pa.DataType, place_type: object) -> None:
    rows = changed({"X_tile": pa.array([7], x_type), "X": pa.array([10.25], place_type)})
    assert table_of(rows).by_numbers([(7, 7)]) == {(7, 7): Tile(7, 7, 10.25, 5.9722)}


def test_the_order_of_rows_and_further_columns_do_not_matter() -> None:
    order = np.random.default_rng(3).permutation(ROWS.num_rows)
    rows = ROWS.take(order).append_column("more", pa.array(["x"] * ROWS.num_rows))
    found = table_of(rows).by_numbers([(tile.x_tile, tile.y_tile) for tile in EVERY])
    assert sorted(found.values()) == sorted(EVERY)


def test_only_row_groups_that_may_hold_something_are_read(tmp_path: Path) -> None:
    rows = made_tile_table([(10.0, lat) for lat in range(-50, 50, 10)], rings=30)
    path = written(tmp_path, rows, row_group_size=3721, use_dictionary=False, compression="none")
    store = CountingStore(open_store(f"file://{tmp_path}"))
    size = path.stat().st_size
    table = TileTable(store, "tiles.parquet")  # type: ignore[arg-type]
    row = rows.slice(5 * 3721 + 100, 1).to_pylist()[0]
    (tile,) = table.by_numbers([(row["X_tile"], row["Y_tile"])]).values()
    assert (tile.lon, tile.lat) == (row["X"], row["Y"])
    assert store.read_bytes < size / 5
    store.read_bytes = 0
    assert table.intersecting([shapely.Point(tile.lon, tile.lat).buffer(0.001)]) == [(tile,)]
    assert store.read_bytes < size / 5
    store.read_bytes = 0
    assert table.by_numbers([(9999, 9999)]) == {}
    assert table.intersecting([shapely.box(100, 0, 101, 1)]) == [()]
    # The file's end, twice.
    assert store.read_bytes <= 2 * 64 * 1024


def test_statistics_are_not_needed(tmp_path: Path) -> None:
    path = written(tmp_path, ROWS, write_statistics=False)
    table = open_tile_table(str(path))
    known = EVERY[3]
    assert table.by_numbers([(known.x_tile, known.y_tile)]) == {(known.x_tile, known.y_tile): known}
    assert known in table.intersecting([shapely.Point(known.lon, known.lat).buffer(0.001)])[0]


# --- by area


def brute_force(geometry: BaseGeometry) -> list[Tile]:
    """The tiles of `ROWS` that share area with a geometry, by areas, one by one."""
    found = []
    for tile in EVERY:
        west, south, east, north = tile.bbox
        for turn in (-360, 0, 360):
            cell = shapely.box(west + turn, south, east + turn, north)
            if cell.intersection(geometry).area > 1e-12:
                found.append(tile)
                break
    return sorted(found)


def around(place: tuple[float, float]) -> st.SearchStrategy[Polygon]:
    """Boxes and triangles of up to a third of a degree near a place."""
    near = st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
    return st.tuples(near, near, near).map(
        lambda corners: Polygon([(place[0] + x, place[1] + y) for x, y in corners])
    )


@given(st.lists(around(BAMENDA) | around(MANAUS) | around((179.7, -16.5)), max_size=4))
def test_areas_find_the_tiles_whose_cell_they_share(
    table: TileTable, geometries: list[Polygon]
) -> None:
    usable = [g for g in geometries if g.is_valid and g.area > 1e-6]
    found = table.intersecting(usable)
    assert [list(tiles) for tiles in found] == [brute_force(geometry) for geometry in usable]


def test_the_outline_of_a_cell_gives_that_cell(table: TileTable) -> None:
    # Centres have four digits, so neighbouring cells may overlap or gape by a ten-thousandth.
    for tile in EVERY[::7]:
        west, south, east, north = tile.bbox
        outline = shapely.box(west + 1e-4, south + 1e-4, east - 1e-4, north - 1e-4)
        assert table.intersecting([outline]) == [(tile,)]


def test_a_cell_that_only_touches_is_not_found() -> None:
    centres = np.array([0.0, CELL_DEG, 2 * CELL_DEG])
    search = CellSearch([shapely.box(-CELL_DEG / 2, -0.01, CELL_DEG / 2, 0.01)])
    geometry, cell = search.pairs(centres, np.zeros(3))
    assert (geometry.tolist(), cell.tolist()) == ([0], [0])


@pytest.mark.parametrize(
    "area",
    [
        shapely.box(179.999, -16.51, 180.0, -16.49),
        shapely.box(-180.0, -16.51, -179.999, -16.49),
        shapely.MultiPolygon(
            [shapely.box(179.999, -16.51, 180, -16.49), shapely.box(-180, -16.51, -179.999, -16.49)]
        ),
    ],
)
def test_cells_across_180_degrees_are_found_from_both_sides(area: BaseGeometry) -> None:
    rows = pa.table({"X": [179.99, 179.9], "Y": [-16.5, -16.5], "X_tile": [5, 4], "Y_tile": [1, 1]})
    (found,) = table_of(rows).intersecting([area])
    assert [tile.x_tile for tile in found] == [5]


def test_holes_and_parts_count() -> None:
    table = table_of(ROWS)
    lon, lat = BAMENDA
    ring = shapely.box(lon - 0.5, lat - 0.5, lon + 0.5, lat + 0.5).difference(
        shapely.box(lon - 0.06, lat - 0.06, lon + 0.06, lat + 0.06)
    )
    both = shapely.MultiPolygon([shapely.Point(p).buffer(0.001) for p in (BAMENDA, MANAUS)])
    with_hole, parts = table.intersecting([ring, both])
    assert list(with_hole) == brute_force(ring)
    assert len(with_hole) == 24
    assert len(parts) == 2
    assert table.intersecting([]) == []


# --- where it is


def test_a_table_at_an_s3_uri(s3: S3Access) -> None:
    s3.open("grids/v1").put("tiles.parquet", _bytes(ROWS))
    table = open_tile_table(
        s3.url("grids/v1/tiles.parquet"),
        lambda url: open_store(url, endpoint_url=s3.endpoint_url, session=s3.session()),
    )
    assert table.uri == s3.url("grids/v1/tiles.parquet")
    known = EVERY[0]
    assert table.by_numbers([(known.x_tile, known.y_tile)]) == {(known.x_tile, known.y_tile): known}


def test_a_table_at_the_root_of_a_bucket_and_one_that_is_not_there(s3: S3Access) -> None:
    def open_at(url: str) -> ObjectStore:
        return open_store(url, endpoint_url=s3.endpoint_url, session=s3.session())

    s3.open().put("root.parquet", _bytes(ROWS))
    assert len(open_tile_table(s3.url("root.parquet"), open_at).by_numbers([KNOWN])) == 1
    with pytest.raises(BadInputError, match=r"no table of tiles at .*absent\.parquet: set the URI"):
        open_tile_table(s3.url("absent.parquet"), open_at).by_numbers([(1, 1)])


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_local_table(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / "a folder", ROWS)
    uri = form.format(path if form == "{}" else str(path).replace(" ", "%20"))
    assert len(open_tile_table(uri).by_numbers([KNOWN])) == 1


@pytest.mark.parametrize(
    "uri",
    ["absent/tiles.parquet", "/absent/tiles.parquet", "file:///absent/tiles.parquet", "", "/",
     "s3://bucket", "s3://bucket/", "s3://", "memory://tiles.parquet",
     "https://example.org/tiles.parquet"],
)  # fmt: skip
def test_a_uri_without_a_table_is_refused(uri: str) -> None:
    with pytest.raises(BadInputError):
        open_tile_table(uri)
    assert not Path("absent").exists()


# --- what is wrong with it


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed({}).drop_columns(["X_tile", "Y"]), "has no column Y, X_tile, it has X, Y_tile"),
        (changed({"X": pa.array([None], pa.float64())}), "has empty cells in X"),
        (changed({"Y_tile": pa.array([None], pa.int64())}), "has empty cells in Y_tile"),
        (changed({"Y": pa.array([float("nan")])}), "centres that are no numbers"),
        (changed({"X": pa.array([181.0])}), "cannot be used: tile 11X7Y is said to lie"),
        (changed({"X_tile": pa.array([11.5])}), "not readable Parquet"),
        (changed({"X_tile": pa.array(["11"]), "Y_tile": pa.array(["seven"])}), "X_tile is string"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(rows: pa.Table, message: str) -> None:
    with pytest.raises(BadInputError, match="the table of tiles memory:") as e:
        table_of(rows).intersecting([shapely.box(-180, -80, 180, 84)])
    assert message in str(e.value)


def test_a_tile_at_two_places_is_refused_and_one_that_stands_twice_is_not() -> None:
    rows = made_tile_table([BAMENDA], rings=0)
    twice = pa.concat_tables([rows, rows])
    assert len(table_of(twice).by_numbers([(11, 7)])) == 1
    other = twice.set_column(0, "X", pa.array([10.1389, 12.0]))
    with pytest.raises(BadInputError, match=r"has 11X7Y twice, at 10\.1389, 5\.9722 and at 12\.0"):
        table_of(other).by_numbers([(11, 7)])


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[:0],
        lambda body: body[:4],
        lambda body: body[10:],
        lambda body: body[: len(body) // 2],
        lambda body: body[:100] + bytes(200) + body[300:],
        lambda body: body[:-8] + b"\xff\xff\xff\x7fPAR1",
    ],
)
def test_a_damaged_table_is_refused(damage: Callable[[bytes], bytes]) -> None:
    store = open_store("memory://")
    store.put("t.parquet", damage(_bytes(ROWS)))
    with pytest.raises(BadInputError, match="is not readable Parquet"):
        TileTable(store, "t.parquet").by_numbers([(tile.x_tile, tile.y_tile) for tile in EVERY])


def test_a_store_that_refuses_is_not_taken_for_a_damaged_table() -> None:
    inner = open_store("memory://")
    inner.put("t.parquet", _bytes(ROWS))
    store = CountingStore(inner)
    table = TileTable(store, "t.parquet")  # type: ignore[arg-type]
    store.failing = True
    with pytest.raises(StoreError, match="was refused; try later"):
        table.by_numbers([(11, 7)])
    store.failing = False
    assert len(table.by_numbers([(11, 7)])) == 1


def _bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    return sink.getvalue().to_pybytes()


# --- the real one


def test_the_real_table_knows_the_tile_of_the_request_form(real: TileTable) -> None:
    # Swapped, its numbers are those of another tile.
    assert real.by_numbers([(1035, 727), (727, 1035), (9999, 0)]) == {
        (1035, 727): Tile(1035, 727, -52.5278, -13.1389),
        (727, 1035): Tile(727, 1035, -69.6389, 3.9722),
    }


def test_centres_of_the_real_table_find_their_own_cells(real: TileTable) -> None:
    lons = [2.3611, 100.5, -52.5278, 179.9722]
    lats = [48.8611, 15.0833, -13.1389, -16.5]
    areas = [shapely.Point(place).buffer(0.0001) for place in zip(lons, lats, strict=True)]
    for (lon, lat), tiles in zip(
        zip(lons, lats, strict=True), real.intersecting(areas), strict=True
    ):
        for tile in tiles:
            west, south, east, north = tile.bbox
            assert west - 1e-3 <= lon <= east + 1e-3
            assert south - 1e-3 <= lat <= north + 1e-3
        assert tiles or (lon, lat) == (179.9722, -16.5)


def test_neighbours_in_the_real_table_lie_a_cell_apart(real: TileTable) -> None:
    (tiles,) = real.intersecting([shapely.box(20.0, 0.0, 21.0, 1.0)])
    lons = np.unique([tile.lon for tile in tiles])
    lats = np.unique([tile.lat for tile in tiles])
    assert len(tiles) == len(lons) * len(lats)
    assert np.diff(lons) == pytest.approx(CELL_DEG, abs=1e-4)
    assert np.diff(lats) == pytest.approx(CELL_DEG, abs=1e-4)


LOOKUP = """
import json, re, sys, time
from pathlib import Path
from estinel_assets.ard.tile_table import open_tile_table
numbers = [tuple(pair) for pair in json.load(sys.stdin)]
began = time.process_time()
found = open_tile_table(sys.argv[1]).by_numbers(numbers)
spent = time.process_time() - began
# Not `ru_maxrss`, which counts what the parent had in memory when it forked.
peak_kib = re.search(r"VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1]
print(json.dumps([len(found), spent, int(peak_kib) / 1024]))
"""


def test_ten_thousand_real_tiles_are_found_within_2_s_and_300_mb() -> None:
    path = real_data("ard/tiledb.parquet")
    columns = pq.read_table(path, columns=["X_tile", "Y_tile"])
    every = list(zip(*(column.to_pylist()[::29] for column in columns.columns), strict=True))
    wanted = random.Random(1).sample(every, 10_000)
    done = subprocess.run(
        [sys.executable, "-c", LOOKUP, str(path)],
        input=json.dumps(wanted),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    count, cpu_s, peak_mb = json.loads(done.stdout)
    assert count == 10_000
    # Time of the processor: other tests may keep it from the lookup.
    assert cpu_s < 2.0
    assert peak_mb < 300


def test_small_table_is_where_it_says() -> None:
    found = small_table().intersecting([shapely.Point(p).buffer(1e-3) for p in (BAMENDA, MANAUS)])
    assert [len(tiles) for tiles in found] == [1, 1]
