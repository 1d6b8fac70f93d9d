"""Publishing's part of the graph; its asset checks over a real store: each passes, and fails."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from estinel_assets.build import build_definitions
from estinel_assets.outcomes.record import Outcome
from estinel_assets.publishing.layout import lease_path
from estinel_assets.storage.lease import hold_lease
from tests.support.publishing_dagster import (
    ASSET,
    QUIET,
    PublishingWorld,
    publication,
    publishing_world,
    quiet_dagster,
)

pytestmark = quiet_dagster

CHECKS = {"publication_failure_rate", "open_journals"}


def test_the_order_of_the_hour_and_of_the_day() -> None:
    """What waits, then repairs; the table of failures, then the checks."""
    repository = build_definitions().get_repository_def()
    schedules = {one.name: one for one in repository.schedule_defs}
    crons = {
        name: (schedules[name].job_name, schedules[name].cron_schedule)
        for name in (
            "hourly_publication_requests",
            "hourly_recovery",
            "daily_publication_failures",
            "daily_publishing_checks",
        )
    }

    assert crons == {
        "hourly_publication_requests": ("refresh_publication_requests", "5 * * * *"),
        "hourly_recovery": ("recover_publications", "20 * * * *"),
        "daily_publication_failures": ("build_publication_failures", "45 6 * * *"),
        "daily_publishing_checks": ("publishing_checks", "15 7 * * *"),
    }
    assert repository.get_sensor_def("inbox_sensor").job_name == "publish_folders"
    assert repository.asset_graph.get(dg.AssetKey("job_inbox")).is_external


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishingWorld]:
    with publishing_world(tmp_path_factory.mktemp("judged") / "world") as world:
        yield world


@pytest.fixture
def judged(made: PublishingWorld) -> PublishingWorld:
    """A world without publications."""
    for meta in list(made.store.list()):
        made.store.delete(meta.path)
    return made


def recent(name: str, reason: str = "none", *, days: float = 0.0) -> Outcome:
    at = datetime.now(UTC) - timedelta(days=days)
    return publication(name, reason, started_at=at, finished_at=at)


def verdicts(world: PublishingWorld) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the job of asset checks."""
    job = world.definitions().resolve_job_def("publishing_checks")
    ran = job.execute_in_process(instance=world.instance, run_config=QUIET)
    assert ran.success
    found = {one.check_name: one for one in ran.get_asset_check_evaluations()}
    assert set(found) == CHECKS
    assert {one.severity for one in found.values()} == {dg.AssetCheckSeverity.WARN}
    assert {one.asset_key for one in found.values()} == {ASSET}
    return found


def failed(world: PublishingWorld) -> set[str]:
    return {name for name, one in verdicts(world).items() if not one.passed}


def test_without_publications_every_check_passes(judged: PublishingWorld) -> None:
    assert failed(judged) == set()


def test_many_faults_fail_the_rate_and_few_do_not(judged: PublishingWorld) -> None:
    judged.put(
        *(recent(f"good-{number}") for number in range(9)),
        recent("bad", "stac_failed"),
        *(recent(f"old-{number}", "stac_failed", days=31) for number in range(9)),
    )
    assert failed(judged) == set()

    judged.put(recent("worse", "checksum_mismatch"))

    found = verdicts(judged)
    assert {name for name, one in found.items() if not one.passed} == {"publication_failure_rate"}
    rate = found["publication_failure_rate"]
    assert rate.metadata["share"].value == round(2 / 11, 4)
    assert sorted(rate.metadata["failing"].value) == ["bad", "worse"]  # type: ignore[type-var, arg-type]
    assert str(rate.description).startswith("2 of 11 publications of the last 30 days")


def test_a_forgotten_journal_fails_the_check_that_names_it(judged: PublishingWorld) -> None:
    judged.dataset("job-1")
    judged.break_off("job-1", at=0, only="apply")
    assert failed(judged) == set(), "it is open for a moment only"
    (seal,) = [path for path in judged.open_journals() if path.endswith("/begin.json")]
    begin = json.loads(judged.store.get(seal).data)
    begin["started_at"] = (datetime.now(UTC) - timedelta(minutes=61)).isoformat()
    judged.store.put(seal, json.dumps(begin).encode())

    found = verdicts(judged)["open_journals"]

    assert not found.passed
    assert found.metadata["failing"].value == ["job-1"]
    assert found.metadata["forgotten_journals"].value == 1
    assert "job-1; see `estinel publish recover`" in str(found.description)
    with hold_lease(judged.store, lease_path("job-1"), ttl_s=60):
        assert failed(judged) == set(), "somebody works on it"
    assert judged.run("recover_publications").success
    assert failed(judged) == set()
