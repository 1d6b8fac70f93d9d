"""Outcomes are stored beside the checks, in order, and none is lost."""

from threading import Event, Thread

import pytest

from estinel_assets.compatibility.recorder import AT_ONCE, MOST_WAITING, Recorder
from estinel_assets.errors import StoreError
from tests.support.outcomes import outcome

PATIENCE_S = 30.0


class Store:
    """Writes when it is let, and refuses some."""

    def __init__(self, *, refused: frozenset[str] = frozenset(), shut: bool = False) -> None:
        self.refused = refused
        self.written: list[str] = []
        self.gate = Event()
        if not shut:
            self.gate.set()

    def write(self, one) -> None:
        assert self.gate.wait(PATIENCE_S), "nobody opened the store"
        if one.key[0] in self.refused:
            raise StoreError(f"{one.key[0]} was refused")
        self.written.append(one.key[0])


def names(outcomes) -> list[str]:
    return [one.key[0] for one in outcomes]


def test_all_come_back_in_their_order():
    store = Store()
    wanted = [f"C{number}" for number in range(50)]
    with Recorder(store.write) as recorder:
        told = []
        for name in wanted:
            recorder.add(outcome(name))
            told += names(recorder.stored())
        told += names(recorder.rest())

    assert told == wanted
    assert sorted(store.written) == sorted(wanted)


def test_nobody_waits_for_a_slow_store():
    store = Store(shut=True)
    with Recorder(store.write) as recorder:
        for number in range(MOST_WAITING):
            recorder.add(outcome(f"C{number}"))
            assert names(recorder.stored()) == []
        store.gate.set()

    assert len(store.written) == MOST_WAITING, "leaving waits"


def test_very_many_wait_after_all():
    store = Store(shut=True)
    with Recorder(store.write) as recorder:
        for number in range(MOST_WAITING + 1):
            recorder.add(outcome(f"C{number}"))
        Thread(target=store.gate.set).start()

        assert next(recorder.stored()).key == ("C0",)


def test_a_refusal_is_told_and_the_others_too():
    store = Store(refused=frozenset({"C1", "C3"}))
    with Recorder(store.write) as recorder:
        for number in range(5):
            recorder.add(outcome(f"C{number}"))
        rest = recorder.rest()
        told = [next(rest).key[0] for _ in range(3)]
        with pytest.raises(StoreError, match="C1 was refused"):
            next(rest)

    assert told == ["C0", "C2", "C4"]


def test_several_are_written_at_once():
    began: list[str] = []
    all_there = Event()

    def write(one) -> None:
        began.append(one.key[0])
        if len(began) == AT_ONCE:
            all_there.set()
        assert all_there.wait(PATIENCE_S), f"only {began} began"

    with Recorder(write) as recorder:
        for number in range(AT_ONCE):
            recorder.add(outcome(f"C{number}"))
        assert len(names(recorder.rest())) == AT_ONCE
