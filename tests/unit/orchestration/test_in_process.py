"""Jobs that run in this process are recorded like any other run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from estinel_assets.errors import PermanentError
from estinel_assets.orchestration import captured_output, sqlite_storage
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


def kind(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__name__}"


def test_local_files_are_used_in_a_way_that_suits_many_runs(instance: dg.DagsterInstance) -> None:
    assert kind(instance.run_storage).startswith(sqlite_storage.__name__)
    assert kind(instance.event_log_storage).startswith(sqlite_storage.__name__)
    assert kind(instance.compute_log_manager).startswith(captured_output.__name__)


def test_a_folder_for_local_files_is_kept_to(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        f"storage:\n  sqlite:\n    base_dir: {tmp_path}/elsewhere\n"
    )
    with open_instance(tmp_path) as opened:
        assert kind(opened.run_storage).startswith(sqlite_storage.__name__)
        assert run_job(DEFS, opened, "letters", "a").success

    assert (tmp_path / "elsewhere/history/runs.db").is_file()
    assert not (tmp_path / "history").exists()


def test_what_is_configured_otherwise_stays(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "event_log_storage:\n"
        "  module: dagster._core.storage.event_log\n"
        "  class: ConsolidatedSqliteEventLogStorage\n"
        f"  config:\n    base_dir: {tmp_path}/events\n"
        "compute_logs:\n"
        "  module: dagster._core.storage.noop_compute_log_manager\n"
        "  class: NoOpComputeLogManager\n"
    )
    with open_instance(tmp_path) as opened:
        parts = (opened.event_log_storage, opened.run_storage, opened.compute_log_manager)

    assert [type(part).__name__ for part in parts] == [
        "ConsolidatedSqliteEventLogStorage",
        "SqliteRunStorage",
        "NoOpComputeLogManager",
    ]


def test_a_dagster_without_the_modules_that_this_builds_on_still_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, sqlite_storage.__name__, None)

    with open_instance(tmp_path) as opened:
        assert type(opened.run_storage).__name__ == "SqliteRunStorage"
        assert run_job(DEFS, opened, "letters", "a").success

    assert "runs take longer with this version of Dagster" in caplog.text
