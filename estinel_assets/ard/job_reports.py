"""Reports of a run, in the three forms that readers of the original know, and as Markdown.

::

    job_report_<time>.json     everything: counts, costs, every job
    job_report_<time>.txt      the same for people, without the jobs that went well
    job_summary_<time>.csv     a row for each job
    failed_jobs_<time>.json    the jobs that went wrong; a request that makes them again
    timeline_<region>_<time>.png   when each ran, if asked for

A job that honestly has nothing (an open sea without elevation, a year without a clear day) is
`failed` in the summary, because nothing stands, but is none of the failed jobs: there is nothing
to make again.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from estinel_assets.ard.cost import Cost, actual_cost
from estinel_assets.ard.jobs_of_run import SUMMARY_COLUMNS, Job, JobStatus, jobs_of
from estinel_assets.ard.tiles import Source, TileYear
from estinel_assets.outcomes.chart import bars, markdown_bars
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage.documents import JSON_TYPE, dump_json
from estinel_assets.storage.port import ObjectStore

_SHOWN_JOBS: Final = 50
"""Failed jobs that are named in text and Markdown."""
_TYPES: Final = {
    ".json": JSON_TYPE,
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".png": "image/png",
}


@dataclass(frozen=True, slots=True)
class JobReport:
    """A run, told after its end."""

    run_id: str
    started_at: datetime
    finished_at: datetime
    jobs: tuple[Job, ...]
    """What ended in the run; ordered by year, tile and source."""
    n_standing: int
    """Jobs that were asked for and stood already."""
    estimated: Cost
    """Before the run."""
    actual: Cost
    """From the durations of the jobs."""

    @property
    def duration_s(self) -> float:
        """From start to end, in seconds."""
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def stamp(self) -> str:
        """The start in UTC, as file names carry it: `20241204T120000Z`."""
        return self.started_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

    @property
    def faults(self) -> tuple[Job, ...]:
        """The jobs that went wrong."""
        return tuple(job for job in self.jobs if job.reason.fault)

    @property
    def regions(self) -> tuple[str, ...]:
        """Where jobs ran; empty text for those of which it is not known."""
        return tuple(sorted({job.region for job in self.jobs}))


def job_report(
    outcomes: Iterable[Outcome],
    tile_years: Iterable[TileYear] = (),
    *,
    run_id: str,
    started_at: datetime,
    finished_at: datetime,
    estimated: Cost,
    memory_mib: int,
    n_standing: int = 0,
) -> JobReport:
    """Tell of a run.

    Args:
        outcomes: the newest of each source of a tile-year that the run worked on.
        tile_years: where the tiles lie; see `jobs_of`.
        run_id: the run.
        started_at: when it began, timezone-aware.
        finished_at: when it ended, timezone-aware.
        estimated: what it was to cost.
        memory_mib: of a worker, in MiB.
        n_standing: sources of tile-years that were complete before.

    Raises:
        BadInputError: nobody says where the tile of an outcome lies.
    """
    ended = tuple(outcomes)
    return JobReport(
        run_id=run_id,
        started_at=started_at,
        finished_at=finished_at,
        jobs=jobs_of(ended, tile_years),
        n_standing=n_standing,
        estimated=estimated,
        actual=actual_cost(ended, memory_mib=memory_mib),
    )


def write_reports(
    report: JobReport, store: ObjectStore, folder: str = "job_reports", *, plots: bool = False
) -> dict[str, str]:
    """Write all forms of a report.

    Args:
        report: the run.
        store: where to.
        folder: of the store; empty for its root.
        plots: whether to draw a timeline for each region.

    Returns:
        For each file name its address.

    Raises:
        StoreError: the store refuses.
    """
    written = {}
    for name, body in report_files(report, plots=plots).items():
        path = f"{folder}/{name}" if folder else name
        store.put(path, body, content_type=_TYPES[name[name.rindex(".") :]])
        written[name] = store.uri(path)
    return written


def report_files(report: JobReport, *, plots: bool = False) -> dict[str, bytes]:
    """All forms of a report, by file name.

    Args:
        report: the run.
        plots: whether to draw a timeline for each region that has jobs.
    """
    stamp = report.stamp
    files = {
        f"job_report_{stamp}.json": dump_json(report_document(report), what="the report"),
        f"job_report_{stamp}.txt": report_text(report).encode(),
        f"job_summary_{stamp}.csv": summary_csv(report.jobs).encode(),
        f"failed_jobs_{stamp}.json": dump_json(
            [job.document() for job in report.faults], what="the failed jobs"
        ),
    }
    if plots:
        files |= dict(_timelines(report))
    return files


def _timelines(report: JobReport) -> Iterator[tuple[str, bytes]]:
    # matplotlib takes long to import, and is not needed for the rest.
    from estinel_assets.ard.timeline import timeline_png

    for region in report.regions:
        jobs = [job for job in report.jobs if job.region == region]
        title = f"{region or 'all jobs'}, run {report.run_id}"
        name = re.sub(r"[^A-Za-z0-9._-]", "_", region or "all")
        yield f"timeline_{name}_{report.stamp}.png", timeline_png(jobs, title)


def summary_csv(jobs: Iterable[Job]) -> str:
    """A row for each job, with the columns `SUMMARY_COLUMNS`.

    Args:
        jobs: in the order of the rows.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, SUMMARY_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(job.row() for job in jobs)
    return text.getvalue()


def report_document(report: JobReport) -> dict[str, Any]:
    """Everything, as JSON values.

    Args:
        report: the run.
    """
    counts = Counter(job.status for job in report.jobs)
    return {
        "run_id": report.run_id,
        "started_at": report.started_at.isoformat(),
        "finished_at": report.finished_at.isoformat(),
        "duration_sec": round(report.duration_s, 3),
        "n_jobs": len(report.jobs),
        "n_standing_before": report.n_standing,
        "n_success": counts[JobStatus.SUCCESS],
        "n_partial": counts[JobStatus.PARTIAL],
        "n_failed": len(report.jobs) - counts[JobStatus.SUCCESS] - counts[JobStatus.PARTIAL],
        "by_status": {status.value: counts[status] for status in JobStatus},
        "by_task_type": _by_task_type(report.jobs),
        "by_reason": dict(sorted(_by_reason(report.jobs).items())),
        "cost": {
            "estimated": report.estimated.document(),
            "actual": report.actual.document(),
            "actual_to_estimated": _ratio(report),
        },
        "jobs": [job.document() for job in report.jobs],
    }


def report_text(report: JobReport) -> str:
    """For people at a terminal.

    Args:
        report: the run.
    """
    parts = [
        f"ARD run {report.run_id}\n{_when(report)}",
        _counts_text(report.jobs) if report.jobs else "No job ended in this run.",
    ]
    if report.jobs:
        parts.append(f"Reasons\n{bars(_by_reason(report.jobs))}")
    parts += [
        f"Cost, estimated\n{report.estimated.text()}",
        f"Cost, actual{_of_estimate(report)}\n{report.actual.text()}",
    ]
    if report.faults:
        listed = "\n".join(f"{job.job_id}: {_why(job)}" for job in report.faults[:_SHOWN_JOBS])
        parts.append(f"Jobs that went wrong\n{listed}{_more(report.faults)}")
    return "\n\n".join(parts) + "\n"


def report_markdown(report: JobReport) -> str:
    """For the Dagster UI.

    Args:
        report: the run.
    """
    parts = [f"## ARD run `{report.run_id}`\n\n{_when(report)}\n"]
    if report.jobs:
        heads = ["source", *(status.value for status in JobStatus)]
        rows = [
            [name, *(str(by_status[status.value]) for status in JobStatus)]
            for name, by_status in _by_task_type(report.jobs).items()
        ]
        parts.append(_markdown_table(heads, rows))
        parts.append(markdown_bars(_by_reason(report.jobs)))
    parts.append(f"### Cost, estimated\n\n{report.estimated.markdown()}")
    parts.append(f"### Cost, actual{_of_estimate(report)}\n\n{report.actual.markdown()}")
    if report.faults:
        rows = [[f"`{job.job_id}`", _cell(_why(job))] for job in report.faults[:_SHOWN_JOBS]]
        table = _markdown_table(["job", "what went wrong"], rows)
        parts.append(f"### Jobs that went wrong\n\n{table}{_more(report.faults)}")
    return "\n".join(parts)


def _by_task_type(jobs: Sequence[Job]) -> dict[str, dict[str, int]]:
    counts = Counter((job.task_type, job.status) for job in jobs)
    return {
        name: {status.value: counts[name, status] for status in JobStatus}
        for name in (source.value.upper() for source in Source)
        if any(counts[name, status] for status in JobStatus)
    }


def _by_reason(jobs: Sequence[Job]) -> Counter[str]:
    return Counter(job.reason.value for job in jobs)


def _counts_text(jobs: Sequence[Job]) -> str:
    width = max(len(status) for status in JobStatus)
    lines = [f"{'':<6}" + "".join(f"  {status.value:>{width}}" for status in JobStatus)]
    for name, by_status in _by_task_type(jobs).items():
        lines.append(f"{name:<6}" + "".join(f"  {n:>{width},}" for n in by_status.values()))
    return "\n".join(lines)


def _when(report: JobReport) -> str:
    minutes, seconds = divmod(round(report.duration_s), 60)
    started = report.started_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"Started {started} UTC, took {minutes} min {seconds} s: {len(report.jobs):,} jobs, "
        f"{report.n_standing:,} stood before."
    )


def _ratio(report: JobReport) -> float | None:
    return round(report.actual.usd / report.estimated.usd, 4) if report.estimated.usd else None


def _of_estimate(report: JobReport) -> str:
    ratio = _ratio(report)
    return "" if ratio is None else f" ({ratio:.0%} of the estimate)"


def _why(job: Job) -> str:
    again = "worth another attempt" if job.reason.retryable else "final"
    return f"{job.reason.value} ({again}): {' '.join(job.message.split())}"


def _more(jobs: Sequence[Job]) -> str:
    left = len(jobs) - _SHOWN_JOBS
    return f"\n… and {left:,} more\n" if left > 0 else ""


def _markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---" if number == 0 else "---:" for number in range(len(heads))]
    if len(heads) == 2:
        rule = ["---", "---"]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (heads, rule, *rows))


def _cell(text: str) -> str:
    """A text that neither ends its cell nor is taken for markup."""
    return "".join(f"\\{one}" if one in r"\|*_`<>[]" else one for one in text)
