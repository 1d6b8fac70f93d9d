"""Messages end in any order; what is recorded is in that of offsets, without gaps."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.incoming import IncomingMessage, TopicPartition
from estinel_assets.pids.partition_progress import PartitionProgress

AT = TopicPartition("CMIP6", 3)
NOW = datetime(2026, 1, 16, tzinfo=UTC)


def message(offset: int) -> IncomingMessage:
    return IncomingMessage((AT.topic, str(AT.partition), str(offset)), b"{}")


def outcome(offset: int) -> Outcome:
    return Outcome(
        product="pids",
        key=message(offset).unit,
        status=True,
        reason="none",
        attempts=1,
        started_at=NOW,
        finished_at=NOW,
        duration_s=0,
        run_id="test",
        code_version="1",
    )


def offsets(outcomes: object) -> list[int]:
    assert isinstance(outcomes, list)
    return [int(one.key[-1]) for one in outcomes]


# Offsets of a topic with transactions or compaction have gaps.
OFFSETS = st.sets(st.integers(0, 60), min_size=1, max_size=20).map(sorted)


@given(taken=OFFSETS, draw=st.data())
def test_what_is_done_is_what_ended_without_anything_open_before(
    taken: list[int], draw: st.DataObject
) -> None:
    progress = PartitionProgress(AT)
    for offset in taken:
        assert progress.take(message(offset))
    order = draw.draw(st.permutations(taken))
    ended: set[int] = set()
    recorded: list[int] = []
    for offset in order:
        progress.end(message(offset), outcome(offset))
        ended.add(offset)
        before = [one for one in taken if all(other in ended for other in taken if other <= one)]
        done = offsets(list(progress.done))
        assert recorded + done == before
        assert progress.following == (done[-1] + 1 if done else None)
        assert progress.open == (len(before) < len(taken))
        assert len(progress) == len(taken) - len(recorded)
        if draw.draw(st.booleans()):
            recorded += done
            progress.recorded()
    assert recorded + offsets(list(progress.done)) == taken


def test_a_message_that_comes_twice_is_taken_once_until_it_is_recorded() -> None:
    progress = PartitionProgress(AT)
    assert progress.take(message(5))
    assert not progress.take(message(5))
    progress.end(message(5), outcome(5))
    assert not progress.take(message(5))
    assert offsets(list(progress.done)) == [5]
    progress.recorded()
    assert progress.take(message(5))


@pytest.mark.parametrize(
    ("keep", "left", "following"), [(False, [1, 2], 3), (True, [1, 2, 3], 4)], ids=["out", "in"]
)
def test_what_is_done_after_a_message_is_cut_off(
    keep: bool, left: list[int], following: int
) -> None:
    progress = PartitionProgress(AT)
    for offset in range(1, 6):
        progress.take(message(offset))
    for offset in (5, 4, 3, 2, 1):
        progress.end(message(offset), outcome(offset))
    progress.cut(outcome(3), keep=keep)
    assert offsets(list(progress.done)) == left
    assert progress.following == following


def test_a_message_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="has no offset"):
        PartitionProgress(AT).take(IncomingMessage(("files", "abc"), b"{}"))
