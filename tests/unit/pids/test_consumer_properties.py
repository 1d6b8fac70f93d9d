"""No message is lost, and every end is the same, whatever happens on the way."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.pids.consumer import Ending, Limits
from estinel_assets.pids.message_records import message_of
from tests.support.cmip6_messages import (
    DATASET,
    ITEM_ID,
    file_asset,
    full_message,
    item,
    patch_message,
)
from tests.support.examples import examples
from tests.support.log_source import Log, LogSource, at
from tests.support.memory_items import MemoryItems
from tests.support.pid_world import Death, DiedError, Faults, World, expected_records

T0 = datetime(2025, 8, 1, tzinfo=UTC)
PARTITIONS = 2
STANDING = [item(), item(item_id=f"{DATASET}.v20180101")]
"""What the STAC API has: the item that patches change, and an earlier version."""
RETRACT = {"op": "add", "path": "/properties/retracted", "value": True}
ADD_FILE = {"op": "add", "path": "/assets/data0002", "value": file_asset("pr_2.nc")}
IMPOSSIBLE = {"op": "remove", "path": "/nothing"}

HOURS = st.none() | st.integers(0, 3)


def _said(hour: int | None) -> str | None:
    return None if hour is None else (T0 + timedelta(hours=hour)).isoformat()


def _files(sizes: dict[str, int]) -> dict[str, Any]:
    return {name: file_asset(f"{name}.nc", file__size=size) for name, size in sizes.items()}


FULL = st.builds(
    lambda files, version, retracted, hour: full_message(
        item(_files(files), item_id=f"{DATASET}.v{version}", retracted=retracted), time=_said(hour)
    ),
    st.dictionaries(st.sampled_from(["data0000", "data0001"]), st.integers(1, 3)),
    st.sampled_from([20180101, 20190119]),
    st.booleans(),
    HOURS,
)
PATCHED = st.builds(
    lambda operation, hour: patch_message(operation, time=_said(hour)),
    st.sampled_from([RETRACT, ADD_FILE]),
    HOURS,
)
WRONG = st.sampled_from(
    [
        full_message(item({"data0000": file_asset(file__size=0)})),
        full_message(item(item_id="too.short")),
        patch_message(IMPOSSIBLE),
        patch_message(RETRACT, item_id=f"{DATASET}.v20100101"),
        {"data": []},
    ]
)
BODIES = (FULL | PATCHED | WRONG).map(json.dumps).map(str.encode) | st.sampled_from(
    [None, b"", b"{not json", b"\xff\xfe"]
)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """A topic with duplicates, late messages, ties, gaps, and messages that are wrong."""
    log = Log(PARTITIONS)
    bodies = draw(st.lists(BODIES, min_size=1, max_size=8))
    for body in draw(st.lists(st.sampled_from(bodies), min_size=1, max_size=12)):
        hour = draw(HOURS)
        log.add(
            body,
            draw(st.none() | st.sampled_from([ITEM_ID.encode(), b"\xff"])),
            partition=draw(st.integers(0, PARTITIONS - 1)),
            received_at=None if hour is None else T0 + timedelta(hours=hour, minutes=30),
            gap=draw(st.sampled_from([0, 0, 0, 2])),
            headers=draw(st.sampled_from([(), (("trace", b"\x00\xff"), ("none", None))])),
        )
    return log


@dataclass(frozen=True)
class Attempt:
    """A process that consumes, and what happens to it."""

    dies_at: int | None = None
    faults: Faults | None = None
    threads: int = 1
    flush_messages: int = 500
    force: bool = False
    rebalances: tuple[tuple[int, str], ...] = ()
    refused_commits: int = 0
    retries: bool = False
    """Afterwards what the files keep is tried again."""


CALLS = st.frozensets(st.integers(1, 30), max_size=3)
ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        dies_at=st.none() | st.integers(0, 60),
        faults=st.builds(Faults, CALLS, CALLS, CALLS),
        threads=st.sampled_from([1, 4]),
        flush_messages=st.sampled_from([1, 2, 500]),
        force=st.booleans(),
        rebalances=st.lists(
            st.tuples(st.integers(1, 6), st.sampled_from(["revoke", "lose"])), max_size=2
        ).map(tuple),
        refused_commits=st.sampled_from([0, 0, 1, 9]),
        retries=st.booleans(),
    ),
    max_size=4,
)


def _hook(rebalances: tuple[tuple[int, str], ...]) -> Callable[[LogSource], None]:
    def hook(source: LogSource) -> None:
        for number, what in rebalances:
            if source.polls == number:
                (source.revoke if what == "revoke" else source.lose)(at(0))
                source.assign(at(0))

    return hook


def run_attempt(world: World, log: Log, attempt: Attempt) -> None:
    source = LogSource(log, _hook(attempt.rebalances))
    source.refusals = attempt.refused_commits
    try:
        world.consume(
            source,
            limits=Limits(
                threads=attempt.threads,
                flush_messages=attempt.flush_messages,
                max_errors=-1,
                stop_on_skip=not attempt.force,
            ),
            death=Death(attempt.dies_at),
            faults=attempt.faults,
        )
    except DiedError:
        assert attempt.dies_at is not None
    if attempt.retries and world.has_files:
        world.retry()


def finish(world: World, log: Log) -> None:
    """Consume what is left, and try again what failed."""
    ended = world.consume(LogSource(log))
    assert ended.ending is Ending.SOURCE_ENDED
    if world.has_files:
        world.retry()


def assert_every_end_is_the_same(world: World, log: Log) -> None:
    """What stands is what a clean run leaves, and all is accounted for."""
    records, refused = expected_records(log.all, world.items)
    assert world.handles.handles == records
    assert log.is_done
    outcomes = world.outcomes()
    assert outcomes.keys() == {message.unit for message in log.all}
    assert {key for key, one in outcomes.items() if not one.status} == refused
    kept = {(one.message.unit, one.message.body) for one in world.kept()}
    for message in log.all:
        outcome = outcomes[message.unit]
        assert outcome.reason != "internal_error"
        if message.unit in refused:
            found = message_of(outcome)
            assert found is not None
            assert (found.body, found.key, found.headers, found.received_at) == (
                message.body,
                message.key,
                message.headers,
                message.received_at,
            )
            assert (message.unit, message.body) in kept


@given(logs(), ATTEMPTS, st.booleans())
@examples(25)
def test_any_sequence_of_deaths_and_faults_ends_as_a_clean_run(
    log: Log, attempts: list[Attempt], replayed: bool
) -> None:
    check_any_sequence(log, attempts, replayed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@given(logs(), ATTEMPTS, st.booleans())
@examples(2000)
def test_many_more_sequences_of_deaths_and_faults_end_as_a_clean_run(
    log: Log, attempts: list[Attempt], replayed: bool
) -> None:
    check_any_sequence(log, attempts, replayed)


def check_any_sequence(log: Log, attempts: list[Attempt], replayed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), items=MemoryItems(STANDING))
        for attempt in attempts:
            run_attempt(world, log, attempt)
        finish(world, log)
        if replayed:
            log.committed_offsets.clear()
            finish(world, log)
        assert_every_end_is_the_same(world, log)


def some_log() -> Log:
    """Messages of every kind."""
    log = Log(PARTITIONS)
    bodies: list[object] = [
        full_message(item(), time=_said(1)),
        patch_message(ADD_FILE, time=_said(2)),
        full_message(item({"data0000": file_asset()}), time=_said(0)),
        full_message(item({"data0000": file_asset(file__size=0)})),
        full_message(item(retracted=True), time=_said(3)),
    ]
    for number, body in enumerate(bodies):
        log.add(json.dumps(body).encode(), partition=number % PARTITIONS)
    log.add(b"{not json")
    return log


TWO_AT_A_TIME = Limits(threads=1, flush_messages=2, flush_s=60.0, max_errors=-1)


def effects() -> list[str]:
    """All effects of a process that works through these messages, in order."""
    with tempfile.TemporaryDirectory() as folder:
        life = Death()
        World(Path(folder), items=MemoryItems(STANDING)).consume(
            LogSource(some_log()), death=life, limits=TWO_AT_A_TIME
        )
        return life.reached


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.soak)], ids=["some", "all"])
def test_a_process_may_die_at_any_effect(tmp_path: Path, step: int) -> None:
    where = effects()
    assert {"register", "put", "delete", "write", "tear", "commit", "committed"} <= set(where)
    died = []
    for number in range(0, len(where), step):
        log = some_log()
        world = World(tmp_path / str(number), items=MemoryItems(STANDING))
        try:
            world.consume(LogSource(log), death=Death(number), limits=TWO_AT_A_TIME)
        except DiedError as death:
            died.append(str(death))
        finish(world, log)
        assert_every_end_is_the_same(world, log)
    # How much is recorded at once is a matter of moments, and so is the number of effects.
    assert len(died) >= len(where[::step]) * 2 // 3
    assert step > 1 or set(died) == set(where)
