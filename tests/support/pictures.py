"""Pictures of made places: land, water and clouds, enough to tell days and views apart."""

import io
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from estinel_assets.imagery.layout import VIEW_NAMES

Pixels = npt.NDArray[np.uint8]

SIZES = {"views": (300, 300), "thumbs": (96, 96)}
"""Width and height, in pixels."""
_PLACES, _KEPT = 4, 6
"""So many places, and days of each, where no files are written."""
_LOOKS = 12
"""So many different days a site; the files of later days are the same bytes again."""


def write_pictures(
    folder: Path, place: int, days: Sequence[Mapping[str, str]], kind: Literal["views", "thumbs"]
) -> None:
    """Write a picture for each day and view.

    Args:
        folder: where the paths begin.
        place: the number of the place; each looks its own way.
        days: for each day, the path by view.
        kind: which size.
    """
    bodies: dict[tuple[int, str], bytes] = {}
    for number, views in enumerate(days):
        for view, path in views.items():
            key = number % _LOOKS, view
            if key not in bodies:
                bodies[key] = picture(place, number % _LOOKS, view, SIZES[kind])
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(bodies[key])


def picture(place: int, look: int, view: str, size: tuple[int, int]) -> bytes:
    """One picture as a PNG.

    Args:
        place: the number of the place.
        look: the number of the day; clouds differ.
        view: the view; brightness and contrast differ.
        size: width and height, in pixels.
    """
    width, height = size
    height_field = _noise(1000 + place, (height, width), (3, 6, 12, 24))
    clouds = np.clip((_noise(7 * look + 13 * place, (height, width), (3, 5, 9)) - 0.5) * 4, 0, 1)
    clouds *= (look % 4) / 3
    water = height_field < 0.45
    land = np.stack([60 + 120 * height_field, 80 + 70 * height_field, 40 + 50 * height_field])
    sea = np.stack([20 + 40 * height_field, 45 + 60 * height_field, 80 + 90 * height_field])
    ground = np.where(water, sea, land)
    gain = {"histeq": 1.35, "stretch": 1.15}.get(view, 1.0)
    shown = np.clip(ground * gain, 0, 255) * (1 - clouds) + 245 * clouds
    return _png(shown.transpose(1, 2, 0).astype(np.uint8))


def absent_picture(path: str) -> bytes | None:
    """A picture for an address that no file stands at; None where it is not one of a picture.

    A place, a day and a view look the same each time; many days look alike.

    Args:
        path: as `…/{place}_{day}_{view}.png`; a thumbnail's has a folder `thumbs`.
    """
    if not path.endswith(".png"):
        return None
    folder, _, name = path.rpartition("/")
    stem, _, view = name.removesuffix(".png").rpartition("_")
    place, day = stem[:-11], stem[-10:]
    kind = "thumbs" if "thumbs/" in f"{folder}/" else "views"
    return _kept(zlib.crc32(place.encode()) % _PLACES, zlib.crc32(day.encode()) % _KEPT, view, kind)


def draw_absent() -> None:
    """Draw all that `absent_picture` shows, so that no request waits for it."""
    for place in range(_PLACES):
        for look in range(_KEPT):
            for view in VIEW_NAMES:
                for kind in SIZES:
                    _kept(place, look, view, kind)


@cache
def _kept(place: int, look: int, view: str, kind: str) -> bytes:
    return picture(place, look, view, SIZES[kind])


def plain_picture(colour: tuple[int, int, int], size: tuple[int, int]) -> bytes:
    """A picture of one colour as a PNG."""
    return _png(np.full((size[1], size[0], 3), colour, np.uint8))


def _noise(seed: int, shape: tuple[int, int], scales: Sequence[int]) -> npt.NDArray[np.float64]:
    """Smooth noise from 0 to 1."""
    random = np.random.default_rng(seed)
    total = np.zeros(shape)
    for weight, scale in enumerate(scales, 1):
        coarse = (random.random((scale, scale)) * 255).astype(np.uint8)
        smooth = Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC)
        total += np.asarray(smooth, np.float64) / weight
    low, high = float(total.min()), float(total.max())
    return (total - low) / (high - low)


def _png(pixels: Pixels) -> bytes:
    body = io.BytesIO()
    Image.fromarray(pixels).save(body, "PNG")
    return body.getvalue()
