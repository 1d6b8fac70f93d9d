"""Runs jobs in this process, recorded in a Dagster instance like any other run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    defs: dg.Definitions, instance: dg.DagsterInstance, job: str, partition: str | None = None
) -> JobRun:
    """Run a job to its end.

    Args:
        defs: holds the job.
        instance: records the run.
        job: its name.
        partition: the partition to run, if the job has any.
    """
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=partition,
        raise_on_error=False,
        # Events go to the instance, our own log lines to stderr, and the error to the caller.
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return JobRun(result.run_id, result.success, _error_of(result))


def _error_of(result: dg.ExecuteInProcessResult) -> str | None:
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            described = failure.user_failure_data.description if failure.user_failure_data else None
            return described or (failure.error.message if failure.error else "the step failed")
    return None if result.success else "the run failed"
