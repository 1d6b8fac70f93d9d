"""When to ask for a run."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.orchestration.run_requests import (
    ORPHAN_AGE,
    EarlierRun,
    attempt_to_request,
    is_orphan,
    needs_run,
    turn_of,
)
from estinel_assets.outcomes.rules import RetryRule

NOW = datetime(2024, 12, 4, 12, 0, tzinfo=UTC)
RETRY = RetryRule(max_attempts=3, backoff_s=3600, backoff_max_s=5400)


def ended(hours_ago: float, *, success: bool = False, content: str = "") -> EarlierRun:
    return EarlierRun(NOW - timedelta(hours=hours_ago), success, content)


GOING_ON = EarlierRun(None)


def test_a_first_request_is_the_first_attempt():
    assert attempt_to_request([], NOW, RETRY) == 1


def test_a_content_is_left_alone_while_a_run_goes_on():
    assert attempt_to_request([GOING_ON], NOW, RETRY) is None
    assert attempt_to_request([ended(10), GOING_ON], NOW, RETRY) is None


def test_the_pause_after_a_crash_doubles_up_to_the_longest():
    assert attempt_to_request([ended(0.99)], NOW, RETRY) is None
    assert attempt_to_request([ended(1)], NOW, RETRY) == 2
    assert attempt_to_request([ended(9), ended(1.49)], NOW, RETRY) is None
    assert attempt_to_request([ended(1.5), ended(9)], NOW, RETRY) == 3


def test_attempts_are_used_up():
    assert attempt_to_request([ended(99), ended(98), ended(97)], NOW, RETRY) is None


@given(st.lists(st.floats(0, 200), max_size=6), st.booleans())
def test_an_attempt_is_one_more_than_the_runs_before(hours, going_on):
    runs = [*map(ended, hours), *([GOING_ON] if going_on else [])]

    attempt = attempt_to_request(runs, NOW, RETRY)

    assert attempt in {None, len(hours) + 1}
    if going_on or len(hours) >= RETRY.max_attempts or (hours and min(hours) < 1):
        assert attempt is None


def test_a_run_is_needed_until_the_last_one_did_it():
    assert needs_run("a", [], NOW, RETRY)
    assert not needs_run("a", [ended(1, success=True, content="a")], NOW, RETRY)
    assert needs_run("b", [ended(1, success=True, content="a")], NOW, RETRY)


def test_content_that_comes_back_is_worth_another_run():
    former = [ended(1, success=True, content="b"), ended(2, success=True, content="a")]

    assert needs_run("a", former, NOW, RETRY)


def test_a_run_that_failed_is_asked_for_again_after_a_pause():
    done = ended(9, success=True, content="a")

    assert not needs_run("b", [ended(0.5, content="b"), done], NOW, RETRY)
    assert needs_run("b", [ended(1, content="b"), done], NOW, RETRY)
    assert not needs_run("b", [ended(n, content="b") for n in (5, 6, 7)], NOW, RETRY)
    assert needs_run("c", [ended(0.5, content="b"), done], NOW, RETRY)


def test_no_run_is_needed_while_one_goes_on():
    assert not needs_run("b", [GOING_ON, ended(1, success=True, content="a")], NOW, RETRY)


def test_only_an_old_run_that_holds_nothing_is_an_orphan():
    old = NOW - ORPHAN_AGE

    assert is_orphan(old, NOW, held=False)
    assert not is_orphan(old, NOW, held=True)
    assert not is_orphan(old + timedelta(seconds=1), NOW, held=False)


NAMES = st.sets(st.text("abcd", min_size=1, max_size=3), min_size=1, max_size=30)


@given(NAMES, st.integers(1, 7))
def test_ticks_look_at_everything_once_a_round(names, most):
    seen: list[str] = []
    cursor = ""
    while len(seen) < 2 * len(names):
        turn = turn_of(names, cursor, most)
        assert 0 < len(turn) <= most
        seen += turn
        cursor = turn[-1]

    assert seen == 2 * sorted(names)


@given(NAMES, st.text("abcd", max_size=3))
def test_a_cursor_of_something_that_is_gone_never_ends_the_rounds(names, cursor):
    turn = turn_of(names, cursor, 3)

    after = sorted(name for name in names if name > cursor)
    assert turn == (after or sorted(names))[:3]


def test_there_may_be_nothing_to_look_at():
    assert turn_of([], "", 3) == turn_of([], "a", 3) == []
