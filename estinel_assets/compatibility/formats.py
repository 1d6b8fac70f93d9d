"""Which backend reads a collection's files, as far as metadata and the file's name can tell.

Archives write formats freely ("netCDF-4", "NETCDF-4", "NetCDF4", "HDF-EOS5"), leave them out or
name several. Case, blanks and punctuation do not count here. What a file really is decides the
signature in its first bytes, when it is opened; until then:

- an extension that only files of another kind have (archives, text, pictures) is not supported;
- an extension that only readable files have (`nc`, `h5`, `tif`, `zarr`…) names the backend, unless
  the format says netCDF-3 or HDF4;
- else the format decides, and where it says nothing (`HDF`, `Not provided`), the extension.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.links import extension_of
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import Backend

BY_EXTENSION: dict[str, Backend] = {
    "nc": "xarray",
    "nc4": "xarray",
    "netcdf": "xarray",
    "h5": "xarray",
    "hdf5": "xarray",
    "he5": "xarray",
    "zarr": "xarray",
    "cog": "rasterio",
    "tif": "rasterio",
    "tiff": "rasterio",
    "gtif": "rasterio",
    "geotiff": "rasterio",
}
"""Extensions, in lower case, that name the backend."""

VAGUE_EXTENSIONS = frozenset({"hdf", "hdfeos"})
"""Extensions of HDF4 and of HDF5 alike."""

BY_FORMAT: dict[str, Backend] = {
    "netcdf": "xarray",
    "netcdf4": "xarray",
    "netcdf4classic": "xarray",
    "netcdfclassic4": "xarray",
    "nc4": "xarray",
    "hdf5": "xarray",
    "h5": "xarray",
    "h5hierarchicaldataformatversion5": "xarray",
    "hdfeos5": "xarray",
    "eos5": "xarray",
    "zarr": "xarray",
    "cog": "rasterio",
    "cloudoptimizedgeotiff": "rasterio",
    "cloudoptimizedgeotiffcog": "rasterio",
    "geotiff": "rasterio",
    "tiff": "rasterio",
    "tif": "rasterio",
}
"""Formats without blanks and punctuation, in lower case."""

VAGUE_FORMATS = frozenset({"", "hdf", "hdfeos", "notprovided", "notapplicable", "na", "other"})
"""Formats that say nothing, or too little."""

_TO_NETCDF4 = "convert it to netCDF-4 (nccopy -k nc4): TiTiler-CMR reads with h5netcdf"
_FROM_HDF4 = "convert it to netCDF-4 or GeoTIFF: no reader of TiTiler has HDF4"
_UNPACK = "unpack it, and publish the files inside"

REFUSED_FORMATS: dict[str, str] = {
    "netcdf3": _TO_NETCDF4,
    "netcdf3classic": _TO_NETCDF4,
    "hdf4": _FROM_HDF4,
    "hdfeos2": _FROM_HDF4,
    "hdfeos4": _FROM_HDF4,
}
"""Formats whose files have the extensions of readable ones, and the hints for them."""

_ARCHIVES = ("zip", "gz", "tgz", "tar", "z", "bz2", "7z", "xz", "rar", "kmz")
_OTHERS = (
    "asc",
    "ascii",
    "avi",
    "bil",
    "bin",
    "bmp",
    "bufr",
    "csv",
    "dat",
    "dbf",
    "doc",
    "docx",
    "e00",
    "fits",
    "geojson",
    "gif",
    "gpkg",
    "grb",
    "grb2",
    "grib",
    "grib2",
    "hdr",
    "html",
    "ict",
    "img",
    "jp2",
    "jpeg",
    "jpg",
    "json",
    "kml",
    "las",
    "laz",
    "log",
    "mat",
    "mdb",
    "mov",
    "mp4",
    "pdf",
    "png",
    "ppt",
    "shp",
    "shx",
    "tab",
    "txt",
    "xls",
    "xlsx",
    "xml",
)

REFUSED_EXTENSIONS: dict[str, str | None] = {
    **dict.fromkeys(_ARCHIVES, _UNPACK),
    **dict.fromkeys(_OTHERS, None),
}
"""Extensions, in lower case, that only unreadable files have, and hints for them."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What metadata and name say of a file."""

    format: str | None
    """The first one that the metadata name, as they write it."""
    extension: str
    """Of the file's name, in its case; empty without one."""
    backend: Backend | None
    """None where nothing reads such files."""
    complaint: str | None = None
    """Why nothing does."""
    hint: str | None = None
    """What would change that."""

    def supported(self) -> Backend:
        """The backend.

        Raises:
            CheckEndedError: `unsupported_format`.
        """
        if self.backend is None:
            raise CheckEndedError(
                CompatibilityReason.UNSUPPORTED_FORMAT,
                self.complaint or "the format is not supported",
                self.hint,
            )
        return self.backend


def decide(collection_formats: Sequence[str], granule_formats: Sequence[str], url: str) -> Decided:
    """What reads a granule's file.

    Args:
        collection_formats: as the collection's metadata name them.
        granule_formats: as the granule's do; they count where the collection's say nothing.
        url: the file's address.

    Returns:
        The backend, or why there is none; `Decided.supported` raises that.
    """
    named = [name for name in (*collection_formats, *granule_formats) if name.strip()]
    said = named[0] if named else None
    extension = extension_of(url)
    short = extension.lower()
    if short in REFUSED_EXTENSIONS:
        return Decided(
            said,
            extension,
            None,
            f"Extension {extension} is not supported{_beside(said)}",
            REFUSED_EXTENSIONS[short],
        )
    words = _words(collection_formats) or _words(granule_formats)
    refused = next((word for word in words if word in REFUSED_FORMATS), None)
    supported = next((BY_FORMAT[word] for word in words if word in BY_FORMAT), None)
    if refused is not None and supported is None:
        complaint = f"Format {said} is not supported"
        return Decided(said, extension, None, complaint, REFUSED_FORMATS[refused])
    if short in BY_EXTENSION:
        return Decided(said, extension, BY_EXTENSION[short])
    if supported is not None:
        return Decided(said, extension, supported)
    if words:
        return Decided(said, extension, None, f"Format {said} is not supported")
    if short in VAGUE_EXTENSIONS:
        return Decided(said, extension, "xarray")
    return Decided(
        said,
        extension,
        None,
        f"Extension {extension} is not supported{_beside(said)}"
        if extension
        else f"neither format ({said or 'not given'}) nor extension say what the file is",
    )


def _beside(said: str | None) -> str:
    return f" (format {said})" if said is not None else ""


def _words(formats: Sequence[str]) -> list[str]:
    """The formats that say something, without blanks and punctuation; lists are taken apart."""
    return [word for name in formats for word in _parts(name) if word not in VAGUE_FORMATS]


def _parts(name: str) -> Iterator[str]:
    for part in re.split(r"[,;/]", name):
        yield re.sub(r"[\W_]+", "", part).casefold()
