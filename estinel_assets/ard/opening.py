"""What the ARD product line is opened with: store, outcomes, tile table, rules, from settings."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Protocol, Self

from pydantic import SecretStr

from estinel_assets import __version__
from estinel_assets.ard.reasons import ARD
from estinel_assets.ard.sentinel1_selection import OrbitChoice, S1Rules
from estinel_assets.ard.sentinel2_rules import S2Rules
from estinel_assets.ard.tile_table import TileTable, open_tile_table
from estinel_assets.ard.tiles import Source
from estinel_assets.clock import utc_now
from estinel_assets.errors import BadInputError, NotFoundError
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.run import Run
from estinel_assets.settings import (
    ArdSettings,
    OutcomeSettings,
    RasterSettings,
    Settings,
    StoreSettings,
    TransportSettings,
)
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.paths import MemoryRoot, parse_root
from estinel_assets.storage.port import ObjectStore

CODE_VERSION: Final = "1"
"""Of the arrays: raise it when the same scenes would give other values."""

GROUPS_OF: Final[Mapping[Source, tuple[str, ...]]] = MappingProxyType(
    {Source.DEM: ("dem",), Source.S1: ("s1",), Source.S2: ("s2_10", "s2_20", "clouds")}
)
"""The Zarr groups that are made of each source."""

_ORBITS: Final = MappingProxyType(
    {
        "AUTO": OrbitChoice.AUTO,
        "ASC": OrbitChoice.ASCENDING,
        "DESC": OrbitChoice.DESCENDING,
        "BOTH": OrbitChoice.BOTH,
    }
)


class HasOutcomes(Protocol):
    """Settings that say how outcomes are kept."""

    @property
    def outcomes(self) -> OutcomeSettings:
        """How outcomes are kept."""
        ...


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """The settings that a worker needs; nothing else travels to it, and no other secret."""

    store: StoreSettings
    """Its URL is absolute: a worker may have another working directory."""
    transport: TransportSettings
    raster: RasterSettings
    outcomes: OutcomeSettings
    ard: ArdSettings
    page_size: int
    """Items a page of a search."""
    searches_at_once: int
    """Windows of a long search that are asked at once."""
    api_key: SecretStr | None
    """Subscription key of the Planetary Computer."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take what a worker needs.

        Raises:
            BadInputError: the store is one of this process's memory.
        """
        root = parse_root(settings.store.url)
        if isinstance(root, MemoryRoot):
            raise BadInputError(
                f"store.url {settings.store.url} would be empty for every worker; "
                "use file:// or s3://"
            )
        return cls(
            store=settings.store.model_copy(update={"url": root.url}),
            transport=settings.transport,
            raster=settings.raster,
            outcomes=settings.outcomes,
            ard=settings.ard,
            page_size=settings.stac.page_size,
            searches_at_once=settings.stac.searches_at_once,
            api_key=settings.stac.api_key,
        )


@lru_cache(maxsize=8)
def shared_store(at: StoreSettings) -> ObjectStore:
    """The store of these settings, one for the whole process, for its connections.

    Raises:
        BadInputError: its URL or the AWS configuration cannot be used.
        StoreError: its folder cannot be made.
    """
    return open_store(at.url, endpoint_url=at.endpoint_url, region=at.region, profile=at.profile)


def open_ard_book(settings: HasOutcomes, store: ObjectStore) -> OutcomeBook:
    """The outcomes of the product line; nothing is read yet."""
    return OutcomeBook.from_settings(store, ARD, settings.outcomes)


def tile_table_of(settings: Settings, store: ObjectStore) -> TileTable:
    """The table of tiles that the settings name.

    Args:
        settings: `ard.tile_table` is a URI, a path of this machine, or a path in the store.
        store: the store.

    Raises:
        BadInputError: none is named, or there is none.
        StoreError: the store refuses.
    """
    location = settings.ard.tile_table
    if location is None:
        raise BadInputError(
            "no table of tiles is named: set ESTINEL_ARD_TILE_TABLE to the Parquet file of the "
            "grid of tiles (columns X, Y, X_tile, Y_tile)"
        )
    if "://" not in location and not location.startswith(("/", "./", "../")):
        with suppress(NotFoundError):
            store.head(location)
            return TileTable(store, location)
    at = settings.store
    return open_tile_table(
        location,
        lambda url: open_store(
            url, endpoint_url=at.endpoint_url, region=at.region, profile=at.profile
        ),
    )


def code_version() -> str:
    """What stands in the outcomes as the version of the code."""
    return f"{__version__}/{CODE_VERSION}"


def ard_run(run_id: str, clock: Callable[[], datetime] = utc_now) -> Run:
    """Who does the work.

    Args:
        run_id: stands in the outcomes of whatever is done.
        clock: the time, UTC and aware.
    """
    return Run(run_id, clock, code_version())


def s1_rules(at: ArdSettings) -> S1Rules:
    """The thresholds for Sentinel-1.

    Raises:
        BadInputError: they cannot be used.
    """
    return S1Rules(
        orbit=_ORBITS[at.s1_orbit],
        days_per_quarter=at.s1_days_per_quarter,
        min_coverage=at.s1_min_coverage,
    )


def s2_rules(at: ArdSettings) -> S2Rules:
    """The thresholds for Sentinel-2.

    Raises:
        BadInputError: they cannot be used.
    """
    return S2Rules(
        max_scene_cloud_percent=at.s2_max_scene_cloud_percent,
        min_coverage=at.s2_min_coverage,
        hard_drop_above=at.s2_hard_drop_above,
        max_weighted=at.s2_max_weighted,
        max_bad=at.s2_max_bad,
        max_per_month=at.s2_max_per_month,
        max_per_year=at.s2_max_per_year,
    )
