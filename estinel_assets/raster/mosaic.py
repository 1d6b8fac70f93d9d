"""Several scenes of one day laid over one another: the first one that has something wins.

Both functions take any iterable and stop consuming it as soon as nothing is left to fill, so
that a generator that reads scenes one by one reads no more of them than needed.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def mosaic_classes(layers: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """For every pixel the first class that is not 0.

    Args:
        layers: classifications of one grid, each (height, width), in order of preference.

    Returns:
        (height, width), a new array; 0 where every layer is 0.

    Raises:
        ValueError: there is no layer, or their shapes differ.
    """
    result: NDArray[np.uint8] | None = None
    for layer in layers:
        if result is None:
            result = layer.copy()
        else:
            _require_shape(layer.shape, result.shape)
            np.copyto(result, layer, where=result == 0)
        if result.all():
            break
    if result is None:
        raise ValueError("there is no layer to make a mosaic of: give at least one")
    return result


def mosaic_rgb(scenes: Iterable[NDArray[np.uint16]]) -> NDArray[np.uint16]:
    """For every pixel the three bands of the first scene in which none of them is 0.

    All bands of a pixel come from one scene, so that colours are never mixed.

    Args:
        scenes: composites of one grid, each (3, height, width), in order of preference.

    Returns:
        (3, height, width), a new array; 0 in all bands where no scene has all three.

    Raises:
        ValueError: there is no scene, or their shapes differ.
    """
    result: NDArray[np.uint16] | None = None
    missing = np.ones((0, 0), dtype=np.bool_)
    for scene in scenes:
        if result is None:
            if scene.size and scene.min() > 0:
                return scene.copy()
            result = np.zeros_like(scene)
            missing = np.ones(scene.shape[1:], dtype=np.bool_)
        _require_shape(scene.shape, result.shape)
        taken = missing & (scene != 0).all(axis=0)
        np.copyto(result, scene, where=taken)
        missing &= ~taken
        if not missing.any():
            break
    if result is None:
        raise ValueError("there is no scene to make a mosaic of: give at least one")
    return result


def _require_shape(found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise ValueError(f"shape {found} differs from the first one's, {expected}: use one grid")
