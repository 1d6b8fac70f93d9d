"""Requests as polygons: GeoJSON, GeoParquet and GeoPackage, in longitude and latitude (WGS 84).

GeoJSON and GeoParquet are read here, so that every bad feature can be named; GeoPackage, a
database of many dialects, by GDAL through pyogrio.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from estinel_assets.ard.asked import Asked, AskedArea, Years, shown
from estinel_assets.errors import BadInputError, MissingDependencyError

GEOJSON_TYPES: Final = frozenset(
    {
        "FeatureCollection",
        "Feature",
        "Point",
        "MultiPoint",
        "LineString",
        "MultiLineString",
        "Polygon",
        "MultiPolygon",
        "GeometryCollection",
    }
)
_AREAS: Final = ("Polygon", "MultiPolygon")
_WIDEST_DEG: Final = 180.0
_REPROJECT = "write the polygons in EPSG:4326 (longitude, latitude)"


def read_geojson(document: Mapping[str, object], name: str, years: Years) -> Asked:
    """Read polygons from GeoJSON.

    Args:
        document: a FeatureCollection, a Feature or a geometry.
        name: what to call the file in messages.
        years: which may be asked for; a feature's own is its property `year`.

    Raises:
        BadInputError: it has no features, or is in another CRS.
    """
    crs = document.get("crs")
    if crs is not None:
        properties = crs.get("properties") if isinstance(crs, Mapping) else None
        _check_crs(properties.get("name") if isinstance(properties, Mapping) else crs, name)
    features = _features(document)
    if features is None:
        raise BadInputError(f"{name}: its features are no list: write GeoJSON again")
    asked = Asked()
    for number, feature in enumerate(features, start=1):
        where = f"feature {number}"
        with asked.at(where):
            if not isinstance(feature, Mapping):
                raise BadInputError(f"{shown(feature)} is no GeoJSON feature: write it again")
            properties = feature.get("properties")
            own = _year_of(properties) if isinstance(properties, Mapping) else None
            geometry = _from_geojson(feature.get("geometry"))
            asked.areas.append(_area(where, geometry, own, years))
    return asked


def read_geoparquet(payload: bytes, name: str, years: Years) -> Asked:
    """Read polygons from GeoParquet.

    Args:
        payload: the file; its geometries are WKB.
        name: what to call the file in messages.
        years: which may be asked for; a row's own stands in the column `year`.

    Raises:
        BadInputError: it is not GeoParquet, in another encoding or in another CRS.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(payload))
        column = _geometry_column(file, name)
        year = _year_column(file.schema_arrow.names, name)
        table = file.read(columns=[column] if year is None else [column, year])
        geometries = table.column(column).to_pylist()
        own = [None] * len(geometries) if year is None else table.column(year).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{name} is not readable Parquet ({error}): write it again") from error
    return _from_wkb("row", geometries, own, years)


def read_geopackage(payload: bytes, name: str, years: Years) -> Asked:
    """Read polygons from a GeoPackage with one layer.

    Args:
        payload: the file.
        name: what to call the file in messages.
        years: which may be asked for; a feature's own stands in the column `year`.

    Raises:
        BadInputError: it is no GeoPackage, has no layer or several, or is in another CRS.
        MissingDependencyError: pyogrio is not installed.
    """
    try:
        import pyogrio
        from pyogrio.errors import DataLayerError, DataSourceError
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{name} is a GeoPackage, and the package 'pyogrio', which reads it, is not "
            "installed: install the extra `ard`, as in `pip install 'estinel-assets[ard]'`, or "
            "give GeoJSON or GeoParquet"
        ) from error
    with TemporaryDirectory() as folder:
        # GDAL warns of a GeoPackage, be it in memory, that is not named like one.
        path = Path(folder) / "request.gpkg"
        path.write_bytes(payload)
        try:
            kinds = pyogrio.list_layers(path)
            layers = [str(layer) for layer, kind in kinds if kind is not None]
            if len(layers) != 1:
                there = ", ".join(shown(layer) for layer in layers) or "none"
                raise BadInputError(
                    f"{name}: a request has one layer of polygons, this has {there}: "
                    "write one layer"
                )
            about = pyogrio.read_info(path, layer=layers[0])
            _check_crs(about["crs"], name)
            year = _year_column([str(field) for field in about["fields"]], name)
            _, _, geometries, columns = pyogrio.raw.read(
                path, layer=layers[0], columns=[] if year is None else [year], force_2d=True
            )
        except (DataLayerError, DataSourceError) as error:
            raise BadInputError(
                f"{name} is not a readable GeoPackage ({error}): write it again"
            ) from error
    own = [None] * len(geometries) if year is None else columns[0].tolist()
    return _from_wkb("feature", list(geometries), own, years)


def _features(document: Mapping[str, object]) -> list[object] | None:
    """The features of a GeoJSON document; None where they are no list."""
    if document.get("type") == "FeatureCollection":
        features = document.get("features")
        return features if isinstance(features, list) else None
    if document.get("type") == "Feature":
        return [document]
    return [{"type": "Feature", "geometry": document}]


def _from_geojson(geometry: object) -> BaseGeometry | None:
    if geometry is None:
        return None
    try:
        return shapely.from_geojson(json.dumps(geometry))
    except (shapely.errors.GEOSException, RecursionError) as error:
        raise BadInputError(f"its geometry cannot be read ({error}): write it again") from error


def _from_wkb(
    word: str, geometries: Iterable[object], own: Iterable[object], years: Years
) -> Asked:
    asked = Asked()
    for number, (body, year) in enumerate(zip(geometries, own, strict=True), start=1):
        where = f"{word} {number}"
        with asked.at(where):
            geometry = None
            if isinstance(body, bytes):
                geometry = shapely.from_wkb(body, on_invalid="ignore")
                if geometry is None:
                    raise BadInputError("its geometry is not WKB: write it again")
            # A column of whole numbers with gaps comes as floating point, its gaps as NaN.
            missing = isinstance(year, float) and np.isnan(year)
            asked.areas.append(_area(where, geometry, None if missing else year, years))
    return asked


def _area(where: str, geometry: BaseGeometry | None, own: object, years: Years) -> AskedArea:
    """An area, its geometry and year checked; both may be wrong.

    Raises:
        BadInputError: what is wrong, and the remedy.
    """
    problems, year = [], 0
    try:
        year = years.of(own)
    except BadInputError as error:
        problems.append(str(error))
    flat = None if geometry is None else shapely.force_2d(geometry)
    wrong = _geometry_problem(flat)
    if wrong is not None:
        problems.append(wrong)
    if problems or flat is None:
        raise BadInputError("; ".join(problems))
    return AskedArea(where, flat, year)


def _geometry_problem(geometry: BaseGeometry | None) -> str | None:
    """What is wrong with an area's outline, and the remedy; None where nothing is."""
    if geometry is None or geometry.is_empty:
        return "it has no geometry: give it a polygon or leave it out"
    if geometry.geom_type not in _AREAS:
        return f"its geometry is a {geometry.geom_type}: give a Polygon or a MultiPolygon"
    points = shapely.get_coordinates(geometry)
    if not np.isfinite(points).all():
        return "its geometry has a coordinate that is no number: give degrees"
    outside = points[(np.abs(points) > (180.0, 90.0)).any(axis=1)]
    if len(outside):
        x, y = outside[0].tolist()
        return (
            f"its geometry has the point ({x:g}, {y:g}), which is no longitude and latitude in "
            f"degrees: {_REPROJECT}, split at ±180°"
        )
    widths = [part.bounds[2] - part.bounds[0] for part in shapely.get_parts(geometry)]
    if max(widths) > _WIDEST_DEG:
        return (
            f"its geometry is {max(widths):g}° wide: where it crosses ±180°, split it there into "
            "the parts of a MultiPolygon"
        )
    if not geometry.is_valid:
        return (
            f"its geometry is invalid ({shapely.is_valid_reason(geometry)}): repair it, for "
            "instance with `make_valid`"
        )
    return None


def _geometry_column(file: pq.ParquetFile, name: str) -> str:
    """The column of the geometries, its encoding and CRS checked."""
    remedy = "write it as GeoParquet, for instance with geopandas"
    packed = (file.schema_arrow.metadata or {}).get(b"geo")
    if packed is None:
        raise BadInputError(f"{name} is Parquet without polygons (no `geo` metadata): {remedy}")
    try:
        geo = json.loads(packed)
        column = geo["primary_column"]
        about = geo["columns"][column]
        encoding = about["encoding"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInputError(f"{name}: its `geo` metadata cannot be read: {remedy}") from error
    if column not in file.schema_arrow.names:
        raise BadInputError(f"{name} has no column {shown(column)}, its geometry: {remedy}")
    if encoding != "WKB":
        raise BadInputError(
            f"{name}: its geometries are encoded as {shown(encoding)}: write them as WKB"
        )
    # Without the word it is OGC:CRS84; null says that nobody knows.
    _check_crs(about.get("crs", "OGC:CRS84"), name)
    return str(column)


def _check_crs(crs: object, name: str) -> None:
    """Refuse what is not longitude and latitude on WGS 84, in whatever axis order."""
    if crs is None:
        raise BadInputError(f"{name} says no CRS: {_REPROJECT} and say so")
    try:
        found = CRS.from_user_input(crs)
    except CRSError as error:
        raise BadInputError(f"{name}: its CRS {shown(crs)} is not known: {_REPROJECT}") from error
    if not any(found.equals(known, ignore_axis_order=True) for known in ("EPSG:4326", "OGC:CRS84")):
        raise BadInputError(f"{name}: its CRS is {shown(found.name)}: {_REPROJECT}")


def _year_column(columns: Iterable[str], name: str) -> str | None:
    found = [column for column in columns if column.casefold() == "year"]
    if len(found) > 1:
        raise BadInputError(f"{name} has the columns {', '.join(found)}: keep one year")
    return found[0] if found else None


def _year_of(properties: Mapping[str, object]) -> object:
    """A feature's own year, None where it has none.

    Raises:
        BadInputError: it has several.
    """
    column = _year_column(properties, "the feature")
    return None if column is None else properties[column]
