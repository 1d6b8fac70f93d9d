"""A `StacTarget` in memory, for tests of what is built on that port."""

import copy
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from estinel_assets.errors import PermanentError, SourceFault
from estinel_assets.publishing.model import JsonObject


class MemoryStac:
    """Collections and items as an API keeps them; it passes the contract tests of the port."""

    def __init__(self) -> None:
        self.stored: dict[str, JsonObject] = {}
        self.stored_items: dict[str, dict[str, JsonObject]] = {}

    def collection(self, collection_id: str) -> JsonObject | None:
        return copy.deepcopy(self.stored.get(collection_id))

    def create_collection(self, collection: Mapping[str, Any]) -> None:
        name = collection["id"]
        if name in self.stored and self.stored[name] != collection:
            raise PermanentError(SourceFault.UNAVAILABLE, f"collection {name} exists already")
        self.replace_collection(collection)

    def replace_collection(self, collection: Mapping[str, Any]) -> None:
        self.stored[collection["id"]] = _copied(collection)
        self.stored_items.setdefault(collection["id"], {})

    def delete_collection(self, collection_id: str) -> None:
        self.stored.pop(collection_id, None)
        self.stored_items.pop(collection_id, None)

    def has_items(self, collection_id: str) -> bool:
        return bool(self.stored_items.get(collection_id))

    def items(self, collection_id: str, item_ids: Collection[str]) -> dict[str, JsonObject]:
        found = self.stored_items.get(collection_id, {})
        return {name: copy.deepcopy(found[name]) for name in item_ids if name in found}

    def create_items(self, collection_id: str, items: Sequence[Mapping[str, Any]]) -> None:
        found = self._items_of(collection_id)
        taken = [one["id"] for one in items if found.get(one["id"], one) != one]
        self._write(found, [one for one in items if one["id"] not in found])
        if taken:
            raise PermanentError(
                SourceFault.UNAVAILABLE, f"other items of {collection_id} stand: {taken}"
            )

    def replace_items(self, collection_id: str, items: Sequence[Mapping[str, Any]]) -> None:
        self._write(self._items_of(collection_id), items)

    def delete_items(self, collection_id: str, item_ids: Collection[str]) -> None:
        for name in item_ids:
            self.stored_items.get(collection_id, {}).pop(name, None)

    def all_items(self, collection_id: str) -> Iterator[JsonObject]:
        for name in sorted(self.stored_items.get(collection_id, {})):
            yield copy.deepcopy(self.stored_items[collection_id][name])

    def probe(self) -> None:
        return

    def close(self) -> None:
        return

    def _items_of(self, collection_id: str) -> dict[str, JsonObject]:
        try:
            return self.stored_items[collection_id]
        except KeyError:
            raise PermanentError(
                SourceFault.NOT_FOUND, f"there is no collection {collection_id}"
            ) from None

    def _write(self, found: dict[str, JsonObject], items: Sequence[Mapping[str, Any]]) -> None:
        for one in items:
            found[one["id"]] = _copied(one)


def _copied(document: Mapping[str, Any]) -> JsonObject:
    copied: JsonObject = json.loads(json.dumps(document))
    return copied
