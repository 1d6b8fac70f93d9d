"""Engines as the settings name them, and what a run tells of itself."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.ard.making_outcomes import (
    STANDING,
    OutcomeForm,
    is_settled,
    reason_of_error,
    standing_arrays,
    tries_again,
)
from estinel_assets.ard.opening import ard_run
from estinel_assets.ard.plan import ArdPlan, Cause, PlannedUnit, Unit
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.runner import ArdRun, open_ard_engine, run_ard
from estinel_assets.ard.tiles import Source, Tile, TileYear
from estinel_assets.compute import Threads
from estinel_assets.compute.lithops_engine import LithopsEngine
from estinel_assets.compute.processes import Processes
from estinel_assets.errors import PermanentError, RetryableError, StoreError
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import ArdSettings, Settings, StoreSettings
from estinel_assets.storage import open_store

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
PLANNED = PlannedUnit(Unit(TileYear(Tile(3, 4, 10.0, 5.0), 2023), Source.S1), 2, Cause.RETRY)
FORM = OutcomeForm(PLANNED, ard_run("run", lambda: NOW), NOW, ArdSettings())


def settings(**ard: Any) -> Settings:
    return Settings(ard=ArdSettings(**ard))


def test_the_settings_name_the_engine() -> None:
    threads = open_ard_engine(settings(engine="threads", workers=3))
    assert isinstance(threads, Threads)
    assert threads.workers == 3
    assert isinstance(open_ard_engine(settings(engine="processes")), Processes)


def test_lithops_has_a_configuration_for_each_source_that_has_its_own(tmp_path: Path) -> None:
    pytest.importorskip("lithops")
    for number, name in enumerate(("all", "s2")):
        text = f"lithops: {{backend: localhost, storage: localhost, data_limit: {number}}}"
        (tmp_path / f"{name}.yaml").write_text(text)
    at = settings(
        engine="lithops",
        lithops_config=tmp_path / "all.yaml",
        lithops_s2_config=tmp_path / "s2.yaml",
    )
    found = {source: open_ard_engine(at, source) for source in (Source.S1, Source.S2)}
    assert all(isinstance(engine, LithopsEngine) for engine in found.values())
    limits = {source: engine.config["lithops"]["data_limit"] for source, engine in found.items()}
    assert limits == {Source.S1: 0, Source.S2: 1}


def test_nothing_planned_opens_no_engine(tmp_path: Path) -> None:
    at = Settings(
        store=StoreSettings(url=tmp_path.as_uri()),
        ard=ArdSettings(engine="lithops", lithops_config=tmp_path / "absent.yaml"),
    )
    run = run_ard(ArdPlan(), at, open_store(tmp_path.as_uri()), ard_run("run", lambda: NOW))
    assert run == ArdRun("run", NOW, NOW, ArdPlan(), (), ())
    assert run.counts() == {}


def test_an_honest_no_is_no_fault() -> None:
    outcomes = tuple(
        FORM.ended(reason, detail={})
        for reason in (ArdReason.NONE, ArdReason.INCOMPLETE, ArdReason.TIMEOUT, ArdReason.NONE)
    )
    run = ArdRun("run", NOW, NOW, ArdPlan(), outcomes, ())
    assert [outcome.reason for outcome in run.faults] == ["timeout"]
    assert run.counts() == {"none": 2, "incomplete": 1, "timeout": 1}


def test_an_outcome_says_which_attempt_and_place_it_was() -> None:
    outcome = FORM.ended(ArdReason.NONE, outputs=("file:///a",), detail={"orbit": "both"})
    assert outcome.key == ("2023", "3X4Y", "s1")
    assert (outcome.status, outcome.attempts, outcome.run_id) == (True, 2, "run")
    assert outcome.detail == {"centre": {"lon": 10.0, "lat": 5.0}, "orbit": "both"}
    assert outcome.inputs


def test_arrays_that_stand_are_remembered_through_failures() -> None:
    made = FORM.ended(ArdReason.INCOMPLETE, outputs=("file:///a",), detail={"gaps": ["Q1"]})
    standing = standing_arrays(made)
    assert standing is not None
    assert standing["gaps"] == ["Q1"]
    error = RetryableError("source_timeout", "no answer")
    once = FORM.failed(error, standing, {"region": "here"})
    twice = FORM.failed(error, standing_arrays(once), {})
    for failed in (once, twice):
        assert failed.outputs == ("file:///a",)
        assert failed.detail[STANDING] == standing
    gone = FORM.failed(error, None, {})
    assert standing_arrays(gone) is None
    assert STANDING not in gone.detail


@pytest.mark.parametrize(
    ("error", "reason", "again"),
    [
        (RetryableError("source_blank", "x"), ArdReason.SOURCE_BLANK, True),
        (PermanentError("unknown_offset", "x"), ArdReason.UNKNOWN_OFFSET, False),
        (PermanentError("no word of ours", "x"), ArdReason.INTERNAL_ERROR, False),
        (StoreError("full"), ArdReason.WRITE_FAILED, True),
        (KeyError("bug"), ArdReason.INTERNAL_ERROR, False),
    ],
)
def test_errors_become_reasons_and_only_some_are_tried_again(
    error: Exception, reason: ArdReason, again: bool
) -> None:
    assert reason_of_error(error) is reason
    outcome = FORM.failed(error, None, {})
    assert outcome.reason == reason
    assert tries_again(outcome) is again


def test_a_bug_names_its_line() -> None:
    def buggy() -> None:
        raise KeyError("absent")

    with pytest.raises(KeyError) as caught:
        buggy()
    assert "test_runner.py" in (FORM.failed(caught.value, None, {}).error or "")


def test_a_run_leaves_alone_what_it_has_settled_itself() -> None:
    def outcome(reason: ArdReason) -> Outcome:
        return FORM.ended(reason, detail={})

    assert is_settled(outcome(ArdReason.NONE), "run")
    assert is_settled(outcome(ArdReason.NO_DEM), "run")
    assert not is_settled(outcome(ArdReason.INTERRUPTED), "run")
    assert not is_settled(outcome(ArdReason.NONE), "another")
    assert not is_settled(None, "run")
