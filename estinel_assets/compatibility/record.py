"""The record of a check: the published seventeen columns, and what we add to them.

It is the `detail` of the collection's outcome.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

AccessType = Literal["direct", "external"]
"""How a file is reached: `direct` is S3 in the archive's region, `external` is HTTPS."""

Backend = Literal["rasterio", "xarray"]
"""TiTiler-CMR's two ways to read: rio-tiler on rasterio, or titiler.xarray on xarray."""


class TileTried(BaseModel):
    """One tile that was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    z: int
    x: int
    y: int
    """Zoom, column and row in the tile matrix set WebMercatorQuad."""
    through: str
    """What made it: `rio-tiler`, `titiler.xarray` or `titiler-cmr`."""
    valid_pixels: int | None = None
    """Pixels that are not masked; None where no tile came back."""


class CompatibilityRecord(BaseModel):
    """What is known of a collection after its check; None is "not reached" or "not said"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection_concept_id: str
    collection_short_name_and_version: str | None = None
    """`ShortName.Version`."""
    concept_id: str | None = None
    """Of the granule that was tried."""
    data_center: str | None = None
    data_url: str | None = None
    """Address of the granule's file, without a query."""
    backend: Backend | None = None
    format: str | None = None
    """As the metadata says it."""
    extension: str | None = None
    """Of the file's name, without the dot, in the case it was found in."""
    tiling_compatible: bool
    incompatible_reason: str | None = None
    """A word of `CompatibilityReason`; None where tiling works."""
    error_message: str | None = None
    tiles_url: str | None = None
    variable: str | None = None
    data_variables: list[str | None] | None = None
    """Names in the file's order; None in place of a raster's band without a description."""
    num_granules: int | None = None
    processing_level: str | None = None
    groups: list[str] | None = None
    """Groups of the file where its root has no variable; paths from `/`."""

    seed: int | None = None
    """Seed of the choice of the granule; None where the granule was given."""
    access: AccessType | None = None
    tiles: tuple[TileTried, ...] = ()
    durations_s: dict[str, float] = Field(default_factory=dict)
    """Seconds by stage, in their order: metadata, granule, open, variables, tile…"""
    readers: dict[str, str] = Field(default_factory=dict)
    """Versions of what read the file."""
    hint: str | None = None
    """One line on what would make the collection work."""
    revision_id: int | None = None
    """Revision of the collection's metadata in CMR: another one starts the attempts anew."""
    imported_from: str | None = None
    """Name of the file or tree that the result was imported from; None for our own checks."""


PUBLISHED = (
    "collection_concept_id",
    "collection_short_name_and_version",
    "concept_id",
    "data_center",
    "data_url",
    "backend",
    "format",
    "extension",
    "tiling_compatible",
    "incompatible_reason",
    "error_message",
    "tiles_url",
    "variable",
    "data_variables",
    "num_granules",
    "processing_level",
    "groups",
)
"""The published columns, in their order."""


def inputs_of(record: CompatibilityRecord) -> str:
    """Fingerprint of what a check depends on: another one starts the attempts anew."""
    return "" if record.revision_id is None else f"revision {record.revision_id}"
