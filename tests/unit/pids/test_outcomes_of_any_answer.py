"""Outcomes that must come about, whatever a service answers and a plugin raises."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from estinel_assets.errors import PermanentError, RetryableError, UnitError
from estinel_assets.outcomes.packed_ledger import PackedRow
from estinel_assets.outcomes.run import Run
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.message_work import FILES_AT_ONCE, MessageWork, is_transient
from estinel_assets.pids.ports import HandleFault, HandleRecord, Registered
from estinel_assets.pids.stamps import Stamp
from tests.support.cmip6_messages import file_asset, full_message, item, maker
from tests.support.memory_handles import MemoryHandles
from tests.support.memory_items import MemoryItems

RUN = Run("test", lambda: datetime(2026, 1, 16, 10, tzinfo=UTC), "1")


class Raising(MemoryHandles):
    def __init__(self, error: UnitError) -> None:
        super().__init__()
        self._error = error

    def register(
        self,
        record: HandleRecord,  # noqa: ARG002 - the port's
        stamp: Stamp,  # noqa: ARG002
    ) -> Registered:
        raise self._error


def message(files: int = 1) -> IncomingMessage:
    assets = {f"data{n:04}": file_asset(f"f{n}.nc") for n in range(files)}
    return IncomingMessage(("CMIP6", "0", "7"), json.dumps(full_message(item(assets))).encode())


def work(handles: MemoryHandles, sharing: ThreadPoolExecutor | None = None) -> MessageWork:
    return MessageWork(
        maker=maker(),
        handles=handles,
        items=MemoryItems(),
        look_up=True,
        run=RUN,
        sharing=sharing,
    )


def test_half_a_character_in_an_answer_can_be_stored() -> None:
    # As JSON of a server may spell it: "\ud800".
    error = PermanentError(HandleFault.REFUSED, "it says \ud800")
    outcome = work(Raising(error)).outcome(message())
    assert outcome.reason == "handle_refused"
    assert "it says ?" in PackedRow.of(outcome).record


@pytest.mark.parametrize("kind", [PermanentError, RetryableError])
def test_a_reason_that_is_none_of_ours_is_an_internal_error(kind: type[UnitError]) -> None:
    outcome = work(Raising(kind("of_a_plugin", "no good"))).outcome(message())
    assert outcome.reason == "internal_error"
    assert "of_a_plugin" in (outcome.error or "")
    assert "no good" in (outcome.error or "")
    assert not is_transient(outcome)


def test_when_a_message_has_ended_nothing_of_it_is_in_work() -> None:
    class Slow(MemoryHandles):
        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []
            self._calls = 0
            self._counting = threading.Lock()

        def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
            with self._counting:
                self._calls += 1
                number = self._calls
            if number == 1:
                raise RetryableError(HandleFault.UNAVAILABLE, "no answer")
            time.sleep(0.01)
            self.ends.append(time.monotonic())
            return super().register(record, stamp)

    handles = Slow()
    with ThreadPoolExecutor(4) as sharing:
        outcome = work(handles, sharing).outcome(message(3 * FILES_AT_ONCE))
        ended = time.monotonic()
    assert outcome.reason == "handle_unavailable"
    assert handles.ends
    assert max(handles.ends) <= ended
