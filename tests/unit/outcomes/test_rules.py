import pytest
from pydantic import ValidationError

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.ledger import Entry
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.rules import is_final, next_attempt
from tests.support.outcomes import CakeReason, outcome


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
