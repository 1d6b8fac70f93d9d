"""Reprocessing by reason: from the UI, through web server and daemon, and in one process."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import dagster as dg
import pytest

from estinel_assets.errors import EstinelError
from estinel_assets.imagery.site_id import site_id
from estinel_assets.orchestration.by_reason import MOST_KEYS, by_reason_asset
from estinel_assets.orchestration.failures import failure
from estinel_assets.orchestration.io_managers import JsonIOManager
from estinel_assets.orchestration.resources import SettingsResource
from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.settings import OutcomeSettings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.backfills import backfill, report, statuses
from tests.support.daemon import RunningDagster, running_dagster
from tests.support.dagster_store import on_folder
from tests.support.imagery import (
    HOBART,
    ImageryWorld,
    Item,
    demo_scenes,
    imagery_world,
    plain_scenes,
    quiet_dagster,
)
from tests.support.outcomes import CakeReason, outcome

pytestmark = quiet_dagster

KINGSTON = 'Kingston,147.3300,-42.8850,10,400,300,"tasmania"'
SITES = [site_id("Hobart"), site_id("Kingston")]
CORRUPT, ABSENT = "2024-12-03", "2024-12-05"
BY_REASON = "imagery_by_reason"
PARTITION = "false:source_corrupt"


def own_scenes(base: Path, folder: Path) -> list[Item]:
    """Five days whose files may be spoilt."""
    shutil.copytree(demo_scenes(base)[0] / "scenes", folder / "scenes")
    return plain_scenes(base, f"file://{folder}")


def red_file(items: list[Item], day: str) -> Path:
    """The red band of a day's scene."""
    found = [item for item in items if day.replace("-", "") in item["id"]]
    return Path(found[0]["assets"]["red"]["href"].removeprefix("file://"))


@pytest.fixture
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ImageryWorld, Path]]:
    """A world of two sites with one corrupt and one absent day each; and the corrupt file."""
    folder = tmp_path_factory.mktemp("by-reason")
    items = own_scenes(tmp_path_factory.getbasetemp(), folder)
    absent, corrupt = red_file(items, ABSENT), red_file(items, CORRUPT)
    absent.unlink()
    corrupt.with_suffix(".whole").write_bytes(corrupt.read_bytes())
    corrupt.write_bytes(corrupt.read_bytes()[:3000])
    with imagery_world(folder / "world", items, sites=[HOBART, KINGSTON]) as world:
        for site in SITES:
            world.update(site)
            assert world.reasons(site) == {
                **dict.fromkeys(["2024-12-01", "2024-12-02", "2024-12-04"], "none"),
                CORRUPT: "source_corrupt",
                ABSENT: "source_not_found",
            }
        yield world, corrupt


@pytest.fixture
def running(spoilt: tuple[ImageryWorld, Path]) -> Iterator[RunningDagster]:
    world, _ = spoilt
    with running_dagster(world.folder / "home", world.config, web=True) as dagster:
        dagster.instance.add_dynamic_partitions("sites", SITES)
        yield dagster


def records(world: ImageryWorld) -> dict[str, bytes]:
    """The bytes of every outcome, by key."""
    found = {}
    for meta in world.store.list("outcomes/imagery"):
        found[meta.path.partition("/status=")[0]] = world.store.get(meta.path).data
    return found


def touched(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> set[str]:
    assert before.keys() == after.keys()
    return {key.removeprefix("outcomes/imagery/") for key in before if before[key] != after[key]}


def reprocess_twice(
    spoilt: tuple[ImageryWorld, Path],
    instance: dg.DagsterInstance,
    remake: Callable[[], tuple[str, bool]],
    seen: Callable[[str], None],
) -> None:
    """Make again what is corrupt, in vain, and once more when it is repaired.

    Args:
        spoilt: the world, and its corrupt file.
        instance: where the runs are recorded.
        remake: reprocesses the reason; gives the run's id, and whether it is green.
        seen: looks whether the partition is `failed` or `materialized`.
    """
    world, corrupt = spoilt
    keys = {f"{site}/{CORRUPT}" for site in SITES}
    before = records(world)

    red, succeeded = remake()

    assert not succeeded
    after = records(world)
    assert touched(before, after) == keys
    assert {json.loads(after[f"outcomes/imagery/{key}"])["run_id"] for key in keys} == {red}
    assert report(instance, red, BY_REASON) == {
        "reprocessed": 2,
        "left_for_another_run": 0,
        "now_source_corrupt": 2,
        "reasons_now": dict.fromkeys(keys, "source_corrupt"),
    }
    seen("failed")

    corrupt.write_bytes(corrupt.with_suffix(".whole").read_bytes())
    green, succeeded = remake()

    assert succeeded
    repaired = records(world)
    assert touched(after, repaired) == keys
    assert report(instance, green, BY_REASON)["now_none"] == 2
    seen("materialized")
    for site in SITES:
        listed = {image["date"]: image for image in world.fragment(site)["images"]}
        assert CORRUPT in listed
        assert ABSENT not in listed
        assert world.reasons(site)[ABSENT] == "source_not_found"


def test_exactly_the_keys_of_the_reason_are_made(spoilt):
    world, _ = spoilt

    def remake() -> tuple[str, bool]:
        ran = by_reason(world, PARTITION)
        return ran.run_id, ran.success

    reprocess_twice(spoilt, world.instance, remake, lambda _: None)


# Through web server and daemon there is one such test for every day, with collections.
@pytest.mark.soak
def test_so_it_is_by_a_backfill_from_the_ui(spoilt, running):
    def remake() -> tuple[str, bool]:
        ran = backfill(running, BY_REASON, PARTITION).dagster_run
        return ran.run_id, ran.status is dg.DagsterRunStatus.SUCCESS

    def seen(how: str) -> None:
        shown = statuses(running, BY_REASON)
        assert shown[how] == {PARTITION}
        assert {"failed", "materialized"} & set(shown) == {how}

    reprocess_twice(spoilt, running.instance, remake, seen)


def by_reason(world: ImageryWorld, partition: str) -> dg.ExecuteInProcessResult:
    job = world.definitions().resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=world.instance,
        asset_selection=[dg.AssetKey(BY_REASON)],
        partition_key=partition,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def test_a_reason_under_which_nothing_stands_is_green(tmp_path, tmp_path_factory):
    with imagery_world(tmp_path, plain_scenes(tmp_path_factory.getbasetemp())) as world:
        world.update()
        before = world.versions("outcomes", "sentinel-2-c1-l2a")

        ran = by_reason(world, "false:source_timeout")

        assert ran.success
        assert report(world.instance, ran.run_id, BY_REASON) == {
            "reprocessed": 0,
            "left_for_another_run": 0,
            "reasons_now": {},
        }
        assert world.versions("outcomes", "sentinel-2-c1-l2a") == before


def test_a_site_that_is_gone_does_not_keep_others_from_their_turn(tmp_path, tmp_path_factory):
    items = own_scenes(tmp_path_factory.getbasetemp(), tmp_path)
    red_file(items, ABSENT).unlink()
    with imagery_world(tmp_path / "world", items, sites=[HOBART, KINGSTON]) as world:
        for site in SITES:
            world.update(site)
        gone, left = sorted(SITES)
        table = world.folder / "sites.csv"
        rows = table.read_text().splitlines()
        table.write_text("\n".join([rows[0], HOBART if left == SITES[0] else KINGSTON, ""]))
        former = {site: world.outcomes(site)[ABSENT].run_id for site in SITES}

        ran = by_reason(world, "false:source_not_found")

        assert not ran.success
        assert world.outcomes(gone)[ABSENT].run_id == former[gone]
        assert world.outcomes(left)[ABSENT].run_id == ran.run_id
        assert report(world.instance, ran.run_id, BY_REASON)["reasons_now"] == {
            f"{site}/{ABSENT}": "source_not_found" for site in SITES
        }
        (failed,) = [event for event in ran.all_events if event.is_step_failure]
        said = failed.step_failure_data.user_failure_data
        assert gone in said.description


CAKES = ProductOutcomes(product="cake", reasons=CakeReason, partition_depth=1)


@dataclass
class Shelf:
    """A store in memory, where a run looks for its store."""

    kept: ObjectStore

    def open(self) -> ObjectStore:
        return self.kept


class Bakery:
    """A made-up product line of 520 cold cakes and one flat one."""

    def __init__(self, *, stops: bool = False, stays_cold: bool = False) -> None:
        self.shelf = Shelf(open_store("memory://"))
        self.book = OutcomeBook.from_settings(self.shelf.kept, CAKES, OutcomeSettings())
        self.asked: list[Key] = []
        self.stops = stops
        self.minutes = count(5)
        self.reason = "oven_cold" if stays_cold else "none"
        cold = [outcome("shop", f"{n:04d}", reason="oven_cold") for n in range(520)]
        self.book.ledger.put([*cold, outcome("shop", "flat", reason="too_flat")])

    def asset(self) -> dg.AssetsDefinition:
        return by_reason_asset(
            CAKES,
            upstream="cakes",
            owners=["team:bakery"],
            code_version="1",
            resource_keys=set(),
            reprocess=self.bake,
        )

    def bake(self, context: dg.AssetExecutionContext, keys: list[Key]) -> dict[Key, str]:
        self.asked += keys
        for number, key in enumerate(keys):
            if self.stops and number == 3:
                raise failure(EstinelError("the oven door is stuck"))
            run_id, minutes = context.run.run_id, next(self.minutes)
            self.book.ledger.put(
                [outcome(*key, reason=self.reason, minutes=minutes, run_id=run_id)]
            )
        return dict.fromkeys(keys, self.reason)

    def run(self, store: object, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [self.asset()],
            partition_key="false:oven_cold",
            instance=instance,
            resources={
                "json": JsonIOManager(store=store),
                "settings": SettingsResource(),
                "store": self.shelf,
            },
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def test_more_keys_than_a_run_takes_are_left_for_another(tmp_path, monkeypatch):
    bakery, store = Bakery(), on_folder(tmp_path, monkeypatch)
    with dg.DagsterInstance.ephemeral() as instance:
        first = bakery.run(store, instance)

        assert first.success
        assert bakery.asked == [("shop", f"{n:04d}") for n in range(MOST_KEYS)]
        said = report(instance, first.run_id, "cake_by_reason")
        assert (said["reprocessed"], said["left_for_another_run"]) == (500, 20)
        assert said["now_none"] == 500

        second = bakery.run(store, instance)

        assert second.success
        assert bakery.asked[MOST_KEYS:] == [("shop", f"{n:04d}") for n in range(500, 520)]
        said = report(instance, second.run_id, "cake_by_reason")
        assert (said["reprocessed"], said["left_for_another_run"]) == (20, 0)


def test_what_fails_again_lets_the_others_go_first(tmp_path, monkeypatch):
    bakery, store = Bakery(stays_cold=True), on_folder(tmp_path, monkeypatch)
    everything = [("shop", f"{n:04d}") for n in range(520)]
    with dg.DagsterInstance.ephemeral() as instance:
        asked = []
        for _ in range(3):
            bakery.asked.clear()
            ran = bakery.run(store, instance)
            assert not ran.success
            assert report(instance, ran.run_id, "cake_by_reason")["left_for_another_run"] == 20
            asked.append(list(bakery.asked))

    first, second, third = asked
    assert first == everything[:500]
    assert second == sorted([*everything[500:], *everything[:480]])
    # In the second run, 0000 to 0479 and 0500 to 0519 got new records.
    assert set(everything[480:500]) <= set(third)
    assert len(third) == MOST_KEYS


def test_what_was_made_before_a_stop_is_reported(tmp_path, monkeypatch):
    bakery, store = Bakery(stops=True), on_folder(tmp_path, monkeypatch)
    with dg.DagsterInstance.ephemeral() as instance:
        ran = bakery.run(store, instance)

        assert not ran.success
        said = report(instance, ran.run_id, "cake_by_reason")
        assert (said["now_none"], said["now_oven_cold"]) == (3, 497)
        reasons = said["reasons_now"]
        assert isinstance(reasons, dict)
        assert [key for key, why in reasons.items() if why == "none"] == [
            encode_key(("shop", f"{n:04d}")) for n in range(3)
        ]
