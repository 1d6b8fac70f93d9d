"""What an asset check says of all outcomes of a product line at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a check went."""

    passed: bool
    description: str
    numbers: Mapping[str, int | float] = field(default_factory=dict)
    failing: tuple[str, ...] = ()
    """Some of those that fail it: keys, or reasons."""
