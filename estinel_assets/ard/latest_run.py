"""The report of a run, from the outcomes that it left."""

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from estinel_assets.ard.asked_keys import tile_years_of
from estinel_assets.ard.cost import estimate_cost
from estinel_assets.ard.job_reports import JobReport, job_report, report_markdown, write_reports
from estinel_assets.ard.opening import open_ard_book, tile_table_of
from estinel_assets.ard.tiles import Source
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.index import Index, IndexRow
from estinel_assets.outcomes.ledger import Entry
from estinel_assets.outcomes.record import Outcome
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

REPORTS = "ard/reports"
"""Folder of the store; a folder a run below it."""
SAMPLE = 100
"""Newest successes of a source whose durations an estimate rests on."""


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """What was written of a run."""

    files: Mapping[str, str]
    """Addresses by file name."""
    markdown: str
    timelines: Mapping[str, str]
    """Pictures as Markdown, by region."""


def report_of_run(run_id: str | None, settings: Settings, store: ObjectStore) -> JobReport:
    """Tell of a run.

    Args:
        run_id: the run; None for the one that ended something last.
        settings: all of them.
        store: holds the outcomes.

    Raises:
        BadInputError: nothing was made yet, or nothing that stands is of that run.
        StoreError: the store refuses.
    """
    book = open_ard_book(settings, store)
    rows = book.standing()
    if not rows:
        raise BadInputError("nothing was made yet, so there is no run to tell of")
    chosen = run_id or max(rows.values(), key=lambda row: (row.finished_at, row.run_id)).run_id
    of_run = [row for row in rows.values() if row.run_id == chosen]
    if not of_run:
        raise BadInputError(
            f"no outcome that stands is of run {chosen}; `estinel outcomes list --product ard "
            "--json` shows whose they are"
        )
    outcomes = _read(book, of_run)
    asked = tile_years_of([one.key for one in outcomes], tile_table_of(settings, store))
    memory_mib = settings.ard.memory_mib
    return job_report(
        outcomes,
        {one for tile_years in asked.values() for one in tile_years},
        run_id=chosen,
        started_at=min(row.started_at for row in of_run),
        finished_at=max(row.finished_at for row in of_run),
        estimated=estimate_cost(
            Counter(Source(one.key[-1]) for one in outcomes),
            memory_mib=memory_mib,
            recorded=recorded(book, rows, without=chosen),
        ),
        memory_mib=memory_mib,
    )


def recorded(book: OutcomeBook, rows: Index, *, without: str | None = None) -> list[Outcome]:
    """The newest successes of each source, whose durations estimates rest on.

    Args:
        book: the outcomes.
        rows: how keys ended.
        without: a run that does not count, because it is the one to be estimated.
    """
    newest: dict[str, list[IndexRow]] = defaultdict(list)
    for row in sorted(rows.values(), key=lambda row: row.finished_at, reverse=True):
        of_source = newest[row.key[-1]]
        if row.status and row.run_id != without and len(of_source) < SAMPLE:
            of_source.append(row)
    return _read(book, [row for of_source in newest.values() for row in of_source])


def write_run_report(report: JobReport, store: ObjectStore) -> WrittenReport:
    """Write a report below `ard/reports/`, with its timelines.

    Raises:
        StoreError: the store refuses.
    """
    folder = f"{REPORTS}/{report.run_id}"
    files = write_reports(report, store, folder, plots=True)
    timelines = {}
    for name in sorted(files):
        if name.endswith(".png"):
            region = name.removeprefix("timeline_").removesuffix(f"_{report.stamp}.png")
            encoded = base64.b64encode(store.get(f"{folder}/{name}").data).decode("ascii")
            timelines[region] = f"![{region}](data:image/png;base64,{encoded})"
    return WrittenReport(files, report_markdown(report), timelines)


def _read(book: OutcomeBook, rows: Iterable[IndexRow]) -> list[Outcome]:
    entries = (Entry(row.key, row.status, row.reason, row.path, row.etag) for row in rows)
    return sorted(book.ledger.read(entries), key=lambda one: one.key)
