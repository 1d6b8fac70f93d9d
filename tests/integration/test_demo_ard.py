"""The ARD demo from end to end, by its command, as a user would run it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from estinel_assets.ard.ard_zarr import read_group
from estinel_assets.demo.ard_land import Land, land_of
from estinel_assets.demo.ard_places import GROUPS, Window, window_on
from estinel_assets.demo.ard_scenes import numbers_of, sights_of, sky_of
from estinel_assets.demo.ard_world import ARD_YEAR
from estinel_assets.demo.noise import blur
from estinel_assets.demo.world import DEMO_SEED
from estinel_assets.raster.grids import Grid
from estinel_assets.storage.opening import open_store
from tests.support.cli import command_line, process_environment

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

COAST, SUMMIT = "18X16Y", "18X14Y"
WEST, EAST = "12X8Y", "13X9Y"
BORDER = GROUPS[0]


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Any:
    done = subprocess.run(
        command_line(["demo", "ard", "--folder", "demo", "--port", "0", "--json"]),
        cwd=tmp_path_factory.mktemp("demo-ard"),
        env=process_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_source_ends_as_it_was_made_to(summary: Any) -> None:
    first = summary["first_run"]
    assert first["reasons"] == {"none": 16, "no_clear_scenes": 1, "incomplete": 1}
    assert first["faults"] == 0
    rows = {row["tile"]: (row["dem"], row["s1"], row["s2"]) for row in first["rows"]}
    assert rows.pop(COAST) == ("none", "incomplete", "none")
    assert rows.pop(SUMMIT) == ("none", "none", "no_clear_scenes")
    assert set(rows.values()) == {("none", "none", "none")}
    assert len(rows) == 4


def test_the_same_again_makes_nothing(summary: Any) -> None:
    second = summary["second_run"]
    assert (second["planned"]["make"], second["reasons"]) == (0, {})
    assert second["planned"]["complete"] == 16
    assert second["planned"]["ended"] == 2


def test_every_product_has_a_picture(summary: Any) -> None:
    pictures = {Path(name).name.split("_", 2)[2]: Path(name) for name in summary["pictures"]}
    assert {name.removesuffix(".png") for name in pictures} == {
        "slope",
        "s1_q1",
        "s1_q2",
        "s1_q3",
        "s1_q4",
        "s2_early",
        "s2_late",
        "clouds",
    }
    for name in summary["pictures"]:
        pixels = np.asarray(Image.open(name))
        empty = COAST in name and "s1_q3" in name
        assert (pixels.std() == 0) == empty or pixels.std() > 3, name
    # Made of 6 tiles, but for the summit's Sentinel-2: 6 slopes, 24 of radar, 10 in colour, 5 of
    # clouds.
    assert len(summary["pictures"]) == 45


@pytest.fixture(scope="module")
def land() -> Land:
    return land_of(BORDER, DEMO_SEED)


def group_of(summary: Any, tag: str, group: str, *, scaled: bool = False) -> xr.Dataset:
    store = open_store(Path(summary["store"]).parent.as_uri())
    return read_group(store, f"ard/{ARD_YEAR}/{tag}.zarr", group, scaled=scaled)


def shown(land: Land, dataset: xr.Dataset, crs: str) -> Window:
    """Which pixels of the made land those of a product are."""
    x, y = dataset["x"].to_numpy(), dataset["y"].to_numpy()
    step = float(x[1] - x[0])
    grid = Grid(crs, x[0] - step / 2, y[0] + step / 2, step, len(x), len(y))
    window = window_on(land.grid, grid)
    assert window is not None
    assert window.inside.all()
    return window


@pytest.mark.parametrize(("tag", "crs"), [(WEST, "EPSG:32632"), (EAST, "EPSG:32633")])
def test_arrays_hold_what_was_made(summary: Any, land: Land, tag: str, crs: str) -> None:
    group = group_of(summary, tag, "s2_10")
    day = str(group["time"].to_numpy()[0])[:10]
    sight = next(one for one in sights_of(BORDER, ARD_YEAR) if str(one.moment.date()) == day)
    numbers = numbers_of(sight, land, sky_of(sight, land, DEMO_SEED), ["red"])["red"]
    made = shown(land, group, crs).gather(numbers).astype(np.int64)
    stands = group["reflectance"].isel(time=0, band=2).to_numpy().astype(np.int64)
    assert (stands == made - 1000).mean() > 0.9999

    slope = group_of(summary, tag, "dem")
    down, right = np.gradient(blur(land.elevation, 1.0), land.grid.resolution)
    steep = np.degrees(np.arctan(np.hypot(down, right))).astype(np.float32)
    pair = slope["slope"].to_numpy().ravel(), shown(land, slope, crs).gather(steep).ravel()
    assert np.corrcoef(*pair)[0, 1] > 0.97

    radar = group_of(summary, tag, "s1", scaled=True)
    forest = shown(land, radar, crs).gather(land.covers["forest"])
    vv = radar["backscatter"].isel(step=0, polarization=0).to_numpy()
    assert vv[forest > 0.95].mean() == pytest.approx(0.21, rel=0.1)
    assert vv[forest < 0.05].mean() == pytest.approx(0.09, rel=0.15)


def test_the_sea_beyond_the_last_cell_is_flat(summary: Any) -> None:
    slope = group_of(summary, COAST, "dem")["slope"].to_numpy()
    assert slope[:20].max() == slope.min()
    assert slope.max() > 20


def test_a_gap_holds_nothing(summary: Any) -> None:
    radar = group_of(summary, COAST, "s1")
    assert radar.attrs["gaps"] == ["Q3"]
    empty = [not step.any() for step in radar["backscatter"].to_numpy()]
    assert empty == [False] * 6 + [True] * 3 + [False] * 3
