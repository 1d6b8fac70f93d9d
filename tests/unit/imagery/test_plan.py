"""Which days are planned, and where the marker stands: one rule a test."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.imagery.plan import (
    Cause,
    PlannedDay,
    SiteState,
    given_up,
    last_finished_day,
    outcomes_by_day,
    plan_days,
)
from estinel_assets.imagery.reasons import SEARCH_KEY, ImageryReason
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.rules import RetryRule, is_final

NOW = datetime(2024, 12, 10, 12, 0, tzinfo=UTC)
RETRY = RetryRule(max_attempts=3, backoff_s=3600, backoff_max_s=86400)
LONG_AGO = date(2015, 1, 1)


def day(number: int) -> date:
    return date(2024, 12, number)


def row(number, reason="none", *, inputs="A", attempts=1, ago_h=100.0):
    finished_at = NOW - timedelta(hours=ago_h)
    return IndexRow(
        key=("site_1", day(number).isoformat()),
        status=reason == "none",
        reason=reason,
        attempts=attempts,
        inputs=inputs,
        started_at=finished_at,
        finished_at=finished_at,
        run_id="run",
        path=f"path/{number}",
        etag="1",
    )


def site(offered, *rows, adopted=None):
    """A state in which the source offers fingerprints by day number."""
    return SiteState(
        fingerprints={day(number): print_ for number, print_ in offered.items()},
        outcomes=outcomes_by_day(rows),
        adopted_until=day(adopted) if adopted else None,
    )


def plan(state, first_day=LONG_AGO, retry=RETRY):
    return plan_days(state, first_day=first_day, now=NOW, retry=retry)


def causes(state, first_day=LONG_AGO):
    return {planned.day.day: planned.cause for planned in plan(state, first_day)}


def finished(state, *, start=LONG_AGO, first_day=LONG_AGO):
    found = last_finished_day(state, start=start, first_day=first_day, max_attempts=3)
    return found.day if found else None


def test_a_day_without_outcome_is_new():
    assert plan(site({4: "A"})) == (PlannedDay(day(4), Cause.NEW, 1, "A"),)


def test_days_come_oldest_first():
    assert [planned.day.day for planned in plan(site({7: "A", 3: "B", 5: "C"}))] == [3, 5, 7]


@pytest.mark.parametrize(
    "reason", ["none", "no_valid_pixels", "too_cloudy", "withdrawn", "missing_band"]
)
def test_a_final_day_is_left_alone(reason):
    state = site({4: "A"}, row(4, reason))
    assert plan(state) == ()
    assert finished(state) == 4


@pytest.mark.parametrize(
    ("reason", "attempts"),
    [("none", 1), ("no_valid_pixels", 1), ("source_timeout", 1), ("source_timeout", 3)],
)
def test_other_scenes_change_a_day_and_its_attempts_start_anew(reason, attempts):
    # However short ago it failed: the new scenes did not.
    state = site({4: "B"}, row(4, reason, attempts=attempts, ago_h=0))
    assert plan(state) == (PlannedDay(day(4), Cause.CHANGED, 1, "B"),)
    assert finished(state) is None


def test_a_day_whose_replacement_was_interrupted_is_planned_at_once():
    state = site({4: "A"}, row(4, "interrupted", attempts=2, ago_h=0))
    assert plan(state) == (PlannedDay(day(4), Cause.INTERRUPTED, 3, "A"),)
    assert finished(state) is None


@pytest.mark.parametrize(
    ("attempts", "ago_h", "due"),
    [(1, 0.99, False), (1, 1.0, True), (2, 1.99, False), (2, 2.0, True)],
)
def test_a_failed_day_waits_for_its_pause(attempts, ago_h, due):
    state = site({4: "A"}, row(4, "source_timeout", attempts=attempts, ago_h=ago_h))
    expected = (PlannedDay(day(4), Cause.DUE, attempts + 1, "A"),) if due else ()
    assert plan(state) == expected
    assert finished(state) is None  # also while it waits


@pytest.mark.parametrize("reason", ["source_timeout", "interrupted", "internal_error"])
def test_attempts_that_are_used_up_are_final(reason):
    state = site({4: "A", 5: "A"}, row(4, reason, attempts=3), row(5))
    assert plan(state) == ()
    assert finished(state) == 5
    assert given_up(state, max_attempts=3) == [day(4)]


def test_only_failures_without_attempts_left_are_given_up():
    rows = [row(1), row(2, "withdrawn"), row(3, "missing_band"), row(4, "source_timeout")]
    assert given_up(site({}, *rows), max_attempts=3) == []


def test_adopted_days_are_done_until_they_have_an_outcome():
    state = site(
        {3: "A", 4: "B", 5: "A", 6: "A"}, row(4, inputs="A"), row(5, "source_timeout"), adopted=5
    )
    assert causes(state) == {4: Cause.CHANGED, 5: Cause.DUE, 6: Cause.NEW}
    assert finished(state) == 3


def test_the_day_right_after_the_marker_is_never_lost():
    # The search asks from the marker's next day on when nothing is looked at again.
    assert causes(site({4: "A", 5: "A"}, row(4)), first_day=day(5)) == {5: Cause.NEW}
    assert causes(site({5: "A"}, adopted=4), first_day=day(5)) == {5: Cause.NEW}


def test_edge_days_that_the_search_covered_by_half_are_not_taken():
    state = site({3: "half", 4: "half", 5: "A"}, row(4))
    assert causes(state, first_day=day(5)) == {5: Cause.NEW}


@pytest.mark.parametrize("offered", ["A", "B"])
@pytest.mark.parametrize("reason", ["source_timeout", "interrupted"])
def test_an_unfinished_day_is_taken_however_old(reason, offered):
    state = site({1: offered}, row(1, reason))
    assert [planned.day.day for planned in plan(state, first_day=day(5))] == [1]
    assert finished(state, first_day=day(5)) is None


def test_what_is_never_planned_does_not_hold_the_marker_up():
    state = site({2: "half", 3: "half", 5: "A"}, row(3), row(5))
    assert plan(state, first_day=day(5)) == ()
    assert finished(state, first_day=day(5)) == 5
    # An edge day without outcome is not called done either.
    assert finished(site({2: "half"}), first_day=day(5)) is None


def test_a_day_that_lost_its_scenes_is_changed():
    assert causes(site({4: "empty"}, row(4))) == {4: Cause.CHANGED}


def test_a_day_that_the_source_never_offered_is_no_work():
    state = site({}, row(4, "source_timeout"))
    assert plan(state) == ()
    assert finished(state) is None


def test_the_marker_is_contiguous():
    offered = dict.fromkeys(range(1, 6), "A")
    rows = [row(1), row(2, "withdrawn"), row(3, "source_timeout"), row(4), row(5)]
    assert finished(site(offered, *rows)) == 2
    assert finished(site(offered, *rows[:2], *rows[3:])) == 2
    assert finished(site(offered, *rows[:2], row(3), *rows[3:])) == 5
    assert finished(site(offered)) is None
    assert finished(site({})) is None


def test_days_before_the_start_do_not_count():
    state = site({1: "A", 2: "A", 4: "A"}, row(1, "source_timeout"), row(4))
    assert finished(state, start=day(3)) == 4
    assert finished(state) is None


def test_the_sites_search_is_no_day():
    search = IndexRow(("site_1", SEARCH_KEY), True, "none", 1, "", NOW, NOW, "run", "path", "etag")
    assert list(outcomes_by_day([row(4), search])) == [day(4)]


PRINTS = st.sampled_from("AB")
ROWS = st.builds(
    row,
    st.integers(1, 12),
    st.sampled_from([str(reason) for reason in ImageryReason]),
    inputs=PRINTS,
    attempts=st.integers(1, 4),
    ago_h=st.floats(0, 50),
)
STATES = st.builds(
    lambda offered, rows, adopted: site(offered, *rows, adopted=adopted),
    st.dictionaries(st.integers(1, 12), PRINTS),
    st.lists(ROWS, max_size=12),
    st.none() | st.integers(1, 12),
)


@given(STATES, st.integers(1, 12))
def test_marker_and_plan_agree(state, first):
    """Once all pauses are over, exactly what the marker waits for is planned, if it is offered."""
    later = NOW + timedelta(days=30)
    planned = plan_days(state, first_day=day(first), now=later, retry=RETRY)
    days = {one.day for one in planned}
    marker = last_finished_day(state, start=LONG_AGO, first_day=day(first), max_attempts=3)

    assert len(days) == len(planned)
    assert set(plan(state, day(first))) <= set(planned)  # a pause only ever takes away
    if marker is not None:
        assert all(one > marker for one in days)
        assert marker in state.outcomes or state.adopts(marker)
    behind = [one for one in state.known_days() if marker is None or one > marker]
    if behind and not days and all(one in state.fingerprints for one in behind):
        # Nothing is left to do, so nothing but edge days can be behind the marker.
        assert all(one < day(first) and one not in state.outcomes for one in behind)


class AskedFor(dict):
    """Fingerprints that remember which of them somebody wanted to know."""

    def __init__(self, *prints):
        super().__init__(*prints)
        self.asked = set()

    def __getitem__(self, one):
        self.asked.add(one)
        return super().__getitem__(one)

    def get(self, one, default=None):
        self.asked.add(one)
        return super().get(one, default)


@given(STATES, st.integers(1, 12))
def test_what_is_final_before_the_first_day_is_not_compared(state, first):
    """Only so can a plan leave thousands of fingerprints unmade."""
    watched = AskedFor(state.fingerprints)
    planned = plan(replace(state, fingerprints=watched), day(first))

    assert planned == plan(state, day(first))
    unfinished = {
        one
        for one, outcome in state.outcomes.items()
        if not is_final(outcome, ImageryReason, max_attempts=RETRY.max_attempts)
    }
    assert all(one >= day(first) or one in unfinished for one in watched.asked)
    assert {one.day for one in planned} <= watched.asked


@given(STATES, st.integers(1, 12))
def test_a_day_is_planned_for_one_reason_and_only_if_it_is_not_final(state, first):
    for planned in plan(state, day(first)):
        outcome = state.outcomes.get(planned.day)
        assert planned.fingerprint == state.fingerprints[planned.day]
        match planned.cause:
            case Cause.NEW:
                assert outcome is None
                assert not state.adopts(planned.day)
                assert planned.day >= day(first)
            case Cause.CHANGED:
                assert outcome.inputs != planned.fingerprint
                assert planned.attempt == 1
            case Cause.INTERRUPTED | Cause.DUE:
                assert not outcome.status
                assert ImageryReason(outcome.reason).retryable
                assert outcome.inputs == planned.fingerprint
                assert planned.attempt == outcome.attempts + 1 <= 3
            case _:
                pytest.fail(f"nobody asked for {planned.cause}")
