"""Two real neighbouring scenes as one solar day of a site across their border.

Their items say 10 m and GeoTIFF; the files are JPEG 2000 of 120 m, georeferenced by a sidecar that
is not read. They come over HTTP, through the STAC API, the job and the store. Every output is held
against rasterio's own reading of the files with their sidecars.
"""

import io
import json
from datetime import date
from urllib.parse import unquote, urljoin

import numpy as np
import pystac
import pytest
import rasterio
import requests
from affine import Affine
from PIL import Image
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.io import MemoryFile

from estinel_assets.imagery.layout import day_paths
from estinel_assets.imagery.sites import load_sites
from estinel_assets.imagery.windows import site_window
from estinel_assets.storage.documents import load_json
from tests.support.imagery import imagery_world, quiet_dagster
from tests.support.raster_server import RasterServer
from tests.support.rasters import reprojected
from tests.support.real import real_data

pytestmark = quiet_dagster

SCENES = ["S2A_33TWM_20230818_0_L2A", "S2A_33TWL_20230818_0_L2A"]
"""By datetime: the northern one was sensed first."""
SITE = 'Brežice/Border,15.776,46.006,20,8000,7000,"border, real"'
DAY = "2023-08-18"
FILES = {"red": "B04", "green": "B03", "blue": "B02", "scl": "SCL"}


def real_items(folder, server):
    items = []
    for name in SCENES:
        item = json.loads((folder / name / f"{name}.json").read_text(encoding="utf-8"))
        for band in FILES:
            asset = item["assets"][band]
            asset["href"] = server.url(f"{name}/{asset['href']}")
        items.append(item)
    return items


@pytest.fixture(scope="module")
def folder():
    return real_data("imagery/earthsearch_33T_20230818")


@pytest.fixture(scope="module")
def served(folder):
    with RasterServer(folder) as server:
        yield server


@pytest.fixture(scope="module")
def world(tmp_path_factory, folder, served):
    with imagery_world(
        tmp_path_factory.mktemp("real"),
        real_items(folder, served),
        sites=[SITE],
        settings={"stac": {"collection": "sentinel-2-l2a"}},
    ) as made:
        ran = made.update()
        assert ran.success, ran.error
        yield made


@pytest.fixture(scope="module")
def site(world):
    (site,) = load_sites(str(world.folder / "sites.csv"), None)
    return site


@pytest.fixture(scope="module")
def grid(site):
    return site_window(site).grid


@pytest.fixture(scope="module")
def paths(world, site):
    outcome = world.outcomes()[DAY]
    assert outcome.reason == "none"
    return day_paths("sentinel-2-l2a", date.fromisoformat(DAY), site.file_stem)


@pytest.fixture(scope="module")
def layers(folder, grid):
    """By scene and band: the whole file, warped by rasterio."""
    made = {}
    for name in SCENES:
        for band, file in FILES.items():
            with rasterio.open(folder / name / f"{file}.tif") as dataset:
                assert dataset.driver == "JP2OpenJPEG"
                assert dataset.res == (120, 120)
                whole = dataset.read(1), dataset.crs.to_string(), dataset.transform
            made[name, band] = reprojected(*whole, grid)
    return made


@pytest.fixture(scope="module")
def oracle_scl(layers):
    first, second = (layers[name, "scl"] for name in SCENES)
    return np.where(first != 0, first, second)


@pytest.fixture(scope="module")
def oracle_rgb(layers):
    first, second = (
        np.stack([layers[name, band] for band in ("red", "green", "blue")]) for name in SCENES
    )
    seen = (first != 0).all(axis=0)
    seen_next = (second != 0).all(axis=0)
    return np.where(seen, first, np.where(seen_next, second, 0))


def stored_raster(world, path):
    with MemoryFile(world.store.get(path).data) as memory, memory.open() as dataset:
        return dataset.read(), dataset.profile, dataset.tags(), dataset.descriptions


def picture(world, path):
    with Image.open(io.BytesIO(world.store.get(path).data)) as image:
        return image.mode, np.moveaxis(np.asarray(image), -1, 0)


def test_the_window_lies_across_the_border(layers):
    first, second = (layers[name, "scl"] != 0 for name in SCENES)
    assert (first & ~second).any()
    assert (second & ~first).any()
    assert (first & second).any()


def test_scene_classification(world, paths, grid, oracle_scl):
    pixels, profile, _, names = stored_raster(world, paths.scl)

    np.testing.assert_array_equal(pixels[0], oracle_scl)
    assert (profile["dtype"], profile["nodata"], profile["compress"]) == ("uint8", 0, "deflate")
    assert profile["crs"].to_string() == grid.crs == "EPSG:32633"
    assert profile["transform"] == Affine(*grid.transform)
    assert names == ("SCL",)


def test_composite(world, paths, grid, site, oracle_rgb, oracle_scl):
    pixels, profile, tags, names = stored_raster(world, paths.rgb)

    np.testing.assert_array_equal(pixels, oracle_rgb)
    assert (profile["dtype"], profile["nodata"], profile["compress"]) == ("uint16", 0, "deflate")
    assert profile["tiled"]
    assert profile["crs"].to_string() == grid.crs
    assert profile["transform"] == Affine(*grid.transform)
    assert names == ("red", "green", "blue")
    valid, cloud = fractions(oracle_scl)
    assert tags == tags | {
        "LOCATION": site.location,
        "SITE_ID": site.site_id,
        "SOLAR_DAY": DAY,
        "SCENES": ",".join(SCENES),
        "OFFSETS": "0,0",
        "VALID_FRACTION": f"{valid:.6f}",
        "CLOUD_FRACTION": f"{cloud:.6f}",
        "CLEAR_FRACTION": f"{1 - cloud:.6f}",
        "ATTRIBUTION": "Contains modified Copernicus Sentinel data 2023",
    }
    assert tags["OFFSET_RULES"].count("boa_offset_applied") == 2


def fractions(scl):
    """Valid share of the window, and cloudy share of what is valid, pixel by pixel."""
    valid = scl != 0
    return valid.mean(), np.isin(scl, [1, 3, 8, 9, 10])[valid].mean()


def test_fractions(world, oracle_scl):
    valid, cloud = fractions(oracle_scl)
    detail = world.outcomes()[DAY].detail

    assert detail["valid_fraction"] == pytest.approx(valid, abs=1e-12)
    assert detail["cloud_fraction"] == pytest.approx(cloud, abs=1e-12)
    assert detail["clear_fraction"] == pytest.approx(1 - cloud, abs=1e-12)
    assert 0.1 < cloud < 0.9


def linear(values, valid):
    """Per band (v - min) * (255 / (max - min)), truncated."""
    stretched = np.zeros(values.shape, np.uint8)
    for band, out in zip(values, stretched, strict=True):
        low, high = band[valid].min(), band[valid].max()
        out[valid] = ((band[valid] - low) * (255 / (high - low))).astype(np.uint8)
    return stretched


def expected_view(name, rgb):
    valid = (rgb != 0).all(axis=0)
    values = rgb.astype(np.float64)
    pooled = np.sort(values[:, valid].ravel())
    if name == "histeq":
        values = np.searchsorted(pooled, values, side="right") / pooled.size
    if name == "q128":
        breaks = np.unique(np.quantile(pooled, np.arange(128) / 127, method="linear"))
        bins = np.searchsorted(breaks, values, side="left") - 1
        values = breaks[np.clip(bins, 0, None)]
    return linear(values, valid), valid


@pytest.mark.parametrize("name", ["q128", "histeq", "stretch"])
def test_views_and_thumbnails(world, paths, oracle_rgb, name):
    expected, valid = expected_view(name, oracle_rgb)
    mode, pixels = picture(world, paths.views[name])
    np.testing.assert_array_equal(pixels[:3], expected * valid)
    if mode == "RGBA":
        np.testing.assert_array_equal(pixels[3] > 0, valid)
    else:
        assert valid.all()

    _, small = picture(world, paths.thumbnails[name])
    shape = [round(size * 0.125) for size in valid.shape]
    assert list(small.shape[1:]) == shape
    rows, columns = (shares(n, size) for n, size in zip(shape, valid.shape, strict=True))
    weights = rows @ valid @ columns.T
    for band, seen in zip(expected, small, strict=False):
        means = rows @ (band * valid) @ columns.T / np.maximum(weights, 1e-9)
        assert np.abs(np.where(weights > 0, means, 0) - seen).max() <= 0.5 + 1e-6


def shares(count, size):
    """How much of each of `size` cells lies in each of `count` larger ones, as a matrix."""
    edges = np.arange(count + 1) * size / count
    cells = np.arange(size)
    low = np.maximum(edges[:-1, None], cells)
    high = np.minimum(edges[1:, None], cells + 1)
    return np.clip(high - low, 0, None)


def test_item(world, paths, grid, site, oracle_scl):
    item = load_json(world.store.get(paths.item).data)

    JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    properties = item["properties"]
    assert properties["datetime"] == "2023-08-18T10:07:54.167000Z"
    assert properties["proj:code"] == grid.crs
    assert properties["proj:transform"] == list(grid.transform)
    assert properties["proj:shape"] == list(grid.shape)
    assert properties["eo:cloud_cover"] == pytest.approx(100 * fractions(oracle_scl)[1], abs=1e-4)
    assert properties["attribution"] == "Contains modified Copernicus Sentinel data 2023"
    assert properties["license"] == "other"
    assert properties["providers"][0]["name"] == "European Union/ESA/Copernicus"
    assert properties["estinel:scenes"] == SCENES
    west, south, east, north = item["bbox"]
    assert west < site.lon < east
    assert south < site.lat < north


def test_derived_from_leads_to_the_scenes(world, paths):
    item = load_json(world.store.get(paths.item).data)
    links = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]

    found = [requests.get(href, timeout=10).json()["id"] for href in links]

    assert found == SCENES


def test_addresses_in_the_item_lead_to_the_files(world, paths):
    item = load_json(world.store.get(paths.item).data)
    here = f"http://public/{paths.item}".replace("%", "%25")
    for asset in item["assets"].values():
        path = unquote(urljoin(here, asset["href"]).removeprefix("http://public/"))
        assert world.store.head(path).size > 0
    assert len(item["assets"]) == 8


def test_no_sidecar_was_asked_for(served, world):
    asked = set(served.paths())
    assert {path.rsplit("/", 1)[1] for path in asked} == {f"{name}.tif" for name in FILES.values()}
