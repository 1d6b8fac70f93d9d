"""Jobs that run in this process are recorded like any other run."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from estinel_assets.errors import PermanentError
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.in_process import open_instance, run_job
from tests.support.real import ROOT

LETTERS = dg.StaticPartitionsDefinition(["a", "b"])


@dg.asset(partitions_def=LETTERS)
def letter(context: dg.AssetExecutionContext) -> None:
    with translated():
        if context.partition_key == "b":
            raise PermanentError("source_corrupt", "b is cut short")


@dg.asset
def broken() -> None:
    raise ZeroDivisionError("no pixels")


DEFS = dg.Definitions(
    assets=[letter, broken],
    jobs=[
        dg.define_asset_job("letters", selection=[letter]),
        dg.define_asset_job("breaks", selection=[broken]),
    ],
)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    with open_instance(tmp_path) as opened:
        yield opened


def test_a_run_is_recorded_with_its_partition(instance: dg.DagsterInstance) -> None:
    ran = run_job(DEFS, instance, "letters", "a")

    assert ran.success
    assert ran.error is None
    run = instance.get_run_by_id(ran.run_id)
    assert run is not None
    assert (run.status, run.job_name) == (dg.DagsterRunStatus.SUCCESS, "letters")
    assert run.tags["dagster/partition"] == "a"


def test_a_failed_run_says_what_its_step_said(instance: dg.DagsterInstance) -> None:
    ran = run_job(DEFS, instance, "letters", "b")

    assert not ran.success
    assert ran.error == "b is cut short"
    run = instance.get_run_by_id(ran.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE


def test_a_bug_is_told_without_the_words_around_it(instance: dg.DagsterInstance) -> None:
    ran = run_job(DEFS, instance, "breaks")

    assert not ran.success
    assert ran.error == "ZeroDivisionError: no pixels"


def test_a_run_says_nothing_on_stderr(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    run_job(DEFS, instance, "letters", "b")

    assert capfd.readouterr() == ("", "")


def test_an_instance_is_configured_by_its_home(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
