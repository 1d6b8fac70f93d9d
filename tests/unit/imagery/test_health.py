"""The numbers of a site, and what the checks make of them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.imagery import verdicts
from estinel_assets.imagery.health import (
    MarkerStatus,
    SiteFacts,
    SiteHealth,
    count_days,
    marker_status,
    site_health,
)
from estinel_assets.imagery.markers import Marker, StoredMarker
from estinel_assets.imagery.plan import SiteState, plan_days
from estinel_assets.imagery.site import Site
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.raster.grids import Grid

SITE = Site("Hobart", 147.3257, -42.8826)
GRID = Grid("EPSG:32755", 523_000.0, 5_256_000.0, 10.0, 600, 600)
NOW = datetime(2024, 12, 20, 6, tzinfo=UTC)
FIRST = date(2024, 12, 1)


def day(number: int) -> date:
    """The first of December is day 1."""
    return FIRST + timedelta(days=number - 1)


def row(at: date | str, reason: str = "none", *, attempts: int = 1, inputs: str = "a") -> IndexRow:
    name = at if isinstance(at, str) else at.isoformat()
    return IndexRow(
        key=(SITE.site_id, name),
        status=reason == "none",
        reason=reason,
        attempts=attempts,
        inputs=inputs,
        started_at=NOW,
        finished_at=NOW,
        run_id="run",
        path=f"{name}/result.json",
        etag="1",
    )


def stored(last: date, total: int | None = 5) -> StoredMarker:
    return StoredMarker(Marker(SITE.site_id, SITE.location, last, NOW, 1, total), "1")


def facts(
    reasons: dict[int, str] | None = None, offered: range = range(1, 6), **changes: Any
) -> SiteFacts:
    """A site with scenes on five days, all made, all listed, and a marker on the last of them."""
    given = dict.fromkeys(offered, "none") if reasons is None else reasons
    outcomes = {day(number): row(day(number), reason) for number, reason in given.items()}
    images = frozenset(at for at, one in outcomes.items() if one.status)
    fields: dict[str, Any] = {
        "site": SITE,
        "window": GRID,
        "marker": stored(day(5)),
        "state": SiteState({day(number): "a" for number in offered}, outcomes, None),
        "newest_day": day(offered[-1]) if len(offered) else None,
        "planned": frozenset(),
        "start": FIRST,
        "first_day": FIRST,
        "max_attempts": 3,
        "search": row("search"),
        "searched_from_marker": True,
        "standing": images,
        "listed": images,
        "merged_images": len(images),
        "grids": dict.fromkeys(images, GRID),
    }
    return SiteFacts(**{**fields, **changes})


def health(*args: Any, **changes: Any) -> SiteHealth:
    return site_health(facts(*args, **changes), NOW)


EVERY_CHECK = (
    verdicts.marker_age,
    verdicts.marker_readable,
    verdicts.marker_write_failures,
    verdicts.images_keep_coming,
    verdicts.source_searched,
    verdicts.day_counts_reconcile,
    verdicts.image_grid_equals_window,
    verdicts.share_of_faults,
)


@pytest.mark.parametrize("check", EVERY_CHECK)
def test_a_healthy_site_passes_every_check(check):
    verdict = check([health()])

    assert (verdict.passed, verdict.sites, verdict.failing) == (True, 1, ())


@pytest.mark.parametrize("check", EVERY_CHECK)
def test_no_sites_and_sites_that_were_never_run_pass_every_check(check):
    nothing = SiteState({}, {}, None)
    new = health(
        {}, range(0), marker=StoredMarker(None, None), state=nothing, search=None, listed=None,
        merged_images=None,
    )  # fmt: skip

    assert check([]).passed
    assert check([new]).passed


# --- the marker --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0, "current"), (1, "current"), (2, "stale"), (7, "stale"), (8, "very stale")],
)
def test_a_marker_is_current_for_a_day_and_stale_for_a_week(age, expected):
    assert marker_status(stored(day(10)), day(10 + age)) == expected


def test_a_marker_is_not_behind_where_there_are_no_scenes():
    assert marker_status(stored(day(10)), None) is MarkerStatus.CURRENT
    assert marker_status(stored(day(10)), day(3)) is MarkerStatus.CURRENT
    assert marker_status(StoredMarker(None, None), day(10)) is MarkerStatus.MISSING
    assert marker_status(StoredMarker(None, "1", "no JSON"), day(10)) is MarkerStatus.CORRUPT


def test_half_a_year_of_polar_night_is_no_age():
    dark = health(marker=stored(day(5)))
    later = site_health(facts(marker=stored(day(5))), NOW + timedelta(days=180))

    assert (dark.age_days, later.age_days) == (0, 0)
    assert verdicts.marker_age([later]).passed


@pytest.mark.parametrize(("newest", "passed"), [(12, True), (13, False)])
def test_marker_age_fails_beyond_a_week(newest, passed):
    verdict = verdicts.marker_age([health(newest_day=day(newest)), health()])

    assert verdict.passed is passed
    assert verdict.numbers["marker_age_days"] == newest - 5
    assert [one.numbers for one in verdict.failing] == (
        []
        if passed
        else [
            {
                "marker_age_days": 8,
                "last_solarday": "2024-12-05",
                "newest_solarday": "2024-12-13",
            }
        ]
    )


def test_a_site_that_never_finishes_its_first_day_grows_old():
    stuck = health({1: "source_timeout"}, range(1, 11), marker=StoredMarker(None, None))

    assert stuck.age_days == 10
    assert not verdicts.marker_age([stuck]).passed


def test_marker_readable_fails_on_corrupt_missing_and_unreadable():
    corrupt = health(marker=StoredMarker(None, "1", "it is no marker"))
    missing = health(marker=StoredMarker(None, None))
    unreadable = SiteHealth("site_x", "Casey", unreadable="the store refused")

    verdict = verdicts.marker_readable([corrupt, missing, unreadable, health()])

    assert not verdict.passed
    assert verdict.sites == 4
    assert [one.numbers["problem"] for one in verdict.failing] == [
        "it is no marker",
        "it has finished days and no marker",
        "the store refused",
    ]


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"marker": stored(day(3))}, "last_solarday 2024-12-05, not 2024-12-03"),
        ({"marker": stored(day(5), 4)}, "n_images_total 5, not 4"),
        ({"marker": stored(day(5), None)}, "n_images_total 5, not None"),
        ({"marker": StoredMarker(None, None)}, "last_solarday 2024-12-05"),
        ({"marker": stored(day(9))}, None),
        ({"marker": stored(day(3)), "searched_from_marker": False}, None),
        ({"marker": stored(day(5), None), "listed": None}, None),
    ],
    ids=str,
)
def test_what_a_marker_should_say(changes, due):
    assert health(**changes).marker_due == due


def test_a_day_that_is_due_holds_the_marker_back_and_one_that_is_given_up_does_not():
    waiting = facts(
        {1: "none", 2: "source_timeout", 3: "none"}, range(1, 4), marker=stored(day(1), 2)
    )
    outcomes = {**waiting.state.outcomes, day(2): row(day(2), "source_timeout", attempts=3)}
    over = replace(waiting, state=replace(waiting.state, outcomes=outcomes))

    assert site_health(waiting, NOW).marker_due is None
    assert site_health(over, NOW).marker_due == "last_solarday 2024-12-03, not 2024-12-01"
    assert site_health(over, NOW).given_up == (day(2),)


@pytest.mark.parametrize(("behind", "passed"), [(0, True), (1, True), (2, False)])
def test_marker_write_failures_fail_above_a_tenth(behind, passed):
    sites = [health(marker=stored(day(3)))] * behind + [health()] * (10 - behind)

    verdict = verdicts.marker_write_failures(sites)

    assert verdict.passed is passed
    assert len(verdict.failing) == behind
    assert verdict.numbers == {"share": behind / 10, "marker_write_success": 1 - behind / 10}


def test_a_site_in_work_is_rightly_behind():
    busy = health(marker=stored(day(3)), listed=frozenset(), at_work=True)

    assert verdicts.marker_write_failures([busy]).sites == 0
    assert verdicts.day_counts_reconcile([busy]).passed


# --- images ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("last", "passed"), [(15, True), (16, False)])
def test_images_must_keep_coming_while_scenes_do(last, passed):
    reasons = dict.fromkeys(range(1, last + 1), "no_valid_pixels") | {1: "none"}

    one = health(reasons, range(1, last + 1))

    assert one.days_without_image == last - 1
    assert verdicts.images_keep_coming([one]).passed is passed


def test_a_day_that_is_too_cloudy_was_seen():
    reasons = dict.fromkeys(range(1, 21), "too_cloudy")

    assert health(reasons, range(1, 21)).days_without_image == 0


def test_adopted_days_have_images():
    adopted = SiteState({day(number): "a" for number in range(1, 21)}, {}, day(20))

    assert health({}, range(1, 21), state=adopted).days_without_image == 0


def test_after_a_polar_night_the_first_scenes_have_no_long_past():
    scenes = {day(1): "a", day(100): "a"}
    state = SiteState(scenes, {day(1): row(day(1))}, None)

    dawn = health({}, state=state, newest_day=day(100), standing=frozenset([day(1)]))

    assert dawn.days_without_image == 1
    assert verdicts.images_keep_coming([dawn]).passed


@pytest.mark.parametrize(
    ("search", "passed"),
    [
        (None, True),
        (row("search"), True),
        (row("search", "source_timeout"), False),
        (row("search")._replace(finished_at=NOW - timedelta(days=2)), True),
        (row("search")._replace(finished_at=NOW - timedelta(days=2, minutes=1)), False),
    ],
)
def test_the_source_must_have_been_searched_lately(search, passed):
    assert verdicts.source_searched([health(search=search)]).passed is passed


# --- days --------------------------------------------------------------------------------------


def test_an_unaccounted_day_fails():
    lost = SiteState(
        {day(number): "a" for number in range(1, 6)},
        {day(number): row(day(number)) for number in (1, 2, 4, 5)},
        None,
    )

    verdict = verdicts.day_counts_reconcile([health(state=lost)])

    assert not verdict.passed
    (failing,) = verdict.failing
    assert (failing.numbers["known_days"], failing.numbers["outcomes"]) == (5, 4)
    assert failing.numbers["unaccounted_days"] == ["2024-12-03"]
    assert verdicts.day_counts_reconcile([health(state=lost, planned=frozenset([day(3)]))]).passed


def test_the_edge_of_the_first_search_does_not_count():
    edge = SiteState(
        {day(number): "a" for number in range(1, 4)},
        {day(number): row(day(number)) for number in (2, 3)},
        None,
    )

    assert count_days(edge, edge.known_days(), frozenset()).unaccounted == ()


@pytest.mark.parametrize(
    ("changes", "name", "days"),
    [
        ({"listed": frozenset(map(day, range(1, 5)))}, "unlisted_days", ["2024-12-05"]),
        ({"listed": frozenset(map(day, range(1, 7)))}, "unfounded_days", ["2024-12-06"]),
        ({"merged_images": 4}, "images_in_catalog", 4),
    ],
)
def test_a_catalogue_that_does_not_say_what_stands_fails(changes, name, days):
    (failing,) = verdicts.day_counts_reconcile([health(**changes)]).failing

    assert failing.numbers[name] == days


def test_a_failed_rebuild_whose_former_images_stand_reconciles():
    images = frozenset(map(day, range(1, 6)))
    rebuilt = health(
        dict.fromkeys(range(1, 5), "none") | {5: "source_timeout"},
        standing=images,
        listed=images,
        merged_images=5,
    )

    assert verdicts.day_counts_reconcile([rebuilt]).passed


reasons = st.sampled_from(["none", "no_valid_pixels", "source_timeout", "interrupted"])
some_days = st.integers(1, 30)


@given(
    offered=st.sets(some_days),
    outcomes=st.dictionaries(some_days, st.tuples(reasons, st.sampled_from("ab"))),
    adopted=st.none() | some_days,
    first=some_days,
)
def test_every_known_day_is_counted_once(offered, outcomes, adopted, first):
    state = SiteState(
        {day(number): "a" for number in offered},
        {day(n): row(day(n), why, inputs=inputs) for n, (why, inputs) in outcomes.items()},
        None if adopted is None else day(adopted),
    )
    retry = RetryRule(3, 0, 0)
    plan = plan_days(state, first_day=day(first), now=NOW, retry=retry)
    planned = frozenset(one.day for one in plan)

    counts = count_days(state, state.known_days(), planned)

    assert counts.known == (
        counts.outcomes + counts.adopted + counts.planned + len(counts.unaccounted)
    )
    assert counts.outcomes == len(outcomes)
    # A search that asks for everything leaves nothing unaccounted.
    if first == 1:
        assert counts.unaccounted == ()
        assert counts.known == len(offered | set(outcomes))
    assert all(at < day(first) for at in counts.unaccounted)


# --- grids and faults --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (replace(GRID, left=GRID.left + 10), "it has EPSG:32755, 600 x 600 pixels"),
        (replace(GRID, width=599), "599 x 600"),
        (replace(GRID, crs="EPSG:32754"), "EPSG:32754"),
        (replace(GRID, resolution=20.0), "of 20 m"),
        ("the file is missing", "the file is missing"),
    ],
)
def test_an_image_on_another_grid_fails(grid, said):
    verdict = verdicts.image_grid_equals_window([health(grids={day(4): GRID, day(5): grid})])

    (failing,) = verdict.failing
    assert not verdict.passed
    (problem,) = failing.numbers["problems"]
    assert problem.startswith("2024-12-05: ")
    assert said in problem
    assert verdict.numbers["images_seen"] == 2


@pytest.mark.parametrize(("faults", "passed"), [(0, True), (1, True), (2, False)])
def test_faults_fail_above_a_tenth_of_the_days(faults, passed):
    ended = {n: "source_corrupt" if n <= faults else "no_valid_pixels" for n in range(1, 11)}

    verdict = verdicts.share_of_faults([health(ended, range(1, 11))])

    assert verdict.passed is passed
    assert verdict.numbers == {"share": faults / 10, "faults": faults, "days": 10}
    if not passed:
        assert verdict.failing[0].numbers["share"] == 0.2


def test_a_month_old_outage_does_not_hide_behind_years_nor_last_for_ever():
    early = {n: "source_corrupt" if n <= 30 else "none" for n in range(1, 61)}
    late = {n: "source_corrupt" if n > 50 else "none" for n in range(1, 61)}

    assert verdicts.share_of_faults([health(early, range(1, 61))]).passed
    assert not verdicts.share_of_faults([health(late, range(1, 61))]).passed


def test_failing_sites_are_named_up_to_a_hundred():
    verdict = verdicts.marker_age([health(newest_day=day(30))] * 150)

    assert len(verdict.failing) == 150
    assert len(verdict.named()) == 100
    assert verdict.named()[0] == {
        "SITE_ID": SITE.site_id,
        "location": "Hobart",
        "marker_age_days": 25,
        "last_solarday": "2024-12-05",
        "newest_solarday": "2024-12-30",
    }
