"""A record in the making: each stage of a check adds what it learns and how long it took.

Whatever stage fails, what was learned before stays.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.record import CompatibilityRecord, TileTried


@dataclass(slots=True)
class Draft:
    """What is known so far of one collection."""

    concept_id: str
    clock: Callable[[], float] = time.monotonic
    """Seconds on a clock that never goes back."""
    known: dict[str, Any] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict)
    tiles: list[TileTried] = field(default_factory=list)

    def learn(self, **fields: Any) -> None:
        """Add fields of `CompatibilityRecord`; None does not replace what is known."""
        self.known.update({name: value for name, value in fields.items() if value is not None})

    def tried(self, tile: TileTried) -> None:
        """Add a tile that was asked for."""
        self.tiles.append(tile)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage, also one that fails."""
        began = self.clock()
        try:
            yield
        finally:
            self.durations_s[name] = round(self.clock() - began, 4)

    def compatible(self) -> CompatibilityRecord:
        """The record of a collection that can be tiled."""
        return self._record(tiling_compatible=True)

    def incompatible(self, ending: CheckEndedError) -> CompatibilityRecord:
        """The record of a check that ended early."""
        return self._record(
            tiling_compatible=False,
            incompatible_reason=ending.reason,
            error_message=str(ending),
            hint=ending.hint,
        )

    def _record(self, **ending: Any) -> CompatibilityRecord:
        return CompatibilityRecord(
            collection_concept_id=self.concept_id,
            **{**self.known, **ending},
            durations_s=self.durations_s,
            tiles=tuple(self.tiles),
        )
