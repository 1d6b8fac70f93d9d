from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.ledger import Entry
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.rules import RetryRule, is_due, is_final, next_attempt
from estinel_assets.settings import OutcomeSettings
from tests.support.outcomes import NOON, CakeReason, outcome


def row(**more):
    record = outcome("a", **more)
    return IndexRow.of(record, Entry(record.key, record.status, record.reason, "path", "etag"))


@pytest.mark.parametrize(
    ("reason", "attempts", "final"),
    [
        ("none", 1, True),
        ("too_flat", 1, True),
        ("oven_cold", 1, False),
        ("oven_cold", 2, False),
        ("oven_cold", 3, True),
        ("oven_cold", 4, True),
        ("interrupted", 2, False),
    ],
)
def test_final(reason, attempts, final):
    assert is_final(row(reason=reason, attempts=attempts), CakeReason, max_attempts=3) == final


def test_attempts_count_up_and_start_anew_with_another_input():
    assert next_attempt(None, "x") == 1
    assert next_attempt(row(reason="oven_cold", attempts=2, inputs="x"), "x") == 3
    assert next_attempt(row(reason="oven_cold", attempts=2, inputs="x"), "y") == 1
    assert next_attempt(row(attempts=2, inputs="x"), "x") == 1


@pytest.mark.parametrize("reasons", [ImageryReason, CakeReason])
def test_every_product_line_has_the_common_reasons(reasons):
    assert {"none", "interrupted", "internal_error"} <= {str(reason) for reason in reasons}
    none = parse_reason(reasons, "none")
    assert (none.retryable, none.fault) == (False, False)
    assert parse_reason(reasons, "interrupted").retryable
    assert all(reason.meaning.endswith(".") for reason in reasons)


def test_an_unknown_reason_names_the_known_ones():
    with pytest.raises(BadInputError, match=r"'burnt'.*oven_cold"):
        parse_reason(CakeReason, "burnt")


@pytest.mark.parametrize(("status", "reason"), [(True, "oven_cold"), (False, "none")])
def test_status_and_reason_cannot_contradict(status, reason):
    with pytest.raises(ValidationError, match="does not go with"):
        outcome("a", status=status, reason=reason)


@pytest.mark.parametrize(
    ("attempts", "hours"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 24), (7, 24), (10**6, 24)]
)
def test_the_pause_doubles_up_to_the_longest(attempts, hours):
    rule = RetryRule(max_attempts=9, backoff_s=3600, backoff_max_s=24 * 3600)
    assert rule.pause(attempts) == timedelta(hours=hours)


def test_the_settings_say_how_often_and_with_which_pauses():
    at = OutcomeSettings(max_attempts=4, backoff_s=60, backoff_max_s=600)
    assert RetryRule.from_settings(at) == RetryRule(max_attempts=4, backoff_s=60, backoff_max_s=600)


def test_without_backoff_there_is_no_pause():
    assert RetryRule(3, 0, 0).pause(1) == timedelta(0)
    assert is_due(row(reason="oven_cold"), NOON, RetryRule(3, 0, 3600))


@given(st.integers(1, 10**9), st.floats(0, 1e6), st.floats(0, 1e7))
def test_pauses_never_shrink_nor_exceed_the_longest(attempts, first_s, longest_s):
    rule = RetryRule(3, first_s, longest_s)
    pause = rule.pause(attempts)
    assert timedelta(0) <= pause <= rule.pause(attempts + 1) <= timedelta(seconds=longest_s)


@pytest.mark.parametrize(("attempts", "pause_h"), [(1, 1), (2, 2), (3, 3)])
def test_a_unit_is_due_from_the_very_end_of_its_pause_on(attempts, pause_h):
    rule = RetryRule(max_attempts=9, backoff_s=3600, backoff_max_s=3 * 3600)
    failed = row(reason="oven_cold", attempts=attempts)  # at noon
    over = NOON + timedelta(hours=pause_h)
    assert is_due(failed, over, rule)
    assert not is_due(failed, over - timedelta(microseconds=1), rule)
