"""What every engine promises, kept by each."""

from contextlib import closing
from itertools import count

import pytest

from estinel_assets.compute import Threads
from estinel_assets.compute.processes import Processes
from tests.support import work


@pytest.fixture(params=["threads", "processes"])
def engine(request):
    """Makes an engine of so many workers."""
    if request.param == "threads":
        return Threads
    return lambda workers: Processes(workers, time_limit_s=60)


def test_every_item_comes_back_once(engine):
    completed = list(engine(4).map(work.square, range(100)))

    assert sorted((one.item, one.result()) for one in completed) == [(n, n * n) for n in range(100)]


def test_no_items_are_no_results(engine):
    assert list(engine(2).map(work.square, [])) == []


def test_an_error_belongs_to_its_item(engine):
    completed = {one.item: one for one in engine(2).map(work.fail_at_two, range(4))}

    assert isinstance(completed[2].error, ValueError)
    assert completed[2].value is None
    assert [completed[n].result() for n in (0, 1, 3)] == [0, 1, 3]
    with pytest.raises(ValueError, match="two is bad"):
        completed[2].result()


def test_none_is_a_result(engine):
    (completed,) = engine(1).map(work.nothing, [1])

    assert completed.error is None
    assert completed.result() is None


def test_the_very_item_comes_back(engine):
    item = {"not": ["hashable"]}

    (completed,) = engine(1).map(str, [item])

    assert completed.item is item
    assert completed.result() == str(item)


def test_results_come_as_they_complete(engine):
    with closing(engine(2).map(work.sleep, [1.0, 0.0, 0.0])) as results:
        assert [one.item for one in results] == [0.0, 0.0, 1.0]


def test_items_are_taken_as_workers_come_free(engine):
    taken = []

    def endless():
        for n in count():
            taken.append(n)
            yield n

    results = engine(2).map(work.square, endless())
    assert taken == []
    for _ in range(5):
        next(results)
    results.close()

    assert len(taken) <= 5 + 2 + 1


def test_an_error_of_the_items_ends_the_map(engine):
    def items():
        yield 1
        raise LookupError("no more pages")

    with pytest.raises(LookupError, match="no more pages"):
        list(engine(1).map(work.square, items()))


def test_an_engine_serves_again(engine):
    one = engine(2)

    assert {c.result() for c in one.map(work.square, [1, 2])} == {1, 4}
    assert {c.result() for c in one.map(work.nothing, [1, 2])} == {None}
