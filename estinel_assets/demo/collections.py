"""The demo's collections: a dozen, one for most ends that a check may have."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from estinel_assets.demo import granule_files as files
from estinel_assets.demo.cmr import LocalCmr
from estinel_assets.demo.cmr_items import collection_item, granule_item

PROVIDER = "DEMO"
PROTECTED = "protected"
"""Folder whose files the local CMR keeps shut."""


@dataclass(frozen=True, slots=True)
class DemoCollection:
    """A collection of one granule."""

    short_name: str
    reason: str
    """How its check ends."""
    file: str | None
    """Path below the folder of files; None for a collection without granules."""
    write: Callable[[Path], None] | None
    """Writes the file; None leaves it out."""
    format: str | None = None
    """As the metadata say it."""
    bounds: tuple[float, float, float, float] = (-180.0, -90.0, 180.0, 90.0)


def _grouped(path: Path) -> None:
    files.write_grid(path, group="/science/ocean", name="chlor_a")


def _hobart(path: Path) -> None:
    files.write_grid(path, bounds=(147.0, -43.2, 147.6, -42.6), rows=60, columns=60)


COLLECTIONS = (
    DemoCollection("GLOBAL_SST", "none", "global_sst.nc", files.write_grid, "netCDF-4"),
    DemoCollection(
        "HOBART_SST", "none", "hobart_sst.nc", _hobart, "NETCDF-4", (147.0, -43.2, 147.6, -42.6)
    ),
    DemoCollection(
        "HOBART_DEM", "none", "hobart.tif", files.write_geotiff, "COG", (147.0, -43.2, 147.6, -42.6)
    ),
    DemoCollection("OCEAN_COLOUR", "group_structure", "ocean.nc", _grouped, "netCDF-4"),
    DemoCollection("WIND_SWATH", "no_xy_dimensions", "swath.nc", files.write_swath, "netCDF-4"),
    DemoCollection(
        "EMPTY_L3", "cant_extract_variables", "empty.nc", files.write_without_variables, "netCDF-4"
    ),
    DemoCollection("NIGHT_SST", "blank_tile", "night.nc", files.write_blank_grid, "netCDF-4"),
    DemoCollection("OLD_MODEL", "unsupported_format", "old.nc", files.write_netcdf3, "netCDF"),
    DemoCollection("SHIP_LOG", "unsupported_format", "ship.csv", files.write_text, "CSV"),
    DemoCollection("LOST_FILE", "cant_open_file", "lost.nc", None, "netCDF-4"),
    DemoCollection(
        "LICENSED", "forbidden", f"{PROTECTED}/licensed.nc", files.write_grid, "netCDF-4"
    ),
    DemoCollection("GIANT_GRID", "out_of_memory", "giant.nc", files.write_giant, "netCDF-4"),
    DemoCollection("PLANNED_MISSION", "no_granule_found", None, None, "netCDF-4"),
)


def concept_id(number: int) -> str:
    """The concept id of the collection at a place in `COLLECTIONS`, from 0."""
    return f"C{1000 + number}-{PROVIDER}"


def build_collections(folder: Path) -> LocalCmr:
    """Write the files and the records.

    Args:
        folder: gets `files/` and the records; made where absent.

    Returns:
        What was written; `demo.cmr.running_cmr` serves the folder.
    """
    stored = folder / "files"
    (stored / PROTECTED).mkdir(parents=True, exist_ok=True)
    collections, granules = [], {}
    for number, one in enumerate(COLLECTIONS):
        key = concept_id(number)
        collections.append(
            collection_item(
                key,
                one.short_name,
                "1",
                format=one.format,
                # CMR's count may be behind: this collection claims a granule that it lacks.
                granule_count=1 if one.file is None else None,
            )
        )
        if one.file is None:
            continue
        if one.write is not None:
            one.write(stored / one.file)
        granules[key] = [
            granule_item(
                f"G{1000 + number}-{PROVIDER}", key, f"files/{one.file}", bounds=one.bounds
            )
        ]
    cmr = LocalCmr(collections, granules, files=stored)
    cmr.write(folder)
    return cmr
