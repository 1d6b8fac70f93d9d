"""The entry of `datasets.json` that comes nearest to a product which none takes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from estinel_assets.publishing.entries import Entry

# One step of a pattern: an escape, a class, the head of a group, or a single character.
_STEP = re.compile(
    r"\\.|\{\d*,?\d*\}|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P<\w+>|\(\?[a-zA-Z]*[:=!]|\(\?<[=!]|.",
    re.S,
)
_NOT_LITERAL = frozenset(".^$*+?{}[]\\|()")


@dataclass(frozen=True, slots=True)
class _Beginning:
    """A pattern up to one of its steps."""

    text: str
    literal: str
    """What it takes letter by letter."""
    pattern: re.Pattern[str]


def nearest(entries: Sequence[Entry], path: str) -> str:
    """Say which entry comes nearest, and what about it does not match.

    An entry whose `match_pattern` is found comes nearest; then the one of which the most literal
    letters are found, in proportion; then the one whose literal letters resemble the folder's name.

    Args:
        entries: none of which takes the product.
        path: of the product's folder.
    """
    if not entries:
        return "no entry takes products of its kind"
    entry = max(entries, key=lambda candidate: _nearness(candidate, path))
    if entry.match.search(path):
        pattern = entry.alt_match.pattern if entry.alt_match else ""
        return (
            f"nearest is {entry}: its match_pattern is found in {path!r}, but its "
            f"alt_match_pattern {pattern!r} in none of the files below it"
        )
    begun = _found(entry.match.pattern, path)
    how_far = f"only its beginning {begun.text!r} is" if begun else "not even its beginning is"
    return (
        f"nearest is {entry}: its match_pattern {entry.match.pattern!r} is not found in {path!r}, "
        f"{how_far}"
    )


def _nearness(entry: Entry, path: str) -> tuple[bool, float, float]:
    beginnings = _beginnings(entry.match.pattern)
    literal = beginnings[-1].literal if beginnings else ""
    begun = _found(entry.match.pattern, path)
    share = len(begun.literal) / len(literal) if begun and literal else 0.0
    name = path.rpartition("/")[2]
    alike = SequenceMatcher(None, literal, name, autojunk=False).ratio()
    return entry.match.search(path) is not None, share, alike


def _found(pattern: str, path: str) -> _Beginning | None:
    for beginning in reversed(_beginnings(pattern)):
        match = beginning.pattern.search(path)
        if match and match[0]:
            return beginning
    return None


@lru_cache(maxsize=1024)
def _beginnings(pattern: str) -> tuple[_Beginning, ...]:
    return tuple(_cut(pattern))


def _cut(pattern: str) -> Iterator[_Beginning]:
    steps = [found[0] for found in _STEP.finditer(pattern)]
    depth, literal = 0, ""
    for count, step in enumerate(steps, start=1):
        depth += step.startswith("(") - (step == ")")
        letter = step[1:] if step[0] == "\\" and not step[1:].isalnum() else step
        if len(letter) == 1 and (step[0] == "\\" or letter not in _NOT_LITERAL):
            literal += letter
        if step == "|":
            continue
        text = "".join(steps[:count])
        try:
            yield _Beginning(text, literal, re.compile(text + ")" * depth))
        except re.error:
            continue
