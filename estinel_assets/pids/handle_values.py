"""What of a record has to be written, and what may be written at all; pure."""

from collections.abc import Iterator, Sequence
from itertools import count

from estinel_assets.errors import BadInputError
from estinel_assets.pids.ports import ADMIN_TYPE, HandleValue

_FIRST_FREE = 2
"""Index 1 is for the URL by custom."""
_FOR_ADMINS = range(100, 200)
"""Indexes of values that say who may change the handle, by custom."""
_LAST_INDEX = 2**31 - 1


def check_handle(handle: str) -> None:
    """Refuse what cannot be a handle, or would be another one in an address.

    Raises:
        BadInputError: it is none.
    """
    prefix, _, suffix = handle.partition("/")
    if (
        not prefix
        or not suffix
        or not handle.isprintable()
        or " " in handle
        or not {".", ".."}.isdisjoint(handle.split("/"))
        or handle.lower().startswith("hdl:")
    ):
        raise BadInputError(
            f"{handle[:200]!r} is no handle: it must be a prefix, a slash and a suffix, as in "
            "21.T11148/1a2b, without spaces and without hdl: in front"
        )


def check_values(handle: str, values: Sequence[HandleValue]) -> None:
    """Refuse values that cannot stand in one record; all problems are in one message.

    Raises:
        BadInputError: some cannot.
    """
    problems = [] if values else ["there are none"]
    seen: set[int] = set()
    for value in values:
        if not 1 <= value.index <= _LAST_INDEX:
            problems.append(f"{value.type}: {value.index} is no index")
        if value.index in seen:
            problems.append(f"{value.type}: another value has the index {value.index}")
        if not value.type:
            problems.append(f"the value at index {value.index} has no type")
        if not _is_unicode(value.type + value.data):
            problems.append(f"the value at index {value.index} is no Unicode text")
        if value.type == ADMIN_TYPE:
            problems.append(f"{ADMIN_TYPE} is not for callers: give the owner to the client")
        seen.add(value.index)
    if problems:
        raise BadInputError(f"the values of {handle} cannot be registered: {'; '.join(problems)}")


def differing(
    standing: Sequence[HandleValue], wanted: Sequence[HandleValue]
) -> tuple[HandleValue, ...]:
    """What has to be written so that a record has the wanted values.

    Args:
        standing: the record's values.
        wanted: at different indexes.

    Returns:
        Values at the indexes at which they are to be written: at that of a standing value of
        their type, else at their own, else, where a value of another type has that, at a free
        one. Nothing where the record has them all; of several of one type, in any order.
    """
    taken = {value.index: value for value in standing}
    places: dict[int, int] = {}  # of the wanted values, by their own indexes
    left = dict(taken)
    # What is right already is found first, so that nothing is written twice.
    for fits in (_is_equal, _says_the_same, _is_at_the_place, _is_of_the_type):
        for value in wanted:
            if value.index in places:
                continue
            there = next((left[i] for i in sorted(left) if fits(left[i], value)), None)
            if there is not None:
                places[value.index] = there.index
                del left[there.index]
    free = _free_indexes(set(taken) | {value.index for value in wanted})
    for value in wanted:
        if value.index not in places:
            places[value.index] = next(free) if value.index in taken else value.index
    placed = [HandleValue(places[value.index], value.type, value.data) for value in wanted]
    return tuple(value for value in placed if taken.get(value.index) != value)


def admin_index(values: Sequence[HandleValue]) -> int:
    """An index for the value that says who may change the handle."""
    taken = {value.index for value in values}
    return next(index for index in count(_FOR_ADMINS.start) if index not in taken)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True


def _is_equal(one: HandleValue, other: HandleValue) -> bool:
    return one == other


def _says_the_same(one: HandleValue, other: HandleValue) -> bool:
    return (one.type, one.data) == (other.type, other.data)


def _is_at_the_place(one: HandleValue, other: HandleValue) -> bool:
    return (one.type, one.index) == (other.type, other.index)


def _is_of_the_type(one: HandleValue, other: HandleValue) -> bool:
    return one.type == other.type


def _free_indexes(taken: set[int]) -> Iterator[int]:
    return (i for i in count(_FIRST_FREE) if i not in taken and i not in _FOR_ADMINS)
