"""What of a record has to be written or deleted, and what may be written at all; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.pids.ports import (
    ADMIN_TYPE,
    STAMP_INDEX,
    STAMP_TYPE,
    HandleFault,
    HandleRecord,
    HandleValue,
)
from estinel_assets.pids.stamps import Stamp

_FIRST_FREE = 2
"""Index 1 is for the URL by custom."""
_RESERVED = range(STAMP_INDEX, 200)
"""Indexes of the stamp and, by custom, of values that say who may change the handle."""
_FIRST_FOR_ADMINS = 100
_LAST_INDEX = 2**31 - 1
_LONGEST_HANDLE = 1024
_ADAPTERS_OWN = {ADMIN_TYPE: "the owner goes to the client", STAMP_TYPE: "the stamp goes with it"}
"""Types of values that only adapters write, and what a caller does in their place."""


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be done to a record; false where nothing has."""

    written: tuple[HandleValue, ...] = ()
    """At the indexes at which they are to stand."""
    deleted: tuple[int, ...] = ()
    """Indexes, sorted."""

    def __bool__(self) -> bool:
        return bool(self.written or self.deleted)


def check_handle(handle: str) -> None:
    """Refuse what cannot be a handle, or would be another one in an address.

    Raises:
        BadInputError: it is none.
    """
    prefix, _, suffix = handle.partition("/")
    if (
        not prefix
        or not suffix
        or len(handle) > _LONGEST_HANDLE
        or not handle.isprintable()
        or " " in handle
        or not {".", ".."}.isdisjoint(handle.split("/"))
        or handle.lower().startswith("hdl:")
    ):
        raise BadInputError(
            f"{handle[:200]!r} is no handle: it must be a prefix, a slash and a suffix, as in "
            f"21.T11148/1a2b, of at most {_LONGEST_HANDLE} characters, without spaces and without "
            "hdl: in front"
        )


def check_record(record: HandleRecord) -> None:
    """Refuse what cannot be registered; all problems are in one message.

    Raises:
        PermanentError: it cannot (`invalid_item`).
    """
    try:
        check_handle(record.handle)
    except BadInputError as error:
        raise PermanentError(HandleFault.INVALID, str(error)) from None
    problems = [] if record.values else ["it has no values"]
    seen: set[int] = set()
    for value in record.values:
        if not 1 <= value.index <= _LAST_INDEX:
            problems.append(f"{value.type!r}: {value.index} is no index")
        if value.index in seen:
            problems.append(f"{value.type!r}: another value has the index {value.index}")
        if not value.type:
            problems.append(f"the value at index {value.index} has no type")
        if not _is_unicode(value.type + value.data):
            problems.append(f"the value at index {value.index} is no Unicode text")
        seen.add(value.index)
    kinds = record.owned.union(value.type for value in record.values)
    problems += [
        f"{kind} is not for callers: {_ADAPTERS_OWN[kind]}"
        for kind in _ADAPTERS_OWN
        if kind in kinds
    ]
    if problems:
        raise PermanentError(
            HandleFault.INVALID, f"{record.handle} cannot be registered: {'; '.join(problems)}"
        )


def stamped(record: HandleRecord, stamp: Stamp) -> tuple[HandleValue, ...]:
    """All values that a record is to have but for that of its administrator."""
    taken = {value.index for value in record.values}
    index = next(index for index in count(STAMP_INDEX) if index not in taken)
    return *record.values, HandleValue(index, STAMP_TYPE, stamp.text())


def change_of(standing: Sequence[HandleValue], record: HandleRecord, stamp: Stamp) -> Change | None:
    """What has to be done so that a record is as announced.

    Args:
        standing: the values that stand.
        record: as it is to be.
        stamp: of the announcement.

    Returns:
        The change, an empty one where nothing is missing; None where what stands was announced
        later and stays. A standing stamp that cannot be read counts as older than all.
    """
    read = (Stamp.parse(value.data) for value in standing if value.type == STAMP_TYPE)
    if any(other is not None and other > stamp for other in read):
        return None
    return compare(standing, stamped(record, stamp), record.owned | {STAMP_TYPE})


def compare(
    standing: Sequence[HandleValue],
    wanted: Sequence[HandleValue],
    owned: frozenset[str] = frozenset(),
) -> Change:
    """What has to be written and deleted so that a record has the wanted values.

    Args:
        standing: the record's values.
        wanted: at different indexes.
        owned: types of which nothing else may stand.

    Returns:
        Values to write, at the index of a standing value of their type, else at their own, else,
        where a value of another type has that, at a free one; of several of one type, in any
        order. To delete, the indexes of what stands of the owned types and is none of the wanted.
        Nothing where the record is as it is to be.
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
    return Change(
        tuple(value for value in placed if taken.get(value.index) != value),
        tuple(sorted(index for index, value in left.items() if value.type in owned)),
    )


def admin_index(values: Sequence[HandleValue]) -> int:
    """An index for the value that says who may change the handle."""
    taken = {value.index for value in values}
    return next(index for index in count(_FIRST_FOR_ADMINS) if index not in taken)


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
    return (i for i in count(_FIRST_FREE) if i not in taken and i not in _RESERVED)
