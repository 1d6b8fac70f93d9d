"""Reports of a run: the original's three forms, Markdown, and the way back to a request."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shapely import Point

from estinel_assets.ard.cost import estimate_cost
from estinel_assets.ard.job_reports import (
    JobReport,
    job_report,
    report_document,
    report_files,
    report_markdown,
    report_text,
    write_reports,
)
from estinel_assets.ard.jobs_of_run import SUMMARY_COLUMNS, Job, JobStatus, jobs_of
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.requests import read_request
from estinel_assets.ard.tiles import Source, Tile, TileYear
from estinel_assets.ard.timeline import COLOURS, timeline_png
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage import open_store
from tests.support.outcomes import outcome
from tests.support.tile_tables import BAMENDA, small_table

NOON = datetime(2024, 12, 4, 12, tzinfo=UTC)
REGIONS = {Source.DEM: "eu-central-1", Source.S1: "eu-central-1", Source.S2: "us-west-2"}


def tile_years(count: int) -> list[TileYear]:
    return [TileYear(Tile(1000 + n, 700, 10.0 + n / 18, 6.0), 2023) for n in range(count)]


def ended(
    tile_year: TileYear,
    source: Source,
    reason: ArdReason = ArdReason.NONE,
    *,
    start_s: float = 0.0,
    took_s: float = 10.0,
    **more: Any,
) -> Outcome:
    started_at = NOON + timedelta(seconds=start_s)
    detail = {"region": REGIONS[source], "seconds": {"read": took_s - 1, "write": 0.5}}
    fields: dict[str, Any] = {
        "product": "ard",
        "started_at": started_at,
        "finished_at": started_at + timedelta(seconds=took_s),
        "duration_s": took_s,
        "detail": {**detail, **more.pop("detail", {})},
    }
    return outcome(*tile_year.outcome_key(source), reason=reason.value, **fields, **more)


def whole_run() -> tuple[list[Outcome], list[TileYear]]:
    first, second, third = wanted = tile_years(3)
    return [
        ended(first, Source.DEM),
        ended(first, Source.S1, ArdReason.INCOMPLETE, detail={"gaps": ["Q1", "Q3"]}),
        ended(first, Source.S2, took_s=63.25, attempts=3),
        ended(second, Source.DEM, ArdReason.NO_DEM),
        ended(second, Source.S1, ArdReason.SOURCE_FORBIDDEN, error="s3://a\nsays | 403 " * 9),
        ended(second, Source.S2, ArdReason.MISSING_BAND),
        ended(third, Source.DEM, ArdReason.INTERNAL_ERROR),
        ended(third, Source.S2, ArdReason.OUT_OF_MEMORY),
    ], wanted


def report_of(outcomes: list[Outcome], wanted: list[TileYear]) -> JobReport:
    return job_report(
        outcomes,
        wanted,
        run_id="run7",
        started_at=NOON,
        finished_at=NOON + timedelta(seconds=125),
        estimated=estimate_cost({Source.DEM: 3, Source.S1: 2, Source.S2: 3}, memory_mib=4096),
        memory_mib=4096,
        n_standing=1,
    )


def rows_of(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode())))


def test_the_summary_has_the_originals_columns():
    files = report_files(report_of(*whole_run()))
    text = files["job_summary_20241204T120000Z.csv"]
    assert text.decode().splitlines()[0] == (
        "job_id,task_type,region,status,year,lon,lat,X_tile,Y_tile,duration_sec,error_type,"
        "total_retry_count,quarters_succeeded,quarters_failed,error_message"
    )
    rows = {row["job_id"]: row for row in rows_of(text)}
    assert len(rows) == 8
    assert tuple(rows["DEM_1000_700_2023"]) == SUMMARY_COLUMNS
    radar = rows["S1_1000_700_2023"]
    assert (radar["status"], radar["quarters_succeeded"], radar["quarters_failed"]) == (
        "partial",
        "2",
        "2",
    )
    optical = rows["S2_1000_700_2023"]
    assert optical["duration_sec"] == "62.750"
    assert (optical["total_retry_count"], optical["quarters_succeeded"]) == ("2", "")
    assert (optical["lon"], optical["lat"], optical["X_tile"]) == ("10.0", "6.0", "1000")
    refused = rows["S1_1001_700_2023"]
    assert (refused["status"], refused["error_type"]) == ("failed", "retryable")
    assert (refused["quarters_succeeded"], refused["quarters_failed"]) == ("0", "4")
    assert len(refused["error_message"]) == 100
    assert "\n" not in refused["error_message"]


def test_what_stands_and_why_not():
    statuses = {job.job_id: (job.status, job.error_type) for job in jobs_of(*whole_run())}
    assert statuses == {
        "DEM_1000_700_2023": (JobStatus.SUCCESS, ""),
        "S1_1000_700_2023": (JobStatus.PARTIAL, ""),
        "S2_1000_700_2023": (JobStatus.SUCCESS, ""),
        "DEM_1001_700_2023": (JobStatus.FAILED, "permanent"),
        "S1_1001_700_2023": (JobStatus.FAILED, "retryable"),
        "S2_1001_700_2023": (JobStatus.FAILED, "permanent"),
        "DEM_1002_700_2023": (JobStatus.ERROR, "retryable"),
        "S2_1002_700_2023": (JobStatus.INFRA_ERROR, "permanent"),
    }
    one = tile_years(1)
    for reason in ArdReason:
        (job,) = jobs_of([ended(one[0], Source.DEM, reason)], one)
        assert job.stands == (reason in (ArdReason.NONE, ArdReason.INCOMPLETE))


def test_the_json_report_holds_everything():
    document = json.loads(report_files(report_of(*whole_run()))["job_report_20241204T120000Z.json"])
    assert document["duration_sec"] == 125
    assert (document["n_jobs"], document["n_success"], document["n_partial"]) == (8, 2, 1)
    assert (document["n_failed"], document["n_standing_before"]) == (5, 1)
    assert document["by_task_type"]["S1"] == {
        "success": 0,
        "partial": 1,
        "failed": 1,
        "error": 0,
        "infra_error": 0,
    }
    assert document["by_reason"]["no_dem"] == 1
    assert sum(document["by_reason"].values()) == 8
    assert len(document["jobs"]) == 8
    worked = 6 * 9.5 + 62.75 + 9.5
    assert document["cost"]["actual"]["gb_seconds"] == pytest.approx(4 * worked)
    estimated = 3 * 9 + 2 * 14 + 3 * 62
    assert document["cost"]["actual_to_estimated"] == pytest.approx(worked / estimated, abs=1e-4)


def test_failed_jobs_are_a_request():
    table = small_table(BAMENDA)
    wanted = [TileYear(tile, 2023) for tile in table.intersecting([Point(BAMENDA).buffer(0.08)])[0]]
    outcomes = [
        ended(wanted[0], Source.S2, ArdReason.SOURCE_TIMEOUT),
        ended(wanted[0], Source.S1, ArdReason.SOURCE_TIMEOUT),
        ended(wanted[1], Source.DEM, ArdReason.NO_DEM),
        ended(wanted[2], Source.S1, ArdReason.INCOMPLETE),
        ended(wanted[3], Source.S1, ArdReason.UNKNOWN_OFFSET),
    ]
    failed = report_files(report_of(outcomes, wanted))["failed_jobs_20241204T120000Z.json"]
    assert {job["job_id"][:2] for job in json.loads(failed)} == {"S1", "S2"}
    again = read_request(failed, "failed_jobs.json", table, today=date(2025, 1, 1))
    assert again == (wanted[0], wanted[3])


def test_the_text_names_what_went_wrong():
    text = report_text(report_of(*whole_run()))
    assert "took 2 min 5 s: 8 jobs, 1 stood before." in text
    assert "DEM_1002_700_2023: internal_error (worth another attempt): it was" in text
    assert "S2_1001_700_2023: missing_band (final): it was missing_band" in text
    assert "DEM_1001_700_2023" not in text  # the sea is no fault
    assert "Cost, actual (54% of the estimate)" in text
    lines = text.splitlines()
    heads = next(number for number, line in enumerate(lines) if "infra_error" in line)
    assert lines[heads + 2].split() == ["S1", "0", "1", "1", "0", "0"]


def test_markdown_is_one_table_a_topic_and_cannot_be_broken():
    text = report_markdown(report_of(*whole_run()))
    assert "| S1 | 0 | 1 | 1 | 0 | 0 |" in text
    row = next(line for line in text.splitlines() if line.startswith("| `S1_1001"))
    assert row.count(" | ") == 1
    assert "says \\| 403" in row
    many = tile_years(80)
    failing = [ended(one, Source.DEM, ArdReason.TIMEOUT) for one in many]
    assert "and 30 more" in report_markdown(report_of(failing, many))


def test_a_run_without_jobs_is_told_too():
    report = report_of([], [])
    files = report_files(report, plots=True)
    assert len(files) == 4
    assert json.loads(files["failed_jobs_20241204T120000Z.json"]) == []
    assert rows_of(files["job_summary_20241204T120000Z.csv"]) == []
    assert "No job ended" in report_text(report)
    assert report_document(report)["cost"]["actual_to_estimated"] == 0
    assert "0 jobs" in report_markdown(report)


def test_reports_are_written_where_they_are_asked_for():
    store = open_store("memory://")
    written = write_reports(report_of(*whole_run()), store, "reports/ard", plots=True)
    assert sorted(written) == [
        "failed_jobs_20241204T120000Z.json",
        "job_report_20241204T120000Z.json",
        "job_report_20241204T120000Z.txt",
        "job_summary_20241204T120000Z.csv",
        "timeline_eu-central-1_20241204T120000Z.png",
        "timeline_us-west-2_20241204T120000Z.png",
    ]
    assert {found.path for found in store.list()} == {f"reports/ard/{name}" for name in written}
    assert set(write_reports(report_of([], []), store, "")) <= {f.path for f in store.list()}


def test_a_tile_is_where_the_request_or_else_the_outcome_says():
    first, second = tile_years(2)
    told = {"centre": {"lon": second.tile.lon, "lat": second.tile.lat}}
    jobs = jobs_of([ended(second, Source.DEM, detail=told), ended(first, Source.DEM)], [first])
    assert [job.tile_year for job in jobs] == [first, second]
    stray = outcome("2023", "1X2Y", "landsat", product="ard", detail=told)
    with pytest.raises(BadInputError, match="2023/1001X700Y/dem, 2023/1X2Y/landsat; give"):
        jobs_of([stray, ended(second, Source.DEM), ended(first, Source.DEM)], [first])


# The timeline


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share_of(png: bytes, colour: str) -> float:
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return float((np.abs(pixels_of(png) - wanted).sum(axis=-1) < 12).mean())


def jobs_at(*starts: float, reason: ArdReason = ArdReason.NONE, took_s: float = 10.0) -> list[Job]:
    wanted = tile_years(len(starts))
    outcomes = [
        ended(one, Source.S2, reason, start_s=start, took_s=took_s)
        for one, start in zip(wanted, starts, strict=True)
    ]
    return list(jobs_of(outcomes, wanted))


def test_the_timeline_shows_every_status_and_is_the_same_again():
    jobs = jobs_of(*whole_run())
    png = timeline_png(jobs, "run7")
    assert png == timeline_png(jobs[::-1], "run7")
    assert all(share_of(png, colour) > 1e-4 for colour in COLOURS.values())


def test_jobs_at_the_same_time_stand_one_above_the_other():
    beside = timeline_png(jobs_at(0, 10, 20, 30), "")
    above = timeline_png(jobs_at(0, 0.1, 0.2, 0.3), "")
    assert pixels_of(above).shape[0] > pixels_of(beside).shape[0]


def test_a_short_job_can_be_seen_beside_a_long_one():
    failed = jobs_at(9_000, reason=ArdReason.TIMEOUT, took_s=0)
    png = timeline_png([*jobs_at(0, took_s=10_000), *failed], "")
    wide = pixels_of(png)[:, 160:].astype(int)
    purple = np.abs(wide - [0x6D, 0x59, 0x7A]).sum(axis=-1) < 60
    assert purple[60:].sum() > 5


def test_a_timeline_without_jobs_says_so():
    assert len(np.unique(pixels_of(timeline_png([], "run7")))) > 2
