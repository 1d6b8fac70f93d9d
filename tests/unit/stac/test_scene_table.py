"""A site's table of scenes: merging, withdrawing, and coming back as it went in."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape
from stac_geoparquet.arrow import stac_table_to_items

from estinel_assets.errors import BadInputError
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.offsets import boa_offset
from estinel_assets.stac.scene_table import (
    WITHDRAWN,
    decode_table,
    encode_table,
    merge_items,
    read_items,
    scene_frame,
    table_path,
)
from estinel_assets.stac.scenes import parse_scene
from tests.unit.stac.stac_items import (
    C1,
    PC_2020,
    V0,
    V1_MARCH_2020,
    all_real_items,
    made_item,
    real_items,
)

Json = dict[str, Any]
DAY = datetime(2024, 5, 17, tzinfo=UTC)
ALWAYS = {"start": datetime(2000, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}


def on(day: int, name: str | None = None, **properties: Any) -> Json:
    when = (DAY + timedelta(days=day)).isoformat()
    return made_item(name or f"day-{day}", when, **properties)


def span(first: int, last: int) -> dict[str, datetime]:
    return {"start": DAY + timedelta(days=first), "end": DAY + timedelta(days=last)}


def ids(table: pa.Table) -> list[str]:
    return [item["id"] for item in read_items(table)]


def withdrawn(table: pa.Table) -> list[str]:
    everything = read_items(table, include_withdrawn=True)
    return [item["id"] for item in everything if item["properties"].get(WITHDRAWN)]


def test_the_table_of_a_site_has_its_place() -> None:
    assert table_path("site_af38900f") == "stac/site_af38900f.parquet"


def test_every_real_item_comes_back_as_it_went_in() -> None:
    items = {item["id"]: item for _, item in all_real_items()}
    table = decode_table(encode_table(merge_items(None, items.values(), **ALWAYS)))
    back = read_items(table)
    assert {item["id"]: item for item in back} == items
    moments = [item["properties"]["datetime"] for item in back]
    parsed = [datetime.fromisoformat(moment) for moment in moments]
    assert parsed == sorted(parsed)


def test_years_and_providers_mix_and_scenes_and_offsets_survive() -> None:
    groups = [
        (Provider.EARTH_SEARCH, real_items(C1)),
        (Provider.EARTH_SEARCH, real_items(V1_MARCH_2020)),
        (Provider.PLANETARY_COMPUTER, real_items(PC_2020)),
    ]
    table = None
    for _, items in groups:
        merged = merge_items(table, items, **ALWAYS, complete=False)
        table = decode_table(encode_table(merged))
    back = {item["id"]: item for item in read_items(table)}
    assert len(back) == 10 + 16 + 13
    for provider, items in groups:
        for item in items:
            assert parse_scene(back[item["id"]], provider) == parse_scene(item, provider)
            assert boa_offset(back[item["id"]], provider) == boa_offset(item, provider)


def test_it_is_stac_geoparquet_to_others() -> None:
    items = real_items(C1) + real_items(V0)
    content = encode_table(merge_items(None, items, **ALWAYS))
    frame = geopandas.read_parquet(io.BytesIO(content))
    assert str(frame.crs) == "OGC:CRS84"
    by_id = {item["id"]: item for item in items}
    assert len(frame) == len(by_id) == 20
    for row in frame.itertuples():
        assert row.geometry.equals(shape(by_id[row.id]["geometry"]))
    metadata = pq.read_schema(io.BytesIO(content)).metadata
    assert json.loads(metadata[b"stac-geoparquet"]) == {"version": "1.0.0"}
    assert json.loads(metadata[b"geo"])["primary_column"] == "geometry"
    for item in stac_table_to_items(decode_table(content)):
        theirs = pystac.Item.from_dict(item)
        ours = by_id[item["id"]]
        assert theirs.datetime == datetime.fromisoformat(ours["properties"]["datetime"])
        assert theirs.bbox == pytest.approx(list(shape(ours["geometry"]).bounds))
        assert {key: asset.href for key, asset in theirs.assets.items()} == {
            key: asset["href"] for key, asset in ours["assets"].items()
        }


def test_equal_content_is_equal_bytes() -> None:
    items = [*real_items(C1), *real_items(V1_MARCH_2020)]
    content = encode_table(merge_items(None, items, **ALWAYS))
    assert encode_table(decode_table(content)) == content
    shuffled = [dict(reversed(item.items())) for item in reversed(items)]
    assert encode_table(merge_items(None, shuffled, **ALWAYS)) == content
    assert encode_table(merge_items(decode_table(content), items, **ALWAYS)) == content
    half = merge_items(None, items[::2], **ALWAYS)
    assert encode_table(merge_items(half, items, **ALWAYS)) == content


def test_a_newer_version_replaces_an_older_one_and_not_the_other_way_round() -> None:
    old = on(1, updated="2024-06-01T00:00:00Z", note="old")
    new = on(1, updated="2024-06-02T00:00:00+02:00", note="new")
    for first, second in ((old, new), (new, old)):
        table = merge_items(merge_items(None, [first], **ALWAYS), [second], **ALWAYS)
        assert read_items(table) == [new]


@pytest.mark.parametrize("stamp", ["2024-06-01T00:00:00Z", None, "lately"])
def test_a_found_version_with_no_older_stamp_replaces(stamp: str | None) -> None:
    known, found = on(1, updated=stamp, note="known"), on(1, updated=stamp, note="found")
    table = merge_items(merge_items(None, [known], **ALWAYS), [found], **ALWAYS)
    assert read_items(table) == [found]


def test_a_scene_that_a_complete_search_no_longer_finds_is_withdrawn() -> None:
    before = merge_items(None, [on(day) for day in range(6)], **ALWAYS)
    after = merge_items(before, [on(3)], **span(2, 4))
    assert withdrawn(after) == ["day-2", "day-4"]
    assert ids(after) == ["day-0", "day-1", "day-3", "day-5"]


def test_an_incomplete_search_withdraws_nothing() -> None:
    before = merge_items(None, [on(day) for day in range(6)], **ALWAYS)
    after = merge_items(before, [on(3)], **span(2, 4), complete=False)
    assert after.equals(before)


def test_an_empty_answer_withdraws_nothing() -> None:
    before = merge_items(None, [on(day) for day in range(6)], **ALWAYS)
    assert merge_items(before, [], **ALWAYS).equals(before)


def test_a_withdrawn_scene_comes_back_when_it_is_found_again() -> None:
    full = merge_items(None, [on(1), on(2)], **ALWAYS)
    gone = merge_items(full, [on(2)], **ALWAYS)
    assert withdrawn(gone) == ["day-1"]
    assert withdrawn(merge_items(gone, [on(3)], **span(3, 4))) == ["day-1"]
    assert merge_items(gone, [on(1), on(2)], **ALWAYS).equals(full)


def test_an_older_version_found_again_brings_the_newer_back() -> None:
    new = on(1, updated="2024-06-02T00:00:00Z", note="new")
    gone = merge_items(merge_items(None, [new, on(2)], **ALWAYS), [on(2)], **ALWAYS)
    stale = on(1, updated="2024-06-01T00:00:00Z", note="stale")
    assert read_items(merge_items(gone, [stale, on(2)], **ALWAYS)) == [new, on(2)]


def test_items_come_back_untouched_and_only_withdrawn_ones_say_so() -> None:
    table = merge_items(merge_items(None, [on(1), on(2)], **ALWAYS), [on(2)], **ALWAYS)
    first, second = read_items(table, include_withdrawn=True)
    assert second == on(2)
    assert first == on(1, **{WITHDRAWN: True})


EVENTS = st.lists(
    st.tuples(st.sets(st.integers(0, 5)), st.integers(0, 5), st.integers(0, 5), st.booleans()),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_any_history_follows_the_rules(
    history: list[tuple[set[int], int, int, bool]],
) -> None:
    table = None
    known: dict[int, bool] = {}
    for found, first, last, complete in history:
        table = merge_items(
            table, [on(day) for day in found], **span(first, last), complete=complete
        )
        # A model of the rule in three lines.
        for day in known:
            if found and complete and first <= day <= last:
                known[day] = True
        known |= dict.fromkeys(found, False)
        assert ids(table) == [f"day-{day}" for day in sorted(known) if not known[day]]
        assert withdrawn(table) == [f"day-{day}" for day in sorted(known) if known[day]]
        assert decode_table(encode_table(table)).equals(table)


def test_an_empty_table_is_a_table() -> None:
    table = decode_table(encode_table(merge_items(None, [], **ALWAYS)))
    assert read_items(table) == []
    assert len(scene_frame(table, Provider.EARTH_SEARCH)) == 0
    assert list(stac_table_to_items(table)) == []
    assert ids(merge_items(table, [on(1)], **ALWAYS)) == ["day-1"]
    assert read_items(None) == []


def test_the_frame_has_a_row_for_each_scene() -> None:
    table = merge_items(merge_items(None, [on(1), on(2)], **ALWAYS), [on(2)], **ALWAYS)
    frame = scene_frame(table, Provider.EARTH_SEARCH)
    assert frame.to_dict("records") == [
        {
            "id": f"day-{day}",
            "datetime": DAY + timedelta(days=day),
            "platform": "sentinel-2b",
            "mgrs_tile": "55GDP",
            "datatake": "GS2B_20240517T001109_037585",
            "sensing_start": "20240517T001110",
            "baseline": "05.10",
            "updated": datetime(2024, 5, 18, tzinfo=UTC),
            "cloud_cover": 12.5,
            "withdrawn": day == 1,
        }
        for day in (1, 2)
    ]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    part=st.sampled_from(
        ["geometry", "bbox", "collection", "links", "stac_extensions", "stac_version", "assets.red"]
        + [f"properties.{name}" for name in made_item()["properties"] if name != "datetime"]
        + [f"red.{name}" for name in ("href", "type", "roles", "proj:shape", "proj:transform")]
    ),
    junk=JUNK,
)
def test_whatever_an_item_holds_it_can_be_kept(part: str, junk: object) -> None:
    item = on(1)
    holder, _, name = part.rpartition(".")
    target = {
        "": item,
        "properties": item["properties"],
        "assets": item["assets"],
        "red": item["assets"]["red"],
    }[holder]
    target[name] = junk
    table = merge_items(None, [item, on(2)], **ALWAYS)
    assert read_items(decode_table(encode_table(table))) == [item, on(2)]


def test_a_table_of_others_is_refused() -> None:
    with pytest.raises(BadInputError, match="was not written by Estinel Assets"):
        read_items(pa.table({"id": ["a"]}))
    with pytest.raises(BadInputError, match="cannot be read"):
        decode_table(b"PAR0")


def test_a_span_without_time_zone_is_refused() -> None:
    with pytest.raises(BadInputError, match="time zone"):
        merge_items(None, [], start=DAY.replace(tzinfo=None), end=DAY)
