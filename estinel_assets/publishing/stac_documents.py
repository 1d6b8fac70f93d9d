"""JSON documents that strangers wrote, read with limits.

What comes back can be written again by any JSON library and kept by PostgreSQL: finite numbers
of at most 64 bits, texts without U+0000 and lone surrogates, and no deep nesting.
"""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from estinel_assets.publishing.model import JsonObject

MAX_BYTES = 16 * 1024 * 1024
"""Largest STAC document that is read."""
MAX_NESTING = 100
"""Deepest nesting of arrays and objects."""
_MAX_INTEGER = 2**63 - 1
_MIN_INTEGER = -(2**63)
_SHOWN = 200

_Place: TypeAlias = "tuple[_Place | None, str | int]"
"""A key, and the place of what holds it; None for the document."""


class Problem(NamedTuple):
    """One thing that is wrong within a document."""

    at: str
    """JSON Pointer, such as `/assets/red/href`; empty for the whole document."""
    what: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file was found to hold."""

    document: JsonObject | None
    """None where it cannot be used at all."""
    digest: bytes
    """SHA-256 of the file's bytes."""
    problems: tuple[Problem, ...] = ()


def pointer(parts: Iterator[Any] | list[Any]) -> str:
    """A JSON Pointer (RFC 6901) of keys and indices."""
    return "".join("/" + _escaped(part) for part in parts)


def _escaped(part: Any) -> str:
    text = str(part).encode("utf-8", "backslashreplace").decode()
    return text.replace("~", "~0").replace("/", "~1")


def read_document(path: Path) -> Reading:
    """Read one JSON object.

    Args:
        path: of a regular file.

    Returns:
        The document, or every reason why it cannot be used.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size  # a buffer of the largest size is slow to get
        raw = file.read(min(size, MAX_BYTES) + 1)
    digest = sha256(raw).digest()
    if len(raw) > MAX_BYTES:
        return _refused(digest, f"it has more than {MAX_BYTES:,} bytes: split it")
    try:
        document = json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return _refused(digest, "it is not UTF-8: write it again as UTF-8")
    except RecursionError:
        return _refused(digest, f"it is nested deeper than {MAX_NESTING} levels")
    except ValueError as error:
        return _refused(digest, f"it is not JSON ({error}): write it again")
    if not isinstance(document, dict):
        return _refused(digest, "it is not a JSON object: write a STAC document")
    problems = tuple(unfit_values(document))
    return Reading(None if problems else document, digest, problems)


def _refused(digest: bytes, what: str) -> Reading:
    return Reading(None, digest, (Problem("", what),))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def unfit_values(document: JsonObject) -> Iterator[Problem]:
    """Values that are JSON, but that not every store and library takes."""
    waiting: list[tuple[Any, _Place | None, int]] = [(document, None, 1)]
    while waiting:
        value, place, depth = waiting.pop()
        if depth > MAX_NESTING:
            what = f"it is nested deeper than {MAX_NESTING} levels: flatten it"
            yield Problem(_pointer_to(place)[:_SHOWN], what)
            continue
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            if isinstance(key, str) and (what := _unfit_text(key)):
                yield Problem(_pointer_to(place), f"a key {what}")
            if isinstance(part, dict | list):
                waiting.append((part, (place, key), depth + 1))
            elif what := _unfit(part):
                yield Problem(_pointer_to((place, key)), f"the value {what}")


def _pointer_to(place: "_Place | None") -> str:
    keys: list[Any] = []
    while place is not None:
        place, key = place
        keys.append(key)
    return pointer(keys[::-1])


def _unfit(value: Any) -> str:
    if isinstance(value, str):
        return _unfit_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "is too large a number"
    if isinstance(value, int) and not _MIN_INTEGER <= value <= _MAX_INTEGER:
        return "is an integer of more than 64 bits: write it as text"
    return ""


def _unfit_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "holds half of a surrogate pair: write whole characters"
    return "holds the character U+0000: remove it" if "\0" in text else ""


def canonical(document: JsonObject) -> bytes:
    """The same bytes for the same document: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        document, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()


def digest_of(document: JsonObject) -> str:
    """SHA-256 of the canonical JSON, hex."""
    return sha256(canonical(document)).hexdigest()
