"""Whether all ways give the same: pixels that were read, files that were uploaded."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio

_TIFF = ("crs", "transform", "nodata", "dtypes", "shape", "count", "descriptions", "block_shapes",
         "compression", "photometric")  # fmt: skip


def differing_share(path: Path, reference: Path) -> float:
    """The share of pixels that differ between two files of `pixel_worker`, the bands together.

    Args:
        path: of one way.
        reference: of ours.
    """
    with np.load(path) as found, np.load(reference) as ours:
        differing = pixels = 0
        for name in ("rgb", "scl"):
            if found[name].dtype != ours[name].dtype:
                raise SystemExit(f"{path.name}: {name} is {found[name].dtype}")
            differing += int(np.count_nonzero(found[name] != ours[name]))
            pixels += found[name].size
    return differing / pixels


def has_something(path: Path) -> bool:
    """Whether most pixels have a value, so that nobody agrees on nothing."""
    with np.load(path) as found:
        return all(float(np.mean(found[name] != 0)) > 0.9 for name in ("rgb", "scl"))


def unequal_outputs(folder: Path, reference: Path) -> list[str]:
    """What differs between two folders of outputs.

    Pixels, metadata and form must be the same; how well a file is packed may differ.

    Args:
        folder: of one way.
        reference: of ours.
    """
    names = sorted(str(path.relative_to(reference)) for path in reference.rglob("*.*"))
    others = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))
    if names != others:
        return [f"files: {sorted({*names} ^ {*others})[:5]}"]
    found = []
    for name in names:
        ours, theirs = _contents(reference / name), _contents(folder / name)
        found += [f"{name}: {part}" for part in ours if not _same(ours[part], theirs[part])]
    return found


def _contents(path: Path) -> dict[str, Any]:
    with rasterio.open(path) as file:
        contents = {"pixels": file.read(), "shape": file.shape}
        if path.suffix == ".tif":
            contents |= {field: getattr(file, field) for field in _TIFF}
            contents |= {"tags": file.tags(), "predictor": file.tags(ns="IMAGE_STRUCTURE")}
        if path.name == "scl.tif":
            contents["colours"] = file.colormap(1)
        return contents


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, np.ndarray):
        return np.array_equal(ours, theirs)
    return bool(ours == theirs)
