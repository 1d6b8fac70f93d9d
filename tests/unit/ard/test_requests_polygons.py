"""Requests as polygons: GeoJSON, GeoParquet and GeoPackage."""

import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon
from shapely.geometry import mapping

from estinel_assets.ard.requests import read_request
from estinel_assets.ard.tile_table import open_tile_table
from estinel_assets.ard.tiles import Tile, TileYear
from estinel_assets.demo.tile_table import made_tile_table
from estinel_assets.errors import BadInputError
from tests.support.real import ROOT, real_data
from tests.support.tile_tables import BAMENDA, MANAUS, table_of

TODAY = date(2026, 11, 21)
ROWS = made_tile_table([BAMENDA, MANAUS], rings=2)
EVERY = [Tile(row["X_tile"], row["Y_tile"], row["X"], row["Y"]) for row in ROWS.to_pylist()]
TABLE = table_of(ROWS)
PLOT = Point(BAMENDA).buffer(0.001)
OTHER_PLOT = Point(MANAUS).buffer(0.001)
NOWHERE = Point(0.0, 0.0).buffer(0.001)
BOW_TIE = Polygon([(10.1, 5.9), (10.2, 6.0), (10.2, 5.9), (10.1, 6.0)])

Writer = Callable[[geopandas.GeoDataFrame, Path], bytes]


def as_geojson(frame: geopandas.GeoDataFrame, folder: Path) -> bytes:
    return frame.to_json().encode()


def as_geoparquet(frame: geopandas.GeoDataFrame, folder: Path) -> bytes:
    packed = io.BytesIO()
    frame.to_parquet(packed)
    return packed.getvalue()


def as_geopackage(frame: geopandas.GeoDataFrame, folder: Path) -> bytes:
    path = folder / "plots.gpkg"
    path.unlink(missing_ok=True)
    frame.to_file(path, layer="plots")
    return path.read_bytes()


every_form = pytest.mark.parametrize("write", [as_geojson, as_geoparquet, as_geopackage])


def frame_of(geometries: list[object], crs: str = "EPSG:4326", **columns: object) -> object:
    return geopandas.GeoDataFrame({**columns, "geometry": geometries}, crs=crs)


def read(payload: bytes, year: int | None = None) -> tuple[TileYear, ...]:
    return read_request(payload, "plots", TABLE, today=TODAY, year=year)


def refused(payload: bytes, year: int | None = None) -> str:
    with pytest.raises(BadInputError) as error:
        read(payload, year)
    assert str(error.value).startswith("plots")
    return str(error.value)


def feature(geometry: object, **properties: object) -> dict[str, object]:
    document = mapping(geometry) if isinstance(geometry, shapely.Geometry) else geometry
    return {"type": "Feature", "properties": properties, "geometry": document}


def collection(*features: object, **members: object) -> bytes:
    document = {"type": "FeatureCollection", "features": list(features), **members}
    return json.dumps(document).encode()


def at(place: tuple[float, float]) -> Tile:
    (tile,) = TABLE.intersecting([Point(place).buffer(0.001)])[0]
    return tile


# --- every form


@every_form
def test_a_year_for_all(write: Writer, tmp_path: Path) -> None:
    body = write(frame_of([PLOT, OTHER_PLOT, PLOT], name=["a", "b", "c"]), tmp_path)
    assert read(body, 2023) == tuple(
        sorted([TileYear(at(BAMENDA), 2023), TileYear(at(MANAUS), 2023)])
    )
    assert "1: there is no year: give one for the request" in refused(body)


@every_form
@pytest.mark.parametrize("column", ["year", "Year", "YEAR"])
def test_a_column_of_years(write: Writer, column: str, tmp_path: Path) -> None:
    both = MultiPolygon([PLOT, OTHER_PLOT])
    body = write(frame_of([PLOT, both, PLOT], **{column: [2021, 2022, 2021]}), tmp_path)
    assert [(asked.year, asked.tile) for asked in read(body)] == [
        (2021, at(BAMENDA)),
        *((2022, tile) for tile in sorted([at(BAMENDA), at(MANAUS)])),
    ]


@every_form
@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_missing_years_take_that_of_the_request(
    write: Writer, missing: object, tmp_path: Path
) -> None:
    years = pd.array([2023, missing], dtype="Int64") if missing is pd.NA else [2023, missing]
    body = write(frame_of([PLOT, OTHER_PLOT], year=years), tmp_path)
    assert len(read(body, 2023)) == 2
    assert "2: there is no year" in refused(body)


@every_form
def test_text_years_and_heights(write: Writer, tmp_path: Path) -> None:
    high = shapely.force_3d(PLOT, 300.0)
    body = write(frame_of([high], year=["2023"]), tmp_path)
    assert read(body) == (TileYear(at(BAMENDA), 2023),)


@every_form
def test_every_bad_polygon_is_told(write: Writer, tmp_path: Path) -> None:
    frame = frame_of(
        [PLOT, BOW_TIE, Point(10.1, 5.9), None, Polygon([(200, 0), (201, 0), (201, 1)]), NOWHERE,
         shapely.box(-179, 0, 179, 1), Polygon()],
        year=[2023, 2023, 2023, 2023, 1999, 2023, 2023, 2023],
    )  # fmt: skip
    text = refused(write(frame, tmp_path))
    assert "plots: 7 problems, nothing was started" in text
    far = "its geometry has the point (200, 0), which is no longitude and latitude in degrees: "
    for part in (
        "2: its geometry is invalid (Self-intersection",
        "3: its geometry is a Point: give a Polygon or a MultiPolygon",
        "4: it has no geometry",
        f"5: year 1999 is before Sentinel-2: give one from 2015 to 2026; {far}write the polygons",
        "6: no tile lies between longitude -0.001 and 0.001",
        "7: its geometry is 358° wide: where it crosses ±180°, split it",
        "8: it has no geometry",
    ):
        assert part in text


@pytest.mark.parametrize("write", [as_geoparquet, as_geopackage])
@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:3857", "EPSG:4258"])
def test_another_crs_is_refused(write: Writer, crs: str, tmp_path: Path) -> None:
    body = write(frame_of([PLOT]).to_crs(crs), tmp_path)
    assert "write the polygons in EPSG:4326 (longitude, latitude)" in refused(body, 2023)


@pytest.mark.parametrize("write", [as_geoparquet, as_geopackage])
def test_an_unsaid_crs_is_refused(write: Writer, tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"geometry": [PLOT]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # geopandas warns of exactly this
        body = write(frame, tmp_path)
    text = refused(body, 2023)
    assert "CRS" in text
    assert "write the polygons in EPSG:4326" in text


@given(st.lists(st.tuples(st.sampled_from(EVERY), st.integers(2015, 2026)), min_size=1))
def test_plots_inside_tiles_ask_for_these_tiles(wanted: list[tuple[Tile, int]]) -> None:
    features = [
        feature(Point(tile.lon, tile.lat).buffer(0.005), year=year) for tile, year in wanted
    ]
    expected = {TileYear(tile, year) for tile, year in wanted}
    found = read(collection(*features))
    assert set(found) == expected
    assert len(found) == len(expected)


# --- GeoJSON


@pytest.mark.parametrize(
    "document",
    [
        mapping(PLOT),
        mapping(MultiPolygon([PLOT])),
        feature(PLOT),
        {"type": "Feature", "properties": None, "geometry": mapping(PLOT)},
        {"type": "Feature", "geometry": mapping(PLOT)},
        {"type": "FeatureCollection", "features": [feature(PLOT, year=2023)]},
        {
            "type": "FeatureCollection",
            "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
            "features": [feature(PLOT)],
        },
    ],
)
def test_geojson_of_all_kinds(document: Mapping[str, object]) -> None:
    assert read(json.dumps(document).encode(), 2023) == (TileYear(at(BAMENDA), 2023),)


def test_a_polygon_split_at_180_degrees() -> None:
    table = table_of(made_tile_table([(179.999, -16.5), (-179.999, -16.5)], rings=0))
    parts = MultiPolygon([shapely.box(179.9, -16.51, 180, -16.49),
                          shapely.box(-180, -16.51, -179.9, -16.49)])  # fmt: skip
    found = read_request(collection(feature(parts)), "p", table, today=TODAY, year=2023)
    assert len(found) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (collection(), "it asks for no tile"),
        (b'{"type": "FeatureCollection"}', "its features are no list"),
        (b'{"type": "FeatureCollection", "features": {}}', "its features are no list"),
        (collection(5), "feature 1: 5 is no GeoJSON feature"),
        (collection(feature(None)), "feature 1: it has no geometry"),
        (collection(feature({})), "its geometry cannot be read"),
        (collection(feature("x")), "its geometry cannot be read"),
        (collection(feature({"type": "Polygon"})), "its geometry cannot be read"),
        (collection(feature({"type": "Polygon", "coordinates": []})), "it has no geometry"),
        (collection(feature({"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]})),
         "its geometry cannot be read"),
        (collection(feature({"type": "Polygon", "coordinates": [[[1, 2], [3, 4], [5, 9], [1, 1]]]}
         )),
         "its geometry cannot be read"),
        (collection(feature({"type": "Polygon", "coordinates": [["a"]]})), "cannot be read"),
        (collection(feature({"type": "Polygon", "coordinates": [[[1], [2], [3], [1]]]})),
         "feature 1"),
        (collection(feature({"type": "Polygon",
                             "coordinates": [[[1, 2], [1, float("nan")], [3, 3], [1, 2]]]})),
         "feature 1: "),
        (collection(feature({"type": "Polygon",
                             "coordinates": [[[1, 2], [1, 1e308], [3, 3], [1, 2]]]})),
         "(1, 1e+308), which is no longitude and latitude"),
        (collection(feature({"type": "LineString", "coordinates": [[1, 2], [3, 4]]})),
         "its geometry is a LineString"),
        (collection(feature({"type": "GeometryCollection", "geometries": [mapping(PLOT)]})),
         "its geometry is a GeometryCollection"),
        (collection(feature({"type": "Polygon", "coordinates": [[[1, 2]] * 4]})), "is invalid"),
        (collection(feature(PLOT, year=2023, Year=2022)), "has the columns year, Year: keep one"),
        (collection(feature(PLOT, year="soon")), "year 'soon' is not a year"),
        (collection(feature(PLOT, year=[2023])), "year [2023] is not a year"),
        (collection(feature(PLOT, year=True)), "year True is not a year"),
        (collection(feature(PLOT), crs={"properties": {"name": "EPSG:32632"}}),
         "its CRS is 'WGS 84 / UTM zone 32N'"),
        (collection(feature(PLOT), crs={"properties": {"name": "nonsense"}}), "is not known"),
        (collection(feature(PLOT), crs={"properties": {"name": 5}}), "CRS"),
        (collection(feature(PLOT), crs="x"), "its CRS 'x' is not known"),
    ],
)  # fmt: skip
def test_geojson_that_is_refused(body: bytes, message: str) -> None:
    text = refused(body, 2023 if b"year" not in body else None)
    assert message in text
    assert len(text) < 600


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "name", "properties", "coordinates"]), inner)
    ),
    max_leaves=8,
)


@given(anything, anything, anything)
def test_whatever_stands_in_geojson_is_read_or_refused(
    geometry: object, properties: object, crs: object
) -> None:
    odd = {"type": "Feature", "properties": properties, "geometry": geometry}
    for document in (
        {"type": "FeatureCollection", "features": [odd, feature(PLOT)]},
        {"type": "FeatureCollection", "features": [feature(PLOT)], "crs": crs},
        {"type": "Polygon", "coordinates": geometry},
    ):
        try:
            found = read(json.dumps(document).encode(), 2023)
        except BadInputError as error:
            assert len(str(error)) < 800  # noqa: PT017 - either is right
        else:
            assert TileYear(at(BAMENDA), 2023) in found


# --- GeoParquet


def geo_of(**members: object) -> pa.Table:
    """A table of one plot with its `geo` metadata, some of it changed; None takes it away."""
    about = {"encoding": "WKB", "geometry_types": [], **members}
    about = {name: value for name, value in about.items() if value != "absent"}
    geo = {"version": "1.1.0", "primary_column": "geom", "columns": {"geom": about}}
    table = pa.table({"geom": [PLOT.wkb], "year": [2023]})
    return table.replace_schema_metadata({"geo": json.dumps(geo)})


def packed(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_geoparquet_without_a_crs_member_is_longitude_and_latitude() -> None:
    assert read(packed(geo_of())) == (TileYear(at(BAMENDA), 2023),)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (geo_of().replace_schema_metadata(None), "is Parquet without polygons (no `geo` metadata)"),
        (geo_of().replace_schema_metadata({"geo": "{"}), "its `geo` metadata cannot be read"),
        (geo_of().replace_schema_metadata({"geo": "[]"}), "its `geo` metadata cannot be read"),
        (geo_of().drop_columns(["geom"]), "has no column 'geom', its geometry"),
        (geo_of(encoding="polygon"), "are encoded as 'polygon': write them as WKB"),
        (geo_of(encoding="absent"), "its `geo` metadata cannot be read"),
        (geo_of(crs=None), "says no CRS"),
        (geo_of(crs={"type": "nonsense"}), "is not known"),
        (geo_of().append_column("Year", pa.array([2023])), "has the columns year, Year"),
        (geo_of().set_column(0, "geom", pa.array([b"\x01\x03"])), "its geometry is not WKB"),
        (geo_of().set_column(0, "geom", pa.array([None], pa.binary())), "it has no geometry"),
        (geo_of().set_column(0, "geom", pa.array(["POINT (1 2)"])), "row 1: "),
        (geo_of().set_column(1, "year", pa.array([[2023]])), "year [2023] is not a year"),
        (geo_of().slice(0, 0), "it asks for no tile"),
    ],
)  # fmt: skip
def test_geoparquet_that_is_refused(table: pa.Table, message: str) -> None:
    assert message in refused(packed(table))


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_damaged_files_are_refused(cut: float, tmp_path: Path) -> None:
    whole = packed(geo_of())
    assert "is not readable Parquet" in refused(whole[: int(len(whole) * cut)])
    database = as_geopackage(frame_of([PLOT]), tmp_path)
    assert "GeoPackage" in refused(database[: int(len(database) * cut)], 2023)


# --- GeoPackage


def test_a_geopackage_with_several_layers_or_none(tmp_path: Path) -> None:
    path = tmp_path / "plots.gpkg"
    frame_of([PLOT]).to_file(path, layer="one")
    frame_of([OTHER_PLOT]).to_file(path, layer="two")
    assert "a request has one layer of polygons, this has 'one', 'two'" in refused(
        path.read_bytes(), 2023
    )


def test_an_empty_geopackage(tmp_path: Path) -> None:
    frame = frame_of([PLOT]).iloc[:0]
    frame.to_file(tmp_path / "empty.gpkg", layer="plots")
    assert "it asks for no tile" in refused((tmp_path / "empty.gpkg").read_bytes(), 2023)


def test_without_pyogrio_a_geopackage_says_what_to_install() -> None:
    script = """
import sys
sys.modules["pyogrio"] = None
from estinel_assets.ard.asked import Years
from estinel_assets.ard.request_polygons import read_geopackage
from estinel_assets.errors import MissingDependencyError
try:
    read_geopackage(b"SQLite format 3\\0", "plots.gpkg", Years(2026))
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "install the extra `ard`" in done.stdout
    assert "give GeoJSON or GeoParquet" in done.stdout


# --- real polygons


REAL = {
    "data_pass": [(40.40, -12.97)],
    "geometry_type_pass": [(32.99, -2.045)],
    "not_overlapping_pass": [(-2.274, 4.923)],
    "polygon_size_pass": [(33.1427, -2.1195)],
}


@pytest.mark.parametrize("name", REAL)
def test_real_plots_lie_in_tiles_of_the_real_table(name: str) -> None:
    table = open_tile_table(str(real_data("ard/tiledb.parquet")))
    path = real_data(f"ard/{name}.geojson")
    found = read_request(path.read_bytes(), path.name, table, today=TODAY, year=2023)
    plots = geopandas.read_file(path)
    cells = [shapely.box(*asked.tile.bbox) for asked in found]
    assert found
    assert {asked.year for asked in found} == {2023}
    # Cells of the real table leave slits of less than a thousandth of a degree between them.
    covered = shapely.union_all(cells).buffer(1e-3)
    assert plots.geometry.within(covered).all()
    assert all(plots.geometry.intersects(cell).any() for cell in cells)
    lons = np.array([asked.tile.lon for asked in found])
    lats = np.array([asked.tile.lat for asked in found])
    for lon, lat in REAL[name]:
        assert np.hypot(lons - lon, lats - lat).min() < 0.05
