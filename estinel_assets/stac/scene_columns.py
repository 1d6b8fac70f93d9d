"""The columns of a scene table from which planning reads scenes, without decoding any item.

A site may have thousands of scenes of some 20 kB of JSON each. Grouping them by solar day needs
ten short values of each; these stand in columns of their own, already parsed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from estinel_assets.errors import BadInputError
from estinel_assets.stac.scenes import Scene, SceneAsset
from estinel_assets.stac.versions import Piece

WITHDRAWN = "estinel:withdrawn"
"""Column and item property: the source no longer has the scene."""
VERSION = "estinel:version"
"""Column: the stamp of an item's version, as `version_text` writes it."""

SCENE_COLUMNS: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "estinel:platform": pa.string(),
        "estinel:mgrs_tile": pa.string(),
        "estinel:datatake": pa.string(),
        "estinel:sensing_start": pa.string(),
        "estinel:baseline": pa.string(),
        VERSION: pa.string(),
        "estinel:longitude": pa.float64(),
    }
)
"""What is kept of a `Scene`, by column. The baseline reads as `05.10`."""

_COLUMNS = ("id", "collection", "eo:cloud_cover", WITHDRAWN, *SCENE_COLUMNS)
"""What is read of a row, but for its datetime."""
_PIECE = ("estinel:platform", "estinel:datatake", "estinel:mgrs_tile", "estinel:sensing_start")
"""The columns of a `Piece`, in its order."""
_NO_ASSETS: Mapping[str, SceneAsset] = MappingProxyType({})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME = pa.timestamp("us", tz="UTC")


def scene_columns(scene: Scene) -> dict[str, Any]:
    """The values of a scene's columns."""
    return {
        "estinel:platform": scene.platform,
        "estinel:mgrs_tile": scene.mgrs_tile,
        "estinel:datatake": scene.datatake,
        "estinel:sensing_start": scene.sensing_start,
        "estinel:baseline": "{:02d}.{:02d}".format(*scene.baseline) if scene.baseline else None,
        VERSION: version_text(scene.updated),
        "estinel:longitude": scene.centroid_longitude_deg,
    }


def version_text(stamp: datetime | None) -> str | None:
    """A version's stamp as text that sorts as the stamps do.

    Args:
        stamp: of `stac.scenes.version_stamp`, UTC; None where an item has none.
    """
    # With one offset for all, ISO 8601 sorts as time does; `+` comes before the `.` of a fraction.
    return stamp.isoformat() if stamp else None


class KnownScenes:
    """The scenes of a site in their order; a scene is made when it is asked for.

    Planning a site looks at the scenes of some thirty days and only counts thousands of others,
    and making those others takes longer than all else. Safe to use from many threads: two of them
    may read the same column.
    """

    def __init__(
        self, instants_us: npt.NDArray[np.int64], column: Callable[[str], list[Any]]
    ) -> None:
        """Made by `known_scenes`, and by `of`.

        Args:
            instants_us: see the property of that name.
            column: gives the values of a column of the table, but for its times.
        """
        self.instants_us = instants_us
        """Their datetimes, in microseconds since 1970-01-01 UTC, shape (n,)."""
        self._column = column

    @classmethod
    def of(cls, scenes: Iterable[Scene]) -> "KnownScenes":
        """Scenes that are made already; they lose their assets and links."""
        known = list(scenes)
        instants = [(scene.datetime - _EPOCH) // _MICROSECOND for scene in known]
        rows = [_columns(scene) for scene in known]
        return cls(np.array(instants, np.int64), lambda name: [row[name] for row in rows])

    @cached_property
    def longitudes_deg(self) -> npt.NDArray[np.float64]:
        """Of the footprints' middles, shape (n,); NaN where one is not known."""
        return np.array(self._column("estinel:longitude"), np.float64)

    @cached_property
    def withdrawn(self) -> npt.NDArray[np.bool_]:
        """Whether the source no longer lists them, shape (n,)."""
        return np.array(self._column(WITHDRAWN), np.bool_)

    @cached_property
    def versions(self) -> Sequence[tuple[str, str]]:
        """Id and `version_text` of each; empty where it has no stamp."""
        return [(one, text or "") for one, text in zip(*self._named("id", VERSION), strict=True)]

    @cached_property
    def pieces(self) -> Sequence[Piece | None]:
        """What `piece_of_pass` gives of each."""
        pieces = zip(*self._named(*_PIECE), strict=True)
        return [None if None in piece else piece for piece in pieces]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.instants_us)

    def __iter__(self) -> Iterator[Scene]:
        """All of them, made now."""
        return map(_scene, *self._values)

    def __getitem__(self, place: int) -> Scene:
        """The scene at a place, without assets and links."""
        return _scene(*[values[place] for values in self._values])

    @cached_property
    def _values(self) -> Sequence[Sequence[Any]]:
        return [self.instants_us.tolist(), *self._named(*_COLUMNS)]

    def _named(self, *names: str) -> Sequence[Sequence[Any]]:
        return [self._column(name) for name in names]


def known_scenes(table: pa.Table) -> KnownScenes:
    """The scenes of a table in its order, withdrawn ones included.

    Args:
        table: of `merge_items`.

    Raises:
        BadInputError: it is no scene table.
    """
    present = {"datetime", *_COLUMNS} <= set(table.column_names)
    if not present or table.column("datetime").null_count:
        raise BadInputError(
            "the scene table cannot be read, or was written by something else; delete it, and "
            "the next search makes it anew"
        )
    # As numbers: Arrow gives each instant its zone in turn, which takes longer than all else.
    instants = table.column("datetime").cast(_TIME).cast(pa.int64())
    return KnownScenes(instants.to_numpy(), lambda name: table.column(name).to_pylist())


def read_known_scenes(content: bytes) -> KnownScenes:
    """What `known_scenes` gives of a stored table.

    Args:
        content: Parquet, as `encode_table` makes it.

    Raises:
        BadInputError: it is no scene table.
    """
    columns = ["datetime", *_COLUMNS]
    try:
        # In this thread: a dozen short columns are read before others would have started.
        table = pq.ParquetFile(pa.BufferReader(content)).read(columns=columns, use_threads=False)
    except pa.ArrowInvalid:
        table = pa.table({})
    return known_scenes(table)


def _columns(scene: Scene) -> dict[str, Any]:
    """The row of a scene, but for its datetime."""
    return {
        "id": scene.id,
        "collection": scene.collection,
        "eo:cloud_cover": scene.cloud_cover,
        WITHDRAWN: scene.withdrawn,
        **scene_columns(scene),
    }


def _scene(
    instant_us: int,
    item_id: str,
    collection: str | None,
    cloud_cover: float | None,
    withdrawn: bool | None,  # noqa: FBT001 - a row is positional
    platform: str | None,
    mgrs_tile: str | None,
    datatake: str | None,
    sensing_start: str | None,
    baseline: str | None,
    version: str | None,
    longitude_deg: float | None,
) -> Scene:
    """The scene of a row, whose values come as a time and those of `_COLUMNS`."""
    return Scene(
        id=item_id,
        collection=collection or "",
        datetime=_EPOCH + timedelta(microseconds=instant_us),
        centroid_longitude_deg=longitude_deg,
        platform=platform,
        mgrs_tile=mgrs_tile,
        datatake=datatake,
        sensing_start=sensing_start,
        baseline=_baseline(baseline),
        updated=None if version is None else datetime.fromisoformat(version),
        cloud_cover=cloud_cover,
        assets=_NO_ASSETS,
        self_href=None,
        withdrawn=bool(withdrawn),
    )


@lru_cache(maxsize=64)
def _baseline(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = text.split(".")
    return int(major), int(minor)
