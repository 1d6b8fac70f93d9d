"""Reading JSON that others wrote: what is absent or of another type is simply not there.

CMR's metadata come from many archives and many years. Only what a record cannot do without is
insisted on, in `cmr_records`; all else must not fail for a field that one archive writes in its
own way.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
"""A decoded JSON document."""


def section(document: Mapping[str, Json], *names: str) -> Mapping[str, Json]:
    """The object below the names, one in the other; an empty one where there is none."""
    found = document
    for name in names:
        inner = found.get(name)
        if not isinstance(inner, Mapping):
            return {}
        found = inner
    return found


def mappings(document: Mapping[str, Json], name: str) -> Iterator[Mapping[str, Json]]:
    """The objects in a list; a single object counts as a list of one."""
    inner = document.get(name)
    if isinstance(inner, Mapping):
        yield inner
    elif isinstance(inner, list):
        for one in inner:
            if isinstance(one, Mapping):
                yield one


def text(document: Mapping[str, Json], name: str) -> str | None:
    """A text without the white space around it; None where it is absent or blank."""
    inner = document.get(name)
    return inner.strip() or None if isinstance(inner, str) else None


def texts(document: Mapping[str, Json], name: str) -> tuple[str, ...]:
    """The texts in a list."""
    inner = document.get(name)
    return tuple(one for one in inner if isinstance(one, str)) if isinstance(inner, list) else ()


def number(document: Mapping[str, Json], name: str) -> float | None:
    """A finite number."""
    inner = document.get(name)
    if isinstance(inner, bool) or not isinstance(inner, (int, float)):
        return None
    try:
        value = float(inner)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def whole_number(document: Mapping[str, Json], name: str) -> int | None:
    """A whole number that is not negative."""
    inner = document.get(name)
    return inner if isinstance(inner, int) and not isinstance(inner, bool) and inner >= 0 else None
