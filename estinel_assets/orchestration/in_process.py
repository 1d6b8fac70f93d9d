"""Runs jobs in this process, recorded in a Dagster instance like any other run."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from estinel_assets.logs import get_logger

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobRun:
    """One finished run."""

    run_id: str
    success: bool
    error: str | None
    """What the failed step said; None on success."""


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a Dagster home, configured by the `dagster.yaml` in it.

    Where that says nothing of storage or of captured output, so that both are local files, the
    same files are used in a way that suits a process with many runs: see `sqlite_storage` and
    `captured_output`.
    """
    try:
        instance = _instance_for_many_runs(str(home))
    except ImportError as error:
        # They build on modules of Dagster that are not promised to stay.
        log.warning("runs take longer with this version of Dagster", problem=str(error))
        instance = dg.DagsterInstance.from_config(str(home))
    try:
        yield instance
    finally:
        instance.dispose()


def _instance_for_many_runs(home: str) -> dg.DagsterInstance:
    from dagster._core.instance.ref import InstanceRef

    from estinel_assets.orchestration.captured_output import ThreadComputeLogManager
    from estinel_assets.orchestration.sqlite_storage import LongLivedSqliteStorage

    ref = InstanceRef.from_dir(home)
    storage, logs = ref.storage_data, ref.compute_logs_data
    if storage is not None and storage.class_name == "DagsterSqliteStorage":
        storage = _with_class(storage, LongLivedSqliteStorage)
    if logs.class_name == "LocalComputeLogManager" and os.name == "posix":
        logs = _with_class(logs, ThreadComputeLogManager)
    return dg.DagsterInstance.from_ref(ref._replace(storage_data=storage, compute_logs_data=logs))


def _with_class(configured: "ConfigurableClassData", kind: type) -> "ConfigurableClassData":
    """The same config for another class."""
    return configured._replace(module_name=kind.__module__, class_name=kind.__name__)


def run_job(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    partition: str | None = None,
    *,
    config: Mapping[str, Any] | None = None,
) -> JobRun:
    """Run a job to its end.

    Args:
        defs: holds the job.
        instance: records the run.
        job: its name.
        partition: the partition to run, if the job has any.
        config: the run's config.

    Raises:
        KeyboardInterrupt: the run was interrupted; it is recorded as failed.
    """
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=partition,
        raise_on_error=False,
        # Events go to the instance, our own log lines to stderr, and the error to the caller.
        run_config={
            **(config or {}),
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
    )
    if not result.success and _was_interrupted(result):
        # Dagster ends the run and goes on; whoever called must not.
        raise KeyboardInterrupt
    return JobRun(result.run_id, result.success, _error_of(result))


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    for event in result.all_events:
        if event.is_job_failure:
            reason = event.job_failure_data.failure_reason
            return reason is not None and reason.value == "UNEXPECTED_TERMINATION"
    return False


def _error_of(result: dg.ExecuteInProcessResult) -> str | None:
    """What the first failed step said; an error in user code without Dagster's words around it."""
    for event in result.all_events:
        if event.is_step_failure:
            failed = event.step_failure_data
            if failed.user_failure_data and failed.user_failure_data.description:
                return failed.user_failure_data.description
            error = failed.error
            while error is not None and error.cause is not None:
                error = error.cause
            return error.message.strip() if error else f"step {event.step_key} failed"
    return None if result.success else "the run failed"
