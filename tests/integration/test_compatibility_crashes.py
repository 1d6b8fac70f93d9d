"""Runs over collections are killed, or meet: what stood still stands, the next run repairs."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.compatibility import (
    FILES,
    CompatibilityWorld,
    compatibility_world,
    quiet_dagster,
    result,
)
from tests.support.compatibility_process import At, Orders, context, ended, start
from tests.support.fork_server import own_fork_server

pytestmark = quiet_dagster

KINDS = {"C1-DEMO": "good", "C2-DEMO": "good"}
FORMER = {"C1-DEMO": "none", "C2-DEMO": "blank_tile"}
"""The new record of the one replaces an object, that of the other stands beside it at first."""
VARIES = {"started_at", "finished_at", "duration_s", "run_id"}
WRITES = {
    "index": At("put", "outcome-index/"),
    "record over a former one": At("put", "collections/C1-DEMO/"),
    "record beside a former one": At("put", "collections/C2-DEMO/"),
    "deletion of a former record": At("delete", "collections/C2-DEMO/"),
}


@pytest.fixture(scope="module", autouse=True)
def _fork_server() -> Iterator[None]:
    with own_fork_server():
        context()
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompatibilityWorld]:
    threads = {"compatibility": {"engine": "threads"}}
    folder = tmp_path_factory.mktemp("crashes") / "world"
    with compatibility_world(folder, KINDS, settings=threads) as world:
        yield world


@pytest.fixture
def world(made: CompatibilityWorld) -> CompatibilityWorld:
    """A world of two collections with made-up results."""
    made.cmr.forget()
    put_former(made)
    return made


def put_former(world: CompatibilityWorld) -> None:
    for folder in ("collections", "outcome-index"):
        for meta in list(world.store.list(folder)):
            world.store.delete(meta.path)
    world.put(*[result(key, reason) for key, reason in FORMER.items()])


def orders(world: CompatibilityWorld, *concept_ids: str, **more: Any) -> Orders:
    return Orders(world.config, concept_ids or tuple(KINDS), **more)


def said(world: CompatibilityWorld) -> dict[str, dict[str, object]]:
    """What the outcomes say but for times and runs."""
    found = {}
    for key, outcome in world.outcomes().items():
        found[key] = outcome.model_dump(mode="json", exclude=VARIES)
        found[key]["detail"].pop("durations_s", None)
    return found


def check_after_kill(world: CompatibilityWorld, kill: At) -> None:
    """Kill a run at a write, look at what stands, and let another run do it."""
    put_former(world)
    former = world.outcomes()
    assert ended(start(orders(world, kill=kill))) == -signal.SIGKILL, "it never came to that write"

    for key, outcome in world.outcomes().items():
        assert outcome == former[key] or outcome.reason == "none"
    assert set(world.outcomes()) == set(KINDS)
    if kill.operation == "put" and kill.path.startswith("collections/"):
        spared = kill.path.split("/")[1]
        assert world.outcomes()[spared] == former[spared]

    assert ended(start(orders(world))) == 0
    assert set(world.records()) == set(KINDS)


@pytest.fixture(scope="module")
def clean(made: CompatibilityWorld) -> dict[str, Any]:
    """What a run leaves that nobody disturbs: what its outcomes say, and its writes."""
    put_former(made)
    report = made.folder / "report.json"
    assert ended(start(orders(made, report=report))) == 0
    return {"said": said(made), **json.loads(report.read_text())}


@pytest.mark.parametrize("kind", WRITES)
def test_killed_at_one_write_of_each_kind(
    world: CompatibilityWorld, clean: dict[str, Any], kind: str
) -> None:
    check_after_kill(world, WRITES[kind])

    assert said(world) == clean["said"]


def test_the_kinds_are_all_there_are(clean: dict[str, Any]) -> None:
    for operation, path in clean["writes"]:
        assert any(
            operation == at.operation and path.startswith(at.path) for at in WRITES.values()
        ), f"{operation} {path}"


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_killed_at_every_write(
    world: CompatibilityWorld, clean: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    points = len(clean["writes"])
    for number in range(points):
        check_after_kill(world, At(number=number))
        assert said(world) == clean["said"]
    with capsys.disabled():
        print(f"\ncompatibility: points {points}, killed {points}, passed {points}")
    assert points >= len(WRITES)


def test_killed_while_a_process_reads(world: CompatibilityWorld) -> None:
    world.configure(compatibility={"engine": "processes"})
    former = world.records()
    path = f"{FILES}C1-DEMO/good.nc"
    world.cmr.held.add(path)
    process = start(orders(world, "C1-DEMO"))
    wait_for(lambda: world.cmr.read["C1-DEMO"] > 0)

    process.kill()

    assert ended(process) == -signal.SIGKILL
    world.cmr.held.clear()
    world.configure(compatibility={"engine": "threads"})
    assert world.records() == former

    assert ended(start(orders(world, "C1-DEMO"))) == 0
    assert world.records()["C1-DEMO"] != former["C1-DEMO"]
    assert world.records()["C2-DEMO"] == former["C2-DEMO"]


def wait_for(there: Any) -> None:
    ends = time.monotonic() + 60
    while not there():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.02)


def test_two_runs_at_once_end_with_one_record(world: CompatibilityWorld, tmp_path: Path) -> None:
    paths = {f"{FILES}{key}/good.nc" for key in KINDS}
    world.cmr.held.update(paths)
    reports = [tmp_path / f"{number}.json" for number in range(2)]
    both = [start(orders(world, report=report)) for report in reports]
    wait_for(lambda: all(world.cmr.read[key] >= 2 for key in KINDS))

    world.cmr.held.clear()

    assert [ended(process) for process in both] == [0, 0]
    runs = {json.loads(report.read_text())["run_id"] for report in reports}
    assert len(runs) == 2
    assert set(world.records()) == set(KINDS)
    assert {outcome.run_id for outcome in world.outcomes().values()} <= runs
    assert set(world.reasons().values()) == {"none"}


def test_a_run_that_is_overtaken_does_not_count(world: CompatibilityWorld) -> None:
    moved = world.file_of("C1-DEMO", "good")
    moved.rename(moved.with_suffix(".away"))
    there, go_on = context().Event(), context().Event()
    at = At("put", "collections/C1-DEMO/")
    slow = start(orders(world, "C1-DEMO", hold=(at, there, go_on)))
    assert there.wait(60)
    moved.with_suffix(".away").rename(moved)
    assert ended(start(orders(world, "C1-DEMO"))) == 0
    newest = world.outcomes()["C1-DEMO"]

    go_on.set()

    assert ended(slow) == 1, "its check had found no file"
    assert world.outcomes()["C1-DEMO"] == newest
    assert newest.reason == "none"
    assert ended(start(orders(world, "C1-DEMO"))) == 0
    assert world.reasons() == {"C1-DEMO": "none", "C2-DEMO": "blank_tile"}
