"""Random fields from which landscapes and clouds are made. All of them wrap around at the edges.

Arrays are (row, column), row 0 in the north. Lengths are in pixels here.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Shape = tuple[int, int]


def smoothstep(low: float, high: float, field: FloatArray) -> FloatArray:
    """Rise smoothly from 0 at `low` to 1 at `high` (falls when `low` > `high`)."""
    t = np.clip((field - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def mix(first: FloatArray, second: FloatArray, share: FloatArray) -> FloatArray:
    """`first` where `share` is 0, `second` where it is 1, and what lies between."""
    return np.asarray(first + (second - first) * share, dtype=np.float32)


def standardised(field: npt.NDArray[np.floating]) -> FloatArray:
    """Shift and scale to mean 0 and standard deviation 1; a constant field becomes 0."""
    spread = float(field.std())
    return np.asarray((field - field.mean()) / (spread or 1.0), dtype=np.float32)


def spectral(
    shape: Shape,
    rng: np.random.Generator,
    *,
    exponent: float,
    longest: float = math.inf,
    shortest: float = 2.0,
    stretch: float = 1.0,
    bearing_deg: float = 0.0,
) -> FloatArray:
    """Gaussian noise whose amplitude falls with frequency as f ** -exponent.

    Args:
        shape: (rows, columns).
        rng: where the randomness comes from.
        exponent: 0 is white; about 2 looks like clouds and hills, 1.5 like rough ground.
        longest: longest wavelength kept, in pixels.
        shortest: shortest wavelength kept, in pixels.
        stretch: features are this many times longer along `bearing_deg` than across.
        bearing_deg: clockwise from north.

    Returns:
        Field of mean 0 and standard deviation 1.
    """
    white = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    kept = white * _spectrum(shape, exponent, longest, shortest, stretch, bearing_deg)
    return standardised(np.fft.irfft2(kept, s=shape))


def _spectrum(
    shape: Shape,
    exponent: float,
    longest: float,
    shortest: float,
    stretch: float,
    bearing_deg: float,
) -> FloatArray:
    south = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    east = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    angle = math.radians(bearing_deg)
    along = (east * math.sin(angle) - south * math.cos(angle)) * stretch
    across = east * math.cos(angle) + south * math.sin(angle)
    frequency = np.hypot(along, across)
    frequency[0, 0] = 1.0
    amplitude = frequency**-exponent
    amplitude[(frequency < 1 / longest) | (frequency > 1 / shortest)] = 0
    amplitude[0, 0] = 0
    return np.asarray(amplitude, dtype=np.float32)


def blur(field: FloatArray, radius: float) -> FloatArray:
    """Gaussian blur with a standard deviation of `radius` pixels; edges are mirrored."""
    margin = math.ceil(3 * radius)
    mirrored = np.pad(field, margin, mode="reflect")
    shape = (mirrored.shape[0], mirrored.shape[1])
    south = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    east = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    response = np.exp(np.float32(-2 * (math.pi * radius) ** 2) * (south**2 + east**2))
    blurred = np.fft.irfft2(np.fft.rfft2(mirrored) * response, s=shape)
    inner = blurred[margin : margin + field.shape[0], margin : margin + field.shape[1]]
    return np.asarray(inner, dtype=np.float32)


def relief(
    shape: Shape,
    rng: np.random.Generator,
    *,
    longest: float,
    roughness: float = 0.5,
    ridges: float = 0.5,
    erosion: float = 0.6,
    octaves: int = 7,
) -> FloatArray:
    """Terrain-like heights: octaves of noise, the finer ones damped on steep slopes.

    The damping keeps valley floors smooth and crests rough, which reads as erosion.

    Args:
        shape: (rows, columns).
        rng: where the randomness comes from.
        longest: wavelength of the largest hills, in pixels.
        roughness: amplitude of an octave over that of the one before.
        ridges: 0 for round hills, 1 for sharp crests.
        erosion: strength of the damping.
        octaves: how many, each of half the wavelength before.

    Returns:
        Field of mean 0 and standard deviation 1.
    """
    white = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    height = np.zeros(shape, dtype=np.float32)
    slope_south, slope_east = np.zeros_like(height), np.zeros_like(height)
    amplitude, wavelength = 1.0, longest
    for number in range(octaves):
        band = _spectrum(shape, 1.0, wavelength * 1.5, wavelength * 0.6, 1.0, 0.0)
        octave = standardised(np.fft.irfft2(white * band, s=shape))
        crest = 1.0 - 1.5 * np.hypot(octave, np.float32(0.25))
        # The largest hills stay round: folded, their valleys would become craters.
        sharp = np.float32(ridges if number else 0)
        octave = np.asarray(octave + (crest - octave) * sharp, dtype=np.float32)
        damping = 1 / (1 + erosion * (slope_south**2 + slope_east**2))
        height += np.float32(amplitude) * octave * damping
        scale = np.float32(amplitude * wavelength / 4)
        slope_south += np.gradient(octave, axis=0) * scale
        slope_east += np.gradient(octave, axis=1) * scale
        amplitude, wavelength = amplitude * roughness, wavelength / 2
        if wavelength < 3:
            break
    return standardised(height)


@dataclass(frozen=True, slots=True)
class Cells:
    """A plane cut into irregular cells: floes, cracked ground, tussock."""

    gap: FloatArray
    """Distance to the cell's edge, roughly, as a share of the cell's size; 0 on the edge."""
    tone: FloatArray
    """A random number in [0, 1) for each cell."""


def cells(shape: Shape, rng: np.random.Generator, *, spacing: int, ragged: float = 0.25) -> Cells:
    """Voronoi cells around jittered grid points.

    Args:
        shape: (rows, columns); both should be multiples of `spacing` to wrap without a seam.
        rng: where the randomness comes from.
        spacing: mean distance between centres, in pixels.
        ragged: how far edges wander from straight lines, as a share of the spacing.
    """
    rows, columns = max(1, shape[0] // spacing), max(1, shape[1] // spacing)
    offset = rng.random((2, rows, columns), dtype=np.float32) * 0.9 + 0.05
    tone = rng.random((rows, columns), dtype=np.float32)
    wander = spectral(shape, rng, exponent=2.1, longest=spacing * 1.5, shortest=5)
    wander = wander * np.float32(ragged)
    lean = np.roll(wander, (shape[0] // 3, shape[1] // 5), axis=(0, 1))
    y = np.arange(shape[0], dtype=np.float32)[:, None] / spacing + wander
    x = np.arange(shape[1], dtype=np.float32)[None, :] / spacing + lean
    row, column = np.floor(y).astype(np.int32), np.floor(x).astype(np.int32)
    part_y, part_x = y - row.astype(np.float32), x - column.astype(np.float32)
    nearest = np.full(shape, np.inf, dtype=np.float32)
    second = nearest.copy()
    chosen = np.zeros(shape, dtype=np.float32)
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            index = ((row + step_y) % rows) * columns + (column + step_x) % columns
            south = part_y - step_y - offset[0].ravel()[index]
            east = part_x - step_x - offset[1].ravel()[index]
            distance = np.sqrt(south * south + east * east)
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            chosen = np.where(closer, tone.ravel()[index], chosen)
            nearest = np.where(closer, distance, nearest)
    return Cells(gap=np.asarray(second - nearest, dtype=np.float32), tone=chosen)
