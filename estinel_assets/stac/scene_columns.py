"""The columns of a scene table from which planning reads scenes, without decoding any item.

A site may have thousands of scenes of some 20 kB of JSON each. Grouping them by solar day needs
ten short values of each; these stand in columns of their own, already parsed.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from estinel_assets.errors import BadInputError
from estinel_assets.stac.scenes import Scene, SceneAsset

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

_READ = ("id", "collection", "datetime", "eo:cloud_cover", WITHDRAWN, *SCENE_COLUMNS)
_NO_ASSETS: Mapping[str, SceneAsset] = MappingProxyType({})


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


def read_scenes(content: bytes) -> list[Scene]:
    """The scenes of a stored table, withdrawn ones included, without assets and links.

    Args:
        content: Parquet, as `encode_table` makes it.

    Raises:
        BadInputError: it is no scene table.
    """
    try:
        # In this thread: a dozen short columns are read before others would have started.
        table = pq.ParquetFile(pa.BufferReader(content)).read(columns=_READ, use_threads=False)
    except pa.ArrowInvalid:
        table = pa.table({})
    return scenes_of(table)


def scenes_of(table: pa.Table) -> list[Scene]:
    """The scenes of a table in its order, withdrawn ones included, without assets and links.

    Args:
        table: of `merge_items`.

    Raises:
        BadInputError: it is no scene table.
    """
    if not set(_READ) <= set(table.column_names):
        raise BadInputError(
            "the scene table cannot be read, or was written by something else; delete it, and "
            "the next search makes it anew"
        )
    values = {name: table.column(name).to_pylist() for name in _READ if name != "datetime"}
    # Without zone, which is UTC: giving each value its zone in turn takes longer than all else.
    instants = table.column("datetime").cast(pa.timestamp("us")).to_pylist()
    baselines = {text: _baseline(text) for text in set(values["estinel:baseline"])}
    stamps = {text: _instant(text) for text in set(values[VERSION])}
    by_field: dict[str, list[Any]] = {
        "id": values["id"],
        "collection": [collection or "" for collection in values["collection"]],
        "datetime": [instant.replace(tzinfo=UTC) for instant in instants],
        "centroid_longitude_deg": values["estinel:longitude"],
        "platform": values["estinel:platform"],
        "mgrs_tile": values["estinel:mgrs_tile"],
        "datatake": values["estinel:datatake"],
        "sensing_start": values["estinel:sensing_start"],
        "baseline": [baselines[text] for text in values["estinel:baseline"]],
        "updated": [stamps[text] for text in values[VERSION]],
        "cloud_cover": values["eo:cloud_cover"],
        "assets": [_NO_ASSETS] * len(instants),
        "self_href": [None] * len(instants),
        "withdrawn": values[WITHDRAWN],
    }
    rows = zip(*(by_field[field.name] for field in fields(Scene)), strict=True)
    return [Scene(*row) for row in rows]


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _baseline(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = text.split(".")
    return int(major), int(minor)
