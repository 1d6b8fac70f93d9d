"""What a file is, told from its first bytes: they know better than its metadata and its name."""

from collections.abc import Callable
from dataclasses import dataclass

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import Backend

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS = (512, 1024, 2048, 4096, 8192)
"""An HDF5 file may begin with something else, of one of these lengths."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A kind of file."""

    name: str
    backend: Backend | None
    """What reads it; None where TiTiler has no reader for it."""
    hint: str | None = None
    """What would make it readable."""


def _starts(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(prefixes)


_KINDS: tuple[tuple[Callable[[bytes], bool], Signature], ...] = (
    (_starts(_HDF5), Signature("HDF5", "xarray")),
    (
        lambda head: any(head.startswith(_HDF5, offset) for offset in _USER_BLOCKS),
        Signature("HDF5 with a user block", None, "remove the user block (h5unjam)"),
    ),
    (
        _starts(b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
        Signature("TIFF", "rasterio"),
    ),
    (
        _starts(b"CDF\x01", b"CDF\x02", b"CDF\x05"),
        Signature(
            "netCDF-3",
            None,
            "convert it to netCDF-4 (nccopy -k nc4): TiTiler-CMR reads with h5netcdf",
        ),
    ),
    (
        _starts(b"\x0e\x03\x13\x01"),
        Signature("HDF4", None, "convert it to netCDF-4 or GeoTIFF: no reader of TiTiler has HDF4"),
    ),
    (_starts(b"PK\x03\x04"), Signature("ZIP", None, "unpack it, and publish the files inside")),
    (_starts(b"\x1f\x8b"), Signature("gzip", None, "unpack it, and publish the file inside")),
    (_starts(b"\x1f\x9d"), Signature("compress", None, "unpack it, and publish the file inside")),
    (_starts(b"BZh"), Signature("bzip2", None, "unpack it, and publish the file inside")),
    (
        lambda head: head.startswith(b"ustar", 257),
        Signature("tar", None, "unpack it, and publish the files inside"),
    ),
    (_starts(b"%PDF-"), Signature("PDF", None)),
    (_starts(b"\x89PNG\r\n"), Signature("PNG", None, "publish it as a GeoTIFF")),
    (_starts(b"\xff\xd8\xff"), Signature("JPEG", None, "publish it as a GeoTIFF")),
    (_starts(b"GRIB"), Signature("GRIB", None, "convert it to netCDF-4 or GeoTIFF")),
)

_PAGE = (b"<!doctype html", b"<html")
_SHOWN_BYTES = 8


def check_is_no_page(head: bytes) -> None:
    """Refuse the first bytes of a web page, such as a form for a login.

    Raises:
        CheckEndedError: `forbidden`: they are.
    """
    if head[:512].lstrip().lower().startswith(_PAGE):
        raise CheckEndedError(
            CompatibilityReason.FORBIDDEN,
            "a web page came in place of the file",
            "the server may ask for a login or for a licence to be accepted: set "
            "ESTINEL_EARTHDATA_TOKEN, or have an entry for urs.earthdata.nasa.gov in ~/.netrc",
        )


def signature_of(head: bytes) -> Signature | None:
    """The kind of file that begins with these bytes; None where they are not known."""
    return next((kind for begins, kind in _KINDS if begins(head)), None)


def backend_of(head: bytes, what: str) -> Backend:
    """What reads the file that begins with these bytes.

    Args:
        head: the first bytes, at least 8704 where the file is as long.
        what: how the file's metadata and its name describe it, for the message.

    Raises:
        CheckEndedError: `unsupported_format`, if nothing reads it; `forbidden`, if a web page
            came in place of the file.
    """
    check_is_no_page(head)
    found = signature_of(head)
    shown = head[:_SHOWN_BYTES]
    if found is None:
        raise CheckEndedError(
            CompatibilityReason.UNSUPPORTED_FORMAT,
            f"{what}, but its signature {shown!r} is none of HDF5, netCDF-4 or TIFF",
        )
    if found.backend is None:
        raise CheckEndedError(
            CompatibilityReason.UNSUPPORTED_FORMAT,
            f"{found.name} (signature {shown!r}) is not supported",
            found.hint,
        )
    return found.backend
