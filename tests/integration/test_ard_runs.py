"""Tile-years from search to Zarr and outcome, over a local STAC API and a local file server."""

import multiprocessing
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estinel_assets.ard.ard_zarr import check_group, groups_in, read_group
from estinel_assets.ard.availability import with_damaged
from estinel_assets.ard.dem_cells import DemCell, cell_window
from estinel_assets.ard.making_outcomes import STANDING
from estinel_assets.ard.opening import (
    GROUPS_OF,
    WorkSettings,
    ard_run,
    open_ard_book,
    shared_store,
)
from estinel_assets.ard.plan import ArdPlan, Cause, plan_ard
from estinel_assets.ard.runner import ArdRun, run_ard, what_stands
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS
from estinel_assets.ard.slope import bordered, tile_slope
from estinel_assets.ard.tiles import Source, Tile, TileYear, tile_grid
from estinel_assets.clock import utc_now
from estinel_assets.compute import Completed, Engine, Threads
from estinel_assets.compute.worker_errors import OutOfMemoryError, TimeLimitError, WorkerDiedError
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.index import Index
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.raster.grids import Grid
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore
from tests.support.ard_scenes import (
    CRS,
    EAST,
    S1_TRANSFORM,
    S2_TRANSFORM,
    SEA,
    WEST,
    YEAR,
    ArdScenes,
    serving_ard_scenes,
    tile_years,
)
from tests.support.http import Misbehaviour
from tests.support.rasters import reprojected

AT_ONCE = RetryRule(max_attempts=3, backoff_s=0.0, backoff_max_s=0.0)
DEM_NAME = "Copernicus_DSM_COG_10_N05_00_E009_00_DEM"
DEM_FILE = f"{DEM_NAME}/elevation.tif"
S1_FILE = f"S1A_{YEAR}0501_rtc/VV.tif"


@dataclass(frozen=True)
class Pipeline:
    """A store, and what is asked of it."""

    world: ArdScenes
    settings: Settings

    @property
    def store(self) -> ObjectStore:
        return shared_store(WorkSettings.of(self.settings).store)

    @property
    def rows(self) -> Index:
        """How keys stand."""
        return open_ard_book(self.settings, self.store).standing()

    def plan(self, asked: Iterable[TileYear], *sources: Source, overwrite: bool = False) -> ArdPlan:
        return plan_ard(
            asked,
            sources or tuple(Source),
            self.rows,
            self.settings,
            overwrite=overwrite,
            retry=AT_ONCE,
            now=utc_now(),
        )

    def make(
        self,
        asked: Iterable[TileYear],
        *sources: Source,
        run_id: str = "run",
        engine: Engine | None = None,
        overwrite: bool = False,
        **heard: Any,
    ) -> ArdRun:
        plan = self.plan(asked, *sources, overwrite=overwrite)
        return run_ard(plan, self.settings, self.store, ard_run(run_id), engine=engine, **heard)

    def with_ard(self, **changed: Any) -> "Pipeline":
        ard = self.settings.ard.model_copy(update=changed)
        return replace(self, settings=self.settings.model_copy(update={"ard": ard}))

    def outcome(self, tile_year: TileYear, source: Source) -> Outcome:
        found = open_ard_book(self.settings, self.store).ledger.get(tile_year.outcome_key(source))
        assert found is not None
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArdScenes]:
    with serving_ard_scenes(tmp_path_factory.mktemp("ard")) as scenes:
        yield scenes


@pytest.fixture
def pipeline(world: ArdScenes, tmp_path: Path) -> Pipeline:
    return Pipeline(world, world.settings(tmp_path / "store"))


@dataclass(frozen=True)
class Made:
    """A first run over everything, for tests that only look."""

    pipeline: Pipeline
    run: ArdRun
    asked: tuple[TileYear, ...]
    heard: tuple[Outcome, ...]

    def reason(self, tile_year: TileYear, source: Source) -> str:
        key = tile_year.outcome_key(source)
        return next(outcome.reason for outcome in self.run.outcomes if outcome.key == key)


@pytest.fixture(scope="module")
def made(world: ArdScenes, tmp_path_factory: pytest.TempPathFactory) -> Made:
    pipeline = Pipeline(world, world.settings(tmp_path_factory.mktemp("made") / "store"))
    asked = (*tile_years(WEST, EAST, SEA), *tile_years(WEST, year=YEAR - 1))
    heard: list[Outcome] = []
    run = pipeline.make(asked, on_ended=heard.append)
    return Made(pipeline, run, asked, tuple(heard))


def test_every_tile_and_source_ends_in_one_outcome(made: Made) -> None:
    west, east, sea = tile_years(WEST, EAST, SEA)
    (before,) = tile_years(WEST, year=YEAR - 1)
    for tile_year in (west, east):
        assert {made.reason(tile_year, source) for source in Source} == {"none"}
    assert made.reason(sea, Source.DEM) == "no_dem"
    assert made.reason(sea, Source.S1) == "no_scenes"
    assert made.reason(sea, Source.S2) == "no_scenes"
    assert made.reason(before, Source.S1) == "incomplete"
    assert made.reason(before, Source.S2) == "no_clear_scenes"
    assert len(made.run.outcomes) == len(made.asked) * len(Source)
    assert made.run.unended == ()
    assert made.run.faults == ()
    by_key = {outcome.key: outcome for outcome in made.heard}
    assert by_key == {outcome.key: outcome for outcome in made.run.outcomes}


def test_only_tiles_with_arrays_have_groups(made: Made) -> None:
    store = made.pipeline.store
    (before,) = tile_years(WEST, year=YEAR - 1)
    assert groups_in(store, made.asked[0].store_path) == ("dem", "s1", "s2_10", "s2_20", "clouds")
    assert groups_in(store, before.store_path) == ("dem", "s1")
    assert groups_in(store, made.asked[2].store_path) == ()
    outcome = made.pipeline.outcome(before, Source.S1)
    assert outcome.detail["gaps"] == ["Q4"]
    assert outcome.outputs == (store.uri(f"{before.store_path}/s1"),)


@pytest.mark.parametrize("tile", [WEST, EAST])
def test_reflectance_is_that_of_the_newest_scenes(made: Made, tile: Tile) -> None:
    (tile_year,) = tile_years(tile)
    days = [date(YEAR, 1, 10), date(YEAR, 2, 9)]
    for group, bands, resolution in (("s2_10", S2_10_BANDS, 10.0), ("s2_20", S2_20_BANDS, 20.0)):
        dataset = read_group(made.pipeline.store, tile_year.store_path, group)
        assert [str(day)[:10] for day in dataset["time"].values] == [str(day) for day in days]
        grid = tile_grid(tile, resolution)
        for number, day in enumerate(days):
            scene = f"S2A_T32NMM_{day:%Y%m%d}_0510"
            expected = [_on(made, f"{scene}/{band}.tif", grid) - 1000 for band in bands]
            found = dataset["reflectance"].values[number]
            np.testing.assert_array_equal(found, np.stack(expected))
        assert dataset["offsets_dn"].values.tolist() == ["-1000", "-1000"]


def test_backscatter_is_the_median_of_each_quarter(made: Made) -> None:
    (tile_year,) = tile_years(EAST)
    dataset = read_group(made.pipeline.store, tile_year.store_path, "s1")
    grid = tile_grid(EAST, 40.0)
    for band, name in enumerate(("VV", "VH")):
        first = [
            _on(made, f"S1A_{YEAR}{day}_rtc/{name}.tif", grid, S1_TRANSFORM)
            for day in ("0201", "0213")
        ]
        third = _on(made, f"S1A_{YEAR}0801_rtc/{name}.tif", grid, S1_TRANSFORM)
        # Nothing has a value where the other day has none.
        both = np.where(first[0] > 0, np.median(first, axis=0), 0)
        for steps, median in ((slice(0, 3), both), (slice(6, 9), third)):
            stored = np.where(median > 0, np.rint(np.float64(median) * 65535), 0)
            for step in dataset["backscatter"].values[steps, band]:
                assert np.abs(step.astype(np.int64) - stored).max() <= 1
                np.testing.assert_array_equal(step == 0, stored == 0)


def test_slope_is_that_of_the_cell(made: Made) -> None:
    (tile_year,) = tile_years(WEST)
    grid = tile_grid(WEST)
    window = cell_window(DemCell(5, 9), bordered(grid))
    assert window is not None
    coarse = made.pipeline.world.scene(DEM_NAME, "elevation")
    every = np.kron(coarse, np.ones((10, 10), dtype=np.float32))
    rows = slice(window.row, window.row + window.height)
    columns = slice(window.column, window.column + window.width)
    twice = np.kron(every[rows, columns], np.ones((2, 2), dtype=np.float32))
    expected = tile_slope([window.chip(twice)], grid)
    found = read_group(made.pipeline.store, tile_year.store_path, "dem")["slope"].values
    np.testing.assert_array_equal(found, expected)


def test_clouds_tell_of_every_day_that_was_looked_at(made: Made) -> None:
    (tile_year,) = tile_years(WEST)
    dataset = read_group(made.pipeline.store, tile_year.store_path, "clouds")
    assert dataset["dropped"].values.tolist() == ["", "", "hard_drop"]
    assert dataset["used"].values.tolist() == [1, 1, 0]
    assert dataset["cloudy"].values.mean(axis=(1, 2)).tolist() == [0.0, 0.0, 1.0]
    detail = made.pipeline.outcome(tile_year, Source.S2).detail
    assert detail["dropped"] == {"hard_drop": 1}
    assert detail["dates"] == [f"{YEAR}-01-10", f"{YEAR}-02-09"]
    assert detail["tiles_together"] == 2
    assert set(detail["seconds"]) >= {"search", "select", "read", "write"}


def test_a_second_run_has_nothing_to_do(made: Made) -> None:
    requests = made.pipeline.world.server.count()
    run = made.pipeline.make(made.asked, run_id="second")
    assert run.plan.counts() == {
        "make": 0,
        "complete": 7,
        "ended": 5,
        "failed": 0,
        "waiting": 0,
    }
    assert run.outcomes == ()
    assert made.pipeline.world.server.count() == requests


@pytest.mark.parametrize(
    "engine",
    [
        "processes",
        pytest.param("dask", marks=pytest.mark.soak),
        pytest.param("lithops", marks=pytest.mark.soak),
    ],
)
def test_every_engine_makes_the_same_bytes_tile_by_tile(
    made: Made, tmp_path: Path, engine: str
) -> None:
    world = made.pipeline.world
    alone = Pipeline(world, world.settings(tmp_path, tiles_together=1, engine=engine, workers=1))
    (west,) = tile_years(WEST)
    run = alone.make([west])
    assert run.counts() == {"none": 3}
    for source in Source:
        expected = made.pipeline.outcome(west, source).detail["groups"]
        assert alone.outcome(west, source).detail["groups"] == expected
        for group in GROUPS_OF[source]:
            check_group(alone.store, west.store_path, group, checksums=True)


def test_one_bad_source_leaves_the_others_complete(pipeline: Pipeline) -> None:
    server = pipeline.world.server
    asked = tile_years(WEST, EAST)
    server.misbehave(S1_FILE, Misbehaviour(status=503))
    try:
        run = pipeline.make(asked)
    finally:
        server.behave(S1_FILE)
    assert run.counts() == {"none": 4, "source_unavailable": 2}
    assert {outcome.key[2] for outcome in run.faults} == {"s1"}
    again = pipeline.make(asked, run_id="again")
    assert [(one.cause, one.attempt) for one in again.plan.make] == [(Cause.RETRY, 2)] * 2
    assert again.counts() == {"none": 2}
    assert pipeline.plan(asked).by_source("complete") == dict.fromkeys(Source, 2)


@pytest.mark.parametrize(
    ("status", "reason", "tried_again"),
    [(403, "source_forbidden", True), (503, "source_unavailable", True), (404, None, False)],
)
def test_what_the_server_refuses_is_never_taken_for_sea(
    pipeline: Pipeline, status: int, reason: str | None, tried_again: bool
) -> None:
    asked = tile_years(WEST)
    pipeline.world.server.misbehave(DEM_FILE, Misbehaviour(status=status))
    try:
        run = pipeline.make(asked, Source.DEM)
    finally:
        pipeline.world.server.behave(DEM_FILE)
    assert run.counts() == {reason or "source_not_found": 1}
    assert run.outcomes[0].outputs == ()
    plan = pipeline.plan(asked, Source.DEM)
    assert bool(plan.make) == tried_again
    assert bool(plan.failed) != tried_again


def test_a_catalogue_that_does_not_answer_fails_each_tile(pipeline: Pipeline) -> None:
    away = pipeline.with_ard(dem_url="http://127.0.0.1:9/")
    run = away.make(tile_years(WEST, EAST), Source.DEM)
    assert run.counts() == {"source_unavailable": 2}


@pytest.mark.parametrize(("source", "named"), [(Source.S2, "B05"), (Source.S1, "S1A_2021")])
def test_what_is_blank_is_never_stored(pipeline: Pipeline, source: Source, named: str) -> None:
    (tile_year,) = tile_years(WEST, year=YEAR - 2)
    run = pipeline.make([tile_year], source)
    assert run.counts() == {"source_blank": 1}
    assert named in (run.outcomes[0].error or "")
    assert groups_in(pipeline.store, tile_year.store_path) == ()


def test_a_failure_that_passes_is_tried_again_within_the_run(pipeline: Pipeline) -> None:
    patient = pipeline.with_ard(retries=1)
    pipeline.world.server.misbehave(DEM_FILE, Misbehaviour(status=503, times=2))
    try:
        run = patient.make(tile_years(WEST), Source.DEM)
    finally:
        pipeline.world.server.behave(DEM_FILE)
    assert run.counts() == {"none": 1}
    assert run.outcomes[0].attempts == 1


def test_overwriting_makes_complete_tiles_anew(pipeline: Pipeline) -> None:
    asked = tile_years(WEST)
    first = pipeline.make(asked, Source.DEM)
    second = pipeline.make(asked, Source.DEM, run_id="second", overwrite=True)
    assert [one.cause for one in second.plan.make] == [Cause.OVERWRITE]
    assert second.outcomes[0].run_id == "second"
    assert second.outcomes[0].detail["groups"] == first.outcomes[0].detail["groups"]


def test_arrays_are_said_to_be_interrupted_while_they_are_replaced(pipeline: Pipeline) -> None:
    asked = tile_years(WEST)
    pipeline.make(asked, Source.S2)
    book = open_ard_book(pipeline.settings, pipeline.store)
    seen: set[tuple[bool, str]] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.update(book.counts())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        run = pipeline.make(asked, Source.S2, run_id="second", overwrite=True)
    finally:
        stop.set()
        watching.join()
    assert (False, "interrupted") in seen
    assert run.counts() == {"none": 1}
    assert book.counts() == {(True, "none"): 1}


def _overwrite(settings: Settings, asked: list[TileYear]) -> None:
    """In a process of its own, which is killed."""
    store = shared_store(WorkSettings.of(settings).store)
    rows = open_ard_book(settings, store).standing()
    plan = plan_ard(
        asked, [Source.S2], rows, settings, overwrite=True, retry=AT_ONCE, now=utc_now()
    )
    run_ard(plan, settings, store, ard_run("killed"))


@pytest.mark.soak
def test_a_run_that_is_killed_while_it_replaces_arrays_is_planned_again(
    pipeline: Pipeline,
) -> None:
    asked = tile_years(WEST)
    first = pipeline.make(asked, Source.S2)
    book = open_ard_book(pipeline.settings, pipeline.store)
    killed = multiprocessing.get_context("spawn").Process(
        target=_overwrite, args=(pipeline.settings, asked)
    )
    killed.start()
    while (False, "interrupted") not in book.counts():
        assert killed.is_alive(), "it ended before it could be killed"
    killed.kill()
    killed.join()
    killed.close()
    assert book.counts() == {(False, "interrupted"): 1}
    again = pipeline.make(asked, Source.S2, run_id="again")
    assert [one.cause for one in again.plan.make] == [Cause.RETRY]
    assert again.counts() == {"none": 1}
    assert again.outcomes[0].detail["groups"] == first.outcomes[0].detail["groups"]
    for group in GROUPS_OF[Source.S2]:
        check_group(pipeline.store, asked[0].store_path, group, checksums=True)


def test_what_stands_is_kept_when_making_it_anew_fails(pipeline: Pipeline) -> None:
    (tile_year,) = tile_years(WEST)
    first = pipeline.make([tile_year], Source.DEM)
    pipeline.world.server.misbehave(DEM_FILE, Misbehaviour(status=503))
    try:
        run = pipeline.make([tile_year], Source.DEM, run_id="second", overwrite=True)
    finally:
        pipeline.world.server.behave(DEM_FILE)
    (failed,) = run.outcomes
    assert failed.reason == "source_unavailable"
    assert failed.outputs == first.outcomes[0].outputs
    assert failed.detail[STANDING]["groups"] == first.outcomes[0].detail["groups"]
    check_group(pipeline.store, tile_year.store_path, "dem", checksums=True)


def test_arrays_go_when_other_rules_leave_no_scenes(pipeline: Pipeline) -> None:
    (tile_year,) = tile_years(WEST)
    pipeline.make([tile_year], Source.S2)
    strict = pipeline.with_ard(s2_max_scene_cloud_percent=5.0)
    run = strict.make([tile_year], run_id="second")
    causes = {one.unit.source: one.cause for one in run.plan.make}
    assert causes[Source.S2] is Cause.CHANGED
    assert strict.outcome(tile_year, Source.S2).reason == "no_scenes"
    assert groups_in(strict.store, tile_year.store_path) == ("dem", "s1")


def test_a_store_that_refuses_one_tile_leaves_the_others(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    west, east = tile_years(WEST, EAST)
    blocked = tmp_path / "store" / east.store_path
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    run = pipeline.make([west, east], Source.DEM)
    assert {outcome.key[1]: outcome.reason for outcome in run.outcomes} == {
        WEST.tag: "none",
        EAST.tag: "write_failed",
    }


def test_arrays_that_were_lost_do_not_count(pipeline: Pipeline, tmp_path: Path) -> None:
    asked = tile_years(WEST)
    plan = pipeline.plan(asked, Source.DEM)
    run = ard_run("run")
    made = run_ard(plan, pipeline.settings, pipeline.store, run)
    chunk = tmp_path / "store" / asked[0].store_path / "dem/slope/c/0/0"
    chunk.unlink()
    found = what_stands(plan, pipeline.settings, pipeline.store, run, made.started_at)
    assert found.counts() == {"write_failed": 1}
    assert "damaged" in (found.outcomes[0].error or "")
    assert len(pipeline.plan(asked, Source.DEM).make) == 1


def test_arrays_that_were_lost_later_are_made_again(pipeline: Pipeline) -> None:
    asked = tile_years(WEST)
    pipeline.make(asked, Source.DEM)
    first = pipeline.outcome(asked[0], Source.DEM).detail["groups"]
    pipeline.store.delete(f"{asked[0].store_path}/dem/slope/c/0/0")

    plan = pipeline.plan(asked, Source.DEM)
    plan = with_damaged(plan, pipeline.rows, pipeline.store)
    run = run_ard(plan, pipeline.settings, pipeline.store, ard_run("again"))

    assert [one.cause for one in run.plan.make] == [Cause.DAMAGED]
    assert run.counts() == {"none": 1}
    assert pipeline.outcome(asked[0], Source.DEM).detail["groups"] == first
    check_group(pipeline.store, asked[0].store_path, "dem", checksums=True)


class Broken:
    """An engine whose workers fail without a word."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def map(
        self,
        function: Callable[[Any], Any],  # noqa: ARG002 - it never comes to that
        items: Iterable[Any],
    ) -> Generator[Completed[Any, Any], None, None]:
        for item in items:
            yield Completed(item, None, self.error)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeLimitError(900), "timeout"),
        (OutOfMemoryError("more than 4096 MiB"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (WorkerDiedError("SIGSEGV"), "worker_died"),
        (ValueError("a bug"), "internal_error"),
    ],
)
def test_a_worker_that_is_gone_leaves_outcomes_all_the_same(
    pipeline: Pipeline, error: Exception, reason: str
) -> None:
    heard: list[Outcome] = []
    run = pipeline.make(
        tile_years(WEST, EAST), Source.S2, engine=Broken(error), on_ended=heard.append
    )
    assert run.counts() == {reason: 2}
    assert [outcome.reason for outcome in heard] == [reason, reason]


def test_what_is_no_failure_of_a_tile_ends_the_run(pipeline: Pipeline) -> None:
    engine = Broken(BadInputError("no such region"))
    with pytest.raises(BadInputError, match="region"):
        pipeline.make(tile_years(WEST), Source.S2, engine=engine)


def test_what_finished_before_an_interrupt_is_kept(pipeline: Pipeline) -> None:
    one_by_one = pipeline.with_ard(tiles_together=1)
    plan = one_by_one.plan(tile_years(WEST, EAST), Source.DEM)
    run = ard_run("run")

    def interrupt(outcome: Outcome) -> None:
        raise KeyboardInterrupt

    started_at = utc_now()
    with pytest.raises(KeyboardInterrupt):
        run_ard(
            plan,
            one_by_one.settings,
            one_by_one.store,
            run,
            engine=Threads(1),
            on_ended=interrupt,
        )
    found = what_stands(plan, one_by_one.settings, one_by_one.store, run, started_at)
    assert found.counts()["none"] >= 1
    assert len(found.outcomes) + len(found.unended) == 2


def _on(made: Made, path: str, grid: Grid, transform: Any = S2_TRANSFORM) -> np.ndarray:
    return reprojected(made.pipeline.world.pixels[path], CRS, transform, grid)
