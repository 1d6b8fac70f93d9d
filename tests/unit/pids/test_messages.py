"""Messages of both forms, and all that is none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import PermanentError
from estinel_assets.pids.announcements import announce
from estinel_assets.pids.messages import (
    FullItemMessage,
    PatchMessage,
    parse_message,
    read_message,
)
from estinel_assets.pids.reasons import PidReason
from tests.support.cmip6_messages import (
    ITEM_ID,
    file_asset,
    full_message,
    item,
    patch_message,
    refused_at_most,
)
from tests.support.real import real_data

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=12,
)


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def refusal(body: bytes | None, **limits: int) -> str:
    with pytest.raises(PermanentError) as caught:
        parse_message(body, **limits)
    assert caught.value.reason == PidReason.INVALID_MESSAGE
    return str(caught.value)


def without(document: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return document


def test_a_full_item_with_its_unknown_fields() -> None:
    document = full_message(item() | {"stac_version": "1.1.0"})
    document["metadata"] |= {"event_id": "9926", "auth": {"sub": "x"}}
    document["key"] = ITEM_ID
    document["__infos__"] = {"retries": 2}

    message = parse_message(encode(document))

    assert isinstance(message, FullItemMessage)
    assert message.data.payload.item.id == ITEM_ID
    assert message.metadata.time == datetime(2025, 8, 1, 15, 15, 12, 441125)  # noqa: DTZ001
    kept = message.model_dump(mode="json")
    assert kept["__infos__"] == {"retries": 2}
    assert kept["metadata"]["event_id"] == "9926"
    assert kept["data"]["payload"]["item"]["stac_version"] == "1.1.0"
    assert kept["data"]["payload"]["item"] == document["data"]["payload"]["item"]


def test_a_patch_with_its_unknown_fields() -> None:
    document = patch_message({"op": "remove", "path": "/a"}) | {"more": 1}
    document["data"]["payload"]["patch"]["note"] = "kept"

    message = parse_message(encode(document))

    assert isinstance(message, PatchMessage)
    assert message.data.payload.item_id == ITEM_ID
    kept = message.model_dump(mode="json")
    assert kept["more"] == 1
    assert kept["data"]["payload"]["patch"] == document["data"]["payload"]["patch"]


@pytest.mark.parametrize("path", ["data/type", "data/payload/method", "metadata"])
def test_what_a_message_with_an_item_may_lack(path: str) -> None:
    message = parse_message(encode(without(full_message(item()), *path.split("/"))))

    assert isinstance(message, FullItemMessage)
    assert message.data.payload.item.id == ITEM_ID


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"data": NaN}', "not JSON"),
        (b'{"data": "\\ud800"}', "not JSON"),
        (b"[" * 5000 + b"]" * 5000, "not JSON"),
        (b"1" * 6000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "data: Field required"),
        (b'{"data": 3}', "data: "),
        (b'{"data": {"payload": null}}', "data.payload: "),
        (encode(without(full_message(item()), "data", "payload", "item")), "data.payload.item: "),
        (encode(without(full_message(item()), "data", "payload", "item", "id")), "item.id: "),
        (encode(full_message(item(item_id=""))), "item.id: "),
        (encode(full_message(item(item_id="x" * 2000))), "item.id: "),
        (encode(full_message(item({"data0000": "a file"}))), "item.assets.data0000: "),
        (encode(full_message(item(), time="yesterday")), "metadata.time: "),
        (encode(without(patch_message(), "data", "payload", "patch")), "data.payload.patch: "),
        (encode(without(patch_message(), "data", "payload", "item_id")), "data.payload.item_id: "),
    ],
)
def test_what_is_no_message(body: bytes | None, problem: str) -> None:
    assert problem in refusal(body)


@pytest.mark.parametrize("method", ["DELETE", "post", 7, None])
def test_a_method_that_is_not_known_registers_nothing(method: object) -> None:
    document = full_message(item())
    document["data"]["payload"]["method"] = method

    assert "data.payload.method" in refusal(encode(document))


def test_something_else_than_stac() -> None:
    document = full_message(item())
    document["data"]["type"] = "CSV"

    assert "data.type" in refusal(encode(document))


def test_a_message_of_the_longest_length_and_one_byte_more() -> None:
    body = encode(full_message(item()))

    assert parse_message(body, max_bytes=len(body))
    assert f"has {len(body)} bytes" in refusal(body, max_bytes=len(body) - 1)


def test_all_problems_are_named_without_the_values() -> None:
    document = full_message(item({"a": "SECRET", "b": "SECRET"}), time="SECRET")

    told = refusal(encode(document))

    assert told.count(";") == 2
    assert "SECRET" not in told


def test_of_many_problems_ten_are_named() -> None:
    told = refusal(encode(full_message(item({f"a{n}": 1 for n in range(25)}))))

    assert "and 15 more" in told


@given(st.binary(max_size=200) | JSON.map(encode))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    with refused_at_most(PidReason.INVALID_MESSAGE):
        assert isinstance(parse_message(body), FullItemMessage | PatchMessage)


@given(st.sampled_from(["data", "metadata", "payload", "item", "method", "patch"]), JSON)
def test_anything_in_any_place_is_a_message_or_refused(place: str, value: Any) -> None:
    document = full_message(item()) if place != "patch" else patch_message()
    payload = document["data"]["payload"]
    (document if place in document else document["data"] if place == "payload" else payload)[
        place
    ] = value
    with refused_at_most(PidReason.INVALID_MESSAGE):
        assert isinstance(read_message(document), FullItemMessage | PatchMessage)


@pytest.mark.parametrize(
    "of",
    [
        item({"\ud800": file_asset()}),
        item({"data0000": file_asset(href="https://host/\ud800.nc")}),
        item(pid="\ud800"),
        item(item_id="\ud800"),
    ],
)
def test_half_a_character_in_a_decoded_item(of: dict[str, Any]) -> None:
    with pytest.raises(PermanentError) as caught:
        read_message(full_message(of))
    assert caught.value.reason == PidReason.INVALID_MESSAGE
    assert str(caught.value).encode()


def test_the_time_is_the_message_s_else_the_broker_s() -> None:
    received = datetime(2026, 1, 2, tzinfo=UTC)

    timeless = read_message(full_message(item(), time=None))
    timed = read_message(full_message(item()))

    assert announce(timeless, received_at=received).announced_at == received
    assert announce(timeless).announced_at is None
    assert announce(timed, received_at=received).announced_at != received


@pytest.mark.parametrize(
    "name",
    [
        "dc02/Amon.tasmin.json",
        "dc02/day.tasmin.json",
        "dc04/IPSL.Amon.pr.json",
        "dc04/MRI.6hrPlevPt.psl.json",
    ],
)
def test_real_messages_are_kept_whole(name: str) -> None:
    body = real_data(f"cmip6/{name}").read_bytes()

    message = parse_message(body)

    assert isinstance(message, FullItemMessage)
    kept = message.model_dump(mode="json", by_alias=True)
    assert kept == json.loads(body)


def test_real_kept_failures_are_messages() -> None:
    lines = real_data("cmip6/sample_failures.jsonl").read_bytes().splitlines()

    messages = [parse_message(line) for line in lines]

    assert [message.model_dump()["__infos__"]["retries"] for message in messages] == [0, 0, 0]
    assert all(message.model_dump()["key"] == announce(message).item.id for message in messages)
