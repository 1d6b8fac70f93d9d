"""A STAC API with the Transaction extension, as publishing sees it."""

import contextlib
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Self

from estinel_assets.errors import PermanentError, RetryableError, SourceFault, UnitError
from estinel_assets.settings import TransportSettings
from estinel_assets.stac.transactions import probing
from estinel_assets.stac.transactions.calls import JsonObject, Key, StacCalls
from estinel_assets.stac.transactions.documents import difference
from estinel_assets.stac.transactions.limits import Pace, Threads
from estinel_assets.stac.transactions.reading import IDS_AT_ONCE, StacReader, in_chunks
from estinel_assets.stac.transactions.writing import StacWriter, failed_items, is_hopeless
from estinel_assets.transport import HttpStatusError, RetryPolicy

_ABSENT = frozenset({404, 410})
_CONFLICT = frozenset({409})


def _no_key() -> None:
    return None


def _unique_name() -> str:
    return uuid.uuid4().hex


class StacTransactions:
    """Reads and writes collections and items. Safe to share between threads.

    Documents come back as they were written, without the links that an API makes itself; what
    an API does not keep is said in `documents`. Every request has been tried again by the policy
    when an error comes out.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: RetryPolicy,
        timeout_s: float,
        at_once: int = 8,
        per_second: float | None = None,
        bulk_items: int = 500,
        key: Key = _no_key,
        key_header: str = "X-Api-Key",
        pace: Pace | None = None,
        name: Callable[[], str] = _unique_name,
    ) -> None:
        """Remember the address; nothing is asked yet.

        Args:
            url: root of the API, with or without a slash at its end.
            policy: decides about retries.
            timeout_s: longest wait for one answer, in seconds.
            at_once: requests in flight, from all threads together.
            per_second: most requests a second; None for no limit.
            bulk_items: most items in one request.
            key: asked anew for each request, so that a key may change; None for none.
            key_header: carries the key.
            pace: in place of the one that `per_second` describes.
            name: names what `probe` makes.

        Raises:
            BadInputError: the address cannot be used.
        """
        self._calls = StacCalls(
            url,
            policy=policy,
            timeout_s=timeout_s,
            at_once=at_once,
            pace=pace or Pace(per_second),
            key=key,
            key_header=key_header,
        )
        self._threads = Threads(at_once)
        self._reader = StacReader(self._calls, self._threads)
        self._writer = StacWriter(self._calls, self._reader, self._threads, bulk_items=bulk_items)
        self._name = name

    @classmethod
    def from_settings(
        cls,
        url: str,
        transport: TransportSettings,
        *,
        key: Key = _no_key,
        key_header: str = "X-Api-Key",
        at_once: int = 8,
        per_second: float | None = None,
        bulk_items: int = 500,
        policy: RetryPolicy | None = None,
    ) -> Self:
        """The API of the settings.

        Args:
            url: see `__init__`, as for all the rest.
            transport: time limits and retries.
            key: asked anew for each request.
            key_header: carries the key.
            at_once: requests in flight.
            per_second: most requests a second.
            bulk_items: most items in one request.
            policy: instead of the one that `transport` describes.
        """
        return cls(
            url,
            policy=policy or RetryPolicy.from_settings(transport),
            timeout_s=transport.timeout_s,
            at_once=at_once,
            per_second=per_second,
            bulk_items=bulk_items,
            key=key,
            key_header=key_header,
        )

    def __repr__(self) -> str:
        """Without the key."""
        return f"{type(self).__name__}({self._calls!r})"

    def same_document(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether two documents say the same, whatever this API made of their form."""
        return difference(one, other, root=self._calls.root) is None

    def collection(self, collection_id: str) -> JsonObject | None:
        """A collection; None where there is none."""
        return self._reader.collection(collection_id)

    def create_collection(self, collection: Mapping[str, Any]) -> None:
        """Add a collection; the same one standing already is no error.

        Raises:
            PermanentError: another one of this id stands, or the API refuses.
            RetryableError: the API failed until the end.
        """
        url = self._calls.url("collections")
        try:
            self._calls.send("POST", url, body=collection, hand_back=_CONFLICT)
        except HttpStatusError as conflict:
            standing = self.collection(collection["id"])
            where = (
                f"({conflict})"
                if standing is None
                else difference(collection, standing, root=self._calls.root)
            )
            if where is not None:
                raise PermanentError(
                    SourceFault.UNAVAILABLE,
                    f"another collection {collection['id']!r} stands in the STAC API; "
                    f"it differs in {where}",
                ) from None

    def replace_collection(self, collection: Mapping[str, Any]) -> None:
        """Put a collection in place of the one that stands; add it where none does."""
        url = self._calls.url("collections", collection["id"])
        try:
            self._calls.send("PUT", url, body=collection, hand_back=_ABSENT)
        except HttpStatusError:
            self.create_collection(collection)

    def delete_collection(self, collection_id: str) -> None:
        """Delete a collection, with whatever items it has; an absent one is no error."""
        url = self._calls.url("collections", collection_id)
        with contextlib.suppress(HttpStatusError):
            try:
                self._calls.send("DELETE", url, hand_back=_ABSENT)
            except PermanentError as error:
                # Some APIs delete empty collections only.
                if error.reason == SourceFault.FORBIDDEN or not self.has_items(collection_id):
                    raise
                while ids := self._some_ids(collection_id):
                    self.delete_items(collection_id, ids)
                self._calls.send("DELETE", url, hand_back=_ABSENT)

    def has_items(self, collection_id: str) -> bool:
        """Whether a collection has any item."""
        return self._reader.has_items(collection_id)

    def items(self, collection_id: str, item_ids: Collection[str]) -> dict[str, JsonObject]:
        """The items of these ids that there are, by id."""
        return self._reader.items(collection_id, item_ids)

    def create_items(self, collection_id: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Add items, in bulk where the API can; the same ones standing already are no error.

        Raises:
            PermanentError: another item of an id stands, or the API refuses some; they are named,
                and the others stand.
            RetryableError: the API failed until the end; some may stand.
            BadInputError: an item has no id, another collection, or the id of another one.
        """
        self._writer.write(collection_id, items, replacing=False)

    def replace_items(self, collection_id: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Put items in place of those that stand; one that does not stand is added.

        Raises:
            PermanentError: the API refuses some; they are named, and the others stand.
            RetryableError: the API failed until the end; some may stand.
            BadInputError: as for `create_items`.
        """
        self._writer.write(collection_id, items, replacing=True)

    def delete_items(self, collection_id: str, item_ids: Collection[str]) -> None:
        """Delete items, many at once; absent ones are no error.

        Raises:
            PermanentError: the API refuses to delete some; they are named.
            RetryableError: the API failed until the end. After 20 such items the rest is not
                tried.
        """
        faults: dict[str, UnitError] = {}
        absent: list[str] = []
        ids = list(dict.fromkeys(item_ids))
        with contextlib.closing(
            self._threads.each(partial(self._delete_item, collection_id), ids)
        ) as each:
            for item_id, stood in each:
                if isinstance(stood, UnitError):
                    if stood.reason == SourceFault.FORBIDDEN:
                        raise stood
                    faults[item_id] = stood
                elif not stood:
                    absent.append(item_id)
                if is_hopeless(faults):
                    break
        # An API may say "absent" because it cannot take the id in an address.
        for chunk in in_chunks(absent, IDS_AT_ONCE):
            for item_id in self._reader.items(collection_id, chunk):
                faults[item_id] = PermanentError(
                    SourceFault.UNAVAILABLE, "the API says that it is absent, and it stands"
                )
        if faults:
            raise failed_items(faults, f"deleted from collection {collection_id!r}")

    def all_items(self, collection_id: str) -> Iterator[JsonObject]:
        """All items of a collection, page by page; none where there is no collection."""
        return self._reader.all_items(collection_id)

    def probe(self) -> None:
        """Make sure that items can be written with our key, leaving nothing behind.

        Raises:
            RetryableError: the API cannot be reached, or fails.
            PermanentError: it has no Transaction extension, or refuses our key or what we write.
        """
        probing.probe(self._calls, name=self._name())

    def close(self) -> None:
        """Close the connections."""
        self._threads.close()
        self._calls.close()

    def _delete_item(self, collection_id: str, item_id: str) -> bool:
        """Delete an item; False where the API says that there is none."""
        url = self._calls.url("collections", collection_id, "items", item_id)
        try:
            self._calls.send("DELETE", url, hand_back=_ABSENT)
        except HttpStatusError:
            return False
        except RetryableError:
            if self._reader.item(collection_id, item_id) is not None:
                raise
        return True

    def _some_ids(self, collection_id: str) -> list[str]:
        """The ids of a page's worth of items."""
        return [item["id"] for item in islice(self.all_items(collection_id), IDS_AT_ONCE)]
