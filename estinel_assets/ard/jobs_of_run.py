"""The jobs of a run, in the words that readers of the original's reports know.

A job is one source of one tile-year. Its status says what stands:

* `success`: the arrays, without a gap;
* `partial`: the arrays, with quarters that the source has nothing for;
* `failed`: nothing, because of the source: it refused, failed, or has nothing for this tile;
* `error`: nothing, because of us: the store refused an output, or a bug;
* `infra_error`: nothing, because a worker ended, took too long or too much memory.

Whether another attempt is worthwhile is said by `error_type`: `retryable` or `permanent`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from estinel_assets.ard.cost import worked_s
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import Source, Tile, TileYear, parse_tag
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome

QUARTERS: Final = 4
SUMMARY_COLUMNS: Final = (
    "job_id",
    "task_type",
    "region",
    "status",
    "year",
    "lon",
    "lat",
    "X_tile",
    "Y_tile",
    "duration_sec",
    "error_type",
    "total_retry_count",
    "quarters_succeeded",
    "quarters_failed",
    "error_message",
)
"""Of the CSV summary."""
LONGEST_MESSAGE: Final = 100
"""Characters of a message in the CSV summary."""


class JobStatus(StrEnum):
    """What stands of a job; see the module."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    ERROR = "error"
    INFRA_ERROR = "infra_error"


_STATUS: Final[Mapping[ArdReason, JobStatus]] = {
    ArdReason.NONE: JobStatus.SUCCESS,
    ArdReason.INCOMPLETE: JobStatus.PARTIAL,
    ArdReason.WRITE_FAILED: JobStatus.ERROR,
    ArdReason.INTERNAL_ERROR: JobStatus.ERROR,
    ArdReason.INTERRUPTED: JobStatus.INFRA_ERROR,
    ArdReason.TIMEOUT: JobStatus.INFRA_ERROR,
    ArdReason.OUT_OF_MEMORY: JobStatus.INFRA_ERROR,
    ArdReason.WORKER_DIED: JobStatus.INFRA_ERROR,
}
"""Every other reason is the source's: `failed`."""


@dataclass(frozen=True, slots=True)
class Job:
    """One source of one tile-year, and how it ended."""

    tile_year: TileYear
    source: Source
    region: str
    """Where the work ran; empty if that is not known."""
    reason: ArdReason
    started_at: datetime
    finished_at: datetime
    worked_s: float
    """Worker time, in seconds."""
    attempts: int
    """At this input, in all runs; at least 1."""
    gaps: tuple[str, ...]
    """Of Sentinel-1: the quarters without data."""
    message: str
    """What went wrong; empty on success."""

    @property
    def job_id(self) -> str:
        """As `S1_1035_727_2023`."""
        tile = self.tile_year.tile
        return f"{self.task_type}_{tile.x_tile}_{tile.y_tile}_{self.tile_year.year}"

    @property
    def task_type(self) -> str:
        """`DEM`, `S1` or `S2`."""
        return self.source.value.upper()

    @property
    def status(self) -> JobStatus:
        """What stands."""
        return _STATUS.get(self.reason, JobStatus.FAILED)

    @property
    def stands(self) -> bool:
        """Whether its arrays do."""
        return self.status in (JobStatus.SUCCESS, JobStatus.PARTIAL)

    @property
    def error_type(self) -> str:
        """`retryable` or `permanent`; empty where the arrays stand."""
        if self.stands:
            return ""
        return "retryable" if self.reason.retryable else "permanent"

    @property
    def quarters_succeeded(self) -> int | None:
        """Of Sentinel-1, 0 to 4; None for other sources."""
        if self.source is not Source.S1:
            return None
        return QUARTERS - len(self.gaps) if self.stands else 0

    @property
    def quarters_failed(self) -> int | None:
        """Of Sentinel-1, 0 to 4; None for other sources."""
        succeeded = self.quarters_succeeded
        return None if succeeded is None else QUARTERS - succeeded

    def row(self) -> dict[str, str]:
        """Its row of the CSV summary, by `SUMMARY_COLUMNS`."""
        tile = self.tile_year.tile
        counts = (self.attempts - 1, self.quarters_succeeded, self.quarters_failed)
        values = (
            *(self.job_id, self.task_type, self.region, self.status.value),
            *(str(self.tile_year.year), str(tile.lon), str(tile.lat)),
            *(str(tile.x_tile), str(tile.y_tile), f"{self.worked_s:.3f}", self.error_type),
            *("" if count is None else str(count) for count in counts),
            " ".join(self.message.split())[:LONGEST_MESSAGE],
        )
        return dict(zip(SUMMARY_COLUMNS, values, strict=True))

    def document(self) -> dict[str, Any]:
        """As JSON values; `tile_info` is what a request can be read from."""
        tile = self.tile_year.tile
        return {
            "job_id": self.job_id,
            "task_type": self.task_type,
            "region": self.region,
            "status": self.status.value,
            "reason": self.reason.value,
            "error_type": self.error_type or None,
            "error_message": self.message or None,
            "tile_info": {
                "year": self.tile_year.year,
                "lon": tile.lon,
                "lat": tile.lat,
                "X_tile": tile.x_tile,
                "Y_tile": tile.y_tile,
            },
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "duration_sec": round(self.worked_s, 3),
            "attempts": self.attempts,
            "total_retry_count": self.attempts - 1,
            "quarters_succeeded": self.quarters_succeeded,
            "quarters_failed": self.quarters_failed,
            "gaps": list(self.gaps),
        }


def jobs_of(outcomes: Iterable[Outcome], tile_years: Iterable[TileYear] = ()) -> tuple[Job, ...]:
    """The jobs that outcomes tell of.

    Args:
        outcomes: the newest of each source of a tile-year.
        tile_years: where the tiles lie, for those whose outcome does not say so itself
            (`centre` in its detail).

    Returns:
        Ordered by year, tile and source.

    Raises:
        BadInputError: an outcome is of no source of a tile-year, or nobody says where its tile
            lies.
    """
    known: dict[tuple[str, ...], TileYear] = {
        (str(wanted.year), wanted.tile.tag): wanted for wanted in tile_years
    }
    jobs, placeless = [], []
    for outcome in outcomes:
        place = known.get(outcome.key[:2]) or _place(outcome)
        if place is None or len(outcome.key) != 3 or outcome.key[2] not in set(Source):
            placeless.append("/".join(outcome.key))
        else:
            jobs.append(_job(outcome, place))
    if placeless:
        raise BadInputError(
            f"of these outcomes nobody says where their tile lies: "
            f"{', '.join(sorted(placeless)[:10])}; give their tile-years too"
        )
    order = list(Source)
    return tuple(
        sorted(
            jobs, key=lambda job: (job.tile_year.year, job.tile_year.tile, order.index(job.source))
        )
    )


def _place(outcome: Outcome) -> TileYear | None:
    """The tile-year of an outcome that says itself where it lies."""
    centre = outcome.detail.get("centre")
    if not isinstance(centre, Mapping) or len(outcome.key) != 3:
        return None
    x_tile, y_tile = parse_tag(outcome.key[1])
    tile = Tile(x_tile, y_tile, float(centre["lon"]), float(centre["lat"]))
    return TileYear(tile, int(outcome.key[0]))


def _job(outcome: Outcome, place: TileYear) -> Job:
    detail = outcome.detail
    return Job(
        tile_year=place,
        source=Source(outcome.key[2]),
        region=str(detail.get("region") or ""),
        reason=parse_reason(ArdReason, outcome.reason),
        started_at=outcome.started_at,
        finished_at=outcome.finished_at,
        worked_s=worked_s(outcome),
        attempts=outcome.attempts,
        gaps=tuple(str(gap) for gap in detail.get("gaps") or ()),
        message=outcome.error or "",
    )
