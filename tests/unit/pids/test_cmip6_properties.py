"""CMIP6: what holds for every message."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.pids.announcements import announce
from estinel_assets.pids.handle_values import check_record
from estinel_assets.pids.identifiers import ForeignPrefix
from estinel_assets.pids.messages import parse_message
from estinel_assets.pids.plugins import LookedUp, RecordMaker, RecordSet
from estinel_assets.pids.reasons import PidReason
from estinel_assets.pids.records import DATASET_TYPES, FILE_TYPES, make_record
from tests.support.cmip6_messages import (
    DATASET,
    ITEM_ID,
    PREFIX,
    SHA256,
    TIME,
    assert_links_closed,
    file_asset,
    full_message,
    item,
    maker,
    patch_message,
    refused_at_most,
)

REFUSALS = tuple(
    reason
    for reason in PidReason
    if reason.startswith(("invalid_", "missing_")) and not reason.retryable
)

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
UUIDS = st.uuids().map(str)
HANDLES = (
    st.none() | UUIDS | UUIDS.map(f"hdl:{PREFIX}/{{}}".format) | UUIDS.map("hdl:21.1/{}".format)
)
KEYS = st.sampled_from(
    ["reference_file", "data0000", "data0001", "data0002", "globus", "é#.nc"]
) | st.text(max_size=6)
COPIES = st.dictionaries(
    st.sampled_from(["a.org", "b.org"]),
    st.fixed_dictionaries(
        {}, optional={"href": st.just("https://a.org/x.nc"), "published_on": st.just(TIME)}
    ),
)
GOOD_FILES = st.builds(
    lambda size, tracking, copies: file_asset(
        file__size=size, tracking_id=tracking, alternate=copies
    ),
    st.integers(1, 10**12),
    HANDLES,
    COPIES,
)
ODD_FILES = st.fixed_dictionaries(
    {},
    optional={
        "href": st.just("https://h/x.nc") | ANYTHING,
        "file:size": st.integers() | ANYTHING,
        "file:checksum": st.sampled_from([SHA256, f"d510{'a' * 32}", "sha256:ab"]) | ANYTHING,
        "tracking_id": HANDLES | ANYTHING,
        "alternate": COPIES | ANYTHING,
        "alternate:name": ANYTHING,
        "published_on": st.just(TIME) | ANYTHING,
    },
)
ITEM_IDS = st.sampled_from([ITEM_ID, f"{DATASET}.v1", f"{DATASET}.vx", "x"]) | st.text(max_size=40)
PROPERTIES = st.fixed_dictionaries(
    {}, optional={"pid": HANDLES | ANYTHING, "retracted": st.booleans() | ANYTHING}
)
MAKERS = st.builds(
    maker,
    strict=st.booleans(),
    foreign_prefix=st.sampled_from(ForeignPrefix),
    max_parts=st.integers(-1, 4),
    enable_previous_version_lookup=st.booleans(),
)
VERSIONS = st.lists(
    st.integers(0, 10**9).map(f"{DATASET}.v{{}}".format) | st.text(max_size=10), max_size=4
).map(tuple)


def make(body: bytes, by: RecordMaker, versions: tuple[str, ...] = ()) -> RecordSet:
    message = parse_message(body)
    told = announce(message, stored=item())
    by.version_query(told.item, told.collection_id)
    return by.records(told, LookedUp(versions))


def assert_sound(made: RecordSet) -> None:
    """Links are closed, and a Handle service would take every record, in its fixed order."""
    assert_links_closed(made)
    types = [FILE_TYPES] * (len(made.records) - 1) + [DATASET_TYPES]
    for record, known in zip(made.records, types, strict=True):
        check_record(record)
        assert record.owned == frozenset(known)
        order = [
            value.type for value in make_record("1/x", known, dict.fromkeys(known, "x")).values
        ]
        assert [v.type for v in record.values] == [
            kind for kind in order if kind in {v.type for v in record.values}
        ]
        assert all(value.data for value in record.values)


@given(
    st.dictionaries(KEYS, GOOD_FILES, max_size=5),
    HANDLES,
    st.booleans(),
    VERSIONS,
    MAKERS,
)
def test_links_are_closed_for_every_item(
    assets: dict[str, Any],
    pid: str | None,
    retracted: bool,
    versions: tuple[str, ...],
    by: RecordMaker,
) -> None:
    body = json.dumps(full_message(item(assets, pid=pid, retracted=retracted))).encode()

    with refused_at_most(PidReason.INVALID_PID, PidReason.MISSING_PARTS):
        assert_sound(make(body, by, versions))


@given(
    st.dictionaries(KEYS, GOOD_FILES | ODD_FILES | ANYTHING, max_size=4),
    ITEM_IDS,
    PROPERTIES,
    st.just(TIME) | st.none(),
    VERSIONS,
    MAKERS,
)
def test_any_message_ends_in_sound_records_or_is_refused_for_a_reason(
    assets: dict[str, Any],
    item_id: str,
    properties: dict[str, Any],
    time: str | None,
    versions: tuple[str, ...],
    by: RecordMaker,
) -> None:
    document = full_message(item(assets, item_id=item_id, **properties), time=time)

    with refused_at_most(*REFUSALS):
        assert_sound(make(json.dumps(document).encode(), by, versions))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "replace"]),
                "path": st.sampled_from(
                    ["/properties", "/properties/pid", "/assets/data0000", "/assets/data0000/href"]
                ),
                "value": ANYTHING | GOOD_FILES | HANDLES,
            }
        ),
        max_size=4,
    ),
    MAKERS,
)
def test_any_patch_ends_in_sound_records_or_is_refused_for_a_reason(
    operations: list[dict[str, Any]], by: RecordMaker
) -> None:
    with refused_at_most(*REFUSALS):
        assert_sound(make(json.dumps(patch_message(*operations)).encode(), by))


@given(st.dictionaries(KEYS, GOOD_FILES, max_size=5), VERSIONS, st.randoms(use_true_random=False))
def test_the_same_content_gives_the_same_records(
    assets: dict[str, Any], versions: tuple[str, ...], chance: Any
) -> None:
    by = maker(foreign_prefix=ForeignPrefix.REPLACE)
    shuffled = list(assets.items())
    chance.shuffle(shuffled)
    again = json.dumps(full_message(item(dict(shuffled))), indent=1, sort_keys=True).encode()

    with refused_at_most(PidReason.INVALID_PID):
        first = make(json.dumps(full_message(item(assets))).encode(), by, versions)
        assert make(again, by, tuple(reversed(versions))) == first
