"""Handles that items name, and those that are made for them."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import PermanentError
from estinel_assets.pids.handle_values import check_handle
from estinel_assets.pids.identifiers import (
    ForeignPrefix,
    NamedHandle,
    dataset_suffix,
    file_suffix,
    read_handle,
)
from estinel_assets.pids.reasons import PidReason
from tests.support.cmip6_messages import refused_at_most

SUFFIX = "b06058a6-1077-35cb-9500-1ccbd341d309"
OURS = NamedHandle(f"21.14100/{SUFFIX}")


def read(value: object, foreign: ForeignPrefix = ForeignPrefix.REFUSE) -> NamedHandle | None:
    return read_handle(value, field="pid", prefix="21.14100", foreign=foreign)


@pytest.mark.parametrize(
    "text",
    [
        f"hdl:21.14100/{SUFFIX}",
        f"HDL:21.14100/{SUFFIX.upper()}",
        f"21.14100/{SUFFIX}",
        SUFFIX,
        f" {SUFFIX} ",
        f"https://hdl.handle.net/21.14100/{SUFFIX}",
    ],
)
def test_the_ways_to_write_one_of_ours(text: str) -> None:
    assert read(text) == OURS


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_is_named(nothing: object) -> None:
    assert read(nothing) is None


def test_another_prefix_is_not_replaced_unless_told() -> None:
    foreign = f"hdl:21.T999/{SUFFIX}"

    with pytest.raises(PermanentError, match="prefix is not ours") as caught:
        read(foreign)
    assert caught.value.reason == PidReason.INVALID_PID
    assert read(foreign, ForeignPrefix.KEEP) == NamedHandle(f"21.T999/{SUFFIX}")
    replaced = read(foreign, ForeignPrefix.REPLACE)
    assert replaced is not None
    assert replaced.handle == OURS.handle
    assert foreign in replaced.warning


@pytest.mark.parametrize(
    "value",
    [
        7,
        True,
        ["x"],
        "hdl:",
        "hdl:21.14100/",
        "hdl:21.14100/not-a-uuid",
        f"hdl:/{SUFFIX}x",
        f"21.14100/sub/{SUFFIX}",
        f"0.NA/..//{SUFFIX}",
        f" /{SUFFIX}",
        f"../{SUFFIX}",
        "0.NA/21.14100",
    ],
)
def test_what_is_no_handle(value: object) -> None:
    for foreign in ForeignPrefix:
        with pytest.raises(PermanentError) as caught:
            read(value, foreign)
        assert caught.value.reason == PidReason.INVALID_PID


def test_made_suffixes_are_those_that_were_always_made() -> None:
    assert dataset_suffix("CMIP6.x") == str(uuid.uuid3(uuid.NAMESPACE_URL, "CMIP6.x"))
    assert file_suffix("CMIP6.x", "data0000") == str(
        uuid.uuid3(uuid.NAMESPACE_URL, "CMIP6.x#data0000")
    )


@given(st.none() | st.text() | st.integers(), st.sampled_from(ForeignPrefix))
def test_anything_is_a_handle_nothing_or_refused(value: object, foreign: ForeignPrefix) -> None:
    with refused_at_most(PidReason.INVALID_PID):
        named = read(value, foreign)
        if named:
            check_handle(named.handle)
