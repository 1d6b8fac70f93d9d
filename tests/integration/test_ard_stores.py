"""Tile-years on S3 over every engine, while the store is slow, refuses, and is away for a while."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from estinel_assets.ard.ard_zarr import check_group
from estinel_assets.ard.opening import GROUPS_OF, WorkSettings, ard_run, open_ard_book, shared_store
from estinel_assets.ard.plan import plan_ard
from estinel_assets.ard.runner import ArdRun, run_ard
from estinel_assets.ard.tiles import Source
from estinel_assets.clock import utc_now
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import Settings, StoreSettings
from tests.support.ard_scenes import EAST, WEST, ArdScenes, serving_ard_scenes, tile_years
from tests.support.proxy import Fault, FaultProxy, Passed
from tests.support.s3 import S3Access, s3_server

AT_ONCE = RetryRule(max_attempts=9, backoff_s=0.0, backoff_max_s=0.0)
ASKED = tile_years(WEST, EAST)
LONG = [pytest.mark.soak, pytest.mark.timeout(600)]


@dataclass
class Weather:
    """What an S3 server does to those who ask: now and then slow, and once away for a while."""

    away_from: int
    """Which request finds it away first."""
    away_s: float
    until: float | None = field(default=None, init=False)

    def __call__(self, asked: Passed) -> Fault | None:
        if asked.number >= self.away_from and self.until is None:
            self.until = time.monotonic() + self.away_s
        if self.until is not None and time.monotonic() < self.until:
            return Fault(status=503)
        return Fault(delay_s=0.2) if asked.number % 7 == 0 else None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArdScenes]:
    with serving_ard_scenes(tmp_path_factory.mktemp("ard")) as scenes:
        yield scenes


@pytest.fixture(scope="module")
def expected(
    world: ArdScenes, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[tuple[Source, ...]], dict[str, object]]:
    """The checksums of the groups of sources, made in a folder, where nothing goes wrong."""

    @cache
    def of(sources: tuple[Source, ...]) -> dict[str, object]:
        return groups(made(world.settings(tmp_path_factory.mktemp("folder") / "store"), sources))

    return of


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Access, FaultProxy]]:
    with s3_server() as access, FaultProxy(access.endpoint_url) as proxy:
        for name, value in access.environment().items():
            monkeypatch.setenv(name, value)
        yield access, proxy


def made(settings: Settings, sources: tuple[Source, ...]) -> ArdRun:
    """A run over what is asked."""
    store = shared_store(WorkSettings.of(settings).store)
    rows = open_ard_book(settings, store).standing()
    plan = plan_ard(ASKED, sources, rows, settings, retry=AT_ONCE, now=utc_now())
    return run_ard(plan, settings, store, ard_run("run"))


def groups(run: ArdRun) -> dict[str, object]:
    """What each outcome says of its groups, all of which stand."""
    assert run.counts() == {"none": len(run.plan.make)}
    return {"/".join(one.key): one.detail["groups"] for one in run.outcomes}


@pytest.mark.parametrize(
    ("engine", "sources"),
    [
        ("threads", (Source.DEM,)),
        *(
            pytest.param(engine, tuple(Source), marks=LONG)
            for engine in ("threads", "processes", "dask", "lithops")
        ),
    ],
)
def test_a_run_outlives_a_store_that_is_away_for_a_while(
    world: ArdScenes,
    expected: Callable[[tuple[Source, ...]], dict[str, object]],
    s3: tuple[S3Access, FaultProxy],
    tmp_path: Path,
    engine: str,
    sources: tuple[Source, ...],
) -> None:
    access, proxy = s3
    local = world.settings(tmp_path, engine=engine, workers=2, tiles_together=1, retries=6)
    at = StoreSettings(url=access.url("store"), endpoint_url=proxy.url, region=access.region)
    settings = local.model_copy(update={"store": at})
    proxy.spoil(Weather(away_from=12, away_s=0.5 if len(sources) == 1 else 6.0))

    run = made(settings, sources)
    spoilt = len(proxy.spoilt)
    proxy.spoil(None)

    assert spoilt >= 4
    assert groups(run) == expected(sources)
    store = access.open("store")
    for tile_year in ASKED:
        for source in sources:
            for group in GROUPS_OF[source]:
                check_group(store, tile_year.store_path, group, checksums=True)
