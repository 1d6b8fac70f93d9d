"""A model over a tile: windows that overlap, their results blended into one raster."""

from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estinel_assets.ard.model import Model
from estinel_assets.ard.model_stack import Stack
from estinel_assets.errors import BadInputError

NODATA: Final = 255
"""Where nothing is known of the cover."""
OVERLAP_SHARE: Final = 1 / 8
"""Of an output window, that neighbours share by default."""


def predict_cover(
    model: Model, stack: Stack, *, overlap_px: int | None = None
) -> NDArray[np.uint8]:
    """Run a model over a tile.

    Windows lie side by side and share `overlap_px` pixels, in which the weight of the one fades as
    that of the other grows; the last of a row or column is moved back to end with the tile. Beyond
    the tile the input is its own mirror image. Windows without a valid pixel are not run.

    Args:
        model: of `load_model`.
        stack: of `input_stack`, with the model's channels.
        overlap_px: pixels that two neighbouring outputs share; None = `OVERLAP_SHARE` of one.

    Returns:
        (height, width): cover in percent, 0 to 100; `NODATA` where the stack is not valid, or the
        model tells no number.

    Raises:
        BadInputError: the channels or the overlap do not fit, or the model fails.
    """
    spec = model.spec
    if stack.channels != spec.channels:
        raise BadInputError(
            f"model {model.name} wants the channels {', '.join(spec.channels)}, and gets "
            f"{', '.join(stack.channels)}"
        )
    overlap_px = round(spec.output_px * OVERLAP_SHARE) if overlap_px is None else overlap_px
    if not 0 <= overlap_px < spec.output_px:
        raise BadInputError(
            f"an overlap of {overlap_px} pixels: take 0 to {spec.output_px - 1}, less than a window"
        )
    size, margin = spec.output_px, spec.margin_px
    height, width = stack.valid.shape
    padded = _mirrored(stack, margin, size)
    weights = window_weights(size, overlap_px)
    total = np.zeros((max(height, size), max(width, size)), dtype=np.float32)
    weight = np.zeros_like(total)
    for top, left in _windows(height, width, size, size - overlap_px):
        inside = np.s_[top : top + size, left : left + size]
        if not stack.valid[inside].any():
            continue
        seen = padded[:, :, top : top + spec.input_px, left : left + spec.input_px]
        cover = model.run(seen)
        known = np.isfinite(cover)
        total[inside] += np.where(known, cover, 0) * weights
        weight[inside] += known * weights
    total, weight = total[:height, :width], weight[:height, :width]
    told = (weight > 0) & stack.valid
    percent = total / np.where(told, weight, 1) * (100 / spec.output_max)
    return np.where(told, np.rint(np.clip(percent, 0, 100)), NODATA).astype(np.uint8)


def window_weights(size: int, overlap_px: int) -> NDArray[np.float32]:
    """How much each pixel of a window counts: 1, and less towards the edges that are shared.

    Two windows that share `overlap_px` pixels have weights there that add up to 1.

    Args:
        size: side of a window, in pixels.
        overlap_px: pixels that neighbours share.

    Returns:
        (size, size), above 0.
    """
    steps = np.arange(1, size + 1)
    edge = np.minimum(np.minimum(steps, steps[::-1]) / (overlap_px + 1), 1)
    return np.outer(edge, edge).astype(np.float32)


def window_starts(length: int, size: int, step: int) -> list[int]:
    """Where windows begin that cover a length.

    Args:
        length: to cover, in pixels.
        size: of a window; one that is longer than the length begins at 0.
        step: from one to the next, at most a window.

    Returns:
        Increasing; the last window ends with the length.
    """
    last = max(length - size, 0)
    return [*range(0, last, step), last]


def _windows(height: int, width: int, size: int, step: int) -> Iterator[tuple[int, int]]:
    """The (top, left) of the windows, row by row."""
    return product(window_starts(height, size, step), window_starts(width, size, step))


def _mirrored(stack: Stack, margin: int, size: int) -> NDArray[np.float32]:
    """The values with a margin of their mirror image; at least a window in size."""
    height, width = stack.valid.shape
    more_rows, more_columns = max(size - height, 0), max(size - width, 0)
    around = ((0, 0), (0, 0), (margin, margin + more_rows), (margin, margin + more_columns))
    return np.pad(stack.values, around, mode="symmetric")
