"""Which tiles are made together, and what travels to their workers."""

import pickle
from pathlib import Path

import pytest
from pydantic import SecretStr

from estinel_assets.ard.making import Failures, Seconds
from estinel_assets.ard.opening import WorkSettings, open_ard_book, tile_table_of
from estinel_assets.ard.plan import Cause, PlannedUnit, Unit
from estinel_assets.ard.tiles import CELL_DEG, Source, Tile, TileYear
from estinel_assets.ard.work import groups_of
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.errors import BadInputError, NotFoundError, PermanentError
from estinel_assets.settings import (
    AlertSettings,
    ArdSettings,
    Settings,
    StacSettings,
    StoreSettings,
)
from estinel_assets.storage import open_store
from estinel_assets.storage.tables import write_table


def planned(column: int, row: int, *, source: Source = Source.S2, year: int = 2023) -> PlannedUnit:
    """A tile of a grid whose lines lie half a cell off whole ones, as those of the real one."""
    lon, lat = ((number + 0.5) * CELL_DEG for number in (column, row))
    tile_year = TileYear(Tile(column, row, lon, lat), year)
    return PlannedUnit(Unit(tile_year, source), 1, Cause.NEW)


def settings(tiles_together: int = 4, workers: int = 1) -> Settings:
    return Settings(
        store=StoreSettings(url="file://./somewhere"),
        ard=ArdSettings(tiles_together=tiles_together, workers=workers),
    )


def tags(units: list[PlannedUnit], tiles_together: int) -> set[frozenset[str]]:
    groups = groups_of(units, settings(tiles_together), "run")
    assert sum(len(work.units) for work in groups) == len(units)
    return {frozenset(one.tile.tag for one in work.tile_years) for work in groups}


def test_squares_of_tiles_are_made_together() -> None:
    units = [planned(column, row) for row in range(2) for column in range(4)]
    assert tags(units, 4) == {
        frozenset({"0X0Y", "1X0Y", "0X1Y", "1X1Y"}),
        frozenset({"2X0Y", "3X0Y", "2X1Y", "3X1Y"}),
    }


@pytest.mark.parametrize("corner", [(0, 0), (7, 3), (-5, -9)])
def test_a_square_is_made_whole_wherever_it_lies(corner: tuple[int, int]) -> None:
    left, bottom = corner
    cells = [(column, row) for column in (0, 1) for row in (0, 1)]
    units = [planned(40 + left + column, 40 + bottom + row) for column, row in cells]
    assert len(tags([*units, planned(90, 90)], 4)) == 2


@pytest.mark.parametrize("tiles_together", [1, 2, 3, 5, 64])
def test_no_more_tiles_than_allowed_are_made_together(tiles_together: int) -> None:
    units = [planned(column, row) for row in range(5) for column in range(5)]
    found = tags(units, tiles_together)
    assert max(len(group) for group in found) <= tiles_together
    if tiles_together == 2:
        assert max(len(group) for group in found) == 2


@pytest.mark.parametrize(
    ("workers", "most"), [(1, 16), (2, 16), (4, 16), (8, 8), (16, 4), (1000, 4)]
)
def test_there_are_groups_for_all_workers_unless_they_would_be_small(
    workers: int, most: int
) -> None:
    units = [planned(column, row) for row in range(8) for column in range(8)]
    sizes = {len(work.units) for work in groups_of(units, settings(16, workers), "run")}
    assert sizes == {most}


def test_tiles_far_apart_are_made_apart() -> None:
    assert len(tags([planned(0, 0), planned(9, 0), planned(0, 9)], 4)) == 3


def test_tiles_that_overlap_where_the_grid_jumps_are_all_made() -> None:
    units = [planned(column, row) for row in range(2) for column in range(2)]
    tile = units[0].unit.tile_year.tile
    near = Tile(900, 900, tile.lon + CELL_DEG / 10, tile.lat)
    units.append(PlannedUnit(Unit(TileYear(near, 2023), Source.S2), 1, Cause.NEW))
    assert sum(len(group) for group in tags(units, 4)) == 5


def test_sources_and_years_are_made_apart_and_in_order() -> None:
    units = [planned(0, 0, source=source, year=year) for source in Source for year in (2024, 2023)]
    groups = groups_of(units, settings(), "run")
    assert [(work.source, work.tile_years[0].year) for work in groups] == [
        (source, year) for source in Source for year in (2023, 2024)
    ]


def test_work_travels_with_an_absolute_store_and_no_secret_it_does_not_need() -> None:
    every = settings().model_copy(
        update={
            "alert": AlertSettings(url=SecretStr("https://hooks.test/secret")),
            "stac": StacSettings(api_key=SecretStr("needed")),
        }
    )
    (work,) = groups_of([planned(0, 0)], every, "run")
    payload = pickle.dumps(work)
    assert b"hooks.test" not in payload
    back = pickle.loads(payload)  # noqa: S301 - our own
    assert back == work
    assert back.settings.api_key.get_secret_value() == "needed"
    assert back.settings.store.url == (Path.cwd() / "somewhere").as_uri()


def test_a_store_in_memory_is_refused() -> None:
    with pytest.raises(BadInputError, match="would be empty for every worker"):
        WorkSettings.of(Settings(store=StoreSettings(url="memory://")))


def test_the_failure_of_one_tile_leaves_the_others() -> None:
    one, other, third = (planned(number, 0).unit.tile_year for number in range(3))
    failures = Failures()
    passed = []
    for tile_year in (one, other):
        with failures.of(tile_year):
            if tile_year == one:
                raise PermanentError("source_corrupt", "torn")
            passed.append(tile_year)
    assert passed == [other]
    assert list(failures.spared([one, other, third])) == [other, third]
    with pytest.raises(MemoryError), failures.of(third):
        raise MemoryError
    assert list(failures) == [one]


def test_tiles_share_the_seconds_of_their_group() -> None:
    ticks = iter([0.0, 6.0, 10.0, 12.0, 20.0, 21.0])
    seconds = Seconds(lambda: next(ticks))
    for phase in ("read", "search", "read"):
        with seconds.of(phase):
            pass
    assert seconds.shares(2) == {"read": 3.5, "search": 1.0}


def test_the_table_of_tiles_may_lie_in_the_store_or_elsewhere(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    write_table(store, "grid/tiles.parquet", made_tile_table([(10.0, 5.0)]))
    for place in ("grid/tiles.parquet", (tmp_path / "store/grid/tiles.parquet").as_uri()):
        at = Settings(ard=ArdSettings(tile_table=place))
        assert tile_table_of(at, store).uri == store.uri("grid/tiles.parquet")
    with pytest.raises(BadInputError, match="there is no table of tiles"):
        tile_table_of(Settings(ard=ArdSettings(tile_table="grid/other.parquet")), store)
    with pytest.raises(BadInputError, match="ESTINEL_ARD_TILE_TABLE"):
        tile_table_of(Settings(), store)


def test_the_book_is_that_of_the_product_line() -> None:
    store = open_store("memory://")
    book = open_ard_book(Settings(), store)
    assert book.spec.product == "ard"
    assert book.standing() == {}
    with pytest.raises(NotFoundError):
        store.get("outcome-index/ard.parquet")
