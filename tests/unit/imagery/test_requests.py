"""What a run of a site is asked for."""

from datetime import date

from estinel_assets.imagery.plan import Cause, PlannedDay
from estinel_assets.imagery.requests import content_of


def planned(number: int, cause: Cause = Cause.NEW, attempt: int = 1, of: str = "a") -> PlannedDay:
    return PlannedDay(date(2024, 12, number), cause, attempt, of)


def test_an_empty_plan_has_no_content():
    assert content_of([]) is None


def test_content_is_what_is_made_and_not_why_or_in_which_order():
    content = content_of([planned(1), planned(2)])

    assert content == content_of([planned(2, Cause.INTERRUPTED), planned(1)])
    others = [
        [planned(1)],
        [planned(1), planned(3)],
        [planned(1), planned(2, of="b")],
        [planned(1), planned(2, attempt=2)],
        [planned(1), planned(2), planned(3)],
    ]
    assert len({content, *map(content_of, others)}) == 6
