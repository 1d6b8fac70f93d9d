"""Large messages: of those that failed, which outcomes keep, only so many are in memory."""

from pathlib import Path
from threading import Event

import pytest

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids import consumer
from estinel_assets.pids.consumer import Limits
from estinel_assets.pids.incoming import IncomingMessage
from tests.support.log_source import Log, LogSource, offset_of
from tests.support.pid_world import World

BODY = b"{not json" + b"x" * 991


def test_behind_a_slow_message_only_so_many_bytes_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "_HELD_BYTES", 20 * len(BODY))
    world, log = World(tmp_path), Log()
    for number in range(200):
        log.add(BODY, str(number).encode())
    work, gate = world.work().outcome, Event()
    begun: list[int] = []
    most: list[int] = []

    def slow(message: IncomingMessage) -> Outcome:
        begun.append(offset_of(message))
        if offset_of(message) == 0:
            assert gate.wait(20), "nobody lets it go"
        return work(message)

    def hook(source: LogSource) -> None:
        # Nothing more was wanted for some time.
        if not gate.is_set() and source.asked[-20:] == [0] * 20:
            most.append(len(begun))
            gate.set()

    consumed = world.consume(
        LogSource(log, hook), work=slow, limits=Limits(threads=8, max_errors=-1, flush_s=0.01)
    )
    assert consumed.messages == 200
    assert log.is_done
    # What was wanted before there were too many still came.
    assert 20 <= most[0] <= 20 + 2 * 8
