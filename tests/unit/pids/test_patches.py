"""JSON Patches on items."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import PermanentError
from estinel_assets.pids import patches
from estinel_assets.pids.announcements import announce
from estinel_assets.pids.messages import PatchMessage, read_message
from estinel_assets.pids.patches import MAX_OPERATIONS, patch_item
from estinel_assets.pids.reasons import PidReason
from tests.support.cmip6_messages import ITEM_ID, file_asset, item, patch_message, refused_at_most

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
POINTERS = st.lists(
    st.sampled_from(
        ["properties", "assets", "data0000", "href", "id", "0", "1", "-", "01", "~", "", "٣", "1\n"]
    ),
    max_size=4,
).map(lambda parts: "".join(f"/{part}" for part in parts))
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | VALUES,
        "path": POINTERS | VALUES,
        "from": POINTERS | VALUES,
        "value": VALUES,
    },
)


def message(*operations: object, item_id: str = ITEM_ID) -> PatchMessage:
    read = read_message(patch_message(*operations, item_id=item_id))
    assert isinstance(read, PatchMessage)
    return read


def refusal(*operations: object, stored: dict[str, Any] | None = None) -> str:
    with pytest.raises(PermanentError) as caught:
        patch_item(message(*operations), stored or item())
    assert caught.value.reason == PidReason.INVALID_PATCH
    return str(caught.value)


def test_all_six_operations() -> None:
    stored = item()
    before = copy.deepcopy(stored)

    patched = patch_item(
        message(
            {"op": "test", "path": "/properties/retracted", "value": False},
            {"op": "replace", "path": "/properties/retracted", "value": True},
            {"op": "copy", "from": "/assets/data0000", "path": "/assets/data0002"},
            {"op": "add", "path": "/assets/data0002/file:size", "value": 5},
            {"op": "move", "from": "/assets/data0001", "path": "/assets/data0009"},
            {"op": "remove", "path": "/assets/data0000"},
        ),
        stored,
    )

    assert patched.properties["retracted"] is True
    assert set(patched.assets) == {"data0002", "data0009"}
    assert patched.assets["data0002"]["file:size"] == 5
    assert stored == before


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ("add", "its operations: 0: "),
        ({"path": "/a"}, "op"),
        ({"op": "merge", "path": "/a"}, "op"),
        ({"op": "remove"}, "path"),
        ({"op": "remove", "path": 3}, "path"),
        ({"op": "remove", "path": "/" + "1" * 5000}, "path"),
        ({"op": "remove", "path": "properties"}, "operation 0"),
        ({"op": "add", "path": "/a"}, "value"),
        ({"op": "move", "path": "/a"}, "from"),
        ({"op": "remove", "path": "/nowhere"}, "operation 0 (remove '/nowhere')"),
        ({"op": "replace", "path": "/nowhere", "value": 1}, "operation 0"),
        ({"op": "test", "path": "/properties/retracted", "value": True}, "operation 0"),
        ({"op": "replace", "path": "", "value": []}, "no item"),
        ({"op": "replace", "path": "/assets", "value": 3}, "assets"),
        ({"op": "remove", "path": "/id"}, "id"),
        ({"op": "replace", "path": "/id", "value": "another"}, "changes the id"),
    ],
)
def test_what_cannot_be_applied(operation: object, problem: str) -> None:
    assert problem in refusal(operation)


def test_a_patch_that_fails_late_changes_nothing() -> None:
    stored = item()

    told = refusal(
        {"op": "replace", "path": "/properties/retracted", "value": True},
        {"op": "remove", "path": "/nowhere"},
        stored=stored,
    )

    assert "operation 1" in told
    assert stored == item()


def test_too_many_operations() -> None:
    test = {"op": "test", "path": "/id", "value": ITEM_ID}

    assert patch_item(message(*[test] * MAX_OPERATIONS), item()).id == ITEM_ID
    assert "operations" in refusal(*[test] * (MAX_OPERATIONS + 1))


def test_a_patch_that_doubles_the_item_again_and_again() -> None:
    double = [{"op": "copy", "from": "", "path": f"/x{n}"} for n in range(60)]

    assert "more than" in refusal(*double)


def test_a_patch_that_nests_without_end() -> None:
    step = "/a"
    deeper = [{"op": "add", "path": step * n, "value": {}} for n in range(1, 200)]

    assert "deeper than" in refusal(*deeper)


def test_values_that_are_nested_beyond_what_python_recurses() -> None:
    value: list[Any] = []
    for _ in range(3000):
        value = [value]

    assert "too deep" in refusal({"op": "add", "path": "/a", "value": value})


def test_the_stac_api_gives_another_item() -> None:
    with pytest.raises(PermanentError, match="gave the item 'other'") as caught:
        patch_item(message(), item(item_id="other"))
    assert caught.value.reason == PidReason.STAC_REFUSED


def test_half_a_character_in_the_stored_item() -> None:
    assert "no item" in refusal(stored=item(pid="\ud800"))


def test_the_stac_api_has_no_such_item() -> None:
    with pytest.raises(PermanentError, match="send the whole item") as caught:
        announce(message(), stored=None)
    assert caught.value.reason == PidReason.ITEM_NOT_FOUND


def test_an_announcement_of_a_patched_item() -> None:
    told = announce(
        message({"op": "add", "path": "/assets/more", "value": file_asset()}), stored=item()
    )

    assert told.patched
    assert "more" in told.item.assets
    assert told.collection_id == "CMIP6"


@given(st.lists(OPERATIONS | VALUES, max_size=5))
def test_any_patch_is_applied_or_refused(operations: list[Any]) -> None:
    stored = item()
    with refused_at_most(PidReason.INVALID_PATCH):
        assert patch_item(message(*operations), stored).id == ITEM_ID
    assert stored == item()


def test_the_limits_leave_room_for_the_largest_messages() -> None:
    many = {f"data{n:05}": file_asset(f"{n}.nc") for n in range(20_000)}

    assert 5 * len(many) < patches.MAX_VALUES
    assert len(patch_item(message(), item(many)).assets) == len(many)
