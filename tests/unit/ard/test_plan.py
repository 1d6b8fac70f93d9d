"""What is made, and what is left as it stands."""

from datetime import UTC, datetime, timedelta

import pytest

from estinel_assets.ard.plan import (
    STATES,
    ArdPlan,
    Cause,
    PlannedUnit,
    Unit,
    fingerprint,
    plan_ard,
)
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import Source, Tile, TileYear
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import ArdSettings, Settings

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
RETRY = RetryRule(max_attempts=3, backoff_s=3600.0, backoff_max_s=86_400.0)
TILE_YEAR = TileYear(Tile(3, 4, 10.0, 5.0), 2023)
OTHER = TileYear(Tile(2, 4, 9.9, 5.0), 2023)
SETTINGS = Settings()


def row(
    reason: ArdReason,
    *,
    source: Source = Source.S2,
    attempts: int = 1,
    ago: timedelta = timedelta(days=2),
    inputs: str | None = None,
) -> IndexRow:
    return IndexRow(
        key=TILE_YEAR.outcome_key(source),
        status=reason is ArdReason.NONE,
        reason=reason.value,
        attempts=attempts,
        inputs=fingerprint(TILE_YEAR, source, SETTINGS.ard) if inputs is None else inputs,
        started_at=NOW - ago,
        finished_at=NOW - ago,
        run_id="before",
        path="",
        etag="",
    )


def plan(*rows: IndexRow, overwrite: bool = False, settings: Settings = SETTINGS) -> ArdPlan:
    return plan_ard(
        [TILE_YEAR],
        [Source.S2],
        {one.key: one for one in rows},
        settings,
        overwrite=overwrite,
        retry=RETRY,
        now=NOW,
    )


def test_everything_is_new_at_first_each_unit_once() -> None:
    found = plan_ard(
        [TILE_YEAR, OTHER, TILE_YEAR],
        [Source.S2, Source.DEM],
        {},
        SETTINGS,
        retry=RETRY,
        now=NOW,
    )
    assert found.make == tuple(
        PlannedUnit(Unit(tile_year, source), 1, Cause.NEW)
        for tile_year in (OTHER, TILE_YEAR)
        for source in (Source.DEM, Source.S2)
    )
    assert found.tile_years == (OTHER, TILE_YEAR)
    assert found.by_source() == {Source.DEM: 2, Source.S2: 2}
    assert found.counts() == {**dict.fromkeys(STATES, 0), "make": 4}


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (ArdReason.NONE, "complete"),
        (ArdReason.INCOMPLETE, "ended"),
        (ArdReason.NO_SCENES, "ended"),
        (ArdReason.NO_CLEAR_SCENES, "ended"),
        (ArdReason.NO_DEM, "ended"),
        (ArdReason.SOURCE_NOT_FOUND, "failed"),
        (ArdReason.OUT_OF_MEMORY, "failed"),
        (ArdReason.SOURCE_FORBIDDEN, "make"),
        (ArdReason.INTERRUPTED, "make"),
        (ArdReason.TIMEOUT, "make"),
    ],
)
def test_an_outcome_decides_whether_a_unit_is_made(reason: ArdReason, state: str) -> None:
    found = plan(row(reason))
    assert found.counts() == {**dict.fromkeys(STATES, 0), state: 1}
    if state == "make":
        assert found.make == (PlannedUnit(Unit(TILE_YEAR, Source.S2), 2, Cause.RETRY),)


def test_a_failure_waits_for_its_pause() -> None:
    timeout = ArdReason.SOURCE_TIMEOUT
    assert plan(row(timeout, ago=timedelta(minutes=59))).units("waiting")
    assert plan(row(timeout, ago=timedelta(minutes=60))).units("make")
    assert plan(row(timeout, attempts=2, ago=timedelta(minutes=119))).units("waiting")


def test_a_failure_is_final_after_the_last_attempt() -> None:
    timeout = ArdReason.SOURCE_TIMEOUT
    assert plan(row(timeout, attempts=2)).make[0].attempt == 3
    assert plan(row(timeout, attempts=3)).failed == (Unit(TILE_YEAR, Source.S2),)


@pytest.mark.parametrize("reason", [ArdReason.NONE, ArdReason.NO_SCENES, ArdReason.TIMEOUT])
def test_other_rules_make_it_anew_and_attempts_begin_again(reason: ArdReason) -> None:
    ard = SETTINGS.ard.model_copy(update={"s2_max_bad": 0.1})
    found = plan(row(reason, attempts=3), settings=SETTINGS.model_copy(update={"ard": ard}))
    assert found.make == (PlannedUnit(Unit(TILE_YEAR, Source.S2), 1, Cause.CHANGED),)


def test_overwriting_makes_whatever_stands() -> None:
    found = plan(row(ArdReason.NONE), overwrite=True)
    assert found.make == (PlannedUnit(Unit(TILE_YEAR, Source.S2), 1, Cause.OVERWRITE),)


def test_what_is_damaged_is_made_again_and_what_is_whole_is_left() -> None:
    found = plan_ard(
        [TILE_YEAR],
        [Source.DEM, Source.S1, Source.S2],
        {
            one.key: one
            for one in (row(ArdReason.NONE, source=Source.DEM), row(ArdReason.NONE, attempts=3))
        },
        SETTINGS,
        retry=RETRY,
        now=NOW,
    )
    dem, s1, s2 = (Unit(TILE_YEAR, source) for source in (Source.DEM, Source.S1, Source.S2))

    again = found.making_again({s2, s1})

    assert again.make == (PlannedUnit(s1, 1, Cause.NEW), PlannedUnit(s2, 1, Cause.DAMAGED))
    assert again.complete == (dem,)
    assert found.making_again(set()) == found


@pytest.mark.parametrize(
    ("changed", "sources"),
    [
        ({"s1_days_per_quarter": 2}, {Source.S1}),
        ({"s1_orbit": "ASC"}, {Source.S1}),
        ({"s2_collection": "sentinel-2-l2a"}, {Source.S2}),
        ({"s2_provider": "planetary-computer"}, {Source.S2}),
        ({"dem_collection": "cop-dem-glo-90"}, {Source.DEM}),
        ({"dem_url": "https://mirror.test", "s2_url": "https://mirror.test"}, set()),
        ({"workers": 9, "s2_region": "eu-west-1", "memory_mib": 1024}, set()),
    ],
)
def test_a_fingerprint_changes_with_what_decides_the_arrays(
    changed: dict[str, object], sources: set[Source]
) -> None:
    at = ArdSettings()
    other = at.model_copy(update=changed)
    assert sources == {
        source
        for source in Source
        if fingerprint(TILE_YEAR, source, at) != fingerprint(TILE_YEAR, source, other)
    }


def test_a_fingerprint_changes_with_the_place_and_the_year() -> None:
    at = ArdSettings()
    moved = TileYear(Tile(3, 4, 10.0, 5.001), 2023)
    later = TileYear(TILE_YEAR.tile, 2024)
    found = {fingerprint(one, source, at) for one in (TILE_YEAR, moved, later) for source in Source}
    assert len(found) == 9


def test_rules_that_cannot_be_used_are_refused_before_anything_starts() -> None:
    ard = SETTINGS.ard.model_copy(update={"s1_min_coverage": 0.0})
    with pytest.raises(BadInputError, match="min_coverage is 0"):
        plan_ard(
            [TILE_YEAR],
            [Source.S1],
            {},
            SETTINGS.model_copy(update={"ard": ard}),
            retry=RETRY,
            now=NOW,
        )
