"""The consumer: what is in which order, when it records and commits, and why it stops."""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import pytest

from estinel_assets.errors import BadInputError, LeaseHeldError, LeaseLostError, StoreError
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.claims import CONSUMER, PartitionClaims, claim_path, holder
from estinel_assets.pids.consumer import Consumed, Ending, Limits
from estinel_assets.pids.incoming import IncomingMessage, TopicPartition
from estinel_assets.pids.message_records import message_of
from tests.support.cmip6_messages import DATASET, file_asset, full_message, item
from tests.support.log_source import Log, LogSource, at, offset_of
from tests.support.pid_world import Faults, Watched, World, wait_for

BAD = b"{not json"
ALL_ERRORS = Limits(threads=4, max_errors=-1)
ONE_BY_ONE = Limits(threads=1, max_errors=-1, flush_messages=1)


def good(number: int = 0) -> bytes:
    """A message of one file; its item has a version of its own."""
    of = item({"data0000": file_asset()}, item_id=f"{DATASET}.v{20200101 + number}")
    return json.dumps(full_message(of)).encode()


def log_of(*bodies: bytes, keyed: bool = True) -> Log:
    log = Log()
    for number, body in enumerate(bodies):
        log.add(body, str(number).encode() if keyed else None)
    return log


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Slow:
    """Work that waits for some messages until they are let go."""

    def __init__(self, world: World, *held: int) -> None:
        self._work = world.work().outcome
        self._gates = {offset: Event() for offset in held}
        self._lock = threading.Lock()
        self.begun: list[int] = []
        self.ended: list[int] = []

    def __call__(self, message: IncomingMessage) -> Outcome:
        offset = offset_of(message)
        with self._lock:
            self.begun.append(offset)
        gate = self._gates.get(offset)
        if gate is not None:
            assert gate.wait(20), f"nobody lets {offset} go"
        outcome = self._work(message)
        with self._lock:
            self.ended.append(offset)
        return outcome

    def let_go(self, *offsets: int) -> None:
        for offset in offsets:
            self._gates[offset].set()

    def let_all_go(self) -> None:
        self.let_go(*self._gates)


class Refusing:
    """A recorder of a store that does not take anything from some addition on."""

    def __init__(self, world: World, *, after: int = 0) -> None:
        self._inner = world.recorder()
        self._left = after

    def record(self, at: TopicPartition, outcomes: Sequence[Outcome]) -> None:
        if self._left == 0:
            raise StoreError("the store is full")
        self._left -= 1
        self._inner.record(at, outcomes)

    def record_unfinished(self, at: TopicPartition, outcome: Outcome) -> None:
        self._inner.record_unfinished(at, outcome)

    def forget(self, at: TopicPartition) -> None:
        self._inner.forget(at)


def reasons_of(world: World) -> dict[int, str]:
    """How messages of the first partition ended, by offset."""
    return {int(key[-1]): one.reason for key, one in sorted(world.outcomes().items())}


def on_poll(number: int, what: Callable[[LogSource], None]) -> Callable[[LogSource], None]:
    """Do something at one poll."""

    def hook(source: LogSource) -> None:
        if source.polls == number:
            what(source)

    return hook


def test_every_message_gets_an_outcome_and_its_offset_is_committed(world: World) -> None:
    log = log_of(good(0), good(1), BAD, good(3))
    watched = Watched()
    consumed = world.consume(LogSource(log), watched=watched)
    assert consumed.ending is Ending.SOURCE_ENDED
    assert consumed.reasons == {"none": 3, "invalid_message": 1}
    assert (consumed.messages, consumed.faults, consumed.stopped_by) == (4, 1, None)
    assert reasons_of(world) == {0: "none", 1: "none", 2: "invalid_message", 3: "none"}
    assert log.is_done
    assert [one.key[-1] for one in watched.outcomes] == ["0", "1", "2", "3"]
    assert len(world.handles.handles) == 6


def test_messages_of_one_key_are_worked_on_in_their_order(world: World) -> None:
    log = Log()
    for number in range(40):
        log.add(good(number), b"a" if number % 2 else b"b")
    slow = Slow(world)
    world.consume(LogSource(log), work=slow)
    assert len(slow.begun) == 40
    for remainder in (0, 1):
        assert [one for one in slow.ended if one % 2 == remainder] == list(range(remainder, 40, 2))


def test_messages_without_a_key_are_in_the_order_of_their_partition(world: World) -> None:
    log = Log(2)
    for number in range(40):
        log.add(good(number), partition=number % 2)
    ended: list[tuple[int, int]] = []
    work = world.work().outcome

    def remembered(message: IncomingMessage) -> Outcome:
        assert message.position is not None
        ended.append((message.position.at.partition, message.position.offset))
        return work(message)

    world.consume(LogSource(log), work=remembered)
    for partition in (0, 1):
        assert [offset for one, offset in ended if one == partition] == list(range(20))


def test_many_partitions_are_all_committed(world: World) -> None:
    log = Log(12)
    for number in range(60):
        log.add(
            good(number) if number % 7 else BAD, str(number % 5).encode(), partition=number % 12
        )
    consumed = world.consume(LogSource(log))
    assert consumed.messages == 60
    assert log.is_done
    assert world.outcomes().keys() == {one.unit for one in log.all}


def test_offsets_with_gaps_are_committed_after_the_last_message(world: World) -> None:
    log = Log()
    for gap in (3, 0, 5, 2):
        log.add(good(gap), gap=gap)
    world.consume(LogSource(log))
    assert log.committed_offsets == {at(0): 14}
    assert sorted(reasons_of(world)) == [3, 4, 10, 13]


def test_nothing_is_committed_that_is_not_recorded(world: World) -> None:
    log = log_of(good(0), good(1))
    with pytest.raises(StoreError, match="full"):
        world.consume(LogSource(log), recorder=Refusing(world))
    assert log.committed_offsets == {}
    assert world.outcomes() == {}
    world.consume(LogSource(log))
    assert log.is_done


def test_what_was_recorded_before_a_store_refuses_stays_committed(world: World) -> None:
    log = log_of(*map(good, range(5)))
    with pytest.raises(StoreError, match="full"):
        world.consume(LogSource(log), recorder=Refusing(world, after=2), limits=ONE_BY_ONE)
    assert log.committed_offsets[at(0)] == len(world.outcomes()) >= 2
    assert not log.is_done


def test_commits_follow_what_is_in_the_store(world: World) -> None:
    log = log_of(*map(good, range(30)))
    work = Slow(world)

    def until_all_have_ended(source: LogSource) -> None:
        wait_for(lambda: len(work.ended) == source.next[at(0)])

    source = LogSource(log, until_all_have_ended)
    known: list[bool] = []
    commit = source.commit

    def checked(following: dict[TopicPartition, int]) -> None:
        stored = {int(key[-1]) for key in world.outcomes()}
        known.append(stored >= set(range(following[at(0)])))
        commit(following)

    source.commit = checked  # type: ignore[method-assign, assignment]
    world.consume(source, work=work, limits=Limits(threads=4, flush_messages=4))
    assert len(known) > 2
    assert all(known)


@pytest.mark.parametrize("max_errors", [1, 3])
def test_it_stops_at_the_error_that_is_one_too_many(world: World, max_errors: int) -> None:
    log = log_of(good(0), BAD, good(2), BAD, good(4), BAD, good(6), BAD)
    consumed = world.consume(LogSource(log), limits=Limits(threads=8, max_errors=max_errors))
    assert consumed.ending is Ending.TOO_MANY_ERRORS
    assert consumed.stopped_by is not None
    last = 2 * max_errors - 1
    assert consumed.stopped_by.key[-1] == str(last)
    assert log.committed_offsets == {at(0): last + 1}
    assert sorted(reasons_of(world)) == list(range(last + 1))
    assert [offset_of(one.message) for one in world.kept()] == list(range(1, last + 1, 2))


def test_errors_are_counted_in_the_order_of_offsets(world: World) -> None:
    # The second error ends long before the first one does.
    log = log_of(BAD, good(1), BAD, good(3))
    slow = Slow(world, 0)
    consumed = world.consume(
        LogSource(log, lambda _: slow.let_go(0) if 2 in slow.ended else None),
        work=slow,
        limits=Limits(threads=4, max_errors=1),
    )
    assert consumed.stopped_by is not None
    assert consumed.stopped_by.key[-1] == "0"
    assert log.committed_offsets == {at(0): 1}
    assert reasons_of(world) == {0: "invalid_message"}


def test_any_number_of_errors_may_be_allowed(world: World) -> None:
    log = log_of(*[BAD] * 30)
    consumed = world.consume(LogSource(log))
    assert consumed.ending is Ending.SOURCE_ENDED
    assert consumed.faults == 30
    assert log.is_done
    assert len(world.kept()) == 30


def test_it_stops_where_a_service_is_down_and_goes_on_there(world: World) -> None:
    log = log_of(*map(good, range(6)))
    consumed = world.consume(
        LogSource(log), limits=ONE_BY_ONE, faults=Faults(frozenset(range(6, 100)))
    )
    assert consumed.ending is Ending.SERVICE_DOWN
    assert consumed.stopped_by is not None
    assert consumed.stopped_by.key[-1] == "2"
    assert consumed.reasons == {"none": 2}
    assert log.committed_offsets == {at(0): 2}
    assert reasons_of(world) == {0: "none", 1: "none", 2: "handle_unavailable"}
    unfinished = world.outcomes()[log.all[2].unit]
    assert message_of(unfinished) == log.all[2]
    assert not world.kept()
    seen: list[int] = []
    work = world.work().outcome

    def remembered(message: IncomingMessage) -> Outcome:
        seen.append(offset_of(message))
        return work(message)

    again = world.consume(LogSource(log), limits=ONE_BY_ONE, work=remembered)
    assert again.ending is Ending.SOURCE_ENDED
    assert seen == [2, 3, 4, 5]
    assert log.is_done
    assert set(reasons_of(world).values()) == {"none"}


def test_errors_before_the_message_whose_service_is_down_are_recorded(world: World) -> None:
    log = log_of(BAD, good(1), BAD)
    consumed = world.consume(LogSource(log), faults=Faults(frozenset(range(1, 9))))
    assert consumed.ending is Ending.SERVICE_DOWN
    assert log.committed_offsets == {at(0): 1}
    assert reasons_of(world) == {0: "invalid_message", 1: "handle_unavailable"}
    assert len(world.kept()) == 1


def test_by_force_it_skips_and_goes_on(world: World) -> None:
    log = log_of(good(0), good(1), good(2))
    consumed = world.consume(
        LogSource(log),
        limits=Limits(threads=1, stop_on_skip=False, max_errors=1),
        faults=Faults(frozenset({3})),
    )
    assert consumed.ending is Ending.SOURCE_ENDED
    assert log.is_done
    skipped = world.outcomes()[log.all[1].unit]
    assert skipped.reason == "handle_unavailable"
    assert skipped.detail["skipped"] is True
    (kept,) = world.kept()
    assert kept.message == log.all[1]
    assert kept.place.path.parent.name == "skipped"
    assert [one.status for one in world.retry()] == [True]
    assert world.outcomes()[log.all[1].unit].attempts == 2


def test_an_error_of_ours_is_recorded_and_counted(world: World) -> None:
    log = log_of(good(0), good(1))
    work = world.work()
    object.__setattr__(work, "handles", None)
    consumed = world.consume(LogSource(log), work=work.outcome, limits=Limits(max_errors=1))
    assert consumed.ending is Ending.TOO_MANY_ERRORS
    assert reasons_of(world) == {0: "internal_error"}
    assert log.committed_offsets == {at(0): 1}


@pytest.mark.parametrize("most", [0, 1, 7])
def test_no_more_messages_are_taken_than_asked_for(world: World, most: int) -> None:
    log = log_of(*map(good, range(10)))
    slow = Slow(world)
    consumed = world.consume(
        LogSource(log, ends=False), work=slow, limits=Limits(threads=4, max_messages=most)
    )
    assert consumed.ending is Ending.ASKED
    assert consumed.messages == most
    assert len(slow.begun) == most
    assert log.committed_offsets.get(at(0), 0) == most


def test_asked_to_stop_it_ends_records_and_commits_what_is_in_work(world: World) -> None:
    log = log_of(*map(good, range(40)), keyed=False)
    slow = Slow(world, 3)
    stop = Event()

    def hook(_: LogSource) -> None:
        if stop.is_set():
            slow.let_go(3)
        elif 3 in slow.begun:
            stop.set()

    consumed = world.consume(LogSource(log, hook, ends=False), work=slow, stop=stop)
    assert consumed.ending is Ending.ASKED
    assert slow.ended == [0, 1, 2, 3]
    assert log.committed_offsets == {at(0): 4}
    assert sorted(reasons_of(world)) == [0, 1, 2, 3]


def test_it_keeps_asking_kafka_while_it_ends(world: World) -> None:
    log = log_of(good(0))
    slow = Slow(world, 0)
    stop = Event()
    source = LogSource(log, lambda _: stop.set() if slow.begun else None, ends=False)
    threading.Thread(
        target=lambda: (wait_for(lambda: source.asked[-3:] == [0, 0, 0]), slow.let_all_go())
    ).start()
    world.consume(source, work=slow, stop=stop)
    assert source.asked[-1] == 0
    assert log.is_done


def test_a_partition_that_is_given_away_is_ended_recorded_and_committed(world: World) -> None:
    log = Log(2)
    for number in range(8):
        log.add(good(number), str(number).encode(), partition=number % 2)
    given: list[int] = []

    def give(source: LogSource) -> None:
        source.revoke(at(0))
        given.append(log.committed_offsets.get(at(0), 0))

    world.consume(LogSource(log, on_poll(2, give)))
    # All four were taken by the first poll.
    assert given == [4]
    assert log.is_done


def test_what_comes_back_goes_on_where_the_group_stands(world: World) -> None:
    log = log_of(*map(good, range(20)))

    def give_and_take(source: LogSource) -> None:
        source.revoke(at(0))
        source.assign(at(0))

    slow = Slow(world)
    world.consume(LogSource(log, on_poll(2, give_and_take)), work=slow)
    assert sorted(slow.begun) == list(range(20))
    assert log.is_done


def test_of_a_partition_that_is_lost_nothing_is_recorded_nor_committed(world: World) -> None:
    log = Log(2)
    for number in range(6):
        log.add(good(number), str(number).encode(), partition=number % 2)
    watched = Watched()
    consumed = world.consume(
        LogSource(log, on_poll(2, lambda source: source.lose(at(0)))), watched=watched
    )
    assert log.committed_offsets == {at(1): 3}
    assert {key[1] for key in world.outcomes()} == {"1"}
    assert consumed.messages == len(watched.outcomes) == 3


def test_what_was_lost_and_comes_again_is_worked_on_anew(world: World) -> None:
    log = log_of(*map(good, range(6)))
    slow = Slow(world, 0)

    def lose(source: LogSource) -> None:
        threading.Timer(0.05, slow.let_go, [0]).start()
        source.lose(at(0))
        source.assign(at(0))

    world.consume(LogSource(log, on_poll(2, lose)), work=slow)
    assert log.is_done
    assert sorted(reasons_of(world)) == list(range(6))
    assert slow.begun.count(0) == 2


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "given away"])
def test_where_a_service_is_down_only_who_has_the_partition_says_so(
    world: World, lost: bool
) -> None:
    log = log_of(good(0), good(1), good(2))
    slow = Slow(world, 2)
    down = world.work(faults=Faults(frozenset({1}))).outcome

    def hook(source: LogSource) -> None:
        # It ends because of the second message; the third one is in work.
        if source.asked[-1] == 0 and source.next:
            threading.Timer(0.05, slow.let_go, [2]).start()
            (source.lose if lost else source.revoke)(at(0))

    consumed = world.consume(
        LogSource(log, hook, ends=False),
        work=lambda one: (down if offset_of(one) == 1 else slow)(one),
        limits=Limits(threads=3),
        claims=claims_of(world),
    )
    assert consumed.ending is Ending.SERVICE_DOWN
    assert reasons_of(world) == ({} if lost else {0: "none", 1: "handle_unavailable"})
    assert log.committed_offsets == ({} if lost else {at(0): 1})
    assert not world.kept()


def claims_of(world: World, owner: str = CONSUMER, ttl_s: float = 30.0) -> PartitionClaims:
    return PartitionClaims(world.store, "group", owner, ttl_s)


def test_it_holds_the_lease_of_its_partitions_and_gives_it_up(world: World) -> None:
    log = log_of(good(0), good(1))
    holders: list[str | None] = []
    hook = lambda _: holders.append(holder(world.store, "group", at(0)))  # noqa: E731
    world.consume(LogSource(log, hook), claims=claims_of(world))
    assert set(holders) == {CONSUMER}
    assert holder(world.store, "group", at(0)) is None
    assert log.is_done


def test_without_the_lease_it_does_not_begin(world: World) -> None:
    log = log_of(good(0))
    claims_of(world, "another").take(at(0), wait_s=0)
    with pytest.raises(LeaseHeldError, match="another"):
        world.consume(LogSource(log), claims=claims_of(world), limits=Limits(claim_wait_s=0.0))
    assert log.committed_offsets == {}
    assert not world.handles.handles


@pytest.mark.parametrize("faults", [Faults(), Faults(frozenset({1}))], ids=["well", "down"])
def test_where_the_lease_is_lost_nothing_is_recorded_nor_committed(
    world: World, faults: Faults
) -> None:
    log = log_of(good(0), good(1))
    ours = claims_of(world)

    def take_away(_: LogSource) -> None:
        world.store.delete(claim_path("group", at(0)))
        with pytest.raises(LeaseLostError):
            ours._held[at(0)].renew()

    with pytest.raises(LeaseLostError):
        world.consume(
            LogSource(log, on_poll(1, take_away)), claims=ours, faults=faults, limits=ONE_BY_ONE
        )
    assert log.committed_offsets == {}
    assert world.outcomes() == {}


def test_a_lease_that_is_lost_while_it_records_keeps_it_from_committing(world: World) -> None:
    log = log_of(good(0))
    ours = claims_of(world)
    recorder = world.recorder()

    class Losing(Refusing):
        def record(self, at: TopicPartition, outcomes: Sequence[Outcome]) -> None:
            recorder.record(at, outcomes)
            ours._held[at].abandon()

    with pytest.raises(LeaseLostError):
        world.consume(LogSource(log), claims=ours, recorder=Losing(world))
    assert log.committed_offsets == {}
    assert reasons_of(world) == {0: "none"}


def test_a_message_that_comes_twice_is_worked_on_once_while_it_is_in_work(world: World) -> None:
    log = log_of(good(0), good(1), good(2))
    slow = Slow(world, 0)

    def again(source: LogSource) -> None:
        wait_for(lambda: len(slow.begun) == 3)
        source.next[at(0)] = 0
        threading.Timer(0.05, slow.let_go, [0]).start()

    consumed = world.consume(LogSource(log, on_poll(2, again)), work=slow)
    assert consumed.messages == 3
    assert sorted(slow.begun) == [0, 1, 2]
    assert log.is_done


@pytest.mark.parametrize("flush_messages", [1, 500], ids=["recorded", "not yet recorded"])
def test_a_message_that_comes_again_once_it_is_done_has_one_outcome(
    world: World, flush_messages: int
) -> None:
    log = log_of(good(0), BAD, good(2), good(3))
    slow = Slow(world)
    rewound: list[int] = []

    def hook(source: LogSource) -> None:
        if not rewound and len(slow.ended) == 4:
            rewound.append(len(slow.ended))
            source.next[at(0)] = 1

    world.consume(
        LogSource(log, hook),
        work=slow,
        limits=Limits(threads=4, max_errors=-1, flush_messages=flush_messages, flush_s=9),
    )
    assert rewound
    assert reasons_of(world) == {0: "none", 1: "invalid_message", 2: "none", 3: "none"}
    # Where it was in the middle of the last ones, they come once more.
    assert log.committed_offsets[at(0)] >= 2
    world.consume(LogSource(log))
    assert log.is_done


def test_a_topic_that_was_made_anew_is_begun_from_its_start(world: World) -> None:
    log = Log()
    for number in range(3):
        log.add(good(number), str(number).encode(), gap=50 if number == 0 else 0)
    slow = Slow(world, 51)

    def hook(source: LogSource) -> None:
        if source.polls == 2:
            log.logs[at(0)].clear()
            for number in range(2):
                log.add(good(number), str(number).encode())
            source.next[at(0)] = 0
        if source.polls == 3:
            slow.let_go(51)

    world.consume(LogSource(log, hook), work=slow)
    assert sorted(reasons_of(world)) == [0, 1, 50, 51, 52]
    assert log.committed_offsets == {at(0): 2}


def test_a_slow_message_does_not_let_the_others_pile_up(world: World) -> None:
    log = Log(2)
    for number in range(400):
        log.add(BAD, str(number).encode(), partition=1)
    for number in range(20):
        log.add(BAD, str(number).encode())
    threads = 4
    slow = Slow(world, 0)
    taken: list[int] = []

    def hook(source: LogSource) -> None:
        if at(1) not in log.committed_offsets:
            taken.append(source.next[at(1)])
        if taken[-5:-1] == [taken[-1]] * 4 and log.committed_offsets.get(at(0)) == 20:
            slow.let_go(0)

    work = world.work().outcome
    watched = Watched()
    consumed = world.consume(
        LogSource(log, hook),
        work=lambda one: slow(one) if one.unit[1] == "1" else work(one),
        watched=watched,
        limits=Limits(threads=threads, max_errors=-1, flush_s=0.01),
    )
    assert consumed.messages == 420
    assert log.is_done
    assert watched.most_in_flight <= 2 * threads
    # Of what one message holds up, thirty-two for each thread.
    assert 16 * threads <= taken[-1] <= 32 * threads


def test_a_commit_that_fails_is_made_up_for_by_the_next_one(world: World) -> None:
    log = log_of(*map(good, range(10)))
    source = LogSource(log)
    source.refusals = 2
    consumed = world.consume(source, limits=ONE_BY_ONE)
    assert consumed.messages == 10
    assert log.is_done
    assert world.outcomes().keys() == {one.unit for one in log.all}


def test_what_was_recorded_and_not_committed_comes_again_without_effect(world: World) -> None:
    log = log_of(good(0), BAD, good(2))
    source = LogSource(log)
    source.refusals = 99
    world.consume(source)
    assert log.committed_offsets == {}
    before = world.handles.handles
    world.consume(LogSource(log))
    assert log.is_done
    assert world.handles.handles == before
    assert reasons_of(world) == {0: "none", 1: "invalid_message", 2: "none"}
    assert {offset_of(one.message) for one in world.kept()} == {1}


def test_a_folder_that_cannot_be_written_to_ends_the_run(world: World) -> None:
    log = log_of(*map(good, range(9)))
    work = world.work().outcome

    def failing(message: IncomingMessage) -> Outcome:
        if offset_of(message) == 4:
            raise BadInputError("outputs cannot take lines")
        return work(message)

    source = LogSource(log)
    with pytest.raises(BadInputError, match="cannot take"):
        world.consume(source, work=failing, limits=ONE_BY_ONE, claims=claims_of(world))
    assert log.committed_offsets.get(at(0), 0) <= 4
    assert len(world.outcomes()) == log.committed_offsets.get(at(0), 0)
    assert holder(world.store, "group", at(0)) is None
    assert not source.next


def test_a_source_that_cannot_be_left_keeps_no_lease(world: World) -> None:
    log = log_of(good(0))
    source = LogSource(log)

    def failing() -> None:
        raise BadInputError("the source cannot be closed")

    source.close = failing  # type: ignore[method-assign]
    with pytest.raises(BadInputError, match="closed"):
        world.consume(source, claims=claims_of(world))
    assert holder(world.store, "group", at(0)) is None


def test_a_dry_run_commits_nothing(world: World) -> None:
    log = log_of(good(0), good(1))
    consumed: Consumed = world.consume(LogSource(log), commits=False)
    assert consumed.messages == 2
    assert log.committed_offsets == {}


def test_a_message_of_somebody_elses_partition_is_left_alone(world: World) -> None:
    log = log_of(good(0))
    strange = IncomingMessage(("CMIP6", "9", "4"), good(1))
    source = LogSource(log)
    poll = source.poll
    source.poll = lambda most, timeout_s: [*poll(most, timeout_s), strange]  # type: ignore[method-assign]
    consumed = world.consume(source)
    assert consumed.messages == 1
    assert strange.unit not in world.outcomes()
