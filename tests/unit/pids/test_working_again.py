"""Trying again: no line of another message goes, and not all messages are in memory at once."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids import working_again
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.jsonl_lines import latest, read_lines
from estinel_assets.pids.working_again import WorkingAgain
from tests.support.pid_world import World

TIME = datetime(2026, 1, 16, 10, tzinfo=UTC)


def line(name: str, time: datetime | None, retries: int = 0) -> str:
    infos = {
        "retries": retries,
        "reason": "invalid_item",
        "topic": "CMIP6",
        "partition": 0,
        "offset": 7,
        "key": None,
        "headers": [],
        "time": None if time is None else time.isoformat(),
    }
    return f'{{"name": "{name}", "__infos__": {json.dumps(infos)}}}\n'


@pytest.mark.parametrize("retries", [0, 1], ids=["first tried", "tried again"])
def test_another_message_of_the_same_offset_keeps_its_line(tmp_path: Path, retries: int) -> None:
    path = tmp_path / "failed.jsonl"
    path.write_text(
        line("of a topic that was deleted", TIME, retries)
        + line("of its successor", TIME + timedelta(days=1), 1)
        + line("of its successor, as it was", TIME + timedelta(days=1), 0)
    )
    (found,) = latest(read_lines([path])).values()
    assert found.place.number == 2
    assert [place.number for place in found.places] == [2, 3]


def test_lines_without_a_time_are_of_one_message(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    path.write_text(line("a", None) + line("repaired by hand", None, 1))
    (found,) = latest(read_lines([path])).values()
    assert [place.number for place in found.places] == [2, 1]


def test_large_messages_are_read_as_they_are_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working_again, "_BYTES_AT_ONCE", 100)
    read: list[int] = []
    behind: list[int] = []
    recorded: list[Outcome] = []

    def messages() -> Iterator[IncomingMessage]:
        for number in range(9):
            read.append(number)
            yield IncomingMessage(("CMIP6", "0", str(number)), b"x" * 50)

    def record(outcomes: Sequence[Outcome]) -> None:
        recorded.extend(outcomes)
        behind.append(len(read) - len(recorded))

    again = WorkingAgain(World(tmp_path).work().outcome, record, threads=2)
    ended = [len(some) for some in again.run(messages())]
    assert ended == [2, 2, 2, 2, 1]
    assert behind == [0, 0, 0, 0, 0]
