"""Handle records as they are encoded."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.pids.handle_values import check_record
from estinel_assets.pids.ports import HandleValue
from estinel_assets.pids.records import DATASET_TYPES, FILE_TYPES, make_record

HANDLE = "21.TEST/4f3e6ba6-839d-3e2f-8683-793f8ae66344"
FIELDS = st.dictionaries(
    st.sampled_from(DATASET_TYPES),
    st.none()
    | st.text(max_size=5)
    | st.integers()
    | st.lists(st.text(max_size=3), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3), max_size=3),
)


def test_lists_and_mappings_are_json_and_empties_are_dropped() -> None:
    record = make_record(
        HANDLE,
        DATASET_TYPES,
        {
            "URL": "https://lp",
            "ESGF": "",
            "IS_PART_OF": None,
            "DATASET_ID": "CMIP6.x",
            "HAS_PARTS": ["hdl:a", "hdl:b"],
            "HOSTING_NODE": {"host": "h", "published_on": datetime(2025, 1, 2, tzinfo=UTC)},
            "REPLICA_NODES": [{"host": "r", "published_on": None}, {}],
        },
    )

    assert record.values == (
        HandleValue(1, "URL", "https://lp"),
        HandleValue(4, "DATASET_ID", "CMIP6.x"),
        HandleValue(8, "HAS_PARTS", '["hdl:a", "hdl:b"]'),
        HandleValue(
            9, "HOSTING_NODE", '{"host": "h", "published_on": "2025-01-02T00:00:00+00:00"}'
        ),
        HandleValue(10, "REPLICA_NODES", '[{"host": "r"}]'),
    )


def test_a_record_owns_the_types_that_are_empty_too() -> None:
    assert make_record(HANDLE, FILE_TYPES, {"FILE_SIZE": 1}).owned == frozenset(FILE_TYPES)


def test_a_number_is_text_and_zero_is_not_empty() -> None:
    record = make_record(HANDLE, FILE_TYPES, {"FILE_SIZE": 0})

    assert record.values == (HandleValue(8, "FILE_SIZE", "0"),)


def test_the_indexes_of_stamp_and_administrators_stay_free() -> None:
    types = tuple(f"T{n}" for n in range(300))

    record = make_record(HANDLE, types, dict.fromkeys(types, "x"))

    indexes = [value.index for value in record.values]
    assert len(set(indexes)) == 300
    assert indexes == sorted(indexes)
    assert not set(indexes) & {1, *range(99, 200)}
    check_record(record)


@pytest.mark.parametrize(
    ("types", "fields", "problem"),
    [(FILE_TYPES, {"HAS_PARTS": ["a"]}, "HAS_PARTS"), (("A", "A"), {}, "twice")],
)
def test_types_that_are_not_declared(
    types: tuple[str, ...], fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        make_record(HANDLE, types, fields)


@given(FIELDS, FIELDS)
def test_a_type_has_one_index_whatever_else_is_there(
    one: dict[str, object], other: dict[str, object]
) -> None:
    first = make_record(HANDLE, DATASET_TYPES, one).values
    second = make_record(HANDLE, DATASET_TYPES, other).values

    indexes = {value.type: value.index for value in first}
    assert all(indexes.get(value.type, value.index) == value.index for value in second)
    assert [v.index for v in first] == sorted({v.index for v in first})


@given(FIELDS)
def test_the_order_of_the_fields_does_not_matter(fields: dict[str, object]) -> None:
    turned = dict(reversed(fields.items()))

    assert make_record(HANDLE, DATASET_TYPES, fields) == make_record(HANDLE, DATASET_TYPES, turned)


@given(FIELDS)
def test_nothing_empty_is_written(fields: dict[str, object]) -> None:
    for value in make_record(HANDLE, DATASET_TYPES, fields).values:
        if isinstance(fields[value.type], list | dict):
            read = json.loads(value.data)
            assert read
            assert not {"", None} & set(read.values() if isinstance(read, dict) else read)
        else:
            assert value.data
