"""A partition that is given up: its lease is held for as long as its messages are in work."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Timer

import pytest

from estinel_assets.errors import LeaseLostError, StoreError
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.claims import CONSUMER, PartitionClaims, claim_path, holder
from estinel_assets.pids.consumer import Limits
from estinel_assets.pids.incoming import IncomingMessage, TopicPartition
from estinel_assets.pids.recorder import NoRecorder
from tests.support.cmip6_messages import DATASET, file_asset, full_message, item
from tests.support.log_source import GROUP, Log, LogSource, at, offset_of
from tests.support.memory_messages import MemoryRangeSource
from tests.support.pid_world import World

LET_GO_S = 0.1


def good(number: int) -> bytes:
    of = item({"data0000": file_asset()}, item_id=f"{DATASET}.v{20200101 + number}")
    return json.dumps(full_message(of)).encode()


def claims_of(world: World, owner: str = CONSUMER) -> PartitionClaims:
    return PartitionClaims(world.store, "group", owner, 30.0)


class Watching:
    """Work that takes its time, and sees who holds the partition when it ends."""

    def __init__(self, world: World, *held: int) -> None:
        self._world, self._work = world, world.work().outcome
        self.gates = {offset: Event() for offset in held}
        self.begun: list[int] = []
        self.all_begun = Event()
        self.holders: dict[int, str | None] = {}

    def __call__(self, message: IncomingMessage) -> Outcome:
        offset = offset_of(message)
        self.begun.append(offset)
        if set(self.gates) <= set(self.begun):
            self.all_begun.set()
        if offset in self.gates:
            assert self.gates[offset].wait(20), f"nobody lets {offset} go"
        outcome = self._work(message)
        self.holders[offset] = holder(self._world.store, "group", at(0))
        return outcome

    def let_go_soon(self) -> None:
        for gate in self.gates.values():
            Timer(LET_GO_S, gate.set).start()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def keyed(*keys: bytes | None) -> Log:
    log = Log()
    for number, key in enumerate(keys):
        log.add(good(number), key)
    return log


def at_first_poll_with(work: Watching, do: Callable[[LogSource], None]) -> Callable[..., None]:
    """Do something once all that can be in work is."""
    done: list[bool] = []

    def hook(source: LogSource) -> None:
        if not done and set(work.gates) <= set(work.begun):
            done.append(True)
            do(source)

    return hook


def test_a_lost_partition_is_held_until_nothing_of_it_is_in_work(world: World) -> None:
    work = Watching(world, 0)
    # The second message waits for the first one, and is not begun any more.
    log = keyed(b"a", b"a")
    stop = Event()

    def lose(source: LogSource) -> None:
        work.let_go_soon()
        source.lose(at(0))
        assert holder(world.store, "group", at(0)) is None
        stop.set()

    source = LogSource(log, at_first_poll_with(work, lose), ends=False)
    consumed = world.consume(source, work=work, claims=claims_of(world), stop=stop)
    assert work.begun == [0]
    assert work.holders == {0: CONSUMER}
    assert consumed.messages == 0
    assert log.committed_offsets == {}


@pytest.mark.parametrize("error", [StoreError, KeyboardInterrupt])
def test_where_it_fails_the_lease_is_held_until_nothing_is_in_work(
    world: World, error: type[BaseException]
) -> None:
    work = Watching(world, 1)
    log = keyed(b"a", b"b", b"b")

    def first_once_all_are_begun(message: IncomingMessage) -> Outcome:
        outcome = work(message)
        assert work.all_begun.wait(20), f"nobody begins {set(work.gates)}"
        return outcome

    class Full(NoRecorder):
        def record(
            self,
            at: TopicPartition,  # noqa: ARG002 - the port's
            outcomes: Sequence[Outcome],  # noqa: ARG002
        ) -> None:
            work.let_go_soon()
            raise error("the store is full")

    with pytest.raises(error, match="full"):
        world.consume(
            LogSource(log),
            work=first_once_all_are_begun,
            recorder=Full(),
            claims=claims_of(world),
            limits=Limits(threads=4, flush_messages=1),
        )
    assert set(work.begun) == {0, 1}
    assert work.holders[1] == CONSUMER
    assert holder(world.store, "group", at(0)) is None
    assert log.committed_offsets == {}


def test_nothing_is_begun_once_the_lease_is_lost(world: World) -> None:
    work = Watching(world, 0)
    log = keyed(b"a", b"a", b"a")
    ours = claims_of(world)

    def suspended(source: LogSource) -> None:
        ours._held[at(0)].abandon()
        work.let_go_soon()

    source = LogSource(log, at_first_poll_with(work, suspended))
    with pytest.raises(LeaseLostError):
        world.consume(source, work=work, claims=ours, limits=Limits(threads=2))
    assert work.begun == [0]
    assert world.outcomes() == {}


def test_a_lease_that_is_lost_with_its_partition_is_no_error(world: World) -> None:
    # As after a suspension: what is not begun is left, and all comes again.
    work = Watching(world, 0)
    log = keyed(b"a", b"a", b"b")
    ours = claims_of(world)

    def suspended(source: LogSource) -> None:
        ours._held[at(0)].abandon()
        world.store.delete(claim_path("group", at(0)))
        work.let_go_soon()
        source.lose(at(0))
        source.assign(at(0))

    source = LogSource(log, at_first_poll_with(work, suspended))
    consumed = world.consume(source, work=work, claims=ours, limits=Limits(threads=1))
    assert consumed.messages == 3
    assert work.begun == [0, 0, 1, 2]
    assert log.is_done


def test_a_range_that_was_never_ours_is_not_committed(world: World) -> None:
    claims_of(world, "another").take(at(0), wait_s=0)
    log, stop = keyed(b"a", b"b"), Event()
    Timer(LET_GO_S, stop.set).start()
    consumed = world.consume(
        MemoryRangeSource(log, GROUP, at(0), 0, 1), claims=claims_of(world), stop=stop
    )
    assert consumed.messages == 0
    assert not world.handles.handles
    assert log.committed_offsets == {}
