"""The tables that assets hand on: their columns, and the way back."""

import json
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.day_images import Product
from estinel_assets.imagery.frames import (
    days_frame,
    plan_frame,
    planned_dates,
    reasons_of_run,
    site_of,
    windows_frame,
)
from estinel_assets.imagery.plan import Cause, PlannedDay
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import site_window
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.tables import table_bytes, table_from_bytes
from tests.support.days import SITE, day_input
from tests.support.hostile import HOSTILE_NAMES

SITES = [
    Site("Hobart", 147.3257, -42.8826, purpose=("tasmania", "estuary")),
    Site("Scott Island", -179.9167, -67.3833, radiusx=4500, radiusy=2500),
    *(Site(name, 12.5, 80.0, resolution=30.0) for name in HOSTILE_NAMES),
]
DAYS = [date(2024, 12, 4), date(2024, 12, 9)]


def as_loaded(frame):
    """The frame as an asset that depends on it gets it."""
    payload = table_bytes(frame)
    return pd.DataFrame(table_from_bytes(payload).to_pandas(types_mapper=pd.ArrowDtype))


@pytest.mark.parametrize("load", [lambda frame: frame, as_loaded], ids=["made", "loaded"])
def test_sites_come_back_from_the_table_of_windows(load):
    frame = load(windows_frame(SITES, "estinel"))

    for site in SITES:
        assert site_of(frame, site.site_id) == site


def test_windows_say_where_they_lie():
    frame = windows_frame(SITES, "estinel")

    assert frame["SITE_ID"].tolist() == [site.site_id for site in SITES]
    for row, site in zip(frame.to_dict("records"), SITES, strict=True):
        window = site_window(site)
        assert row["crs"] == window.grid.crs
        assert row["transform"] == list(window.grid.transform)
        assert (row["height"], row["width"]) == window.grid.shape
        assert [tuple(box) for box in json.loads(row["bboxes"])] == list(window.bboxes)
    assert len(json.loads(frame["bboxes"][1])) == 2  # across 180°


def test_a_site_that_is_not_in_the_table():
    with pytest.raises(BadInputError, match=r"no site site_00000000; materialize site_windows"):
        site_of(windows_frame(SITES, "estinel"), "site_00000000")


def test_a_plan_comes_back_as_days():
    day = day_input().solar_day
    plan = [PlannedDay(day.day, Cause.CHANGED, 2, day.fingerprint)]

    frame = plan_frame(plan, {day.day: day})

    (row,) = frame.to_dict("records")
    assert row == {
        "solarday": day.day,
        "cause": "changed",
        "attempt": 2,
        "fingerprint": day.fingerprint,
        "scenes": [scene.id for scene in day.scenes],
        "superseded": [],
    }
    assert planned_dates(frame) == planned_dates(as_loaded(frame)) == [day.day]


def test_an_empty_plan():
    frame = plan_frame([], {})

    assert len(frame) == 0
    assert list(frame.columns) == [
        "solarday", "cause", "attempt", "fingerprint", "scenes", "superseded",
    ]  # fmt: skip
    assert planned_dates(frame) == planned_dates(as_loaded(frame)) == []


def row(day, reason="none", run_id="run"):
    instant = datetime(2025, 1, 1, tzinfo=UTC)
    return IndexRow(
        key=(SITE.site_id, day.isoformat()), status=reason == "none", reason=reason, attempts=1,
        inputs="abc", started_at=instant, finished_at=instant, run_id=run_id, path="p", etag="e",
    )  # fmt: skip


@pytest.mark.parametrize("product", Product)
def test_days_say_where_the_product_stands(product):
    store = open_store("memory://")
    rows = {DAYS[1]: row(DAYS[1], "source_timeout"), DAYS[0]: row(DAYS[0])}

    frame = days_frame(product, rows, store, "c", "Hobart")

    assert frame["solarday"].tolist() == DAYS
    assert frame["reason"].tolist() == ["none", "source_timeout"]
    uris = [column for column in frame if column.startswith("uri")]
    endings = {
        Product.SCL: ["_scl.tif"],
        Product.RGB: [".tif"],
        Product.VIEWS: ["_q128.png", "_histeq.png", "_stretch.png"],
    }[product]
    base = "memory:///c/2024/12/04/Hobart_2024-12-04"
    assert [frame[column][0] for column in uris] == [f"{base}{ending}" for ending in endings]
    assert frame[uris].iloc[1].isna().all()


def test_days_of_a_site_without_any():
    frame = days_frame(Product.VIEWS, {}, open_store("memory://"), "c", "Hobart")

    assert len(frame) == 0
    assert [name for name in frame if name.startswith("uri")] == [
        "uri_q128", "uri_histeq", "uri_stretch",
    ]  # fmt: skip


@pytest.mark.parametrize("load", [lambda frame: frame, as_loaded], ids=["made", "loaded"])
def test_the_reasons_of_one_run(load):
    rows = {
        DAYS[0]: row(DAYS[0], "source_timeout", "now"),
        DAYS[1]: row(DAYS[1], "none", "before"),
    }
    frame = load(days_frame(Product.VIEWS, rows, open_store("memory://"), "c", "Hobart"))

    assert reasons_of_run(frame, {"now"}) == {"2024-12-04": "source_timeout"}
    assert reasons_of_run(frame, {"now", "before"}) == {
        "2024-12-04": "source_timeout",
        "2024-12-09": "none",
    }
    assert reasons_of_run(frame, set()) == {}
