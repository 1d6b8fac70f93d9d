"""A message from its bytes to its outcome, with everything that can be wrong with it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.outcomes.run import Run
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.message_records import message_of
from estinel_assets.pids.message_work import FILES_AT_ONCE, MessageWork, is_transient
from estinel_assets.pids.ports import HandleRecord, Registered
from estinel_assets.pids.stamps import Stamp
from tests.support.cmip6_messages import (
    DATASET,
    ITEM_ID,
    PREFIX,
    file_asset,
    full_message,
    item,
    maker,
    patch_message,
)
from tests.support.memory_handles import MemoryHandles
from tests.support.memory_items import MemoryItems

NOW = datetime(2026, 1, 16, 10, tzinfo=UTC)
RUN = Run("test", lambda: NOW, "1")


def incoming(document: object, *, offset: int = 7, retries: int = 0) -> IncomingMessage:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return IncomingMessage(
        ("CMIP6", "0", str(offset)),
        body,
        ITEM_ID.encode(),
        received_at=NOW,
        retries=retries,
    )


def work(**changes: Any) -> MessageWork:
    chosen: dict[str, Any] = {
        "maker": maker(),
        "handles": MemoryHandles(),
        "items": MemoryItems(),
        "look_up": True,
        "run": RUN,
    }
    return MessageWork(**{**chosen, **changes})


class Watched:
    """A Handle service that remembers, and fails when told to."""

    def __init__(self, error: Exception | None = None, at: int = 0) -> None:
        self.inner = MemoryHandles()
        self.seen: list[HandleRecord] = []
        self._error, self._at = error, at

    def read(self, handle: str) -> HandleRecord | None:
        return self.inner.read(handle)

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        self.seen.append(record)
        if self._error is not None and len(self.seen) > self._at:
            raise self._error
        return self.inner.register(record, stamp)

    def probe(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def test_files_are_registered_before_their_dataset_and_counted() -> None:
    handles = Watched()
    outcome = work(handles=handles).outcome(incoming(full_message(item())))
    assert outcome.status
    assert outcome.key == ("CMIP6", "0", "7")
    assert outcome.detail["item_id"] == ITEM_ID
    assert outcome.detail["created"] == 3
    assert outcome.detail["handle"] == handles.seen[-1].handle
    assert "message" not in outcome.detail
    levels = [
        next(one.data for one in record.values if one.type == "AGGREGATION_LEVEL")
        for record in handles.seen
    ]
    assert levels == ["FILE", "FILE", "DATASET"]


def test_a_replay_changes_nothing_and_says_so() -> None:
    same = work()
    same.outcome(incoming(full_message(item())))
    again = same.outcome(incoming(full_message(item())))
    assert again.status
    assert again.detail["unchanged"] == 3
    assert "created" not in again.detail


def test_an_older_message_does_not_take_a_newer_one_back() -> None:
    same = work()
    older, newer = "2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z"
    same.outcome(incoming(full_message(item(retracted=True), time=newer), offset=9))
    late = same.outcome(incoming(full_message(item(), time=older), offset=8))
    assert late.status
    assert late.detail["superseded"] == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{not json", "invalid_message"),
        (b"", "invalid_message"),
        (b"x" * 2000, "invalid_message"),
        (full_message(item(item_id="too.short")), "invalid_item"),
        (full_message(item({"data0000": file_asset(file__size=0)})), "missing_file_size"),
        (patch_message({"op": "remove", "path": "/nothing"}), "item_not_found"),
    ],
)
def test_what_is_wrong_for_good_is_an_outcome_that_keeps_the_message(
    body: object, reason: str
) -> None:
    message = incoming(body, retries=2)
    outcome = work(max_bytes=1500).outcome(message)
    assert (outcome.status, outcome.reason) == (False, reason)
    assert outcome.error
    assert outcome.attempts == 3
    assert outcome.detail["retries"] == 2
    assert message_of(outcome) == message
    assert not is_transient(outcome)


def test_a_patch_is_applied_to_the_item_that_the_api_has() -> None:
    handles = Watched()
    replaced = {"op": "add", "path": "/properties/retracted", "value": True}
    outcome = work(handles=handles, items=MemoryItems([item()])).outcome(
        incoming(patch_message(replaced))
    )
    assert outcome.status
    assert outcome.detail["patched"] is True
    assert outcome.detail["retracted"] is True
    assert "RETRACTED_ON" in {one.type for one in handles.seen[-1].values}


@pytest.mark.parametrize("look_up", [True, False])
def test_the_version_before_is_looked_up_where_that_is_asked_for(look_up: bool) -> None:
    handles = Watched()
    before = item(item_id=f"{DATASET}.v20180101")
    items = MemoryItems([before])
    outcome = work(handles=handles, items=items, look_up=look_up).outcome(
        incoming(full_message(item()))
    )
    assert outcome.status
    found = {one.type: one.data for one in handles.seen[-1].values}
    assert found.get("PREVIOUS_VERSION") == (before["id"] if look_up else None)


@pytest.mark.parametrize(
    ("error", "reason", "transient"),
    [
        (RetryableError("handle_unavailable", "down"), "handle_unavailable", True),
        (RetryableError("conflict", "others"), "conflict", True),
        (PermanentError("handle_refused", "no"), "handle_refused", False),
        (ZeroDivisionError("ours"), "internal_error", False),
    ],
)
def test_a_failing_service_is_an_outcome_and_the_dataset_is_not_registered(
    error: Exception, reason: str, transient: bool
) -> None:
    handles = Watched(error, at=1)
    message = incoming(full_message(item()))
    outcome = work(handles=handles).outcome(message)
    assert (outcome.status, outcome.reason) == (False, reason)
    assert is_transient(outcome) == transient
    assert outcome.detail["created"] == 1
    assert message_of(outcome) == message
    assert len(handles.seen) == 2


def test_the_api_being_away_is_transient() -> None:
    items = MemoryItems()
    items.fail(RetryableError("stac_unavailable", "away"))
    outcome = work(items=items).outcome(incoming(full_message(item())))
    assert outcome.reason == "stac_unavailable"
    assert is_transient(outcome)


def test_a_folder_that_cannot_be_written_to_is_no_messages_fault() -> None:
    handles = Watched(BadInputError("outputs cannot take lines"))
    with pytest.raises(BadInputError, match="cannot take"):
        work(handles=handles).outcome(incoming(full_message(item())))


def test_a_dry_run_has_nobody_to_ask_for_a_patched_item() -> None:
    outcome = work(items=None).outcome(incoming(patch_message()))
    assert outcome.reason == "stac_unavailable"
    assert "dry run" in (outcome.error or "")


@pytest.fixture
def sharing() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_many_files_are_shared_among_threads_and_the_dataset_still_comes_last(
    sharing: ThreadPoolExecutor,
) -> None:
    handles = Watched()
    assets = {f"data{n:04}": file_asset(f"f{n}.nc") for n in range(3 * FILES_AT_ONCE)}
    outcome = work(handles=handles, sharing=sharing).outcome(incoming(full_message(item(assets))))
    assert outcome.detail["created"] == 3 * FILES_AT_ONCE + 1
    last = {one.type: one.data for one in handles.seen[-1].values}
    assert last["AGGREGATION_LEVEL"] == "DATASET"
    named = json.loads(last["HAS_PARTS"])
    assert sorted(named) == sorted(f"hdl:{record.handle}" for record in handles.seen[:-1])
    assert outcome.detail["handle"].startswith(f"{PREFIX}/")


def test_what_ended_well_is_kept_on_request() -> None:
    message = incoming(full_message(item()))
    outcome = work(keep_all=True).outcome(message)
    assert outcome.status
    assert message_of(outcome) == message


def test_many_warnings_are_counted_and_some_shown() -> None:
    assets = {f"data{n:04}": file_asset(f"f{n}.nc", file__size=0) for n in range(30)}
    assets["data9999"] = file_asset("good.nc")
    outcome = work().outcome(incoming(full_message(item(assets))))
    assert outcome.status
    assert outcome.detail["warnings_count"] == 30
    assert len(outcome.detail["warnings"]) == 20
    assert outcome.detail["left_out_count"] == 30
