"""A site's table of scenes: merging, withdrawing, and coming back as it went in."""

import io
import json
from collections.abc import Iterable, Sequence
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
from estinel_assets.stac.scene_columns import WITHDRAWN
from estinel_assets.stac.scene_rows import ITEM
from estinel_assets.stac.scene_table import (
    decode_table,
    encode_table,
    merge_items,
    read_items,
    scene_frame,
    table_path,
)
from estinel_assets.stac.scenes import parse_scene
from tests.support.examples import examples
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
ALWAYS = [(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))]


def on(day: int, name: str | None = None, **properties: Any) -> Json:
    when = (DAY + timedelta(days=day)).isoformat()
    return made_item(name or f"day-{day}", when, **properties)


def span(first: int, last: int) -> tuple[datetime, datetime]:
    return DAY + timedelta(days=first), DAY + timedelta(days=last)


def merged(
    existing: pa.Table | None,
    found: Iterable[Json],
    covered: Sequence[tuple[datetime, datetime]] = ALWAYS,
) -> pa.Table:
    return merge_items(existing, found, covered=covered).table


def ids(table: pa.Table) -> list[str]:
    return [item["id"] for item in read_items(table)]


def withdrawn(table: pa.Table) -> list[str]:
    everything = read_items(table, include_withdrawn=True)
    return [item["id"] for item in everything if item["properties"].get(WITHDRAWN)]


def test_the_table_of_a_site_has_its_place() -> None:
    assert table_path("site_af38900f") == "stac/site_af38900f.parquet"


def test_every_real_item_comes_back_as_it_went_in() -> None:
    items = {item["id"]: item for _, item in all_real_items()}
    table = decode_table(encode_table(merged(None, items.values())))
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
        table = decode_table(encode_table(merged(table, items, ())))
    back = {item["id"]: item for item in read_items(table)}
    assert len(back) == 10 + 16 + 13
    for provider, items in groups:
        for item in items:
            assert parse_scene(back[item["id"]], provider) == parse_scene(item, provider)
            assert boa_offset(back[item["id"]], provider) == boa_offset(item, provider)


def test_it_is_stac_geoparquet_to_others() -> None:
    items = real_items(C1) + real_items(V0)
    content = encode_table(merged(None, items))
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
    content = encode_table(merged(None, items))
    assert encode_table(decode_table(content)) == content
    shuffled = [dict(reversed(item.items())) for item in reversed(items)]
    assert encode_table(merged(None, shuffled)) == content
    assert encode_table(merged(decode_table(content), items)) == content
    half = merged(None, items[::2])
    assert encode_table(merged(half, items)) == content


def test_a_newer_version_replaces_an_older_one_and_not_the_other_way_round() -> None:
    old = on(1, updated="2024-06-01T00:00:00Z", note="old")
    new = on(1, updated="2024-06-02T00:00:00+02:00", note="new")
    for first, second in ((old, new), (new, old)):
        table = merged(merged(None, [first]), [second])
        assert read_items(table) == [new]


@pytest.mark.parametrize("stamp", ["2024-06-01T00:00:00Z", None, "lately"])
def test_a_found_version_with_no_older_stamp_replaces(stamp: str | None) -> None:
    known, found = on(1, updated=stamp, note="known"), on(1, updated=stamp, note="found")
    table = merged(merged(None, [known]), [found])
    assert read_items(table) == [found]


def test_a_scene_that_a_complete_search_no_longer_finds_is_withdrawn() -> None:
    before = merged(None, [on(day) for day in range(6)])
    after = merged(before, [on(3)], [span(2, 4)])
    assert withdrawn(after) == ["day-2", "day-4"]
    assert ids(after) == ["day-0", "day-1", "day-3", "day-5"]


def test_a_search_that_covers_nothing_withdraws_nothing() -> None:
    before = merged(None, [on(day) for day in range(6)])
    merge = merge_items(before, [on(3)], covered=())
    assert merge.table.equals(before)
    assert not merge.changed


def test_only_covered_spans_lose_scenes_and_both_ends_belong_to_them() -> None:
    before = merged(None, [on(day) for day in range(9)])
    after = merged(before, [on(1), on(7)], [span(0, 2), span(6, 8)])
    assert withdrawn(after) == ["day-0", "day-2", "day-6", "day-8"]
    assert ids(after) == ["day-1", "day-3", "day-4", "day-5", "day-7"]


def test_an_empty_answer_withdraws_nothing() -> None:
    before = merged(None, [on(day) for day in range(6)])
    assert merged(before, []).equals(before)


def test_a_withdrawn_scene_comes_back_when_it_is_found_again() -> None:
    full = merged(None, [on(1), on(2)])
    gone = merged(full, [on(2)])
    assert withdrawn(gone) == ["day-1"]
    assert withdrawn(merged(gone, [on(3)], [span(3, 4)])) == ["day-1"]
    assert merged(gone, [on(1), on(2)]).equals(full)


def test_an_older_version_found_again_brings_the_newer_back() -> None:
    new = on(1, updated="2024-06-02T00:00:00Z", note="new")
    gone = merged(merged(None, [new, on(2)]), [on(2)])
    stale = on(1, updated="2024-06-01T00:00:00Z", note="stale")
    assert read_items(merged(gone, [stale, on(2)])) == [new, on(2)]


def test_items_come_back_untouched_and_only_withdrawn_ones_say_so() -> None:
    table = merged(merged(None, [on(1), on(2)]), [on(2)])
    first, second = read_items(table, include_withdrawn=True)
    assert second == on(2)
    assert first == on(1, **{WITHDRAWN: True})


def test_a_merge_says_what_it_did() -> None:
    first = merge_items(None, [on(day) for day in range(5)], covered=ALWAYS)
    assert (first.changed, first.added) == (True, 5)
    same = merge_items(first.table, [on(day) for day in range(5)], covered=ALWAYS)
    assert not same.changed
    assert same.table is first.table
    second = merge_items(first.table, [on(0), on(1), on(2, note="new")], covered=ALWAYS)
    assert second.changed
    assert (second.added, second.replaced, second.withdrawn, second.returned) == (0, 1, 2, 0)
    third = merge_items(second.table, [on(3, note="new"), on(9)], covered=())
    assert third.changed
    assert (third.added, third.replaced, third.withdrawn, third.returned) == (1, 1, 0, 1)
    older = on(0, updated="2020-01-01T00:00:00Z")
    assert not merge_items(third.table, [older], covered=()).changed


def test_untouched_rows_are_never_decoded() -> None:
    table = merged(None, [on(day) for day in range(4)])
    place = table.schema.get_field_index(ITEM)
    texts = [*table.column(ITEM).to_pylist()[:1], "no JSON", "nor this", "nor that"]
    spoilt = table.set_column(place, table.schema.field(place), pa.array(texts))
    after = merged(spoilt, [on(0, note="new"), on(5)], [span(0, 2)])
    assert after.column("id").to_pylist() == ["day-0", "day-1", "day-2", "day-3", "day-5"]
    assert after.column(ITEM).to_pylist()[1:4] == texts[1:]
    assert after.column(WITHDRAWN).to_pylist() == [False, True, True, False, False]
    assert scene_frame(after)["id"].tolist() == after.column("id").to_pylist()


def with_assets(item: Json, *keys: str) -> Json:
    return {**item, "assets": {key: {"href": f"https://host/{key}.tif"} for key in keys}}


def test_rows_with_other_assets_share_a_table_and_an_unused_key_leaves_it() -> None:
    def keys(table: pa.Table) -> list[str]:
        return [field.name for field in table.schema.field("assets").type]

    one = merged(None, [with_assets(on(1), "red", "B04")])
    two = merged(one, [with_assets(on(2), "visual")], ())
    assert keys(two) == ["B04", "red", "visual"]
    first, second = two.column("assets").to_pylist()
    assert first["red"]["href"] == "https://host/red.tif"
    assert first["visual"] is second["red"] is second["B04"] is None
    three = merged(two, [with_assets(on(1), "red")], ())
    assert keys(three) == ["red", "visual"]
    assert encode_table(three) == encode_table(
        merged(None, [with_assets(on(1), "red"), with_assets(on(2), "visual")])
    )


@pytest.mark.parametrize("missing", ["the version", "a column", "an asset's field"])
def test_a_table_of_another_version_is_built_anew_from_its_items(missing: str) -> None:
    full = merged(merged(None, [on(1), on(2)]), [on(2)])
    match missing:
        case "the version":
            metadata = {**full.schema.metadata, b"estinel": b'{"columns": 0}'}
            former = full.replace_schema_metadata(metadata)
        case "a column":
            former = full.drop_columns(["estinel:platform"])
        case _:
            place = full.schema.get_field_index("assets")
            links = pa.array([{"red": {"href": "x"}}] * 2)
            former = full.set_column(place, "assets", links)
    merge = merge_items(former, [on(2)], covered=ALWAYS)
    assert merge.changed
    assert (merge.added, merge.replaced, merge.withdrawn, merge.returned) == (0, 0, 0, 0)
    assert encode_table(merge.table) == encode_table(full)


SPANS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).map(lambda ends: span(*ends)), max_size=3
)
FOUND = st.lists(
    st.builds(
        lambda day, second, keys: with_assets(
            on(day, updated=f"2024-06-01T00:00:0{second}Z"), *keys
        ),
        st.integers(0, 5),
        st.integers(0, 3),
        st.sets(st.sampled_from(["red", "B04", "scl"])).map(sorted),
    ),
    unique_by=lambda item: item["id"],
    max_size=5,
)


def afresh(state: dict[str, tuple[Json, bool]]) -> pa.Table:
    """One merge of what there is now, and one that withdraws what is withdrawn."""
    table = merged(None, [item for item, _ in state.values()])
    gone = [
        datetime.fromisoformat(item["properties"]["datetime"])
        for item, out in state.values()
        if out
    ]
    return merged(
        table, [item for item, out in state.values() if not out], [(at, at) for at in gone]
    )


@examples(100)
@given(st.lists(st.tuples(FOUND, SPANS, st.booleans()), max_size=6))
def test_any_history_follows_the_rules_and_leaves_no_trace_of_itself(
    history: list[tuple[list[Json], list[tuple[datetime, datetime]], bool]],
) -> None:
    table = merged(None, [])
    state: dict[str, tuple[Json, bool]] = {}
    for found, covered, stored in history:
        before = dict(state)
        # A model of the rules.
        names = {item["id"] for item in found}
        for name, (item, _) in before.items():
            when = datetime.fromisoformat(item["properties"]["datetime"])
            if found and name not in names and any(a <= when <= b for a, b in covered):
                state[name] = item, True
        for item in found:
            known = before.get(item["id"], (item, False))[0]
            newer = known["properties"]["updated"] > item["properties"]["updated"]
            state[item["id"]] = (known if newer else item), False

        merge = merge_items(table, found, covered=covered)
        pairs = [(before[name], state[name]) for name in before]
        assert merge.changed == (before != state)
        assert merge.added == len(state) - len(before)
        assert merge.replaced == sum(old[0] != new[0] for old, new in pairs)
        assert merge.withdrawn == sum(new[1] and not old[1] for old, new in pairs)
        assert merge.returned == sum(old[1] and not new[1] for old, new in pairs)
        if not merge.changed:
            assert merge.table is table
        table = decode_table(encode_table(merge.table)) if stored else merge.table

    assert read_items(table) == [item for _, (item, out) in sorted(state.items()) if not out]
    assert withdrawn(table) == sorted(name for name, (_, out) in state.items() if out)
    assert encode_table(table) == encode_table(afresh(state))


def test_an_empty_table_is_a_table() -> None:
    table = decode_table(encode_table(merged(None, [])))
    assert read_items(table) == []
    assert len(scene_frame(table)) == 0
    assert list(stac_table_to_items(table)) == []
    assert ids(merged(table, [on(1)])) == ["day-1"]
    assert read_items(None) == []


def test_the_frame_has_a_row_for_each_scene() -> None:
    table = merged(merged(None, [on(1), on(2)]), [on(2)])
    frame = scene_frame(table)
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
    table = merged(None, [item, on(2)])
    assert read_items(decode_table(encode_table(table))) == [item, on(2)]


def test_a_table_of_others_is_refused() -> None:
    with pytest.raises(BadInputError, match="was not written by Estinel Assets"):
        read_items(pa.table({"id": ["a"]}))
    with pytest.raises(BadInputError, match="cannot be read"):
        decode_table(b"PAR0")


@pytest.mark.parametrize("naive", [0, 1])
def test_a_span_without_time_zone_is_refused(naive: int) -> None:
    ends = [DAY, DAY]
    ends[naive] = DAY.replace(tzinfo=None)
    with pytest.raises(BadInputError, match="time zone"):
        merge_items(None, [], covered=[(ends[0], ends[1])])
