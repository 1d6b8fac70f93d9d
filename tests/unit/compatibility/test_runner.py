"""A run over collections: an outcome for each, and none that an outage would explain."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event
from typing import Any

import pytest

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.outage import OutageSuspectedError
from estinel_assets.compatibility.reasons import COMPATIBILITY, CompatibilityReason
from estinel_assets.compatibility.record import CompatibilityRecord
from estinel_assets.compatibility.request import MORE_MEMORY, CheckRequest, CheckSettings
from estinel_assets.compatibility.runner import CMR_FAILURES, Asked, Checks
from estinel_assets.compute import Completed
from estinel_assets.compute.processes import OutOfMemoryError, TimeLimitError, WorkerDiedError
from estinel_assets.errors import BadInputError, EstinelError, RetryableError, StoreError
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.ledger import Entry
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.run import Run
from estinel_assets.settings import CompatibilitySettings, Settings
from estinel_assets.storage.opening import open_store

REASON = CompatibilityReason
START = datetime(2026, 3, 1, tzinfo=UTC)


def record(concept_id: str, reason: str = "none", **more: Any) -> CompatibilityRecord:
    return CompatibilityRecord(
        collection_concept_id=concept_id,
        tiling_compatible=reason == "none",
        incompatible_reason=None if reason == "none" else reason,
        error_message=None if reason == "none" else f"it says {reason}",
        **more,
    )


class ScriptedEngine:
    """Answers with what the script says of a collection."""

    def __init__(self, script: Callable[[str], CompatibilityRecord | Exception]) -> None:
        self.script = script
        self.requests: list[CheckRequest] = []
        self.closed = False

    def close(self) -> None:
        """It holds nothing."""

    def map(
        self, _function: object, items: Iterable[CheckRequest]
    ) -> Iterator[Completed[CheckRequest, CompatibilityRecord]]:
        try:
            for item in items:
                self.requests.append(item)
                said = self.script(item.concept_id)
                failed = isinstance(said, Exception)
                yield Completed(item, None if failed else said, said if failed else None)
        finally:
            self.closed = True


class World:
    """A store, and runs over it."""

    def __init__(self, **settings: Any) -> None:
        self.book = OutcomeBook(open_store("memory://"), COMPATIBILITY, prefix="o", lease_ttl_s=60)
        self.settings = CheckSettings.of(Settings(compatibility=CompatibilitySettings(**settings)))
        self._seconds = count()
        self._runs = count(1)
        self.engine = ScriptedEngine(record)

    def now(self) -> datetime:
        return START + timedelta(seconds=next(self._seconds))

    def checks(
        self, script: Callable[[str], CompatibilityRecord | Exception], **more: Any
    ) -> Checks:
        self.engine = ScriptedEngine(script)
        run = Run(f"run-{next(self._runs)}", self.now, "1")
        standing = self.book.index(())
        return Checks(self.book.ledger, standing, self.engine, self.settings, run, **more)

    def run(
        self,
        script: Callable[[str], CompatibilityRecord | Exception],
        ids: Iterable[str],
        **more: Any,
    ) -> list[str]:
        checks = self.checks(script, **more)
        return [outcome.key[0] for outcome in checks.outcomes(Asked(one) for one in ids)]

    def reasons(self) -> dict[str, str]:
        return {key: row.reason for (key,), row in self.book.index(()).items()}


def some(number: int) -> list[str]:
    return [f"C{one}-X" for one in range(1, number + 1)]


def test_each_check_becomes_an_outcome():
    world = World()

    done = world.run(lambda one: record(one, "none" if one == "C1-X" else "timeout"), some(2))

    assert done == ["C1-X", "C2-X"]
    good, bad = world.book.ledger.get(("C1-X",)), world.book.ledger.get(("C2-X",))
    assert (good.status, good.reason, good.error, good.attempts) == (True, "none", None, 1)
    assert (bad.status, bad.reason, bad.error) == (False, "timeout", "it says timeout")
    assert good.detail["collection_concept_id"] == "C1-X"
    assert good.run_id == "run-1"
    assert good.duration_s > 0


def test_the_wait_for_a_process_is_not_the_checks():
    world = World()
    world.run(lambda one: record(one, durations_s={"metadata": 0.25, "open": 0.125}), ["C1-X"])

    outcome = world.book.ledger.get(("C1-X",))
    assert outcome.duration_s == 0.375
    assert outcome.finished_at - outcome.started_at == timedelta(seconds=0.375)


def test_attempts_count_and_each_takes_another_granule():
    world = World(seed=7)
    for attempt in (1, 2):
        world.run(lambda one: record(one, "cant_open_file", revision_id=4), ["C1-X"])
        outcome = world.book.ledger.get(("C1-X",))
        assert outcome.attempts == attempt
        assert world.engine.requests[0].seed == 7 + attempt - 1

    world.run(lambda one: record(one, "cant_open_file", revision_id=5), ["C1-X"])
    assert world.book.ledger.get(("C1-X",)).attempts == 1, "the collection has changed"

    world.run(lambda one: record(one, "cant_open_file", revision_id=5), ["C1-X"], anew=True)
    assert world.book.ledger.get(("C1-X",)).attempts == 1, "somebody asked for it"
    assert world.engine.requests[0].seed == 7


def test_an_outage_stops_the_run_and_good_results_stand():
    world = World(outage_window=10, outage_share=0.5)
    ids = some(100)
    world.run(record, ids)
    before = {key: row.etag for key, row in world.book.index(()).items()}

    with pytest.raises(OutageSuspectedError, match="5 of the latest 10 checks failed anew"):
        world.run(lambda one: record(one, "none" if int(one[1:-2]) <= 5 else "cant_open_file"), ids)

    assert world.engine.closed
    assert len(world.engine.requests) == 10
    assert set(world.reasons().values()) == {"none"}
    after = {key: row.etag for key, row in world.book.index(()).items()}
    assert [key for (key,) in before if before[key,] != after[key,]] == some(5)


def test_an_outage_at_the_first_run_records_nothing_of_it():
    world = World(outage_window=4)

    with pytest.raises(OutageSuspectedError, match="4 such results were not recorded"):
        world.run(lambda one: record(one, "timeout"), some(9))

    assert world.reasons() == {}


def test_some_failures_are_recorded_when_the_run_ends():
    world = World(outage_window=4, outage_share=0.75)
    bad = {"C2-X", "C4-X", "C6-X"}

    done = world.run(lambda one: record(one, "timeout" if one in bad else "none"), some(8))

    assert done == ["C1-X", "C3-X", "C5-X", "C7-X", "C8-X", "C2-X", "C4-X", "C6-X"]
    assert {one for one, reason in world.reasons().items() if reason == "timeout"} == bad


def test_reprocessing_what_cannot_be_opened_is_no_outage():
    world = World(outage_window=3)
    checks = world.checks(lambda one: record(one, "cant_open_file"))
    checks.settings = CheckSettings.of(
        Settings(compatibility=CompatibilitySettings(outage_window=1000))
    )
    assert len(list(checks.outcomes(Asked(one) for one in some(20)))) == 20

    assert len(world.run(lambda one: record(one, "cant_open_file"), some(20))) == 20


def test_without_an_answer_of_cmr_nothing_is_recorded():
    world = World()
    world.run(record, some(3))

    def script(one: str) -> CompatibilityRecord | Exception:
        if one == "C2-X":
            return RetryableError("source_unavailable", "CMR answered 500")
        return record(one, "blank_tile")

    with pytest.raises(EstinelError, match=r"1 collection was not checked.*C2-X: CMR answered"):
        world.run(script, some(3))

    assert world.reasons() == {"C1-X": "blank_tile", "C2-X": "none", "C3-X": "blank_tile"}


def test_a_cmr_that_is_away_ends_the_run():
    world = World()

    with pytest.raises(EstinelError, match="5 checks in a row had no answer of CMR"):
        world.run(lambda _: RetryableError("source_timeout", "no answer"), some(50))

    assert len(world.engine.requests) == CMR_FAILURES
    assert world.engine.closed


def test_unknown_collections_do_not_end_the_run():
    world = World()
    unknown = BadInputError("CMR knows no collection")

    with pytest.raises(EstinelError, match="6 collections were not checked"):
        world.run(lambda one: unknown if int(one[1:-2]) < 7 else record(one), some(8))

    assert world.reasons() == {"C7-X": "none", "C8-X": "none"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeLimitError(60.0), REASON.TIMEOUT),
        (OutOfMemoryError("needed more than 4096 MiB"), REASON.OUT_OF_MEMORY),
        (WorkerDiedError("SIGSEGV"), REASON.CANT_OPEN_FILE),
        (ZeroDivisionError("a bug"), REASON.INTERNAL_ERROR),
    ],
)
def test_what_stops_a_process_becomes_a_reason(error, reason):
    world = World()
    checks = world.checks(lambda _: error)
    checks.describe = lambda request, ending: record(
        request.concept_id, ending.reason, format="netCDF-4"
    )

    (outcome,) = checks.outcomes([Asked("C1-X")])

    assert outcome.reason == reason
    assert outcome.detail["format"] == "netCDF-4"


@pytest.mark.parametrize(("killed", "hint"), [(False, MORE_MEMORY), (True, None)])
def test_more_memory_is_advised_unless_the_machine_has_none(killed, hint):
    hints = []
    checks = World().checks(lambda _: OutOfMemoryError("it was too much", killed=killed))

    def describe(request: CheckRequest, ending: CheckEndedError) -> CompatibilityRecord:
        hints.append(ending.hint)
        return record(request.concept_id, ending.reason)

    checks.describe = describe
    list(checks.outcomes([Asked("C1-X")]))

    assert hints == [hint]


def test_a_collection_that_is_asked_for_twice_is_checked_once():
    world = World()

    assert world.run(record, ["C1-X", "C1-X", "C2-X", "C1-X"]) == ["C1-X", "C2-X"]

    assert [request.concept_id for request in world.engine.requests] == ["C1-X", "C2-X"]


def test_checks_go_on_while_the_store_writes():
    world = World()
    asked_for_all, put_one = Event(), world.book.ledger.put_one

    def script(one: str) -> CompatibilityRecord:
        if one == "C3-X":
            asked_for_all.set()
        return record(one)

    def put_late(outcome: Outcome) -> Entry:
        assert asked_for_all.wait(30), "the checks wait for the store"
        return put_one(outcome)

    world.book.ledger.put_one = put_late

    assert world.run(script, some(3)) == some(3)
    assert set(world.reasons()) == set(some(3))


def test_what_stands_is_told_when_the_store_refuses_another():
    world = World()
    put_one = world.book.ledger.put_one

    def refusing(outcome: Outcome) -> Entry:
        if outcome.key == ("C2-X",):
            raise StoreError("the disk is full; make room")
        return put_one(outcome)

    world.book.ledger.put_one = refusing
    outcomes = world.checks(record).outcomes(Asked(one) for one in some(2))

    assert next(outcomes).key == ("C1-X",)
    with pytest.raises(StoreError, match="the disk is full"):
        next(outcomes)

    assert world.engine.closed
    assert world.reasons() == {"C1-X": "none"}
