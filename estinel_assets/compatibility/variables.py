"""Which variable of a file is tiled, and what to say where there is none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.opening import Group, OpenArrays, Opened, OpenRaster
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.verdicts import one_line

X_NAMES = ("lon", "longitude", "LON", "LONGITUDE", "Lon", "Longitude")
Y_NAMES = ("lat", "latitude", "LAT", "LATITUDE", "Lat", "Latitude")
"""What titiler.xarray takes for x and y beside these two themselves."""

KNOWN_VARIABLES = (
    "AODANA",
    "BASEFLOW",
    "Kd_490",
    "LAI",
    "NEE",
    "OBP",
    "PS",
    "Rainf",
    "SLP",
    "SSH",
    "SWdown",
    "Swnet_tavg",
    "T2MMEAN",
    "Tair",
    "Tair_f_inst",
    "XCO2",
    "aerosol_optical_thickness_550_count_land",
    "all_sw_dn_toa",
    "analysed_sst",
    "avw",
    "carbon_phyto",
    "chlor_a",
    "cloud_fraction",
    "clr_lw_up_toa",
    "nflh",
    "par",
    "petpen",
    "pic",
    "poc",
    "precip",
    "precipitation",
    "rainfall_rate",
    "sea_surface_height_above_sea_level",
    "sea_surface_temperature",
    "smap_sss",
    "snow_fraction",
    "ssha",
    "sss",
    "sst",
    "sst4",
    "surf_air_temp",
    "wind_speed",
)
"""Science variables, sorted: names that collections with tiles have in common in the
published run of November 2025, without flags, counts, weights and bounds; and snow cover."""


def choose_variable(dims: Mapping[str, Sequence[str]]) -> str | None:
    """The variable to tile.

    Args:
        dims: dimensions of each variable, by its name, in the file's order.

    Returns:
        The first that is a known science variable with x and y, else the first with x and y, else
        the first known, else the first; None where there is none.
    """
    known = [name for name in dims if name in _KNOWN]
    placed = [name for name in dims if xy_dims(dims[name]) is not None]
    both = [name for name in placed if name in _KNOWN]
    return next(iter([*both, *placed, *known, *dims]), None)


def xy_dims(dims: Sequence[str]) -> tuple[str, str] | None:
    """The dimensions that titiler.xarray takes for x and y; None where it finds no pair."""
    if "x" in dims or "y" in dims:
        return ("x", "y") if {"x", "y"} <= set(dims) else None
    x = next((name for name in X_NAMES if name in dims), None)
    y = next((name for name in Y_NAMES if name in dims), None)
    return None if x is None or y is None else (x, y)


@dataclass(frozen=True, slots=True)
class Found:
    """The variables of a file, or what stands in their place."""

    names: list[str]
    """All variables of the root, in the file's order; bands `b1`, `b2`… without descriptions."""
    variable: str | None
    """The one to tile; None for a raster, whose bands are tiled, and where there is none."""
    groups: list[str] | None
    """Groups, listed only where the root has no variable."""
    ending: CheckEndedError | None = None
    """Why there is nothing to tile."""

    def chosen(self) -> str | None:
        """The variable to tile; None for a raster.

        Raises:
            CheckEndedError: there is none, or it has no x and y.
        """
        if self.ending is not None:
            raise self.ending
        return self.variable


def find_variable(opened: Opened) -> Found:
    """Look for a variable to tile.

    Returns:
        What is there; `Found.chosen` raises where nothing can be tiled.

    Raises:
        Exception: whatever the libraries raise; see `verdicts`.
    """
    if isinstance(opened, OpenRaster):
        return Found(_bands(opened), None, None)
    dims = {
        str(name): tuple(map(str, array.dims)) for name, array in opened.dataset.data_vars.items()
    }
    variable = choose_variable(dims)
    if variable is None:
        return _without_variable(opened)
    ending = None
    if xy_dims(dims[variable]) is None:
        ending = CheckEndedError(
            CompatibilityReason.NO_XY_DIMENSIONS,
            f"Couldn't find X/Y dimensions in {dims[variable]} of variable {variable}",
            _placement_hint(opened, dims),
        )
    return Found(list(dims), variable, None, ending)


_KNOWN = frozenset(KNOWN_VARIABLES)
_COORDINATES = frozenset((*X_NAMES, *Y_NAMES))


def _bands(opened: OpenRaster) -> list[str]:
    """Names as rio-tiler gives them."""
    descriptions = opened.dataset.descriptions
    return [name or f"b{index}" for index, name in enumerate(descriptions, start=1)]


def _without_variable(opened: OpenArrays) -> Found:
    groups = opened.groups()
    paths = [group.path for group in groups]
    if paths == ["/"]:
        ending = CheckEndedError(
            CompatibilityReason.CANT_EXTRACT_VARIABLES,
            "Can't extract variables - the file has none, and no groups",
        )
        return Found([], None, paths, ending)
    ending = _misalignment(opened, groups) or CheckEndedError(
        CompatibilityReason.GROUP_STRUCTURE,
        one_line(f"Can't extract variables - file has group structure with groups: {paths}"),
        _group_hint(groups),
    )
    return Found([], None, paths, ending)


def _misalignment(opened: OpenArrays, groups: Sequence[Group]) -> CheckEndedError | None:
    """Whether xarray refuses the groups as one tree; it is asked only where that is possible."""
    if not any(_doubtful(group, groups) for group in groups):
        return None
    try:
        opened.check_alignment()
    except ValueError as error:
        text = str(error)
        if "is not aligned with its parents" not in text:
            raise
        return CheckEndedError(
            CompatibilityReason.GROUP_NOT_ALIGNED_WITH_PARENTS,
            text.split(":\n", 1)[0],
            _group_hint(groups),
        )
    return None


def _doubtful(group: Group, groups: Sequence[Group]) -> bool:
    """Whether a dimension of the group may contradict the same one of a group above it.

    Sizes that differ do. Coordinates may: those with the dimension's name, in both groups.
    """
    for parent in groups:
        if parent.path == group.path or not _lies_in(group.path, parent.path):
            continue
        for dim, size in group.sizes.items():
            if dim in parent.sizes and (
                parent.sizes[dim] != size or (dim in group.dims and dim in parent.dims)
            ):
                return True
    return False


def _lies_in(path: str, parent: str) -> bool:
    return path.startswith(parent.rstrip("/") + "/")


def _group_hint(groups: Sequence[Group]) -> str:
    for group in groups:
        placed = {name: dims for name, dims in group.dims.items() if xy_dims(dims)}
        wanted = {name: dims for name, dims in placed.items() if name not in _COORDINATES}
        variable = choose_variable(wanted)
        if variable is not None:
            pair = " and ".join(xy_dims(placed[variable]) or ())
            return f"open group {group.path}: its variable {variable} has {pair}"
    return "no group holds a variable with dimensions x and y or longitude and latitude"


def _placement_hint(opened: OpenArrays, dims: Mapping[str, Sequence[str]]) -> str | None:
    """What would give the variables x and y."""
    flat = {
        str(name)
        for name, array in opened.dataset.variables.items()
        if array.ndim == 2 and str(name) in _COORDINATES
    }
    if flat & set(X_NAMES) and flat & set(Y_NAMES):
        return "longitude and latitude have two dimensions, as of a swath: resample it to a grid"
    for name in dims:
        pair = _alike(dims[name])
        if pair is not None:
            return f"rename dimensions {pair[0]} and {pair[1]} to y and x"
    if any(dim.startswith("phony_dim_") for found in dims.values() for dim in found):
        return "the file does not name its dimensions: add dimension scales named y and x"
    return None


def _alike(dims: Sequence[str]) -> tuple[str, str] | None:
    """Dimensions whose names say y and x in another way, such as `YDim` and `XDim`."""
    for y, x in _pairs():
        found_y = next((dim for dim in dims if y in dim.lower()), None)
        found_x = next((dim for dim in dims if x in dim.lower() and dim != found_y), None)
        if found_y is not None and found_x is not None:
            return found_y, found_x
    return None


def _pairs() -> Iterator[tuple[str, str]]:
    yield "lat", "lon"
    yield "ydim", "xdim"
    yield "row", "col"
    yield "north", "east"
