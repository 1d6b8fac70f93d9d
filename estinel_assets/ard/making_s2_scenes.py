"""Sentinel-2 scenes as the making of a group needs them: files, offsets, promises of footprints."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from estinel_assets.ard.catalogues import Catalogue, require_asset
from estinel_assets.ard.group_reading import FileRead, GroupReading
from estinel_assets.ard.making import Failures
from estinel_assets.ard.sentinel2_bands import S2_10_BANDS, S2_20_BANDS, SCL_BAND
from estinel_assets.ard.tiles import TileYear
from estinel_assets.raster.blankness import is_believed, promised_by, require_promised
from estinel_assets.raster.footprints import Extent
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.mosaic import mosaic_classes
from estinel_assets.stac.offsets import OffsetDecision, boa_offset
from estinel_assets.stac.scenes import SceneAsset, nodata_percent
from estinel_assets.stac.source import StacItem

BANDS: Final = (*S2_10_BANDS, *S2_20_BANDS)
"""What is composed."""

Promised: TypeAlias = NDArray[np.bool_]
Reads: TypeAlias = Mapping[tuple[str, str], FileRead]
"""By scene id and band."""


@dataclass(frozen=True)
class S2Input:
    """A scene with what is needed to use its pixels."""

    item: StacItem
    catalogue: Catalogue

    @property
    def id(self) -> str:
        """Of the item."""
        return str(self.item["id"])

    @cached_property
    def assets(self) -> Mapping[str, SceneAsset]:
        """By band."""
        return self.catalogue.assets(self.item)

    @cached_property
    def offset(self) -> OffsetDecision:
        """What makes the numbers of all its bands reflectance times 10,000.

        Raises:
            PermanentError: the item does not tell.
        """
        keys = self.catalogue.asset_keys
        return boa_offset(self.item, self.catalogue.provider, {band: keys[band] for band in BANDS})

    def asset(self, band: str) -> SceneAsset:
        """The file of a band.

        Raises:
            PermanentError: `missing_band`.
        """
        return require_asset(self.assets, band, self.id)

    def promised(self, grid: Grid) -> Promised:
        """Where its footprint promises pixels, shape of the grid."""
        if not self._is_believed:
            return np.zeros(grid.shape, dtype=np.bool_)
        return promised_by(self.item.get("geometry"), grid, self._extent)

    def require(self, valid: Promised, promised: Promised, what: str) -> None:
        """Refuse what has fewer pixels than the footprint promises.

        Raises:
            RetryableError: `source_blank`.
        """
        require_promised(valid, promised, f"{what} of scene {self.id}")

    @cached_property
    def _is_believed(self) -> bool:
        """The same on every grid."""
        return is_believed(self.item.get("geometry"), self._extent, nodata_percent(self.item))

    @cached_property
    def _extent(self) -> Extent | None:
        """Where its files lie, all of them alike; None where the item does not say."""
        for asset in self.assets.values():
            if asset.crs is not None and asset.bounds is not None:
                return Extent(asset.crs, asset.bounds)
        return None


@dataclass(frozen=True, slots=True)
class Want:
    """A band of a scene that a tile needs on a grid."""

    tile_year: TileYear
    scene: S2Input
    band: str
    grid: Grid


def begin_reads(reading: GroupReading, wants: Iterable[Want], failures: Failures) -> Reads:
    """Begin to read files, each once for all tiles that want it."""
    grids: dict[tuple[str, str], list[Grid]] = {}
    assets: dict[tuple[str, str], SceneAsset] = {}
    for want in wants:
        with failures.of(want.tile_year):
            key = (want.scene.id, want.band)
            assets[key] = want.scene.asset(want.band)
            grids.setdefault(key, []).append(want.grid)
    return {key: reading.begin(asset, grids[key]) for key, asset in assets.items()}


def classes_on(grid: Grid, scenes: Sequence[S2Input], reads: Reads) -> NDArray[np.uint8]:
    """The classification of a day's scenes as one mosaic.

    Args:
        grid: one that it was read on.
        scenes: in the order of preference, at least one.
        reads: of each scene's classification.

    Returns:
        (height, width); 0 where no scene has anything.

    Raises:
        UnitError: a file could not be read, or is blank.
    """

    def layers() -> Iterator[NDArray[np.uint8]]:
        for scene in scenes:
            classes = reads[scene.id, SCL_BAND].on(grid).astype(np.uint8, copy=False)
            scene.require(classes != 0, scene.promised(grid), SCL_BAND)
            yield classes

    return mosaic_classes(layers())


@dataclass(frozen=True, slots=True)
class TileScenes:
    """A day's scenes over a tile."""

    scenes: tuple[S2Input, ...]
    """In the order of preference."""
    needed: int
    """With so many of them the footprints cover the tile; the others are read only in need."""
    promised: tuple[Promised, ...]
    """Of the needed ones, on the tile's grid of 20 m."""

    @classmethod
    def of(cls, scenes: Sequence[S2Input], grid_20: Grid) -> "TileScenes":
        """Find out how many scenes are needed."""
        promised = []
        missing = np.ones(grid_20.shape, dtype=np.bool_)
        for scene in scenes:
            promised.append(scene.promised(grid_20))
            missing &= ~promised[-1]
            if not missing.any():
                break
        return cls(tuple(scenes), len(promised), tuple(promised))

    def wants(self, tile_year: TileYear, grid_10: Grid, grid_20: Grid) -> Iterator[Want]:
        """All bands of the scenes that are needed."""
        for scene in self.scenes[: self.needed]:
            for band in BANDS:
                yield Want(tile_year, scene, band, grid_10 if band in S2_10_BANDS else grid_20)

    def layers(
        self, bands: Sequence[str], grid: Grid, grid_20: Grid, reads: Reads, reading: GroupReading
    ) -> Iterator[tuple[NDArray[np.uint16], OffsetDecision]]:
        """What `compose_day` takes, scene by scene.

        Args:
            bands: of one pixel size.
            grid: the tile's, of that size.
            grid_20: the tile's, of 20 m.
            reads: of the scenes that are needed.
            reading: reads another scene where pixels are missing after all.

        Raises:
            UnitError: a file could not be read, or is blank; an offset is unknown.
        """
        # Decided for every scene before the first is read: whether a day can be made must not
        # depend on which pixels another scene happens to fill.
        decisions = [scene.offset for scene in self.scenes]
        step = grid.width // grid_20.width
        for number, (scene, decision) in enumerate(zip(self.scenes, decisions, strict=True)):
            files = [
                reads[scene.id, band]
                if number < self.needed
                else reading.begin(scene.asset(band), (grid,))
                for band in bands
            ]
            numbers = np.stack([file.on(grid) for file in files]).astype(np.uint16, copy=False)
            known = number < self.needed
            promised = self.promised[number] if known else scene.promised(grid_20)
            _require(scene, bands, numbers[:, ::step, ::step], promised, decision)
            yield numbers, decision


def _require(
    scene: S2Input,
    bands: Sequence[str],
    numbers: NDArray[np.uint16],
    promised: Promised,
    decision: OffsetDecision,
) -> None:
    if decision.zero_is_nodata:
        for band, of_band in zip(bands, numbers, strict=True):
            scene.require(of_band != 0, promised, band)
    else:
        # Dark pixels of one band may have become 0; of all of them together they hardly do.
        scene.require((numbers != 0).any(axis=0), promised, ", ".join(bands))
