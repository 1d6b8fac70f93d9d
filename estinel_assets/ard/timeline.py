"""When the jobs of a run ran: a picture with a lane for each region and source.

matplotlib is imported where it draws: importing it takes a second, and writes to the home folder.
"""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from estinel_assets.ard.jobs_of_run import Job, JobStatus
from estinel_assets.ard.tiles import Source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final[Mapping[JobStatus, str]] = {
    JobStatus.SUCCESS: "#2a9d8f",
    JobStatus.PARTIAL: "#e9b949",
    JobStatus.FAILED: "#e76f51",
    JobStatus.ERROR: "#9b2226",
    JobStatus.INFRA_ERROR: "#6d597a",
}

_WIDTH_IN: Final = 12.0
_DPI: Final = 100
_ROW_IN: Final = 0.2
"""Height of a row of bars where there is room, in inches."""
_LEAST_LANE_IN, _LARGEST_LANE_IN = 0.55, 5.0
_GAP_IN: Final = 0.12
"""Between two lanes, in inches."""
_HEAD_IN, _FOOT_IN = 0.65, 0.65
_LEFT_IN, _RIGHT_IN = 1.6, 0.3
_LEAST_SHARE: Final = 0.0015
"""Of the whole time that a bar takes up, so that a short job can be seen."""
_FEW_ROWS: Final = 40
"""Of a lane, up to which its bars stand apart."""
_INK, _PALE = "#333333", "#f4f5f7"


@dataclass(frozen=True, slots=True)
class _Lane:
    region: str
    source: Source
    rows: tuple[tuple[int, Job], ...]
    """Each job with its row, from 0."""

    @property
    def n_rows(self) -> int:
        return 1 + max(row for row, _ in self.rows)

    @property
    def height_in(self) -> float:
        return min(max(self.n_rows * _ROW_IN, _LEAST_LANE_IN), _LARGEST_LANE_IN)

    @property
    def label(self) -> str:
        count = f"{len(self.rows):,} job" + ("" if len(self.rows) == 1 else "s")
        return "\n".join(filter(None, (f"{self.source.value.upper()} · {count}", self.region)))


@dataclass(frozen=True, slots=True)
class _Clock:
    """The axis of time."""

    begin: datetime
    span_s: float
    unit: str
    unit_s: float

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> "_Clock":
        begin = min(job.started_at for job in jobs).astimezone(UTC)
        end = max(job.finished_at for job in jobs)
        span_s = max((end - begin).total_seconds(), 1e-3)
        if span_s <= 180:
            return cls(begin, span_s, "seconds", 1.0)
        return cls(begin, span_s, *(("minutes", 60.0) if span_s <= 4 * 3600 else ("hours", 3600.0)))

    def bar(self, job: Job) -> tuple[float, float]:
        """Where it begins and ends, in units."""
        left = (job.started_at - self.begin).total_seconds()
        right = (job.finished_at - self.begin).total_seconds()
        return left / self.unit_s, max(right, left + _LEAST_SHARE * self.span_s) / self.unit_s


def timeline_png(jobs: Sequence[Job], title: str) -> bytes:
    """Draw jobs as bars over time; those that ran at the same time stand one above the other.

    Args:
        jobs: of one run, in any order; none gives a picture that says so.
        title: of the picture.

    Returns:
        PNG, the same for the same jobs and version of matplotlib.
    """
    from matplotlib.figure import Figure

    lanes = _lanes(jobs)
    inner_in = sum(lane.height_in + _GAP_IN for lane in lanes) or _LEAST_LANE_IN
    height_in = inner_in + _HEAD_IN + _FOOT_IN
    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI, facecolor="white")
    top = 1.0 - _HEAD_IN / 2 / height_in
    figure.text(0.02, top, title, fontsize=13, fontweight="bold", color=_INK, va="center")
    axes = _axes(figure, inner_in)
    if lanes:
        _draw(axes, lanes, _Clock.of(jobs))
        _legend(figure, jobs, top)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, inner_in / 2, "no job ended", ha="center", va="center", color=_INK)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def _lanes(jobs: Sequence[Job]) -> list[_Lane]:
    """One a region and source, its jobs on as few rows as do without overlap."""
    grouped: dict[tuple[str, Source], list[Job]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: (job.started_at, job.finished_at, job.job_id)):
        grouped[job.region, job.source].append(job)
    order = list(Source)
    return [
        _Lane(region, source, tuple(_stacked(grouped[region, source])))
        for region, source in sorted(grouped, key=lambda at: (at[0], order.index(at[1])))
    ]


def _stacked(jobs: Sequence[Job]) -> list[tuple[int, Job]]:
    """Jobs by start, each with the lowest row that is free."""
    busy: list[tuple[datetime, int]] = []
    free: list[int] = []
    n_rows = 0
    stacked = []
    for job in jobs:
        while busy and busy[0][0] <= job.started_at:
            heappush(free, heappop(busy)[1])
        row = heappop(free) if free else n_rows
        n_rows = max(n_rows, row + 1)
        heappush(busy, (job.finished_at, row))
        stacked.append((row, job))
    return stacked


def _axes(figure: "Figure", inner_in: float) -> "Axes":
    height_in = figure.get_figheight()
    width = 1.0 - (_LEFT_IN + _RIGHT_IN) / _WIDTH_IN
    axes = figure.add_axes(
        (_LEFT_IN / _WIDTH_IN, _FOOT_IN / height_in, width, inner_in / height_in)
    )
    axes.set_ylim(inner_in, 0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")
    axes.tick_params(axis="both", length=0, labelcolor=_INK, labelsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def _draw(axes: "Axes", lanes: Sequence[_Lane], clock: _Clock) -> None:
    from matplotlib.collections import PolyCollection

    boxes: dict[JobStatus, list[list[tuple[float, float]]]] = defaultdict(list)
    middles, top_in = [], 0.0
    for lane in lanes:
        upper_in = top_in + _GAP_IN / 2
        axes.axhspan(upper_in, upper_in + lane.height_in, color=_PALE, zorder=0)
        row_in = lane.height_in / lane.n_rows
        apart = 0.1 * row_in if lane.n_rows <= _FEW_ROWS else 0.0
        for row, job in lane.rows:
            left, right = clock.bar(job)
            upper, lower = upper_in + row * row_in + apart, upper_in + (row + 1) * row_in - apart
            corners = [(left, upper), (right, upper), (right, lower), (left, lower)]
            boxes[job.status].append(corners)
        middles.append(upper_in + lane.height_in / 2)
        top_in += lane.height_in + _GAP_IN
    edge = 0.4 if all(lane.n_rows <= _FEW_ROWS for lane in lanes) else 0.0
    for status, corners_of in boxes.items():
        drawn = PolyCollection(
            corners_of, facecolors=COLOURS[status], edgecolors="white", linewidths=edge, zorder=2
        )
        axes.add_collection(drawn, autolim=False)
    axes.set_xlim(0, clock.span_s / clock.unit_s * (1 + 2 * _LEAST_SHARE))
    axes.set_yticks(middles, [lane.label for lane in lanes])
    since = clock.begin.strftime("%Y-%m-%d %H:%M:%S UTC")
    axes.set_xlabel(f"{clock.unit} since {since}", color=_INK, fontsize=9, labelpad=8)


def _legend(figure: "Figure", jobs: Sequence[Job], top: float) -> None:
    from matplotlib.patches import Patch

    counts = {status: sum(job.status is status for job in jobs) for status in JobStatus}
    patches = [
        Patch(color=COLOURS[status], label=f"{status.value.replace('_', ' ')} · {count:,}")
        for status, count in counts.items()
        if count
    ]
    figure.legend(
        handles=patches,
        loc="center right",
        bbox_to_anchor=(1.0 - _RIGHT_IN / _WIDTH_IN, top),
        ncols=len(patches),
        frameon=False,
        fontsize=9,
        handlelength=1.0,
        handleheight=1.0,
        borderpad=0,
        labelcolor=_INK,
    )
