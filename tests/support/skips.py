"""The table of skipped tests that ends every run."""

from collections import defaultdict
from collections.abc import Iterable


def skip_table(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """One line a reason, the most frequent first.

    Args:
        skipped: the node id of each skipped test and why it was skipped.

    Returns:
        Lines, the first of which says how many there were.
    """
    files_by_reason: dict[str, list[str]] = defaultdict(list)
    for node_id, reason in skipped:
        files_by_reason[reason].append(node_id.partition("::")[0])
    if not files_by_reason:
        return ["Skipped: none"]
    total = sum(map(len, files_by_reason.values()))
    lines = [f"Skipped: {total}", "  tests  why"]
    for reason, files in sorted(files_by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append(f"  {len(files):5}  {reason}")
        lines += [f"         {file}" for file in sorted(set(files))]
    return lines


def plain_reason(longrepr: object) -> str:
    """Why pytest skipped, from a report's `longrepr`: (path, line, "Skipped: why") or a text."""
    text = longrepr[2] if isinstance(longrepr, tuple) else longrepr
    return str(text).removeprefix("Skipped: ").strip() or "no reason given"
