"""Asks a running TiTiler-CMR for the tiles that its readers made here."""

from collections.abc import Generator, Iterable
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import Backend, TileTried
from estinel_assets.compatibility.tiling import WORLD, TileIndex
from estinel_assets.compatibility.verdicts import one_line

if TYPE_CHECKING:
    import httpx

PUBLIC_ENDPOINT = "https://staging.openveda.cloud/api/titiler-cmr"
"""Where the published results' addresses of tiles are."""

THROUGH = "titiler-cmr"
_TIMEOUT_S = 55.0
"""TiTiler-CMR searches, opens and reads for each tile anew."""
_RESCALED = "&rescale=0,1"
"""Makes bytes of the values before they become a picture. titiler.core 2.4.0 draws floating-point
values transparent throughout without; which pixels are valid does not depend on the range."""

_REASONS = {
    401: CompatibilityReason.FORBIDDEN,
    403: CompatibilityReason.FORBIDDEN,
    408: CompatibilityReason.TIMEOUT,
    504: CompatibilityReason.TIMEOUT,
}


def tiles_url(
    endpoint: str | None,
    concept_id: str,
    backend: Backend,
    variable: str | None,
    tile: TileIndex = WORLD,
) -> str:
    """The address of a tile of a collection.

    Args:
        endpoint: root of a TiTiler-CMR; None for the public one.
        concept_id: of the collection.
        backend: what reads it.
        variable: the one to show; None for a raster.
        tile: 0/0/0 unless another is asked for.
    """
    query = {"concept_id": concept_id, "backend": backend}
    if variable is not None:
        query["variable"] = variable
    root = (endpoint or PUBLIC_ENDPOINT).rstrip("/")
    path = f"tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}.png"
    return f"{root}/{path}?{urlencode(query)}"


def try_tiles(
    endpoint: str,
    concept_id: str,
    backend: Backend,
    variable: str | None,
    made: Iterable[TileTried],
) -> Generator[TileTried, None, None]:
    """Ask for the tiles that our readers made: 0/0/0, and the one that has a valid pixel.

    Args:
        endpoint: root of a TiTiler-CMR.
        concept_id: of the collection.
        backend: what reads it.
        variable: the one to show; None for a raster.
        made: the tiles so far.

    Yields:
        Each tile that was asked for, also one that failed, with its valid pixels.

    Raises:
        CheckEndedError: it refuses, fails, or sends something else than a picture with pixels.
        httpx.HTTPError: it does not answer.
    """
    import httpx

    tiles = [TileIndex(tile.z, tile.x, tile.y) for tile in made if tile.valid_pixels]
    wanted = list(dict.fromkeys([WORLD, *tiles[-1:]]))
    with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True) as client:
        for tile in wanted:
            address = tiles_url(endpoint, concept_id, backend, variable, tile) + _RESCALED
            try:
                valid_pixels = _valid_pixels(client.get(address), tile)
            except (CheckEndedError, httpx.HTTPError):
                yield _told(tile, None)
                raise
            yield _told(tile, valid_pixels)
            if tile == wanted[-1] and not valid_pixels:
                raise CheckEndedError(
                    CompatibilityReason.BLANK_TILE,
                    f"TiTiler-CMR's tile {tile.z}/{tile.x}/{tile.y} has no valid pixel, which "
                    "the reader here found some in",
                    "TiTiler-CMR chooses a granule itself: its own may be empty there",
                )


def _told(tile: TileIndex, valid_pixels: int | None) -> TileTried:
    return TileTried(z=tile.z, x=tile.x, y=tile.y, through=THROUGH, valid_pixels=valid_pixels)


def _valid_pixels(answer: "httpx.Response", tile: TileIndex) -> int:
    """Pixels of the picture that are not transparent."""
    name = f"{tile.z}/{tile.x}/{tile.y}"
    if answer.status_code == 204:
        return 0
    if not answer.is_success:
        raise CheckEndedError(
            _REASONS.get(answer.status_code, CompatibilityReason.TILE_GENERATION_FAILED),
            one_line(f"TiTiler-CMR answered {answer.status_code} to tile {name}: {answer.text}"),
        )
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(answer.content), formats=["PNG"]) as picture:
            alpha = picture.convert("RGBA").getchannel("A")
    except (UnidentifiedImageError, OSError):
        kind = answer.headers.get("content-type", "of no stated type")
        raise CheckEndedError(
            CompatibilityReason.TILE_GENERATION_FAILED,
            f"TiTiler-CMR answered tile {name} with something that is no PNG ({kind})",
        ) from None
    return sum(alpha.histogram()[1:])
