from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.standing import Standing, counts, standing
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.ledger import Entry
from tests.support.outcomes import outcome


def rows(**reasons: str) -> dict[tuple[str, ...], IndexRow]:
    made = {}
    for concept_id, reason in reasons.items():
        one = outcome(concept_id, reason=reason)
        made[one.key] = IndexRow.of(one, Entry(one.key, one.status, reason, "path", "etag"))
    return made


def test_counts_put_the_most_frequent_first() -> None:
    words = ["timeout", "none", "forbidden", "none", "timeout", "none", "decode_error"]
    assert list(counts(words).items()) == [
        ("none", 3),
        ("timeout", 2),
        ("decode_error", 1),
        ("forbidden", 1),
    ]
    assert counts([]) == {}


def test_standing_of_known_collections() -> None:
    assert standing(rows(a="none", b="timeout", gone="timeout"), ["a", "b", "c", "d"]) == Standing(
        total=5, done=3, left=2, compatible=1, unlisted=1, by_reason={"timeout": 2, "none": 1}
    )


def test_standing_where_nobody_asked_cmr() -> None:
    assert standing(rows(a="none")) == Standing(1, 1, 0, 1, 0, {"none": 1})
    assert standing({}) == Standing(0, 0, 0, 0, 0, {})
    assert standing({}, ["a"]) == Standing(1, 0, 1, 0, 0, {})


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_the_numbers_agree(checked: set[int], known: set[int]) -> None:
    found = standing(rows(**{str(one): "none" for one in checked}), {str(one) for one in known})
    assert found.total == found.done + found.left
    assert found.done == sum(found.by_reason.values())
    assert found.total == len(known) + found.unlisted
