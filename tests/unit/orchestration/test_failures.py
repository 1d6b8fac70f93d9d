"""Our errors as Dagster failures: what they say, that nothing retries them, what they hide."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from estinel_assets.errors import (
    BadInputError,
    EstinelError,
    PermanentError,
    RetryableError,
    SourceFault,
    StoreError,
)
from estinel_assets.orchestration.failures import failure, faults_failure, translated
from tests.support.real import ROOT

SIGNED = "https://user:hunter2@example.org/B04.tif?sig=s3cr3t&se=2024"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with the repository's own settings."""
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def values(failed: dg.Failure) -> dict[str, Any]:
    return {name: held.value for name, held in failed.metadata.items()}


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (RetryableError(SourceFault.TIMEOUT, "Hobart 2024-12-04: B04 timed out"), True),
        (PermanentError(SourceFault.CORRUPT, "Hobart 2024-12-04: B04 is cut short"), False),
    ],
)
def test_a_failed_unit_carries_its_reason(error: EstinelError, retryable: bool) -> None:
    failed = failure(error)

    assert failed.description == str(error)
    assert not failed.allow_retries
    assert values(failed)["reason"] == error.reason  # type: ignore[attr-defined]
    assert values(failed)["retryable"] is retryable


def test_other_errors_have_no_reason() -> None:
    assert set(values(failure(BadInputError("bad")))) == {"error", "traceback"}


def test_bugs_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), translated():
        _ = 1 / 0


@pytest.mark.parametrize("error", [RetryableError("source_timeout", "slow"), StoreError("full")])
def test_dagster_never_retries_them(instance: dg.DagsterInstance, error: EstinelError) -> None:
    calls = 0

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=3))
    def scenes() -> None:
        nonlocal calls
        calls += 1
        with translated():
            raise error

    result = dg.materialize([scenes], instance=instance, raise_on_error=False)

    assert not result.success
    assert calls == 1
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert instance.run_retries_enabled
    assert run.tags["dagster/will_retry"] == "false"


def test_a_bug_is_retried_where_the_step_asks_for_it(instance: dg.DagsterInstance) -> None:
    """So that the test above would notice a failure that lets Dagster retry."""
    calls = 0

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
    def scenes() -> None:
        nonlocal calls
        calls += 1
        with translated():
            raise ZeroDivisionError

    dg.materialize([scenes], instance=instance, raise_on_error=False)

    assert calls == 3


def test_nothing_that_is_recorded_shows_a_secret(instance: dg.DagsterInstance) -> None:
    def ask() -> None:
        raise ConnectionError(f"GET {SIGNED} timed out")

    @dg.asset
    def scenes() -> None:
        with translated():
            try:
                ask()
            except ConnectionError as error:
                raise RetryableError("source_timeout", f"{SIGNED} timed out") from error

    result = dg.materialize([scenes], instance=instance, raise_on_error=False)

    recorded = repr([record.event_log_entry for record in _records(instance, result.run_id)])
    assert "s3cr3t" not in recorded
    assert "hunter2" not in recorded
    assert "https://example.org/B04.tif" in recorded
    assert "ConnectionError" in recorded, "the traceback of the library's error is missing"


def _records(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogRecord]:
    return list(instance.get_records_for_run(run_id).records)


def test_faults_are_named_counted_and_lead_to_the_outcomes() -> None:
    faults = {f"2024-12-{day:02}": "source_corrupt" for day in range(1, 13)}
    faults["2024-11-30"] = "source_timeout"

    failed = faults_failure("imagery", "site_af38900f", faults, key="site_af38900f")

    assert failed.description is not None
    assert failed.description.startswith(
        "imagery site_af38900f: 13 with a fault (2024-11-30: source_timeout, "
        "2024-12-01: source_corrupt, "
    )
    assert "and 3 more); everything else stands" in failed.description
    assert "estinel outcomes list --product imagery --key site_af38900f" in failed.description
    assert not failed.allow_retries
    assert values(failed)["faults"] == faults
    assert values(failed)["fault_count"] == 13
    assert values(failed)["fault_reasons"] == {"source_corrupt": 12, "source_timeout": 1}


def test_thousands_of_faults_make_no_huge_event() -> None:
    faults = {f"{number:06}": "source_timeout" for number in range(5000)}

    failed = faults_failure("imagery", "site_af38900f", faults)

    assert len(values(failed)["faults"]) == 100
    assert values(failed)["fault_count"] == 5000
    assert len(str(failed.description)) < 1000


def test_a_hostile_partition_is_quoted_in_the_command() -> None:
    failed = faults_failure("imagery", "it", {"x": "source_timeout"}, key="a; rm -rf ~")

    assert "--key 'a; rm -rf ~'`" in str(failed.description)


def test_faults_all_over_the_place_lead_to_all_that_failed() -> None:
    failed = faults_failure("compatibility", "false:timeout", {"C1-X": "timeout"})

    assert str(failed.description).endswith(
        "`estinel outcomes list --product compatibility --status false`"
    )
