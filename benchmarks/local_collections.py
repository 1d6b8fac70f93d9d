"""Very many small collections behind a local CMR, for measuring runs of checks.

Two worlds: `mix`, in which checks end as those of a published run over NASA's archives did, and
`tiled`, in which every one opens and tiles. Each collection has one granule with an address of its
own. Files of one kind are hard links to one file, so that neither disk nor page cache is measured.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from estinel_assets.compatibility.record import Backend
from estinel_assets.compatibility.source import Bounds, Source
from estinel_assets.demo import granule_files
from estinel_assets.demo.cmr import LocalCmr
from estinel_assets.demo.cmr_items import Item, collection_item, granule_item
from tests.support.published_counts import REASONS

WORLD: Bounds = (-180.0, -90.0, 180.0, 90.0)
HOBART: Bounds = (147.0, -43.2, 147.6, -42.6)
PUBLISHED: Mapping[str, int] = {
    reason: REASONS[reason]
    for reason in (
        "unsupported_format",
        "no_xy_dimensions",
        "group_structure",
        "none",
        "no_granule_found",
        "cant_open_file",
        "forbidden",
    )
}
"""How 9,867 of 10,047 checks ended on 2025-11-24. Timeouts are left out: whatever else happens,
each takes the time limit; the others are few, or did not say why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Collections that are alike."""

    reason: str
    """How their checks end."""
    name: str
    """Of the file that they share, below the folder of files; empty for no granule at all."""
    write: Callable[[Path], None] | None = None
    """Writes the file; None leaves it out."""
    format: str = "netCDF-4"
    bounds: Bounds = WORLD
    backend: Backend | None = "xarray"
    """What opens the file; None where no check comes so far."""


def _regional(path: Path) -> None:
    granule_files.write_grid(path, bounds=HOBART, rows=60, columns=60)


def _grouped(path: Path) -> None:
    granule_files.write_grid(path, group="/science/ocean", name="chlor_a")


GRIDS = (
    Kind("none", "global.nc", granule_files.write_grid),
    Kind("none", "regional.nc", _regional, bounds=HOBART),
    Kind("none", "raster.tif", granule_files.write_geotiff, "COG", HOBART, "rasterio"),
    Kind("none", "global.nc", granule_files.write_grid),
)
KINDS: Mapping[str, Sequence[Kind]] = {
    "unsupported_format": (
        Kind("unsupported_format", "table.csv", granule_files.write_text, "CSV", backend=None),
    ),
    "no_xy_dimensions": (Kind("no_xy_dimensions", "swath.nc", granule_files.write_swath),),
    "group_structure": (Kind("group_structure", "grouped.nc", _grouped),),
    "none": GRIDS,
    "no_granule_found": (Kind("no_granule_found", "", backend=None),),
    "cant_open_file": (Kind("cant_open_file", "lost.nc"),),
    "forbidden": (Kind("forbidden", "protected/shut.nc", granule_files.write_swath),),
}
"""By reason; collections of one reason take them in turn."""


@dataclass(frozen=True, slots=True)
class Place:
    """A collection, and what the plain peer is told of it."""

    concept_id: str
    kind: Kind
    file: str
    """Of its granule, below the server's root; empty without."""

    def source(self, root: str) -> Source | None:
        """The file that a check opens; None where it does not come so far.

        Args:
            root: of the local CMR, without a slash at the end.
        """
        if self.kind.backend is None:
            return None
        return Source(f"{root}/{self.file}", self.file.rpartition(".")[2], self.kind.backend)


def mix(count: int) -> list[Kind]:
    """Kinds in the shares of the published run, shuffled by a fixed seed."""
    whole = sum(PUBLISHED.values())
    exact = {reason: count * number / whole for reason, number in PUBLISHED.items()}
    shares = {reason: int(share) for reason, share in exact.items()}
    for reason in sorted(exact, key=lambda one: shares[one] - exact[one]):
        if sum(shares.values()) < count:
            shares[reason] += 1
    kinds = [
        KINDS[reason][number % len(KINDS[reason])]
        for reason, share in shares.items()
        for number in range(share)
    ]
    Random(20251124).shuffle(kinds)  # noqa: S311 - the same for all
    return kinds


def tiled(count: int) -> list[Kind]:
    """Kinds that open and tile."""
    return [GRIDS[number % len(GRIDS)] for number in range(count)]


def build(folder: Path, kinds: Sequence[Kind]) -> list[Place]:
    """Write the files and the records of a local CMR.

    Args:
        folder: gets all of it; made where absent.
        kinds: one a collection.
    """
    files, models = folder / "files", folder / "models"
    for path in (files / "protected", models / "protected"):
        path.mkdir(parents=True, exist_ok=True)
    places = [_place(number, kind) for number, kind in enumerate(kinds)]
    collections: list[Item] = []
    granules: dict[str, list[Item]] = {}
    for number, place in enumerate(places):
        kind, key = place.kind, place.concept_id
        collections.append(
            collection_item(
                key,
                f"COLLECTION_{number}",
                "1",
                format=kind.format,
                # CMR counts a granule that it then does not list.
                granule_count=None if place.file else 1,
            )
        )
        if not place.file:
            continue
        granules[key] = [
            granule_item(f"G{10_000 + number}-BENCH", key, place.file, bounds=kind.bounds)
        ]
        if kind.write is not None:
            model = models / kind.name
            if not model.exists():
                kind.write(model)
            os.link(model, folder / place.file)
    LocalCmr(collections, granules, files=files).write(folder)
    return places


def _place(number: int, kind: Kind) -> Place:
    above, _, name = kind.name.rpartition("/")
    file = "/".join(filter(None, ("files", above, f"{number}_{name}"))) if name else ""
    return Place(f"C{10_000 + number}-BENCH", kind, file)
