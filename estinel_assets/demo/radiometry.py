"""From surface and clouds to what Sentinel-2 L2A stores: digital numbers and the scene classes."""

import numpy as np
import numpy.typing as npt

from estinel_assets.demo.clouds import Clouds, Weather
from estinel_assets.demo.noise import BoolArray, FloatArray
from estinel_assets.demo.surface import DIFFUSE_SHARE, Surface

DN_PER_REFLECTANCE = 10_000
DN_OFFSET = 1000
"""Added to every valid number from processing baseline 04.00 on."""
NOISE_DN = 9.0

NODATA, DARK, SHADOW, VEGETATION, BARE, WATER = 0, 2, 3, 4, 5, 6
UNCLASSIFIED, CLOUD_MEDIUM, CLOUD_HIGH, CIRRUS, SNOW = 7, 8, 9, 10, 11


def reflectance_seen(surface: Surface, clouds: Clouds, weather: Weather) -> FloatArray:
    """Reflectance (3, rows, columns) of ground and clouds together, as shares of one."""
    sky = np.asarray(DIFFUSE_SHARE, dtype=np.float32)[:, None, None]
    direct = surface.light * (1 - 0.9 * clouds.shadow)
    below = surface.reflectance * (direct * (1 - sky) + sky)
    haze = np.asarray((0.5, 0.7, 1.0), dtype=np.float32)[:, None, None] * weather.haze
    seen = (below + haze) * (1 - clouds.opacity) + clouds.reflectance * clouds.opacity
    return np.asarray(seen, dtype=np.float32)


def digital_numbers(
    reflectance: FloatArray, valid: BoolArray, rng: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Scale, shift and blur with sensor noise; 0 where not valid, at least 1 elsewhere.

    Args:
        reflectance: (3, rows, columns), shares of one.
        valid: (rows, columns).
        rng: sensor noise.
    """
    noise = rng.standard_normal(reflectance.shape, dtype=np.float32) * np.float32(NOISE_DN)
    numbers = reflectance * DN_PER_REFLECTANCE + noise + DN_OFFSET
    stored = np.asarray(np.clip(np.rint(numbers), 1, 20_000), dtype=np.uint16)
    stored[:, ~valid] = 0
    return stored


def scene_classes(surface: Surface, clouds: Clouds, valid: BoolArray, *, cirrus: bool
                  ) -> npt.NDArray[np.uint8]:  # fmt: skip
    """The scene classification at 20 m: (rows / 2, columns / 2).

    Every 20 m pixel takes its upper left 10 m pixel, which keeps classes whole numbers.

    Args:
        surface: cover below the clouds.
        clouds: opacity and shadow.
        valid: (rows, columns) at 10 m; the same in each 2 x 2 block.
        cirrus: thin clouds are cirrus.
    """
    pick = np.s_[::2, ::2]
    opacity, shadow = clouds.opacity[pick], clouds.shadow[pick]
    water, snow = surface.water[pick], surface.snow[pick]
    classes = np.full(opacity.shape, BARE, dtype=np.uint8)
    classes[surface.vegetation[pick]] = VEGETATION
    classes[(surface.light[pick] < 0.25) & ~water] = DARK
    classes[water] = WATER
    classes[snow] = SNOW
    classes[(shadow > 0.3) & ~water] = SHADOW
    classes[(shadow > 0.5) & water] = SHADOW
    if cirrus:
        classes[opacity > 0.08] = CIRRUS
    else:
        classes[opacity > 0.10] = UNCLASSIFIED
        classes[opacity > 0.25] = CLOUD_MEDIUM
        classes[opacity > 0.62] = CLOUD_HIGH
    classes[~valid[pick]] = NODATA
    return classes
