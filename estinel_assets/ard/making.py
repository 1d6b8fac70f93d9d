"""What the making of a group of tiles begins with, and how it ends for each of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import xarray as xr

from estinel_assets.ard.catalogues import Catalogue
from estinel_assets.ard.reasons import ArdReason
from estinel_assets.ard.tiles import TileYear
from estinel_assets.errors import StoreError, UnitError
from estinel_assets.logs import get_logger
from estinel_assets.raster.reader import RasterReader
from estinel_assets.settings import ArdSettings
from estinel_assets.storage.port import ObjectStore

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TileEnd:
    """How the making of a tile-year ended, as far as it did not fail."""

    reason: ArdReason
    groups: Mapping[str, xr.Dataset] = field(default_factory=dict)
    """The arrays by Zarr group; empty where there are none."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """JSON values, for the outcome."""


Ends: TypeAlias = dict[TileYear, TileEnd | Exception]
"""For each tile-year how it ended, or why it failed."""


class Seconds:
    """How long the phases of a group's work took, in all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Args: clock: seconds, monotonic."""
        self._clock = clock
        self._spent: dict[str, float] = {}

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        """Count what happens within to a phase."""
        started = self._clock()
        try:
            yield
        finally:
            self._spent[phase] = self._spent.get(phase, 0.0) + self._clock() - started

    def shares(self, tiles: int) -> dict[str, float]:
        """A tile's share of each phase, in seconds."""
        return {phase: round(spent / tiles, 3) for phase, spent in self._spent.items()}


@dataclass(frozen=True, slots=True)
class GroupInput:
    """A group of tiles with all that is needed to make their arrays."""

    tile_years: tuple[TileYear, ...]
    """Neighbours, of one year."""
    catalogue: Catalogue
    rasters: RasterReader
    store: ObjectStore
    """Keeps what is learnt of a catalogue."""
    ard: ArdSettings
    seconds: Seconds


class Failures(dict[TileYear, Exception]):
    """Why tile-years failed: the failure of one leaves the others alone."""

    @contextmanager
    def of(self, tile_year: TileYear) -> Iterator[None]:
        """Keep what goes wrong within as the failure of a tile-year.

        A lack of memory passes by: it is the whole worker's.
        """
        try:
            yield
        except (UnitError, StoreError) as error:
            self[tile_year] = error
        except MemoryError:
            raise
        except Exception as error:
            log.exception("internal error", tile=tile_year.key)
            self[tile_year] = error

    def spared(self, tile_years: Iterable[TileYear]) -> Iterator[TileYear]:
        """Those that have not failed by the time they come up."""
        return (tile_year for tile_year in tile_years if tile_year not in self)
