"""A running TiTiler: a small server here whose tiles rio-tiler and titiler.xarray make."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest
from rio_tiler.io import Reader
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.endpoint import tiles_url, try_tiles
from estinel_assets.compatibility.record import TileTried
from estinel_assets.compatibility.tiling import TileIndex
from tests.support.asgi import serve_asgi
from tests.support.granules import write_raster

# In the server here, rasterio multiplies transforms in a way that affine warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

MADE = [
    TileTried(z=0, x=0, y=0, through="rio-tiler", valid_pixels=600),
    TileTried(z=4, x=8, y=5, through="rio-tiler", valid_pixels=0),
    TileTried(z=4, x=7, y=5, through="rio-tiler", valid_pixels=9_000),
]
BOUNDS = (-20.0, 30.0, 20.0, 60.0)


def _app(raster: Path, seen: list[dict[str, str]]) -> Starlette:
    def tile(request: Request) -> Response:
        seen.append({**request.query_params})
        match request.query_params["concept_id"]:
            case "C403-A":
                return Response("licence\nmissing: https://a.invalid?sig=hush", 403)
            case "C422-A":
                return Response('{"detail":"no"}', 422)
            case "C504-A":
                return Response("", 504)
            case "C204-A":
                return Response(status_code=204)
            case "C200-A":
                return Response("<html>", media_type="text/html")
        place = request.path_params
        with Reader(str(raster)) as reader:
            image = reader.tile(place["x"], place["y"], place["z"])
        return Response(image.render(img_format="PNG"), media_type="image/png")

    path = "/api/tiles/WebMercatorQuad/{z:int}/{x:int}/{y:int}.png"
    return Starlette(routes=[Route(path, tile)])


@pytest.fixture
def seen() -> list[dict[str, str]]:
    return []


@pytest.fixture
def endpoint(tmp_path: Path, seen: list[dict[str, str]]) -> Iterator[str]:
    raster = write_raster(tmp_path / "a.tif", BOUNDS, (240, 320))
    with serve_asgi(_app(raster, seen)) as root:
        yield f"{root}/api"


def test_asks_for_the_world_and_for_the_tile_with_pixels(
    endpoint: str, seen: list[dict[str, str]]
) -> None:
    tiles = list(try_tiles(endpoint, "C1-A", "xarray", "sst & ice", MADE))
    assert [(tile.z, tile.x, tile.y) for tile in tiles] == [(0, 0, 0), (4, 7, 5)]
    assert {tile.through for tile in tiles} == {"titiler-cmr"}
    # Of 256 columns 40/360, of the rows what Mercator makes of 30 to 60 degrees north.
    height = (np.arcsinh(np.tan(np.radians(60))) - np.arcsinh(np.tan(np.radians(30)))) / 2 / np.pi
    assert tiles[0].valid_pixels == pytest.approx(256 * 256 * height * 40 / 360, rel=0.1)
    assert tiles[1].valid_pixels
    asked = {"concept_id": "C1-A", "backend": "xarray", "variable": "sst & ice", "rescale": "0,1"}
    assert seen == [asked] * 2


def test_a_raster_has_no_variable(endpoint: str, seen: list[dict[str, str]]) -> None:
    list(try_tiles(endpoint, "C1-A", "rasterio", None, MADE[:1]))
    assert seen == [{"concept_id": "C1-A", "backend": "rasterio", "rescale": "0,1"}]


@pytest.mark.parametrize(
    ("concept_id", "reason", "says"),
    [
        ("C403-A", "forbidden", "403"),
        ("C422-A", "tile_generation_failed", '422 to tile 0/0/0: {"detail":"no"}'),
        ("C504-A", "timeout", "504"),
        ("C204-A", "blank_tile", "no valid pixel"),
        ("C200-A", "tile_generation_failed", "text/html"),
    ],
)
def test_says_what_went_wrong(endpoint: str, concept_id: str, reason: str, says: str) -> None:
    tiles: list[TileTried] = []
    with pytest.raises(CheckEndedError) as caught:
        tiles.extend(try_tiles(endpoint, concept_id, "rasterio", None, MADE[:1]))
    assert caught.value.reason == reason
    assert says in str(caught.value)
    assert "hush" not in str(caught.value)
    assert len(tiles) == 1


def test_a_blank_tile_is_no_tile(endpoint: str) -> None:
    elsewhere = [TileTried(z=4, x=1, y=1, through="rio-tiler", valid_pixels=5)]
    with pytest.raises(CheckEndedError) as caught:
        list(try_tiles(endpoint, "C204-A", "rasterio", None, elsewhere))
    assert caught.value.reason == "blank_tile"


def test_an_endpoint_that_is_away_is_told_as_such() -> None:
    with pytest.raises(httpx.ConnectError):
        list(try_tiles("http://127.0.0.1:1", "C1-A", "rasterio", None, MADE))


def test_addresses_are_those_of_the_published_results() -> None:
    assert tiles_url(None, "C1000000060-LARC_ASDC", "xarray", "vis_063_calib") == (
        "https://staging.openveda.cloud/api/titiler-cmr/tiles/WebMercatorQuad/0/0/0.png"
        "?concept_id=C1000000060-LARC_ASDC&backend=xarray&variable=vis_063_calib"
    )


def test_names_are_escaped() -> None:
    url = tiles_url("https://a.invalid/", "C1-A", "xarray", "a b&c=d", TileIndex(1, 0, 1))
    assert urlsplit(url).path == "/tiles/WebMercatorQuad/1/0/1.png"
    assert parse_qs(urlsplit(url).query)["variable"] == ["a b&c=d"]
