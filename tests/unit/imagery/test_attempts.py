"""A planned day ends in exactly one outcome, and standing images are never forgotten."""

from datetime import UTC, datetime, timedelta

import pytest

from estinel_assets.errors import (
    LeaseLostError,
    PermanentError,
    RetryableError,
    SourceFault,
    StoreError,
)
from estinel_assets.imagery.attempts import DayAttempts, standing_images
from estinel_assets.imagery.plan import Cause, PlannedDay
from estinel_assets.imagery.reasons import IMAGERY
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.run import Run
from tests.support.days import (
    DAY,
    PATHS,
    SITE,
    WINDOW,
    ArrayReader,
    day_input,
    maker,
    no_scenes,
    pixels,
)
from tests.support.recording_store import RecordingStore

KEY = (SITE.site_id, DAY.isoformat())


class Clock:
    """Advances by a second each time it is looked at."""

    def __init__(self):
        self.now = datetime(2025, 1, 1, tzinfo=UTC)

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def store():
    return RecordingStore()


@pytest.fixture
def partition(store):
    book = OutcomeBook(store, IMAGERY, prefix="outcomes", lease_ttl_s=30)
    with book.open((SITE.site_id,)) as held:
        yield held


@pytest.fixture
def attempt(store, partition):
    """Makes the day; arrays, errors in place of them, and options of the maker may be given."""
    clock = Clock()

    def run(reader=None, day=None, number=1, run_id="run", **options):
        attempts = DayAttempts(
            SITE,
            WINDOW,
            maker(store, reader or ArrayReader(pixels()), **options),
            partition,
            Run(run_id, clock, "0/1"),
        )
        given = day or day_input()
        planned = PlannedDay(DAY, Cause.NEW, number, given.solar_day.fingerprint)
        return attempts.attempt(planned, given)

    return run


def fails(band="red", fault=SourceFault.TIMEOUT):
    return ArrayReader({**pixels(), band: RetryableError(fault, "https://h/a.tif: too slow")})


def kinds(store):
    """What was written, in order: outcomes by status and reason, products by ending."""
    told = []
    for path in store.writes:
        if path.startswith("outcomes/"):
            told.append("/".join(path.split("/")[4:6]))
        elif not path.startswith("leases/"):
            told.append("image")
    return [one for n, one in enumerate(told) if n == 0 or told[n - 1] != one]


def test_a_success_is_recorded_last(store, partition, attempt):
    outcome = attempt()

    assert (outcome.status, outcome.reason, outcome.error) == (True, "none", None)
    assert outcome.key == KEY
    assert (outcome.attempts, outcome.run_id, outcome.code_version) == (1, "run", "0/1")
    assert outcome.inputs == day_input().solar_day.fingerprint
    assert outcome.duration_s == 1.0
    assert partition.get(KEY) == outcome
    assert kinds(store) == ["image", "status=true/reason=none"]


def test_interrupted_stands_before_standing_images_are_touched(store, partition, attempt):
    former = attempt()
    store.forget()

    seen = []
    put = RecordingStore.put

    def watch(self, path, data, *, content_type=None):
        if path == PATHS.scl:
            seen.append(partition.get(KEY))
        return put(self, path, data, content_type=content_type)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordingStore, "put", watch)
        attempt(number=2, run_id="next")

    (interrupted,) = seen
    assert (interrupted.status, interrupted.reason) == (False, "interrupted")
    assert interrupted.outputs == former.outputs
    assert standing_images(interrupted) == {**former.detail, "outputs": list(former.outputs)}
    assert kinds(store) == [
        "status=false/reason=interrupted",
        "image",
        "status=true/reason=none",
    ]
    assert len(list(store.list("outcomes"))) == 1  # the others are gone


def test_where_nothing_stands_nothing_is_interrupted(store, attempt):
    attempt(fails())
    store.forget()
    attempt(number=2)

    assert kinds(store) == ["image", "status=true/reason=none"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RetryableError(SourceFault.FORBIDDEN, "no"), "source_forbidden"),
        (PermanentError(SourceFault.NOT_FOUND, "no"), "source_not_found"),
        (RetryableError("never heard of", "no"), "internal_error"),
        (StoreError("disk full"), "write_failed"),
        (ZeroDivisionError("x"), "internal_error"),
    ],
)
def test_whatever_happens_is_an_outcome(attempt, partition, error, reason):
    outcome = attempt(ArrayReader({**pixels(), "scl": error}))

    assert (outcome.status, outcome.reason) == (False, reason)
    assert str(error) in outcome.error
    assert outcome.outputs == ()
    assert partition.get(KEY) == outcome


def test_a_bug_says_where_it_is(attempt):
    outcome = attempt(ArrayReader({**pixels(), "scl": ZeroDivisionError("by nought")}))

    assert outcome.error.startswith("ZeroDivisionError at days.py:")
    assert outcome.error.endswith("by nought")


def test_a_refused_write_is_told_and_what_stood_is_remembered(store, attempt):
    former = attempt()
    store.refused = "_histeq.png"

    outcome = attempt(number=2)

    assert outcome.reason == "write_failed"
    assert "refused" in outcome.error
    assert standing_images(outcome)["scenes"] == former.detail["scenes"]


def test_standing_images_survive_any_number_of_failures(attempt):
    former = attempt()
    for number in (2, 3, 4):
        failed = attempt(fails(), number=number)

        assert not failed.status
        assert failed.attempts == number
        assert failed.outputs == former.outputs
        assert standing_images(failed) == {**former.detail, "outputs": list(former.outputs)}


def test_an_honest_no_forgets_what_stood(attempt):
    attempt()

    for end in (
        attempt(day=no_scenes()),
        attempt(max_cloud_fraction=0.0, reader=ArrayReader(pixels(scl=9))),
    ):
        assert not end.status
        assert standing_images(end) is None
        assert end.outputs == ()


def test_nothing_stands_where_nothing_was_made(attempt):
    assert standing_images(None) is None
    assert standing_images(attempt(fails())) is None


def test_a_lost_lease_records_nothing_more(store):
    book = OutcomeBook(store, IMAGERY, prefix="outcomes", lease_ttl_s=30)
    day = day_input()
    planned = PlannedDay(DAY, Cause.NEW, 1, day.solar_day.fingerprint)
    making = maker(store, ArrayReader(pixels()))

    def work_on_without_the_lease():
        with book.open((SITE.site_id,)) as held:
            held._lease.abandon()
            run = Run("run", Clock(), "0/1")
            DayAttempts(SITE, WINDOW, making, held, run).attempt(planned, day)

    with pytest.raises(LeaseLostError):
        work_on_without_the_lease()

    assert list(store.list("outcomes")) == list(store.list("outcome-index")) == []


def test_an_outcome_that_cannot_be_recorded_is_no_outcome(store, partition, attempt):
    store.refused = "result.json"

    with pytest.raises(StoreError, match="refused"):
        attempt()

    assert partition.get(KEY) is None
