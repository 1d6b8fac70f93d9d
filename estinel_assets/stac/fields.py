"""Values of other people's JSON: each as the type that is expected, or nothing."""

import math
from collections.abc import Mapping
from typing import Any


def as_text(value: object) -> str | None:
    """A string that is not empty, else None."""
    return value if isinstance(value, str) and value else None


def as_number(value: object) -> float | None:
    """A finite number, else None; `true` and `false` are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def as_numbers(value: object, lengths: tuple[int, ...]) -> list[float] | None:
    """A list of finite numbers of one of the given lengths, else None."""
    if not isinstance(value, list | tuple) or len(value) not in lengths:
        return None
    numbers = [number for part in value if (number := as_number(part)) is not None]
    return numbers if len(numbers) == len(value) else None


def as_mapping(value: object) -> Mapping[str, Any]:
    """An object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: object) -> list[Any]:
    """A list, else an empty one."""
    return list(value) if isinstance(value, list | tuple) else []
