"""The catalogues of the three sources: what each lists over a group of tiles."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final

import numpy as np

from estinel_assets.ard.dem_cells import DemCell, lon_lat, parse_dem_cell, unwrapped
from estinel_assets.ard.opening import WorkSettings
from estinel_assets.ard.sentinel2_bands import S2_ASSET_KEYS
from estinel_assets.ard.tiles import Source
from estinel_assets.errors import (
    NotFoundError,
    PermanentError,
    RetryableError,
    SourceFault,
    StoreError,
    public_url,
)
from estinel_assets.logs import get_logger
from estinel_assets.raster.grids import Grid
from estinel_assets.settings import StacSettings
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.geography import Box
from estinel_assets.stac.scenes import SceneAsset, scene_assets
from estinel_assets.stac.search import StacApiSource
from estinel_assets.stac.signing import HrefSigner, signer_for
from estinel_assets.stac.source import SceneQuery, SceneSource, StacItem
from estinel_assets.stac.spans import search_all, split_query
from estinel_assets.storage.documents import dump_json, read_json
from estinel_assets.storage.port import ObjectStore
from estinel_assets.transport import RequestsTransport, RetryPolicy

ELEVATION: Final = "elevation"
"""What the one band of the elevation model is called here."""

_ALWAYS: Final = (datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
"""The elevation model has one date, and no year."""
_LISTED_AT_ONCE_DEG: Final = 10
"""Longitudes of one search when the whole elevation model is listed: under a thousand cells."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Where a source's scenes are found, and how their files are read. Safe between threads."""

    source: Source
    provider: Provider
    url: str
    """Root of the STAC API."""
    collection: str
    scenes: SceneSource
    signer: HrefSigner
    searches_at_once: int = 1

    @property
    def asset_keys(self) -> Mapping[str, str]:
        """For each band the key of its asset."""
        match self.source:
            case Source.DEM:
                return {ELEVATION: "data"}
            case Source.S1:
                return {"VV": "vv", "VH": "vh"}
            case Source.S2:
                return S2_ASSET_KEYS[self.provider]

    def assets(self, item: StacItem) -> Mapping[str, SceneAsset]:
        """Where the bands of an item are; one without usable address is absent."""
        return scene_assets(item, self.asset_keys)

    def find(self, grids: Sequence[Grid], start: datetime, end: datetime) -> tuple[StacItem, ...]:
        """Every item that meets one of several neighbouring grids in a span of time.

        Args:
            grids: near to one another.
            start: first instant, aware.
            end: last instant, aware.

        Raises:
            UnitError: the search failed.
        """
        query = SceneQuery(self.collection, boxes_around(grids), start, end)
        return search_all(self.scenes, split_query(query), workers=self.searches_at_once).items

    def find_always(self, grids: Sequence[Grid]) -> tuple[StacItem, ...]:
        """Every item, of whatever date, that meets one of several neighbouring grids.

        Raises:
            UnitError: the search failed.
        """
        return self.scenes.search(SceneQuery(self.collection, boxes_around(grids), *_ALWAYS)).items

    def listed_cells(self, store: ObjectStore) -> frozenset[DemCell]:
        """Every cell of the elevation model, listed once and then kept in the store.

        Args:
            store: keeps the list.

        Raises:
            UnitError: a search failed, or the collection is empty.
            StoreError: the store refuses to read.
        """
        mark = sha256(self.url.encode()).hexdigest()[:8]
        path = f"cache/dem-cells/{self.collection}-{mark}.json"
        try:
            return frozenset(DemCell(south, west) for south, west in read_json(store, path))
        except NotFoundError:
            cells = self._list_cells()
        try:
            store.put(path, dump_json(sorted([cell.south, cell.west] for cell in cells)))
        except StoreError as error:
            log.warning("the list of cells is not kept", path=path, error=str(error))
        return cells

    def _list_cells(self) -> frozenset[DemCell]:
        everywhere = SceneQuery(self.collection, ((-180.0, -90.0, 180.0, 90.0),), *_ALWAYS)
        cells: set[DemCell] = set()
        for west in range(-180, 180, _LISTED_AT_ONCE_DEG):
            box = (float(west), -90.0, float(west + _LISTED_AT_ONCE_DEG), 90.0)
            for item in self.scenes.search(replace(everywhere, boxes=(box,))).items:
                cell = parse_dem_cell(item["id"])
                if cell is not None:
                    cells.add(cell)
        if not cells:
            raise RetryableError(
                SourceFault.UNAVAILABLE,
                f"{public_url(self.url)} lists no cell in the collection {self.collection!r}; "
                "without a list nobody can tell sea from what is missing",
            )
        return frozenset(cells)


def require_asset(assets: Mapping[str, SceneAsset], band: str, scene_id: str) -> SceneAsset:
    """The asset of a band.

    Raises:
        PermanentError: `missing_band`.
    """
    asset = assets.get(band)
    if asset is None:
        raise PermanentError(
            "missing_band",
            f"scene {scene_id} lists no file for {band}, only for {sorted(assets)}",
        )
    return asset


def boxes_around(grids: Sequence[Grid]) -> tuple[Box, ...]:
    """The smallest box around grids in longitude and latitude, cut in two where it passes ±180°.

    Args:
        grids: near to one another, at least one.
    """
    outlines = [lon_lat(grid, outline=True) for grid in grids]
    centre = float(outlines[0][0][0])
    longitudes = np.concatenate([unwrapped(lon, centre) for lon, _ in outlines])
    latitudes = np.concatenate([lat for _, lat in outlines])
    south, north = max(float(latitudes.min()), -90.0), min(float(latitudes.max()), 90.0)
    turn = 360.0 * math.floor((float(longitudes.min()) + 180.0) / 360.0)
    west, east = float(longitudes.min()) - turn, float(longitudes.max()) - turn
    if east <= 180.0:
        return ((west, south, east, north),)
    return ((west, south, 180.0, north), (-180.0, south, east - 360.0, north))


@lru_cache(maxsize=8)
def shared_catalogue(source: Source, settings: WorkSettings) -> Catalogue:
    """The catalogue of a source, one for the whole process, for its connections and signatures.

    Args:
        source: the source.
        settings: where it is.
    """
    at = settings.ard
    match source:
        case Source.DEM:
            provider, url, collection = at.dem_provider, at.dem_url, at.dem_collection
        case Source.S1:
            provider, url, collection = at.s1_provider, at.s1_url, at.s1_collection
        case Source.S2:
            provider, url, collection = at.s2_provider, at.s2_url, at.s2_collection
    stac = StacSettings(
        provider=provider,
        url=url,
        collection=collection,
        page_size=settings.page_size,
        searches_at_once=settings.searches_at_once,
        api_key=settings.api_key,
    )
    policy = RetryPolicy.from_settings(settings.transport)
    tokens = RequestsTransport(policy, timeout_s=settings.transport.timeout_s)
    return Catalogue(
        source=source,
        provider=Provider(provider),
        url=url,
        collection=collection,
        scenes=StacApiSource.from_settings(stac, settings.transport),
        signer=signer_for(stac, tokens),
        searches_at_once=settings.searches_at_once,
    )


def region_of(source: Source, settings: WorkSettings) -> str:
    """Where the work on a source runs, for reports."""
    at = settings.ard
    return {Source.DEM: at.dem_region, Source.S1: at.s1_region, Source.S2: at.s2_region}[source]
