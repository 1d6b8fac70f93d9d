"""The parts that draw: sun, shading, noise, clouds."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.demo.clouds import Weather, clouds_over, shadow_shift
from estinel_assets.demo.noise import blur, cells, relief, smoothstep, spectral
from estinel_assets.demo.sun import Sun, sun_at
from estinel_assets.demo.surface import cast_shadow, sunlight
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("moment", "longitude", "latitude", "azimuth", "elevation"),
    [
        # NOAA's solar calculator.
        (datetime(2024, 12, 21, 2, 9, tzinfo=UTC), 147.33, -42.88, None, 70.5),
        (datetime(2024, 6, 21, 12, 2, tzinfo=UTC), 0.0, 51.48, 180.0, 61.96),
        (datetime(2024, 3, 20, 12, 7, tzinfo=UTC), 0.0, 0.0, None, 89.8),
    ],
)
def test_sun_against_the_almanac(
    moment: datetime, longitude: float, latitude: float, azimuth: float | None, elevation: float
) -> None:
    sun = sun_at(moment, longitude, latitude)
    assert sun.elevation_deg == pytest.approx(elevation, abs=2.0)
    if azimuth is not None:
        assert sun.azimuth_deg == pytest.approx(azimuth, abs=3.0)


def test_morning_sun_stands_in_the_east_and_in_the_south_to_the_north() -> None:
    sun = sun_at(datetime(2024, 2, 10, 0, 5, tzinfo=UTC), 147.33, -42.88)
    east, north, up = sun.vector
    assert east > 0.3
    assert north > 0.3
    assert up > 0.5
    assert math.hypot(east, north, up) == pytest.approx(1)


def test_flat_ground_is_lit_evenly_and_slopes_by_the_way_they_face() -> None:
    sun = Sun(azimuth_deg=90, elevation_deg=30)
    flat = sunlight(np.zeros((8, 8), dtype=np.float32), sun)
    assert flat == pytest.approx(1, abs=1e-6)
    rising_east = np.tile(np.arange(8, dtype=np.float32) * 2, (8, 1))
    assert (sunlight(rising_east, sun) < 1).all()
    assert (sunlight(rising_east[:, ::-1], sun) > 1).all()


def test_a_wall_casts_its_shadow_as_far_as_trigonometry_says() -> None:
    height = np.zeros((9, 60), dtype=np.float32)
    height[:, 40] = 100
    lit = cast_shadow(height, Sun(azimuth_deg=90, elevation_deg=45))
    # 100 m at 45 degrees: 100 m or 10 pixels to the west.
    assert lit[4, 31:40] == pytest.approx(0, abs=0.01)
    assert lit[4, :29] == pytest.approx(1)
    assert lit[4, 41:] == pytest.approx(1)


@given(seed=st.integers(0, 2**32), exponent=st.floats(0.2, 2.5), stretch=st.floats(1, 6))
@examples(20)
def test_noise_is_standardised_and_repeatable(seed: int, exponent: float, stretch: float) -> None:
    def draw() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        rng = np.random.default_rng(seed)
        return spectral((48, 64), rng, exponent=exponent, longest=30, stretch=stretch)

    field = draw()
    assert field.dtype == np.float32
    assert float(field.mean()) == pytest.approx(0, abs=1e-3)
    assert float(field.std()) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(field, draw())


def test_relief_and_blur_keep_shape_and_level() -> None:
    field = relief((64, 96), np.random.default_rng(1), longest=40)
    assert field.shape == (64, 96)
    assert np.isfinite(field).all()
    level = np.full((20, 30), 7, dtype=np.float32)
    assert blur(level, 2.5) == pytest.approx(7, abs=1e-4)
    assert float(blur(field, 3).std()) < float(field.std())


def test_cells_wrap_and_know_their_edges() -> None:
    field = cells((64, 96), np.random.default_rng(2), spacing=16, ragged=0.1)
    assert field.gap.shape == (64, 96)
    assert float(field.gap.min()) >= 0
    assert len(np.unique(field.tone)) <= (64 // 16) * (96 // 16)
    # A change of cell between two neighbours can only happen near an edge.
    change = field.tone[:, 1:] != field.tone[:, :-1]
    near = np.minimum(field.gap[:, 1:], field.gap[:, :-1])
    assert float(near[change].max()) < 0.4


def test_smoothstep_meets_its_ends_both_ways() -> None:
    line = np.asarray([-1, 0, 0.5, 1, 2], dtype=np.float32)
    assert smoothstep(0, 1, line).tolist() == [0, 0, 0.5, 1, 1]
    assert smoothstep(1, 0, line).tolist() == [1, 1, 0.5, 0, 0]


@pytest.mark.parametrize("kind", ["cumulus", "stratus"])
@pytest.mark.parametrize("cover", [0.0, 0.25, 0.6, 1.0])
def test_cover_is_met_and_shadows_are_shifted_clouds(kind: str, cover: float) -> None:
    sun = Sun(azimuth_deg=45, elevation_deg=40)
    weather = Weather(cover=cover, kind=kind, height_m=1000)  # type: ignore[arg-type]
    clouds = clouds_over((256, 256), weather, sun, np.random.default_rng(4))
    assert float((clouds.opacity > 0.1).mean()) == pytest.approx(cover, abs=0.12)
    south, east = shadow_shift(1000, sun)
    assert south > 0 > east, "a sun in the north-east throws shadows to the south-west"
    assert math.hypot(south, east) * 10 == pytest.approx(
        1000 / math.tan(math.radians(40)), rel=0.02
    )
    assert np.array_equal(clouds.shadow, np.roll(clouds.opacity, (south, east), axis=(0, 1)))
