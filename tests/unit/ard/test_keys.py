"""Keys and partitions, what waits, plans by key, tables and verdicts over all tile-years."""

from datetime import UTC, datetime, timedelta

import pytest

from estinel_assets.ard.asked_keys import plan_keys, tile_years_of
from estinel_assets.ard.inbox import InboxRequest, Resolved
from estinel_assets.ard.keys import in_tile_order, key_of, partition_of, read_key, shown, waiting
from estinel_assets.ard.plan import Cause, fingerprint
from estinel_assets.ard.tiles import Source
from estinel_assets.ard.tiles_frame import complete_counts, requests_frame, tiles_frame
from estinel_assets.ard.verdicts import newest_complete, tiles_complete, tiles_internal_errors
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import Settings
from tests.support.outcomes import outcome
from tests.support.tile_tables import BAMENDA, small_table

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
RETRY = RetryRule(max_attempts=3, backoff_s=3600.0, backoff_max_s=86400.0)
ALL = tuple(Source)


def row(
    key: Key, reason: str = "none", *, hours_ago: float = 0.5, attempts: int = 1, inputs: str = ""
) -> IndexRow:
    at = NOW - timedelta(hours=hours_ago)
    return IndexRow(key, reason == "none", reason, attempts, inputs, at, at, "run", "p", "e")


def rows_of(*rows: IndexRow) -> dict[Key, IndexRow]:
    return {one.key: one for one in rows}


def test_keys_and_partitions_are_two_names_of_one_thing() -> None:
    key = key_of("2023_1035X727Y", Source.S2)

    assert key == ("2023", "1035X727Y", "s2")
    assert partition_of(key) == "2023_1035X727Y"
    assert read_key(key) == (2023, (1035, 727), Source.S2)


@pytest.mark.parametrize(
    "key", [("2023", "1X2Y"), ("2023", "1X2Y", "s3"), ("2023", "X", "s2"), ("x", "1X2Y", "s2")]
)
def test_what_is_no_key_is_refused(key: Key) -> None:
    with pytest.raises(BadInputError):
        read_key(key)


def test_tiles_stand_in_the_order_of_their_numbers() -> None:
    named = ["2023_10X7Y", "2023_9X7Y", "nonsense", "2022_11X7Y"]

    assert in_tile_order(named) == ["2022_11X7Y", "2023_9X7Y", "2023_10X7Y"]


def test_the_never_made_and_the_due_wait() -> None:
    tag = "1X2Y"
    rows = rows_of(
        row(("2020", tag, "s2")),
        row(("2021", tag, "s2"), "source_timeout", hours_ago=1.1),
        row(("2022", tag, "s2"), "source_timeout", hours_ago=0.9),
        row(("2023", tag, "s2"), "source_timeout", hours_ago=99, attempts=3),
        row(("2024", tag, "s2"), "no_clear_scenes", hours_ago=99),
    )
    years = [f"{year}_{tag}" for year in range(2019, 2025)]

    found = list(waiting(years, [Source.S2], rows, NOW, RETRY))

    assert [one.key[0] for one in found] == ["2019", "2021"]
    assert [one.row and one.row.reason for one in found] == [None, "source_timeout"]
    both = list(waiting(["2019_1X2Y", "2019_0X2Y"], ALL, {}, NOW, RETRY))
    assert [one.key[1:] for one in both] == [
        (tile, source.value) for tile in ("0X2Y", "1X2Y") for source in ALL
    ]


def test_a_plan_of_keys_waits_for_nothing_and_tries_what_was_given_up() -> None:
    table, settings = small_table(BAMENDA), Settings()
    keys = [("2023", f"{x}X{y}Y", "s1") for x in (11, 12, 13) for y in (7, 8)]
    asked = tile_years_of(keys, table)
    reasons = dict(
        zip(
            keys,
            ("none", "source_timeout", "source_timeout", "no_scenes", "incomplete", None),
            strict=True,
        )
    )
    rows = rows_of(
        *(
            row(key, reason, attempts=3 if key == keys[2] else 1, inputs=inputs)
            for key, reason in reasons.items()
            if reason is not None
            for one in asked[Source.S1]
            if one.outcome_key(Source.S1) == key
            for inputs in [fingerprint(one, Source.S1, settings.ard)]
        )
    )

    plan = plan_keys(asked, rows, settings, now=NOW)

    assert {one.unit.key: one.cause for one in plan.make} == {
        keys[1]: Cause.RETRY,
        keys[2]: Cause.OVERWRITE,
        keys[5]: Cause.NEW,
    }
    assert [one.key for one in plan.complete] == [keys[0]]
    assert {one.key for one in plan.ended} == {keys[3], keys[4]}
    assert (plan.failed, plan.waiting) == ((), ())
    anew = plan_keys(asked, rows, settings, now=NOW, overwrite=True)
    assert len(anew.make) == 6


def test_all_that_is_wrong_with_keys_is_told_at_once() -> None:
    keys = [("2023", "11X7Y", "s2"), ("2023", "11X99Y", "s2"), ("x",), ("2023", "11X7Y", "s9")]

    with pytest.raises(BadInputError) as caught:
        tile_years_of(keys, small_table(BAMENDA))

    for word in ("no tile 11X99Y", "x is no key of ard", "2023/11X7Y/s9 is no key"):
        assert word in str(caught.value)


def test_a_partition_shows_what_is_short() -> None:
    made = outcome(
        "2023",
        "1X2Y",
        "s2",
        reason="source_timeout",
        outputs=("s3://b/a", "s3://b/c"),
        error="e" * 900,
        detail={
            "region": "here",
            "dates": ["2023-01-01", "2023-02-01"],
            "gaps": ["Q1", "Q3"],
            "seconds": {"read": 2.0},
            "days_used": 2,
            "reason": "hidden",
            "orbit": "",
        },
    )

    said = shown(made)

    assert said["reason"] == "source_timeout"
    assert said["outputs"] == "s3://b/a, s3://b/c"
    assert len(str(said["error"])) == 500
    assert (said["region"], said["dates_count"], said["gaps"], said["days_used"]) == (
        "here",
        2,
        "Q1, Q3",
        2,
    )
    assert {"seconds", "orbit", "dates"}.isdisjoint(said)


def test_the_table_says_what_is_complete_per_source() -> None:
    rows = rows_of(
        row(("2023", "10X2Y", "dem")),
        row(("2023", "10X2Y", "s1"), "incomplete"),
        row(("2022", "9X2Y", "s2")),
    )

    frame = tiles_frame(["2023_10X2Y", "2023_8X2Y"], rows)

    assert frame["tile_year"].tolist() == ["2022_9X2Y", "2023_8X2Y", "2023_10X2Y"]
    last = frame.iloc[2]
    assert (last["dem_complete"], last["s1_complete"], last["s2_complete"]) == (True, False, False)
    assert last["s1_reason"] == "incomplete"
    assert frame["s2_reason"].isna().tolist() == [False, True, True]
    assert (last["year"], last["x_tile"], last["y_tile"]) == (2023, 10, 2)
    assert complete_counts(frame["tile_year"].tolist(), [Source.DEM], rows) == {
        "tile_years": 3,
        "dem_complete": 1,
        "complete": 1,
    }


def test_requests_are_one_table_in_which_a_tile_year_stands_once() -> None:
    asked = tile_years_of([("2023", f"{x}X7Y", "s2") for x in (12, 11)], small_table(BAMENDA))
    first, second = asked[Source.S2]
    resolved = [
        Resolved(InboxRequest("inbox/a", 1, "v", None), (first,)),
        Resolved(InboxRequest("inbox/b", 1, "w", None), (second, first)),
        Resolved(InboxRequest("inbox/c", 1, "x", None), (), "it is bad"),
    ]

    frame = requests_frame(resolved)

    assert frame["tile"].tolist() == ["11X7Y", "12X7Y"]
    assert [list(one) for one in frame["requests"]] == [["inbox/b"], ["inbox/a", "inbox/b"]]
    assert len(requests_frame([])) == 0


def test_what_was_given_up_fails_and_an_honest_no_does_not() -> None:
    partitions = ["2023_1X2Y", "2023_2X2Y"]
    rows = rows_of(
        row(("2023", "1X2Y", "dem"), "no_dem"),
        row(("2023", "1X2Y", "s1"), "source_timeout", attempts=2),
        row(("2023", "1X2Y", "s2")),
    )

    sound = tiles_complete(partitions, ALL, rows, RETRY)
    broken = tiles_complete(
        partitions, ALL, {**rows, **rows_of(row(("2023", "2X2Y", "s1"), "missing_band"))}, RETRY
    )

    assert sound.passed
    assert sound.numbers == {
        "wanted": 6,
        "complete": 1,
        "honest_no": 1,
        "waiting": 1,
        "never_tried": 3,
        "given_up": 0,
    }
    assert not broken.passed
    assert broken.failing == ("2023/2X2Y/s1",)


def test_one_bug_of_ours_is_one_too_many() -> None:
    rows = [row(("2023", "1X2Y", "s2"), "internal_error"), row(("2023", "1X2Y", "s1"))]

    assert tiles_internal_errors(rows[1:]).passed
    assert tiles_internal_errors(rows).failing == ("2023/1X2Y/s2",)


def test_the_newest_complete_come_first() -> None:
    rows = rows_of(
        row(("2023", "1X2Y", "s2"), hours_ago=3),
        row(("2023", "2X2Y", "s2"), hours_ago=1),
        row(("2023", "3X2Y", "s2"), hours_ago=2),
        row(("2023", "4X2Y", "s2"), "no_scenes", hours_ago=0),
    )
    known = [f"2023_{x}X2Y" for x in (1, 2, 3, 4, 5)]

    assert newest_complete(known, [Source.S2], rows, 2) == ["2023_2X2Y", "2023_3X2Y"]
    assert newest_complete(known, [Source.S1], rows, 2) == []
