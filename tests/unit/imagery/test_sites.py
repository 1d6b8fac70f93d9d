"""The table of sites: what is read, what is refused, and the names that files get."""

import csv
import io
import math
import re
import unicodedata
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.site_id import site_id
from estinel_assets.imagery.sites import Site, load_sites, read_sites
from estinel_assets.imagery.windows import site_window
from estinel_assets.storage.opening import open_store
from tests.support.hostile import HOSTILE_NAMES
from tests.support.real import real_data

HEADER = "location,lon,lat,resolution,radiusx,radiusy,purpose\n"
HOBART = 'Hobart,147.3257,-42.8826,10,3000,3000,"tasmania,city"\n'

RENAME = "rename or remove one of them"


def table(*rows: str, header: str = HEADER) -> bytes:
    return (header + "".join(rows)).encode()


def refusal(payload: bytes, **limits: int) -> str:
    with pytest.raises(BadInputError) as caught:
        read_sites(payload, "sites.csv", **limits)
    return str(caught.value)


def as_parquet(columns: dict[str, object]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_a_row_becomes_a_site() -> None:
    (site,) = read_sites(table(HOBART), "sites.csv")
    assert site == Site(
        "Hobart", 147.3257, -42.8826, 10.0, 3000.0, 3000.0, purpose=("tasmania", "city")
    )
    assert site.site_id == "site_af38900f"
    assert site.file_stem == "Hobart"


def test_missing_values_take_the_defaults() -> None:
    rows = ["A,1,2,,,,\n", "B,1,2,NA,NA,NA,NA\n", "C,1,2\n", " D , 1 , 2 , , 500 ,,\n"]
    a, b, c, d = read_sites(table(*rows), "sites.csv")
    for site in (a, b, c):
        assert (site.resolution, site.radiusx, site.radiusy) == (10.0, 3000.0, 3000.0)
        assert site.purpose == ()
    assert (d.location, d.resolution, d.radiusx, d.radiusy) == ("D", 10.0, 500.0, 3000.0)


def test_three_columns_are_enough_in_any_order_beside_others() -> None:
    payload = table(",5,B,-60,x\n", "1,-5,C,60,y\n", header=",lat,location,lon,remark\n")
    assert read_sites(payload, "s") == (Site("B", -60.0, 5.0), Site("C", 60.0, -5.0))


def test_a_spreadsheets_csv_is_read() -> None:
    payload = b"\xef\xbb\xbf" + (HEADER + HOBART).replace("\n", "\r\n").encode() + b"\r\n,,,,,,\r\n"
    assert [site.location for site in read_sites(payload, "s")] == ["Hobart"]


def test_purpose_is_a_list() -> None:
    (site,) = read_sites(table('A,1,2,,,," base, island ,,base"\n'), "s")
    assert site.purpose == ("base", "island")


def test_the_corners_of_the_earth_are_allowed() -> None:
    sites = read_sites(table("A,180,90\n", "B,-180,-90\n", "C,0,0\n"), "s")
    assert [(site.lon, site.lat) for site in sites] == [(180, 90), (-180, -90), (0, 0)]


def test_the_real_table_is_read_whole() -> None:
    payload = real_data("sites/locations_clean.csv").read_bytes()
    sites = read_sites(payload, "locations_clean.csv")
    rows = list(csv.DictReader(io.StringIO(payload.decode())))
    assert len(sites) == len(rows) == 72
    for site, row in zip(sites, rows, strict=True):
        assert site.location == row["location"]
        assert site.site_id == row["SITE_ID"]
        # One name there still holds its blank.
        assert site.file_stem == row["location_orig"].replace(" ", "_")
        assert (site.lon, site.lat) == (float(row["lon"]), float(row["lat"]))
        assert (site.resolution, site.radiusx, site.radiusy) == (
            float(row["resolution"]),
            float(row["radiusx"]),
            float(row["radiusy"]),
        )
        assert ",".join(site.purpose) == row["purpose"]


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    csv_payload = real_data("sites/locations_clean.csv").read_bytes()
    path = tmp_path / "sites.parquet"
    pd.read_csv(io.BytesIO(csv_payload)).to_parquet(path)
    assert read_sites(path.read_bytes(), "p") == read_sites(csv_payload, "c")


def test_parquet_with_other_types() -> None:
    payload = as_parquet(
        {
            "location": pa.array(["A", "B"]).dictionary_encode(),
            "lon": [147, -60],
            "lat": [Decimal("-42.5"), Decimal("5.0")],
            "resolution": [math.nan, 20.0],
            "radiusx": pa.array([None, 500], pa.int16()),
            "purpose": [["base", "island"], None],
            "geometry": [b"\x00", b"\x01"],
        }
    )
    assert read_sites(payload, "p") == (
        Site("A", 147.0, -42.5, purpose=("base", "island")),
        Site("B", -60.0, 5.0, 20.0, 500.0),
    )


def test_parquet_cells_of_a_wrong_type_are_refused() -> None:
    payload = as_parquet(
        {"location": [5, 6], "lon": [True, False], "lat": ["north", "5"], "purpose": [1.5, None]}
    )
    message = refusal(payload)
    assert "2 bad rows" in message
    assert "row 1 (5.0): location 5.0 is not text" in message
    assert "row 1 (5.0): lon 'True' is not a number" in message
    assert "row 1 (5.0): lat 'north' is not a number" in message
    assert "row 1 (5.0): purpose 1.5 is not text" in message
    assert "row 2 (6.0): lat" not in message


def test_bad_rows_are_refused_together() -> None:
    message = refusal(
        table(
            HOBART,
            ",1,2\n",
            "No lon,,2\n",
            "Words,abc,2\n",
            'Comma,"147,3",2\n',
            "NaN,nan,2\n",
            "Inf,1,-inf\n",
            "East,180.1,2\n",
            "South,1,-90.5\n",
            "Fine,1,2,0\n",
            "Negative,1,2,10,-3000\n",
            "Wide,1,2,10,3000,300001\n",
            "Hobart,1,2\n",
            "Underscore,1_0,2\n",
            "Long,1,2,10,3000,3000,a,b\n",
        )
    )
    lines = message.splitlines()
    assert lines[0].startswith("sites.csv: 14 bad rows, no site was taken")
    assert lines[1:] == [
        "  row 2 ((none)): location (none) is missing: give the site a name",
        "  row 3 ('No lon'): lon (none) is missing: give degrees east from -180 to 180",
        "  row 4 ('Words'): lon 'abc' is not a number: use digits and a decimal point",
        "  row 5 ('Comma'): lon '147,3' is not a number: use digits and a decimal point",
        "  row 6 ('NaN'): lon 'nan' is not a finite number: give degrees east from -180 to 180",
        "  row 7 ('Inf'): lat '-inf' is not a finite number: give degrees north from -90 to 90",
        "  row 8 ('East'): lon '180.1' is out of range: give degrees east from -180 to 180",
        "  row 9 ('South'): lat '-90.5' is out of range: give degrees north from -90 to 90",
        "  row 10 ('Fine'): resolution '0' is out of range: give metres from 0.01 to 10000",
        "  row 11 ('Negative'): radiusx '-3000' is out of range: give metres from 1 to 300000",
        "  row 12 ('Wide'): radiusy '300001' is out of range: give metres from 1 to 300000",
        "  row 13 ('Hobart'): location 'Hobart' shares a name with row 1 ('Hobart'): " + RENAME,
        "  row 14 ('Underscore'): lon '1_0' is not a number: use digits and a decimal point",
        "  row 15 ('Long'): the row (none) has 1 cells too many: quote text with commas",
    ]


def test_one_row_can_have_several_problems() -> None:
    lines = refusal(table("Hobart,abc,99,-1\n")).splitlines()
    assert "1 bad row," in lines[0]
    assert [re.findall(r": (\w+) ", line)[0] for line in lines[1:]] == ["lon", "lat", "resolution"]


def test_a_long_list_of_problems_is_cut() -> None:
    lines = refusal(table(*(f"Site {n},x,1\n" for n in range(150)))).splitlines()
    assert "150 bad rows" in lines[0]
    assert lines[-1] == "  and 50 more"
    assert len(lines) == 102


def test_a_long_value_is_cut() -> None:
    message = refusal(table(f"Hobart,{'9' * 5000},1\n"))
    assert len(message) < 400


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("Casey", "Casey", "a name with"),
        ("Casey", "  Casey ", "a name with"),
        ("Casey", "CASEY", "a name but for case"),
        ("Casey Bay", "Casey  Bay", "a name but for case"),
        ("Terre Adélie", unicodedata.normalize("NFD", "Terre Adélie"), "a name but for case"),
        ("Casey 2", "Casey_2", "the file name"),
        ("Casey (2)", "Casey 2", "the file name"),
        ("Casey 2", "CASEY_2", "the file name"),
    ],
)
def test_names_that_people_or_files_would_mix_up_are_refused(
    first: str, second: str, shared: str
) -> None:
    message = refusal(table(f"{first},1,2\n", f"{second},3,4\n"))
    assert f"shares {shared}" in message
    assert f"row 1 ({first!r})" in message


def test_two_names_of_one_site_id_are_refused() -> None:
    assert site_id("Site 9857") == site_id("Site 43706")  # found by search: 32 bits are few
    message = refusal(table("Site 9857,1,2\n", "Site 43706,3,4\n"))
    assert "row 2 ('Site 43706'): location 'Site 43706' shares the SITE_ID with row 1" in message


def test_a_site_id_that_the_name_does_not_give_is_refused() -> None:
    header = "location,lon,lat,SITE_ID\n"
    rows = ("Hobart,147,-42,site_af38900f\n", "Casey,110,-66,site_00000000\n", "Davis,78,-68,\n")
    lines = refusal(table(*rows, header=header)).splitlines()
    assert len(lines) == 2
    assert f"SITE_ID 'site_00000000' is not {site_id('Casey')}" in lines[1]


def test_too_large_a_window_is_a_bad_row_among_others() -> None:
    rows = ("Large,147,-42,10,30000,30000\n", "Bad,x,1\n", "Small,147,-42,10,300,300\n")
    message = refusal(table(*rows))
    assert "2 bad rows" in message
    assert re.search(r"row 1 \('Large'\): resolution 10.0 makes a window of \d+ x \d+", message)
    assert "Small" not in message
    sites = read_sites(table(rows[0]), "s", max_window_pixels=40_000_000)
    assert sites[0].radiusx == 30_000
    grid = site_window(sites[0]).grid
    exact = grid.width * grid.height
    assert read_sites(table(rows[0]), "s", max_window_pixels=exact)
    assert "window" in refusal(table(rows[0]), max_window_pixels=exact - 1)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ('"a\nb"', "U+000A"),
        ("a\tb", "U+0009"),
        ("a\x00b", "U+0000"),
        ("a\x7fb", "U+007F"),
        ("a\u2028b", "U+2028"),
        ("a\u202eb", "U+202E"),
        ("a\u200bb", "U+200B"),
    ],
)
def test_invisible_characters_are_refused(name: str, code: str) -> None:
    message = refusal(table(f"{name},1,2\n"))
    assert code in message
    assert len(message.splitlines()) == 2


def test_hostile_names_are_read() -> None:
    rows = io.StringIO()
    csv.writer(rows).writerows([name, 1, 2] for name in HOSTILE_NAMES)
    assert [site.location for site in read_sites(table(rows.getvalue()), "s")] == HOSTILE_NAMES


def test_a_purpose_with_a_control_character_is_refused() -> None:
    message = refusal(table("Casey,1,2,,,,a\tb\n"))
    assert "row 1 ('Casey'): purpose 'a\\tb' holds the invisible character U+0009" in message


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "the table is empty"),
        (b"\n\n , \n", "the table is empty"),
        (HEADER.encode(), "the table has no rows"),
        (b"location,lon\nHobart,1\n", "column lat is missing, there is 'location', 'lon'"),
        (b"location;lon;lat\nHobart;1;2\n", "column location, lon, lat is missing"),
        (b"location,lon,lat,lon\nHobart,1,2,3\n", "column lon stands there more than once"),
        ("location,lon,lat\nAdélie,1,2\n".encode("latin-1"), "byte 19 is not UTF-8"),
        ("location,lon,lat\nA,1,2\n".encode("utf-16"), "is not UTF-8"),
        (b'location,lon,lat\n"Hobart,1,2\n', "is not CSV"),
        (b"location,lon,lat\n" + b"x" * 200_000 + b",1,2\n", "line 2 is not CSV"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not UTF-8"),
        (b"PAR1 but no more", "is not a readable Parquet file"),
        (as_parquet({"location": ["A"], "lon": [1.0]}), "column lat is missing"),
        (as_parquet({"location": ["A"], "lon": [1.0], "lat": [1.0]})[:-9], "readable Parquet"),
        (
            as_parquet({"location": pa.array([], pa.string()), "lon": [], "lat": []}),
            "the table has no rows",
        ),
    ],
)
def test_unreadable_tables_are_refused(payload: bytes, said: str) -> None:
    message = refusal(payload)
    assert message.startswith("sites.csv: ")
    assert said in message


def test_the_shipped_table() -> None:
    sites = load_sites(None, None)
    assert 18 <= len(sites) <= 25
    assert {"Hobart", "Casey", "Mawson", "Davis", "Macquarie Island"} <= {
        site.location for site in sites
    }
    assert all(site.purpose for site in sites)
    assert all(site.lat < -40 for site in sites)


def test_a_table_is_found_here_or_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(f"file://{tmp_path}/the store")
    store.put("tables/sites.csv", table("Stored,1,2\n"))
    (tmp_path / "my sites.csv").write_bytes(table("Local,1,2\n"))
    stored, local = (Site("Stored", 1.0, 2.0),), (Site("Local", 1.0, 2.0),)
    assert load_sites("tables/sites.csv", store) == stored
    assert load_sites(store.uri("tables/sites.csv"), store) == stored
    assert load_sites("my sites.csv", store) == local
    assert load_sites(str(tmp_path / "my sites.csv"), None) == local
    assert load_sites((tmp_path / "my sites.csv").as_uri(), store) == local
    memory = open_store("memory://")
    memory.put("tables/sites.csv", table("Stored,1,2\n"))
    assert load_sites("tables/sites.csv", memory) == stored
    assert load_sites(memory.uri("tables/sites.csv"), memory) == stored


@pytest.mark.parametrize(
    "location",
    ["absent.csv", "../absent.csv", "/absent.csv", "s3://other/sites.csv", ".", "x" * 5000, ""],
)
def test_an_absent_table_is_bad_input(location: str) -> None:
    for store in (None, open_store("memory://")):
        with pytest.raises(BadInputError, match="table of sites"):
            load_sites(location, store)


def test_messages_show_no_query() -> None:
    with pytest.raises(BadInputError) as caught:
        load_sites("https://example.org/sites.csv?token=secret", open_store("memory://"))
    assert "secret" not in str(caught.value)


def test_the_limit_and_the_rule_reach_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "sites.csv"
    path.write_bytes(table("Tall,147,-42,10,300,30000\n"))
    with pytest.raises(BadInputError, match="Tall"):
        load_sites(str(path), None, max_window_pixels=10_000)
    (site,) = load_sites(str(path), None, max_window_pixels=10_000, rule="estinel-r")
    assert site.radiusy == 30_000
