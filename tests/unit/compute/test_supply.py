"""Taking items from a source that may have none for now."""

import pytest

from estinel_assets.compute.supply import ASK_AGAIN_S, LATER, Supply


def test_no_more_is_taken_than_there_is_room_for():
    taken = []

    def items():
        for n in range(9):
            taken.append(n)
            yield n

    supply = Supply(items())

    assert taken == []
    assert list(supply.take(0)) == []
    assert taken == []
    assert list(supply.take(2)) == [0, 1]
    assert taken == [0, 1]
    assert supply.wait_s is None


def test_later_ends_the_taking_for_now():
    supply = Supply([1, LATER, 2, 3])

    assert list(supply.take(3)) == [1]
    assert supply.wait_s == ASK_AGAIN_S
    assert supply.more()
    assert list(supply.take(3)) == [2, 3]
    assert supply.wait_s is None
    assert not supply.more()


def test_an_ended_source_is_not_asked_again():
    asked = []

    class Source:
        def __iter__(self):
            return self

        def __next__(self):
            asked.append(1)
            raise StopIteration

    supply = Supply(Source())

    assert list(supply.take(5)) == []
    assert list(supply.take(5)) == []
    assert len(asked) == 1
    assert not supply.more()


def test_an_error_of_the_source_passes():
    def items():
        yield 1
        raise LookupError("page 2")

    with pytest.raises(LookupError, match="page 2"):
        list(Supply(items()).take(3))
