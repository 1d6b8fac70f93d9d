"""Pictures of what was made of a tile: slope, Sentinel-1, Sentinel-2 and clouds, as PNGs."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from estinel_assets.raster.encode import encode_png

Rgb = npt.NDArray[np.uint8]

_STEEP_DEG: Final = 35.0
_DECIBELS: Final = {"vv": (-18.0, -3.0), "vh": (-25.0, -9.0), "ratio": (3.0, 14.0)}
"""Shown from black to full colour."""
_BRIGHT: Final = 0.25
_GAMMA: Final = 0.65
"""Reflectance that is shown white, and the power that makes forest visible."""
_UNSEEN: Final = (40, 40, 48)
_CLOUD: Final = (236, 240, 246)
_CLEAR: Final = (58, 110, 84)
_USED: Final = (250, 190, 40)
_GAP_PX: Final = 2


def slope_picture(slope: npt.NDArray[np.float32]) -> bytes:
    """Slope from black, flat, by red to yellow, steep.

    Args:
        slope: (height, width), degrees.
    """
    share = np.clip(slope / _STEEP_DEG, 0, 1)
    rgb = np.stack([np.sqrt(share), share**1.2, 0.25 * share**3 + 0.08 * (share < 0.2)])
    return _png(rgb)


def s1_picture(backscatter: npt.NDArray[np.floating[Any]]) -> bytes:
    """False colour: VV red, VH green, their ratio blue.

    Args:
        backscatter: (2, height, width), VV and VH, linear; 0 or NaN where there is none.
    """
    linear = np.nan_to_num(np.asarray(backscatter, dtype=np.float32))
    unseen = np.asarray((linear <= 0).any(axis=0))
    vv, vh = (10 * np.log10(np.maximum(band, 1e-6)) for band in linear)
    layers = {"vv": vv, "vh": vh, "ratio": vv - vh}
    rgb = np.stack(
        [np.clip((layers[name] - low) / (high - low), 0, 1) for name, (low, high) in
         _DECIBELS.items()]
    )  # fmt: skip
    return _png(rgb, unseen)


def s2_picture(reflectance: npt.NDArray[np.floating[Any]]) -> bytes:
    """True colour.

    Args:
        reflectance: (3, height, width), red, green and blue, as shares of one; 0 or NaN where
            there is none.
    """
    seen = np.nan_to_num(np.asarray(reflectance, dtype=np.float32))
    return _png(np.clip(seen / _BRIGHT, 0, 1) ** _GAMMA, np.asarray((seen <= 0).all(axis=0)))


def clouds_picture(
    cloudy: npt.NDArray[np.uint8], used: npt.NDArray[np.bool_], columns: int = 6
) -> bytes:
    """A year of clouds: a small picture for each day that was looked at, framed where it is used.

    Args:
        cloudy: (date, height, width), 1 where cloudy.
        used: (date,).
        columns: pictures in a row.
    """
    count, height, width = cloudy.shape
    rows = -(-count // columns)
    cell = height + 2 * _GAP_PX, width + 2 * _GAP_PX
    colours = np.asarray((_CLEAR, _CLOUD), dtype=np.uint8)
    sheet = np.zeros((rows * cell[0], columns * cell[1], 3), dtype=np.uint8)
    for number in range(count):
        row, column = divmod(number, columns)
        top, left = row * cell[0], column * cell[1]
        frame = sheet[top : top + cell[0], left : left + cell[1]]
        frame[...] = _USED if used[number] else 0
        frame[_GAP_PX : _GAP_PX + height, _GAP_PX : _GAP_PX + width] = colours[cloudy[number]]
    return encode_png(
        np.ascontiguousarray(sheet.transpose(2, 0, 1)), np.ones(sheet.shape[:2], dtype=np.bool_)
    )


def _png(rgb: npt.NDArray[np.floating[Any]], unseen: npt.NDArray[np.bool_] | None = None) -> bytes:
    shown = np.asarray(np.rint(rgb * 255), dtype=np.uint8)
    if unseen is not None:
        shown[:, unseen] = np.asarray(_UNSEEN, dtype=np.uint8)[:, None]
    return encode_png(shown, np.ones(shown.shape[1:], dtype=np.bool_))
