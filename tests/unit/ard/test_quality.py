"""What the quality of arrays is, measured against plain numpy, on both sides of every limit."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from estinel_assets.ard.quality import COLUMNS, Limits, findings, quality_table
from estinel_assets.ard.sentinel2_selection import cloudy_pixels
from estinel_assets.errors import BadInputError
from tests.support.ard_groups import DAYS, PATH, TILE_YEAR, decoded, product, store_of

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

LAX = Limits(1, 1, 1, 1, min_s2_dates=0, max_s2_gap_days=366)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return quality_table(store_of(), [TILE_YEAR])


def row_of(table: pd.DataFrame, group: str, band: str) -> "pd.Series[object]":
    rows = table[(table["group"] == group) & (table["band"] == band)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_band_of_every_group_has_a_row(table: pd.DataFrame):
    assert list(table["group"]) == ["dem", "s1", "s1", *["s2_10"] * 4, *["s2_20"] * 6, "clouds"]
    assert list(table["band"][:5]) == ["slope", "VV", "VH", "B02", "B03"]
    assert set(table["key"]) == {"2023_1035X727Y"}
    assert {name: str(kind) for name, kind in table.dtypes.items()} == COLUMNS
    assert set(table["state"]) == {"present"}


def test_shares_and_ranges_are_numpys(table: pd.DataFrame):
    pixels = product("s2_10")["reflectance"].values
    for number, band in enumerate(("B02", "B03", "B04", "B08")):
        row, own = row_of(table, "s2_10", band), pixels[:, number]
        assert row["invalid_share"] == pytest.approx((own == 0).mean())
        assert row["worst_step_share"] == pytest.approx((own == 0).mean(axis=(1, 2)).max())
        assert row["minimum"] == pytest.approx(own[own > 0].min() / 1e4)
        assert row["mean"] == pytest.approx(own[own > 0].mean() / 1e4)
        assert row["maximum"] == pytest.approx(own.max() / 1e4)
        assert row["saturated_share"] == pytest.approx((own[own > 0] >= 10_000).mean())
        assert (row["n_steps"], row["n_empty_steps"], row["height"]) == (3, 0, own.shape[1])
    slope = product("dem")["slope"].values
    row = row_of(table, "dem", "slope")
    assert (row["maximum"], row["invalid_share"]) == (pytest.approx(slope.max()), 0)
    scl = product("clouds")["scl"].values
    row = row_of(table, "clouds", "scl")
    assert row["cloudy_share"] == pytest.approx(cloudy_pixels(scl).mean())
    assert row["invalid_share"] == pytest.approx((scl == 0).mean())
    assert pd.isna(row["maximum"])


def test_dates_and_gaps(table: pd.DataFrame):
    row = row_of(table, "s2_20", "B11")
    assert row["n_dates"] == len(DAYS)
    assert (row["first_date"].date(), row["last_date"].date()) == (DAYS[0], DAYS[-1])
    assert row["longest_gap_days"] == (dt.date(2023, 12, 31) - dt.date(2023, 2, 9)).days
    radar = row_of(table, "s1", "VH")
    assert (radar["gaps"], radar["n_steps"], radar["n_empty_steps"]) == ("Q3", 12, 3)
    assert radar["worst_step_share"] == 0
    assert radar["invalid_share"] == 0
    # Its saturated pixels are those that were brighter than 1.
    assert 0.05 < radar["saturated_share"] < 0.3


def test_the_dates_of_radar_are_the_days_of_all_quarters():
    dataset = product("s1")
    days = ["2023-01-20 2023-02-01"] * 3 + ["2023-04-20"] * 3 + [""] * 3 + ["2023-11-02"] * 3
    dataset["solar_days"].values[:] = days
    row = quality_table(store_of(s1=dataset), [TILE_YEAR], ["s1"]).iloc[0]
    assert (row["n_dates"], row["longest_gap_days"]) == (4, 196)
    assert row["last_date"].date() == dt.date(2023, 11, 2)


def test_a_group_of_empty_steps():
    dataset = decoded(product("s2_10"))
    dataset["reflectance"].values[1] = 0
    row = quality_table(store_of(s2_10=dataset), [TILE_YEAR], ["s2_10"]).iloc[0]
    assert (row["n_empty_steps"], row["invalid_share"]) == (1, pytest.approx(25 / 24 / 36 / 2))
    dataset["reflectance"].values[:] = 0
    table = quality_table(store_of(s2_10=dataset), [TILE_YEAR], ["s2_10"])
    assert (table["invalid_share"] == 1).all()
    assert table["mean"].isna().all()
    assert "3 of 3 steps are empty" in [one.what for one in findings(table, LAX)]


def test_a_dem_with_holes():
    dataset = product("dem")
    dataset["slope"].values[:6] = np.nan
    table = quality_table(store_of(dem=dataset), [TILE_YEAR], ["dem"])
    assert table["invalid_share"].tolist() == [pytest.approx(6 / 24)]
    (found,) = findings(table)
    assert found.text == (
        "2023_1035X727Y dem slope: 25.0% of the values are invalid, more than 5.0%"
    )


def test_groups_that_cannot_be_read_are_rows_too():
    store = store_of()
    store.delete(f"{PATH}/dem/zarr.json")
    store.delete(f"{PATH}/s2_10/reflectance/c/1/0/0/0")
    later = replace(TILE_YEAR, year=2024)
    table = quality_table(store, [TILE_YEAR, later], ["dem", "s2_10"])
    assert list(table["state"]) == ["missing", "unreadable", "missing", "missing"]
    assert "damaged" in table["problem"][1]
    told = findings(table, LAX)
    assert [(one.key, one.group) for one in told][:2] == [
        ("2023_1035X727Y", "dem"),
        ("2023_1035X727Y", "s2_10"),
    ]
    assert "is unreadable: memory://" in told[1].text
    with pytest.raises(BadInputError, match="no group is called 's3'"):
        quality_table(store, [TILE_YEAR], ["s3"])


def test_limits_are_met_up_to_their_value(table: pd.DataFrame):
    band = table[table["band"] == "B02"]
    at = Limits(
        max_invalid_share=float(band["invalid_share"].iloc[0]),
        max_step_invalid_share=float(band["worst_step_share"].iloc[0]),
        max_saturated_share=float(band["saturated_share"].iloc[0]),
        max_s2_gap_days=int(band["longest_gap_days"].iloc[0]),
        min_s2_dates=3,
    )
    assert findings(band, at) == ()
    for stricter, says in (
        ({"max_invalid_share": at.max_invalid_share - 1e-6}, "of the values are invalid"),
        ({"max_step_invalid_share": at.max_step_invalid_share - 1e-6}, "of the worst step"),
        ({"max_saturated_share": at.max_saturated_share - 1e-6}, "are saturated"),
        ({"max_s2_gap_days": at.max_s2_gap_days - 1}, "lacks dates for 325 days"),
        ({"min_s2_dates": 4}, "has 3 dates, fewer than 4"),
    ):
        (found,) = findings(band, replace(at, **stricter))
        assert says in found.what
    clouds = table[table["group"] == "clouds"]
    share = float(clouds["cloudy_share"].iloc[0])
    assert findings(clouds, replace(LAX, max_cloudy_share=share)) == ()
    (found,) = findings(clouds, replace(LAX, max_cloudy_share=share - 1e-6))
    assert "of the pixels are cloudy" in found.what


def test_gaps_are_found_whatever_the_limits(table: pd.DataFrame):
    told = findings(table[table["group"] == "s1"], LAX)
    assert [one.what for one in told] == ["has no data for Q3"] * 2


def test_limits_are_shares():
    with pytest.raises(BadInputError, match=r"max_cloudy_share is 20; .*from 0 to 1"):
        Limits(max_cloudy_share=20)
