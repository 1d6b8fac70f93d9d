import os
import signal
import subprocess
import sys
import textwrap

import pytest

from estinel_assets.errors import LeaseHeldError, StoreError
from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes
from estinel_assets.storage.opening import open_store
from tests.support.outcomes import CakeReason, outcome
from tests.support.real import ROOT
from tests.support.watched_store import bury

CAKE = ProductOutcomes("cake", CakeReason)
INDEX = "outcome-index/cake/s.parquet"


def book(store):
    return OutcomeBook(store, CAKE, prefix="outcomes", lease_ttl_s=30.0)


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


def test_a_partition_keeps_its_index(store):
    with book(store).open(("s",)) as held:
        held.put(outcome("s", "1"))
        held.put(outcome("s", "2", reason="oven_cold"))

    rows = book(store).index(("s",))

    assert [(key, rows[key].reason) for key in sorted(rows)] == [
        (("s", "1"), "none"),
        (("s", "2"), "oven_cold"),
    ]
    with book(store).open(("s",)) as held:
        assert held.index() == rows
        assert held.get(("s", "2")) == outcome("s", "2", reason="oven_cold")
        assert held.get(("s", "3")) is None


def test_nothing_is_written_where_nothing_changed(store):
    with book(store).open(("s",)) as held:
        held.put(outcome("s", "1"))
    before = store.head(INDEX)

    with book(store).open(("s",)):
        pass

    assert store.head(INDEX) == before


def test_a_missing_index_is_read_from_the_listing(store):
    with book(store).open(("s",)) as held:
        held.put(outcome("s", "1"))
    rows = book(store).index(("s",))
    store.delete(INDEX)

    assert book(store).index(("s",)) == rows
    with book(store).open(("s",)) as held:
        assert held.index() == rows
    assert store.head(INDEX).size > 0


def test_a_damaged_index_is_made_anew(store):
    with book(store).open(("s",)) as held:
        held.put(outcome("s", "1"))
    rows = book(store).index(("s",))
    store.put(INDEX, b"damaged")

    assert book(store).index(("s",)) == rows
    assert book(store).reindex(("s",)) == 1
    assert store.get(INDEX).data != b"damaged"


class NoIndexStore:
    """A store that refuses to write indexes."""

    def __init__(self, store):
        self.inner = store

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def put(self, path, data, **more):
        if path.startswith("outcome-index/"):
            raise StoreError("not allowed to write here")
        return self.inner.put(path, data, **more)


def test_an_index_that_cannot_be_written_is_not_trusted(store):
    with book(store).open(("s",)) as held:
        held.put(outcome("s", "1"))
    refusing = OutcomeBook(NoIndexStore(store), CAKE, prefix="outcomes", lease_ttl_s=30.0)

    with pytest.raises(StoreError, match="not allowed"), refusing.open(("s",)) as held:
        held.put(outcome("s", "2"))

    bury(store)  # its lease is left to expire, which takes seconds
    with book(store).open(("s",)) as held:
        assert sorted(held.index()) == [("s", "1"), ("s", "2")]


def test_reindex_sees_what_was_removed_by_hand(store):
    with book(store).open(("s",)) as held:
        held.put(outcome("s", "1"))
        held.put(outcome("s", "2"))
    store.delete(book(store).index(("s",))[("s", "1")].path)

    assert book(store).reindex(("s",)) == 1
    assert list(book(store).index(("s",))) == [("s", "2")]


def test_two_workers_do_not_hold_one_partition(store):
    with book(store).open(("s",)), pytest.raises(LeaseHeldError), book(store).open(("s",)):
        pytest.fail("the second worker must not get here")


def test_a_partition_is_not_another_whose_name_it_begins(store):
    with book(store).open(("s",)) as one, book(store).open(("s2",)) as other:
        one.put(outcome("s", "1"))
        other.put(outcome("s2", "1"))

    store.delete(INDEX)

    assert list(book(store).index(("s",))) == [("s", "1")]


def test_an_error_in_the_work_keeps_what_was_recorded(store):
    def work():
        with book(store).open(("s",)) as held:
            held.put(outcome("s", "1"))
            raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        work()

    assert list(book(store).index(("s",))) == [("s", "1")]


def test_a_killed_worker_loses_nothing_that_it_recorded(store, tmp_path):
    script = textwrap.dedent(
        f"""
        import os, signal
        from estinel_assets.storage.opening import open_store
        from tests.support.outcomes import outcome
        from tests.unit.outcomes.test_book import book
        with book(open_store("file://{tmp_path}/store")).open(("s",)) as held:
            held.put(outcome("s", "1"))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    with book(store).open(("s",)) as held:
        held.put(outcome("s", "0"))
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )

    assert killed.returncode == -signal.SIGKILL
    assert sorted(book(store).index(("s",))) == [("s", "0"), ("s", "1")]
    with book(store).open(("s",)) as held:
        assert sorted(held.index()) == [("s", "0"), ("s", "1")]
