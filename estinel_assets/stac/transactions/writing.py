"""Writing items: in bulk where the API can, halved where a call fails, and always read back.

A call's own answer decides nothing about an item. After each bulk call the items are read back:
those that stand as they were to be written are done, and the rest goes on in halves, down to
single items. So a lost answer, a bulk of which the API took only some, and one bad item among
many come to the same: whatever can stand stands, and the others are known by name.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx

from estinel_assets.errors import (
    BadInputError,
    PermanentError,
    RetryableError,
    SourceFault,
    UnitError,
)
from estinel_assets.stac.transactions.calls import UNADDRESSABLE, StacCalls
from estinel_assets.stac.transactions.documents import difference
from estinel_assets.stac.transactions.limits import Threads
from estinel_assets.stac.transactions.reading import IDS_AT_ONCE, StacReader, in_chunks
from estinel_assets.transport import HttpStatusError

NAMED: Final = 20
"""Items that a message names."""
HOPELESS: Final = 20
"""After so many items that fail although they were tried again, the rest is not tried."""

_ABSENT = frozenset({404, 410})
_CONFLICT = frozenset({409})
_NO_BULK = frozenset({404, 405, 501})

Item = Mapping[str, Any]


@dataclass(slots=True)
class _Work:
    """One call of `write`, as far as it got."""

    collection_id: str
    items: Mapping[str, Item]
    """By id."""
    replacing: bool
    rounds: int = 0
    faults: dict[str, UnitError] = field(default_factory=dict)

    @property
    def hopeless(self) -> bool:
        return is_hopeless(self.faults)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of one batch."""

    left: Sequence[str] = ()
    """Ids that do not stand yet."""
    faults: Mapping[str, UnitError] = field(default_factory=dict)


class StacWriter:
    """Writes items. Safe to share between threads."""

    def __init__(
        self, calls: StacCalls, reader: StacReader, threads: Threads, *, bulk_items: int
    ) -> None:
        """Nothing is asked yet.

        Args:
            calls: to the API.
            reader: of the same API.
            threads: for what is done at once.
            bulk_items: most items in one call; 1 for single items only.
        """
        self._calls = calls
        self._reader = reader
        self._threads = threads
        self._bulk_items = bulk_items
        self._bulk = bulk_items > 1

    def write(self, collection_id: str, items: Iterable[Item], *, replacing: bool) -> None:
        """Make items stand.

        Args:
            collection_id: of all of them.
            items: each id once.
            replacing: in place of what stands; else what stands must be the same.

        Raises:
            PermanentError: the API refuses items, or others of their ids stand; the first 20 are
                named, and all the rest stand. Or it refuses the key.
            RetryableError: the API failed until the end; some may stand.
            BadInputError: an item has no id, another collection, or the id of another one.
        """
        work = _Work(collection_id, _by_id(collection_id, items), replacing)
        batches = in_chunks(list(work.items), self._bulk_items)
        while batches and not work.hopeless:
            batches = self._round(work, batches)
        if work.faults:
            done = "replaced" if replacing else "created"
            raise failed_items(work.faults, f"{done} in collection {collection_id!r}")

    def _round(self, work: _Work, batches: list[list[str]]) -> list[list[str]]:
        """Try each batch once; the batches of the next round."""
        work.rounds += 1
        if not self._bulk:
            batches = [[item_id] for batch in batches for item_id in batch]
        # At first also a single item goes in bulk: APIs change less of it on that way.
        fewest = 1 if self._bulk and work.rounds == 1 else 2
        singles = [batch for batch in batches if len(batch) < fewest]
        left = self._each(
            work, self._try_bulk, [batch for batch in batches if len(batch) >= fewest]
        )
        self._each(work, self._try_one, singles)
        if not work.hopeless:
            taken = [item_id for (item_id,) in singles if item_id not in work.faults]
            self._each(work, self._confirm, in_chunks(taken, IDS_AT_ONCE))
        return [half for batch in left for half in in_chunks(batch, -(-len(batch) // 2))]

    def _each(
        self, work: _Work, attempt: Callable[[_Work, list[str]], _Tried], batches: list[list[str]]
    ) -> list[Sequence[str]]:
        """Try batches, several at once, as long as there is hope; what is left of them."""
        left: list[Sequence[str]] = []
        with closing(self._threads.each(partial(attempt, work), batches)) as each:
            for _, tried in each:
                if isinstance(tried, UnitError):
                    raise tried
                work.faults.update(tried.faults)
                if tried.left:
                    left.append(tried.left)
                if work.hopeless:
                    break
        return left

    def _try_bulk(self, work: _Work, ids: list[str]) -> _Tried:
        if not self._bulk:
            return _Tried(ids)
        items = {item_id: work.items[item_id] for item_id in ids}
        method = "upsert" if work.replacing else "insert"
        answer = None
        try:
            answer = self._calls.send(
                "POST",
                self._calls.url("collections", work.collection_id, "bulk_items"),
                body={"items": items, "method": method},
                hand_back=_NO_BULK,
                # What follows a failure is tried again anyway, in halves.
                impatient=work.rounds > 1,
            )
        except HttpStatusError:
            self._must_exist(work.collection_id)
            self._bulk = False
            return _Tried(ids)
        except BadInputError:
            faults = _unsendable(items)
            if not faults:
                raise
            return _Tried([item_id for item_id in ids if item_id not in faults], faults)
        except UnitError as error:
            if error.reason == SourceFault.FORBIDDEN:
                raise
        if answer is not None and not work.replacing and _claims_all(answer, ids):
            # Whatever stood before would have been a conflict.
            there = self._reader.ids_in_turn(work.collection_id, ids)
            return _Tried([item_id for item_id in ids if item_id not in there])
        standing = self._reader.items_in_turn(work.collection_id, ids)
        if answer is None and not standing:
            self._must_exist(work.collection_id)
        return self._judge(work, ids, standing)

    def _judge(self, work: _Work, ids: list[str], standing: Mapping[str, Item]) -> _Tried:
        """What of a bulk stands, and what may not."""
        left: list[str] = []
        faults: dict[str, UnitError] = {}
        for item_id in ids:
            if item_id not in standing:
                left.append(item_id)
            elif where := self._difference(work, item_id, standing[item_id]):
                if work.replacing:
                    left.append(item_id)
                else:
                    faults[item_id] = _another_stands(where)
        return _Tried(left, faults)

    def _try_one(self, work: _Work, ids: list[str]) -> _Tried:
        (item_id,) = ids
        item = work.items[item_id]
        try:
            if work.replacing:
                self._replace(work.collection_id, item_id, item)
            else:
                self._create(work, item_id)
        except BadInputError:
            faults = _unsendable({item_id: item})
            if not faults:
                raise
            return _Tried(faults=faults)
        except UnitError as error:
            if error.reason == SourceFault.FORBIDDEN:
                raise
            if isinstance(error, RetryableError) and self._stands(work, item_id):
                return _Tried()
            return _Tried(faults={item_id: error})
        return _Tried()

    def _create(self, work: _Work, item_id: str) -> None:
        url = self._calls.url("collections", work.collection_id, "items")
        try:
            self._calls.send("POST", url, body=work.items[item_id], hand_back=_CONFLICT)
        except HttpStatusError as conflict:
            standing = self._reader.item(work.collection_id, item_id)
            if standing is None:
                raise RetryableError(
                    SourceFault.UNAVAILABLE, f"{conflict}, but no such item stands"
                ) from None
            if where := self._difference(work, item_id, standing):
                raise _another_stands(where) from None

    def _replace(self, collection_id: str, item_id: str, item: Item) -> None:
        items = self._calls.url("collections", collection_id, "items")
        url = self._calls.url("collections", collection_id, "items", item_id)
        try:
            self._calls.send("PUT", url, body=item, hand_back=_ABSENT)
        except HttpStatusError:
            try:
                self._calls.send("POST", items, body=item, hand_back=_CONFLICT)
            except HttpStatusError:  # its answer was lost, or another worker was faster
                self._calls.send("PUT", url, body=item)

    def _confirm(self, work: _Work, ids: list[str]) -> _Tried:
        """Make sure that single items stand which the API says it took."""
        found = self._reader.items_in_turn(work.collection_id, ids)
        faults: dict[str, UnitError] = {}
        for item_id in ids:
            if item_id in found and not self._difference(work, item_id, found[item_id]):
                continue
            # A search may lag behind.
            standing = self._reader.item(work.collection_id, item_id)
            if standing is None:
                faults[item_id] = RetryableError(
                    SourceFault.CORRUPT, "the API took it, and it does not stand"
                )
            elif where := self._difference(work, item_id, standing):
                faults[item_id] = RetryableError(
                    SourceFault.CORRUPT,
                    f"the API took it, and it differs from what was written, in {where}",
                )
        return _Tried(faults=faults)

    def _stands(self, work: _Work, item_id: str) -> bool:
        """Whether an item stands although every answer was lost."""
        standing = self._reader.item(work.collection_id, item_id)
        if standing is None:
            self._must_exist(work.collection_id)
            return False
        return self._difference(work, item_id, standing) is None

    def _difference(self, work: _Work, item_id: str, standing: Item) -> str | None:
        return difference(work.items[item_id], standing, root=self._calls.root)

    def _must_exist(self, collection_id: str) -> None:
        if self._reader.collection(collection_id) is None:
            raise PermanentError(
                SourceFault.NOT_FOUND,
                f"there is no collection {collection_id!r} in the STAC API: create it first",
            )


def failed_items(faults: Mapping[str, UnitError], what: str) -> UnitError:
    """One error for all items that failed; it names the first 20 of them.

    Args:
        faults: why each of them failed, by id.
        what: should have been done, such as `deleted from collection 'c'`.

    Returns:
        A PermanentError where any of them is one.
    """
    shown = "; ".join(f"{item_id!r}: {error}" for item_id, error in list(faults.items())[:NAMED])
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    rest = "; the rest was not tried" if is_hopeless(faults) else ""
    items = "1 item was" if len(faults) == 1 else f"{len(faults)} items were"
    permanent = [error for error in faults.values() if isinstance(error, PermanentError)]
    error = permanent[0] if permanent else next(iter(faults.values()))
    return type(error)(error.reason, f"{items} not {what}: {shown}{more}{rest}")


def is_hopeless(faults: Mapping[str, UnitError]) -> bool:
    """Whether so many items failed for the API's own sake that more would fail as well."""
    return sum(isinstance(error, RetryableError) for error in faults.values()) >= HOPELESS


def _by_id(collection_id: str, items: Iterable[Item]) -> dict[str, Item]:
    """Items by id, each with its collection.

    Raises:
        BadInputError: naming every item that cannot be written.
    """
    found: dict[str, Item] = {}
    problems: list[str] = []
    for item in items:
        item_id = item.get("id")
        if not isinstance(item_id, str) or item_id in UNADDRESSABLE:
            problems.append(f"{item_id!r} cannot be the id of an item")
        elif item_id in found:
            problems.append(f"two items have the id {item_id!r}")
        elif item.get("collection", collection_id) != collection_id:
            problems.append(f"item {item_id!r} belongs to collection {item['collection']!r}")
        else:
            found[item_id] = {**item, "collection": collection_id}
    if problems:
        raise BadInputError(
            f"items cannot be written to collection {collection_id!r}:\n  " + "\n  ".join(problems)
        )
    return found


def _claims_all(answer: httpx.Response, ids: Sequence[str]) -> bool:
    """Whether the API says that it added each item itself."""
    try:
        said = answer.json()
    except ValueError:
        return False
    return (
        isinstance(said, dict)
        and said.get("success") == len(ids)
        and not said.get("skipped")
        and not said.get("errors")
    )


def _another_stands(where: str) -> PermanentError:
    return PermanentError(SourceFault.UNAVAILABLE, f"another item of this id stands ({where})")


def _unsendable(items: Mapping[str, Item]) -> dict[str, UnitError]:
    """The items that JSON cannot say, such as those with a NaN."""
    faults: dict[str, UnitError] = {}
    for item_id, item in items.items():
        try:
            json.dumps(item, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            faults[item_id] = PermanentError(SourceFault.CORRUPT, f"it is no JSON: {error}")
    return faults
