"""What an error of a library says about a collection.

The type decides where it can, the stage and the text of the message where it cannot. Types are
known by their full names, so that nothing needs to be imported for those that never come up.

An error of which our own code is the innermost part of the traceback, and which no table knows,
is a bug of ours and says so, with the place.
"""

import re
import traceback
from pathlib import Path
from typing import Literal

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.logs import mask_text

Stage = Literal["metadata", "granule", "access", "open", "variables", "tile", "endpoint"]

MOST_CHARACTERS = 500

_Why = tuple[CompatibilityReason, str | None]
"""Reason and hint."""

_OUR_CODE = str(Path(__file__).resolve().parent.parent)

_NO_CREDENTIALS = (
    "set ESTINEL_EARTHDATA_TOKEN, or have an entry for urs.earthdata.nasa.gov in ~/.netrc; the "
    "archive may also want its licence accepted"
)
_NO_XY = "TiTiler's reader wants dimensions y and x, or latitude and longitude"
_NO_RANGES = "serve the file with byte ranges: a file that cannot be read in parts cannot be tiled"
_NO_CRS = "the file does not say where it lies: write its CRS and transform into it"
_TOO_LARGE = "the tile needs too many pixels at once: publish overviews, or chunks of one time"
_OUTSIDE = "tiles of WebMercatorQuad reach from 85.05 S to 85.05 N"

TYPES: dict[str, _Why] = {
    "builtins.MemoryError": (CompatibilityReason.OUT_OF_MEMORY, None),
    "rasterio._err.CPLE_OutOfMemoryError": (CompatibilityReason.OUT_OF_MEMORY, None),
    "obstore.exceptions.PermissionDeniedError": (CompatibilityReason.FORBIDDEN, _NO_CREDENTIALS),
    "obstore.exceptions.UnauthenticatedError": (CompatibilityReason.FORBIDDEN, _NO_CREDENTIALS),
    "obstore.exceptions.NotFoundError": (CompatibilityReason.CANT_OPEN_FILE, None),
    "obstore.exceptions.NotSupportedError": (CompatibilityReason.CANT_OPEN_FILE, _NO_RANGES),
    "estinel_assets.errors.MissingDependencyError": (CompatibilityReason.FORBIDDEN, None),
    "builtins.PermissionError": (CompatibilityReason.FORBIDDEN, None),
    "builtins.FileNotFoundError": (CompatibilityReason.CANT_OPEN_FILE, None),
    "builtins.TimeoutError": (CompatibilityReason.TIMEOUT, None),
    "builtins.ConnectionError": (CompatibilityReason.CANT_OPEN_FILE, None),
    "httpx.TimeoutException": (CompatibilityReason.TIMEOUT, None),
    "httpx.HTTPError": (CompatibilityReason.CANT_OPEN_FILE, None),
    "rioxarray.exceptions.OneDimensionalRaster": (
        CompatibilityReason.TILE_GENERATION_FAILED,
        "a single row or column has no resolution: choose a granule with more",
    ),
    "rioxarray.exceptions.DimensionMissingCoordinateError": (
        CompatibilityReason.TILE_GENERATION_FAILED,
        "give the dimensions coordinates: variables of their own names",
    ),
    "rioxarray.exceptions.DimensionError": (CompatibilityReason.NO_XY_DIMENSIONS, _NO_XY),
    "rioxarray.exceptions.MissingCRS": (CompatibilityReason.TILE_GENERATION_FAILED, _NO_CRS),
    "rioxarray.exceptions.RioXarrayError": (CompatibilityReason.TILE_GENERATION_FAILED, None),
    "rio_tiler.errors.MissingCRS": (CompatibilityReason.TILE_GENERATION_FAILED, _NO_CRS),
    "rio_tiler.errors.InvalidGeographicBounds": (
        CompatibilityReason.TILE_GENERATION_FAILED,
        "longitudes and latitudes are out of range: their CRS or their units may be wrong",
    ),
    "rio_tiler.errors.MaxArraySizeError": (CompatibilityReason.TILE_GENERATION_FAILED, _TOO_LARGE),
    "rio_tiler.errors.TileOutsideBounds": (CompatibilityReason.TILE_GENERATION_FAILED, _OUTSIDE),
    "rio_tiler.errors.RioTilerError": (CompatibilityReason.TILE_GENERATION_FAILED, None),
    "rasterio.errors.CRSError": (CompatibilityReason.TILE_GENERATION_FAILED, _NO_CRS),
    "builtins.UnicodeDecodeError": (CompatibilityReason.DECODE_ERROR, None),
    "zlib.error": (CompatibilityReason.DECODE_ERROR, None),
}
"""By the full name of a class; the nearest in an error's line of classes counts."""

_UNDECODABLE = (
    r"can only convert an array of size 1 to a python scalar",
    r"can't (synchronously )?read data",
    r"filter returned failure",
    r"required filter",
    r"can't open (plugin )?directory",
    r"inflate\(\) failed",
    r"error -?\d+ while decompressing",
    r"decompression error",
    r"decod(e|ing) error",
    r"codec\b",
)

TEXTS: tuple[tuple[re.Pattern[str], _Why], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), (reason, hint))
    for pattern, reason, hint in (
        (
            r"is not the signature of a valid netCDF4 file|file signature not found",
            CompatibilityReason.UNSUPPORTED_FORMAT,
            None,
        ),
        (
            r"is not aligned with its parents",
            CompatibilityReason.GROUP_NOT_ALIGNED_WITH_PARENTS,
            None,
        ),
        (r"couldn't find x.{0,5}y ", CompatibilityReason.NO_XY_DIMENSIONS, _NO_XY),
        (
            r"unable to allocate|can't allocate|cannot allocate|memory allocation failed",
            CompatibilityReason.OUT_OF_MEMORY,
            None,
        ),
        (r"truncated file|failed to read directory", CompatibilityReason.CANT_OPEN_FILE, None),
        (r"kind: timeout|timed out|timeout was reached", CompatibilityReason.TIMEOUT, None),
        (
            r"\b(forbidden|unauthorized|access ?denied)\b|status(?: code)?:? 40[13]\b",
            CompatibilityReason.FORBIDDEN,
            _NO_CREDENTIALS,
        ),
        (
            "|".join(_UNDECODABLE),
            CompatibilityReason.DECODE_ERROR,
            None,
        ),
    )
)
"""Tried in this order, on the message of an error whose type no table has."""

_POINTS_ON = "See previous exception"
"""How rasterio says that the reason stands in the error before."""

TRANSFERS = frozenset({"obstore.exceptions.BaseError"})
"""Types of errors that come from the way to the file, at whatever stage."""

_STAGES: dict[Stage, CompatibilityReason] = {
    "metadata": CompatibilityReason.INTERNAL_ERROR,
    "granule": CompatibilityReason.INTERNAL_ERROR,
    "access": CompatibilityReason.CANT_OPEN_FILE,
    "open": CompatibilityReason.CANT_OPEN_FILE,
    "variables": CompatibilityReason.CANT_OPEN_FILE,
    "tile": CompatibilityReason.TILE_GENERATION_FAILED,
    "endpoint": CompatibilityReason.TILE_GENERATION_FAILED,
}
"""What an error of a library means that nothing else explains."""


def ending_of(error: BaseException, stage: Stage) -> CheckEndedError:
    """How a check ends that ran into an error.

    Args:
        error: whatever came up.
        stage: of the check.

    Returns:
        The error to raise instead, with a message of one line that shows no query of an address;
        `error` itself where it is one already.
    """
    if isinstance(error, CheckEndedError):
        return error
    reason, hint = _why(error, stage)
    if reason == CompatibilityReason.INTERNAL_ERROR:
        return CheckEndedError(reason, one_line(f"{described(error)} at {_place(error)}"), hint)
    return CheckEndedError(reason, one_line(described(error)), hint)


def described(error: BaseException) -> str:
    """The error's type and the first part of its message, and its cause where it points there."""
    text = str(error).split("\n\nDebug source", 1)[0].strip()
    own = f"{type(error).__name__}: {text}" if text else type(error).__name__
    cause = error.__cause__ or error.__context__
    if _POINTS_ON in text and cause is not None:
        return f"{own} {described(cause)}"
    return own


def one_line(text: str) -> str:
    """A text without line breaks and without what looks like a credential, not too long."""
    line = " ".join(mask_text(text).split())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"


def _why(error: BaseException, stage: Stage) -> _Why:
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    by_type = next((TYPES[name] for name in names if name in TYPES), None)
    if by_type is not None:
        return by_type
    transfer = any(name in TRANSFERS for name in names)
    if not transfer and not isinstance(error, OSError) and _is_ours(error):
        return CompatibilityReason.INTERNAL_ERROR, None
    text = "\n".join(map(str, _chain(error)))
    by_text = next((why for pattern, why in TEXTS if pattern.search(text)), None)
    if by_text is not None:
        return by_text
    return (CompatibilityReason.CANT_OPEN_FILE if transfer else _STAGES[stage]), None


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what led to it."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def _is_ours(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or frames[-1].filename.startswith(_OUR_CODE)


def _place(error: BaseException) -> str:
    """File and line of the innermost part of ours."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(_OUR_CODE)
    ]
    if not frames:
        return "an unknown place"
    name = Path(frames[-1].filename).relative_to(Path(_OUR_CODE).parent)
    return f"{name.as_posix()}:{frames[-1].lineno}"
