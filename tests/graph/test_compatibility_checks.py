"""Compatibility's asset checks, run through Dagster over a real store: each passes, and fails."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from estinel_assets.outcomes.record import Outcome
from tests.support.compatibility import (
    QUIET,
    CompatibilityWorld,
    compatibility_world,
    quiet_dagster,
    result,
)

pytestmark = quiet_dagster

CHECKS = {"internal_errors", "results_age", "distribution_change"}


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[CompatibilityWorld]:
    """A world of results that no run made."""
    with compatibility_world(tmp_path / "judged", {}) as world:
        yield world


def recent(
    number: int, reason: str = "none", *, days: float = 0.0, first: int = 1
) -> list[Outcome]:
    """Results of some days ago."""
    at = datetime.now(UTC) - timedelta(days=days)
    times = {"started_at": at, "finished_at": at}
    return [result(f"C{first + one}-DEMO", reason, **times) for one in range(number)]


def verdicts(world: CompatibilityWorld) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the job of asset checks."""
    job = world.definitions().resolve_job_def("compatibility_checks")
    ran = job.execute_in_process(instance=world.instance, run_config=QUIET)
    assert ran.success
    found = {one.check_name: one for one in ran.get_asset_check_evaluations()}
    assert set(found) == CHECKS
    assert {one.severity for one in found.values()} == {dg.AssetCheckSeverity.WARN}
    return found


def numbers(evaluation: dg.AssetCheckEvaluation) -> dict[str, object]:
    return {name: entry.value for name, entry in evaluation.metadata.items()}


def test_sound_results_pass_every_check(judged: CompatibilityWorld) -> None:
    judged.put(*recent(99), *recent(1, "internal_error", first=100))
    for _ in range(2):
        assert judged.run("build_compatibility_table").success

    found = verdicts(judged)

    assert {name for name, one in found.items() if one.passed} == CHECKS
    assert numbers(found["internal_errors"])["share"] == 0.01
    assert numbers(found["results_age"])["stale_results"] == 0
    assert numbers(found["distribution_change"])["former_results"] == 100
    assert {one.asset_key.to_user_string() for one in found.values()} == {
        "compatibility_results",
        "compatibility_table",
    }


def test_unsound_results_fail_the_check_that_is_meant(judged: CompatibilityWorld) -> None:
    judged.put(*recent(98), *recent(1, "timeout", days=91, first=99))
    assert judged.run("build_compatibility_table").success
    judged.put(*recent(6, "cant_open_file"), *recent(2, "internal_error", first=50))
    assert judged.run("build_compatibility_table").success

    found = verdicts(judged)

    assert {name for name, one in found.items() if not one.passed} == CHECKS
    bugs, age = found["internal_errors"], found["results_age"]
    change = found["distribution_change"]
    assert numbers(bugs)["failing"] == ["C50-DEMO", "C51-DEMO"]
    assert bugs.description == "2 of 99 results are internal errors"
    assert numbers(age)["failing"] == ["C99-DEMO"]
    assert age.description == "1 of 99 results are older than 90 days"
    assert numbers(change)["failing"] == ["cant_open_file"]
    assert change.description == "grown: cant_open_file by 6.1%"


def test_without_results_every_check_passes(judged: CompatibilityWorld) -> None:
    assert all(one.passed for one in verdicts(judged).values())
