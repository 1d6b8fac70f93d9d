"""Counts as a horizontal bar chart: text for a terminal, Markdown for the Dagster UI. Pure."""

from collections.abc import Iterator, Mapping

_BLOCKS = " ▏▎▍▌▋▊▉█"
"""A cell of which nothing, one eighth, … all is filled, from the left."""
_EIGHTHS = len(_BLOCKS) - 1
_LEAST_BAR = 8
"""Cells of the shortest bar that is worth drawing."""
_GAP = "  "


def bar(share: float, width: int, *, ascii_only: bool = False) -> str:
    """A bar without trailing blanks.

    Args:
        share: of the width that is filled, from 0 to 1. Anything above 0 stays visible.
        width: of a full bar, in cells.
        ascii_only: draw `#`, whole cells only.
    """
    if share <= 0 or width <= 0:
        return ""
    share = min(share, 1.0)
    if ascii_only:
        return "#" * max(round(share * width), 1)
    whole, eighths = divmod(max(round(share * width * _EIGHTHS), 1), _EIGHTHS)
    return _BLOCKS[-1] * whole + (_BLOCKS[eighths] if eighths else "")


def bars(counts: Mapping[str, int], *, width: int = 80, ascii_only: bool = False) -> str:
    """A chart as lines of text: name, count, share, bar; the largest count first.

    Args:
        counts: numbers of 0 or more by name.
        width: of the longest line, in cells; where names and numbers leave no room, the bars are
            left out, and nothing is cut.
        ascii_only: for a terminal without block characters.

    Returns:
        Lines without a newline at the end; empty for no counts.
    """
    if not counts:
        return ""
    names = max(map(len, counts))
    digits = max(len(str(number)) for number in counts.values())
    room = width - names - digits - len("100.0%") - 3 * len(_GAP)
    lines = []
    for name, number, share, filled in _ordered(counts):
        line = f"{name:<{names}}{_GAP}{number:>{digits}}{_GAP}{share:>6.1%}"
        if room >= _LEAST_BAR:
            line = f"{line}{_GAP}{bar(filled, room, ascii_only=ascii_only)}".rstrip()
        lines.append(line)
    return "\n".join(lines)


def markdown_bars(counts: Mapping[str, int], *, heading: str = "reason", width: int = 20) -> str:
    """A chart as a Markdown table, as the Dagster UI renders it; the largest count first.

    Args:
        counts: numbers of 0 or more by name.
        heading: of the column of names.
        width: of the longest bar, in characters.
    """
    lines = [f"| {_cell(heading)} | count | share | |", "| --- | ---: | ---: | --- |"]
    for name, number, share, filled in _ordered(counts):
        lines.append(f"| {_cell(name)} | {number} | {share:.1%} | {bar(filled, width)} |")
    lines.append(f"| **total** | **{sum(counts.values())}** | | |")
    return "\n".join(lines) + "\n"


def _ordered(counts: Mapping[str, int]) -> Iterator[tuple[str, int, float, float]]:
    """Name, count, share of all, and share of the largest, from 0 to 1."""
    total, most = sum(counts.values()), max(counts.values(), default=0)
    for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield name, number, number / total if total else 0.0, number / most if most else 0.0


def _cell(text: str) -> str:
    """A text that neither ends its cell nor is taken for markup."""
    flat = " ".join(text.split())
    return "".join(f"\\{one}" if one in r"\|*_`<>[]" else one for one in flat)
