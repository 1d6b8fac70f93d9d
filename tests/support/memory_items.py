"""An `ItemSource` in memory, for tests of what is built on that port."""

import copy
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from estinel_assets.errors import PermanentError, UnitError
from estinel_assets.pids.item_source import MAX_VERSIONS, ItemFault, check_ids
from estinel_assets.pids.plugins import LookedUp, VersionQuery


class MemoryItems:
    """Items as an API has them; it passes the contract tests of the port."""

    def __init__(
        self, items: Iterable[Mapping[str, Any]] = (), *, collection: str | None = None
    ) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._items: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._error: UnitError | None = None
        self.asked: list[str] = []
        """Ids of items and datasets that were asked for, oldest first."""
        for item in items:
            self.put(item)

    def put(self, item: Mapping[str, Any]) -> None:
        """Add an item, or replace it."""
        with self._lock:
            self._items[item["collection"], item["id"]] = copy.deepcopy(item)

    def fail(self, error: UnitError | None) -> None:
        """Raise this whatever is asked, until told otherwise by None."""
        self._error = error

    def item(self, collection_id: str, item_id: str) -> dict[str, Any] | None:
        self._ask(item_id)
        check_ids(collection_id, item_id)
        with self._lock:
            found = self._items.get((collection_id, item_id))
            return None if found is None else copy.deepcopy(dict(found))

    def versions(self, query: VersionQuery) -> LookedUp:
        self._ask(query.dataset_id)
        check_ids(query.dataset_id)
        wanted = query.collection_id or self._collection
        with self._lock:
            found = {
                item_id
                for collection_id, item_id in self._items
                if wanted in (None, collection_id) and item_id.startswith(f"{query.dataset_id}.")
            }
        if len(found) > MAX_VERSIONS:
            raise PermanentError(ItemFault.REFUSED, f"more than {MAX_VERSIONS} items")
        return LookedUp(tuple(sorted(found)))

    def probe(self) -> None:
        self._ask("")

    def close(self) -> None:
        return

    def _ask(self, name: str) -> None:
        with self._lock:
            self.asked.append(name)
            if self._error is not None:
                raise self._error
