"""Whatever comes in: each message gets an outcome of a known reason, and its bytes are kept."""

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.run import Run
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.jsonl_files import JsonlFiles
from estinel_assets.pids.jsonl_lines import KeptMessage, read_lines
from estinel_assets.pids.message_records import message_of
from estinel_assets.pids.message_work import MessageWork, is_transient
from estinel_assets.pids.reasons import PidReason
from tests.support.cmip6_messages import (
    DATASET,
    ITEM_ID,
    SHA256,
    file_asset,
    full_message,
    item,
    maker,
    patch_message,
)
from tests.support.memory_handles import MemoryHandles
from tests.support.memory_items import MemoryItems
from tests.support.pid_messages import json_values, messages

NOW = datetime(2026, 1, 16, 10, tzinfo=UTC)
REAL_SHAPED: list[dict[str, Any]] = [
    full_message(
        item(
            {
                "data0000": file_asset(
                    "pr_0.nc",
                    tracking_id="hdl:21.TEST/0f6cc6b0-dc08-4ce4-9afa-3701a4c60108",
                    alternate={"ipsl.fr": {"href": "https://ipsl.fr/pr_0.nc"}},
                    published_on="2025-01-01T00:00:00Z",
                ),
                "reference_file": {"href": "s3://x/y", "alternate:name": "ceda.ac.uk"},
            },
            pid="hdl:21.TEST/3f6cc6b0-dc08-4ce4-9afa-3701a4c60108",
            retracted=True,
        )
    ),
    full_message(item()),
    patch_message(
        {"op": "add", "path": "/assets/data0002", "value": file_asset()},
        {"op": "replace", "path": "/properties/retracted", "value": True},
    ),
]
ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        2**64,
        10**400,
        1.5,
        1e308,
        "",
        " ",
        "\x00",
        "\u2028",
        "é" * 3000,
        "🐧",
        "../..",
        "/" * 40,
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "d510" + "0" * 32,
        "1220zz",
        SHA256.upper(),
        f"{DATASET}.v20190119",
        ["a"],
        [[[]]],
        {},
        {"a": None},
    ]
)


def _places(document: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = [above] if above else []
    if isinstance(document, dict):
        for name, value in document.items():
            found += _places(value, (*above, name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            found += _places(value, (*above, index))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message as they are, with some of its parts replaced, removed or renamed."""
    document = json.loads(json.dumps(draw(st.sampled_from(REAL_SHAPED))))
    for _ in range(draw(st.integers(1, 4))):
        places = _places(document)
        if not places:
            break
        *above, last = draw(st.sampled_from(places))
        inner = document
        for step in above:
            inner = inner[step]
        match draw(st.sampled_from(["replace", "replace", "remove", "rename"])):
            case "replace":
                # A copy: what is within may be changed further on.
                inner[last] = deepcopy(draw(ODD | json_values))
            case "remove":
                del inner[last]
            case _ if isinstance(inner, dict):
                inner[draw(st.text(max_size=8))] = inner.pop(last)
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The bytes of a message with some of them changed, doubled or cut off."""
    body = bytearray(json.dumps(draw(st.sampled_from(REAL_SHAPED))).encode())
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, len(body)))
        match draw(st.sampled_from(["put", "set", "cut", "double"])):
            case "put":
                body[place:place] = draw(st.binary(min_size=1, max_size=6))
            case "set":
                body[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del body[place : place + draw(st.integers(1, 40))]
            case _:
                body += body[place:]
    return bytes(body)


def _work(**more: Any) -> MessageWork:
    return MessageWork(
        maker=maker(**more),
        handles=MemoryHandles(),
        items=MemoryItems([item(), item(item_id=f"{DATASET}.v20180101")]),
        look_up=True,
        run=Run("test", lambda: NOW, "1"),
    )


def _check(message: IncomingMessage, outcome: Outcome, folder: Path | None = None) -> None:
    """It has a known reason, can be stored, and keeps what failed."""
    assert outcome.reason in {"none", *map(str, PidReason)}
    assert outcome.reason != PidReason.INTERNAL_ERROR, outcome.error
    assert not is_transient(outcome)
    assert outcome.status or outcome.error
    stored = Outcome.model_validate_json(outcome.model_dump_json())
    assert stored == outcome
    if outcome.status:
        return
    assert message_of(stored) == message
    if folder is not None:
        JsonlFiles(folder).write([stored])


ANY = messages() | st.builds(
    lambda body, key, time: IncomingMessage(("CMIP6", "0", "7"), body, key, received_at=time),
    mutated() | damaged(),
    st.sampled_from([ITEM_ID.encode(), None, b"\xff"]),
    st.sampled_from([NOW, None, datetime.max.replace(tzinfo=UTC)]),
)


@given(ANY, st.booleans())
def test_every_message_has_an_outcome_of_a_known_reason(
    message: IncomingMessage, strict: bool
) -> None:
    _check(message, _work(strict=strict).outcome(message))


EXTREMES: Mapping[str, bytes | None] = {
    "nothing": None,
    "empty": b"",
    "blank": b" \n ",
    "binary": bytes(range(256)),
    "utf-16": json.dumps(REAL_SHAPED[1]).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(REAL_SHAPED[1]).encode(),
    "list": b"[1, 2]",
    "text": b'"message"',
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"data":' * 50_000 + b"1" + b"}" * 50_000,
    "deep property": json.dumps(REAL_SHAPED[1])
    .replace('"retracted": false', f'"retracted": {"[" * 150 + "]" * 150}')
    .encode(),
    "huge number": b'{"data": 1' + b"0" * 10_000 + b"}",
    "huge exponent": b'{"data": 1e999999}',
    "not a number": b'{"data": NaN, "metadata": Infinity}',
    "half a character": json.dumps(REAL_SHAPED[1]).replace('"Feature"', '"\\ud800"').encode(),
    "half a character in an id": json.dumps(REAL_SHAPED[1]).replace("CMIP6.S", "\\udfff").encode(),
    "zero in an id": json.dumps(REAL_SHAPED[1]).replace("CMIP6.S", "\\u0000S").encode(),
    "same name twice": b'{"data": 1, "data": {"payload": {}}}',
    "long id": json.dumps(full_message(item(item_id=f"{DATASET}{'x' * 5000}.v20200101"))).encode(),
    "many assets": json.dumps(
        full_message(item({f"data{n}": {"href": 1} for n in range(3000)}))
    ).encode(),
    "huge size": json.dumps(
        full_message(item({"data0000": file_asset(file__size=10**30)}))
    ).encode(),
}


@pytest.mark.parametrize("body", EXTREMES.values(), ids=EXTREMES)
def test_extremes_have_an_outcome_and_can_be_tried_again(
    body: bytes | None, tmp_path: Path
) -> None:
    message = IncomingMessage(
        ("CMIP6", "0", "7"), body, b"\xff", (("a", None), ("a", b"\x00")), NOW
    )
    outcome = _work().outcome(message)
    _check(message, outcome, tmp_path)
    kept = list(read_lines([tmp_path])) if not outcome.status else []
    for line in kept:
        assert isinstance(line, KeptMessage)
        assert line.message == message
    assert len(kept) == (not outcome.status)
    if body is not None and body[:1] == b"[":
        assert outcome.reason == "invalid_message"
