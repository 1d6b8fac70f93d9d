"""Runs jobs in this process, recorded in a Dagster instance like any other run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg


@dataclass(frozen=True, slots=True)
class JobRun:
    """One finished run."""

    run_id: str
    success: bool
    error: str | None
    """What the failed step said; None on success."""


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a Dagster home, configured by the `dagster.yaml` in it."""
    instance = dg.DagsterInstance.from_config(str(home))
    try:
        yield instance
    finally:
        instance.dispose()


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
