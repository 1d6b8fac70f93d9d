"""The columns of a scene table from which planning reads scenes, without decoding any item.

A site may have thousands of scenes of some 20 kB of JSON each. Grouping them by solar day needs
ten short values of each; these stand in columns of their own, already parsed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from estinel_assets.errors import BadInputError
from estinel_assets.stac.scenes import Scene, SceneAsset

WITHDRAWN = "estinel:withdrawn"
"""Column and item property: the source no longer has the scene."""

SCENE_COLUMNS: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "estinel:platform": pa.string(),
        "estinel:mgrs_tile": pa.string(),
        "estinel:datatake": pa.string(),
        "estinel:sensing_start": pa.string(),
        "estinel:baseline": pa.string(),
        "estinel:version": pa.string(),
        "estinel:longitude": pa.float64(),
    }
)
"""What is kept of a `Scene`, by column."""

_OTHERS = ("id", "collection", "datetime", "eo:cloud_cover", WITHDRAWN)
_NO_ASSETS: Mapping[str, SceneAsset] = MappingProxyType({})


def scene_columns(scene: Scene) -> dict[str, Any]:
    """The values of a scene's columns."""
    return {
        "estinel:platform": scene.platform,
        "estinel:mgrs_tile": scene.mgrs_tile,
        "estinel:datatake": scene.datatake,
        "estinel:sensing_start": scene.sensing_start,
        "estinel:baseline": "{}.{}".format(*scene.baseline) if scene.baseline else None,
        "estinel:version": scene.updated.isoformat() if scene.updated else None,
        "estinel:longitude": scene.centroid_longitude_deg,
    }


def read_scenes(content: bytes) -> list[Scene]:
    """The scenes of a table, withdrawn ones included, without assets and links.

    Args:
        content: Parquet, as `encode_table` makes it.

    Raises:
        BadInputError: it is no scene table.
    """
    names = [*_OTHERS, *SCENE_COLUMNS]
    try:
        columns = pq.read_table(pa.BufferReader(content), columns=names).to_pydict()
    except (pa.ArrowInvalid, KeyError):
        columns = {}
    if set(columns) != set(names):
        raise BadInputError(
            "the scene table cannot be read, or was written by something else; delete it, and "
            "the next search makes it anew"
        )
    rows = zip(*(columns[name] for name in names), strict=True)
    return [_scene(dict(zip(names, row, strict=True))) for row in rows]


def _scene(row: Mapping[str, Any]) -> Scene:
    baseline, version = row["estinel:baseline"], row["estinel:version"]
    return Scene(
        id=row["id"],
        collection=row["collection"] or "",
        datetime=row["datetime"].astimezone(UTC),
        centroid_longitude_deg=row["estinel:longitude"],
        platform=row["estinel:platform"],
        mgrs_tile=row["estinel:mgrs_tile"],
        datatake=row["estinel:datatake"],
        sensing_start=row["estinel:sensing_start"],
        baseline=_baseline(baseline),
        updated=datetime.fromisoformat(version) if version else None,
        cloud_cover=row["eo:cloud_cover"],
        assets=_NO_ASSETS,
        self_href=None,
        withdrawn=bool(row[WITHDRAWN]),
    )


def _baseline(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = text.split(".")
    return int(major), int(minor)
