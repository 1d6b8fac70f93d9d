"""A `StacTarget` in memory, for tests of what is built on that port."""

import copy
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import shapely.geometry

from estinel_assets.errors import BadInputError, PermanentError, SourceFault
from estinel_assets.publishing.model import JsonObject
from estinel_assets.stac.transactions.documents import difference
from estinel_assets.stac.transactions.writing import failed_items


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
            told = difference(collection, self.stored[name])
            raise PermanentError(
                SourceFault.UNAVAILABLE, f"another collection {name!r} stands; it differs in {told}"
            )
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
        self._write(collection_id, items, replacing=False)

    def replace_items(self, collection_id: str, items: Sequence[Mapping[str, Any]]) -> None:
        self._write(collection_id, items, replacing=True)

    def delete_items(self, collection_id: str, item_ids: Collection[str]) -> None:
        for name in item_ids:
            _check_id(name)
            self.stored_items.get(collection_id, {}).pop(name, None)

    def all_items(self, collection_id: str) -> Iterator[JsonObject]:
        for name in sorted(self.stored_items.get(collection_id, {})):
            yield copy.deepcopy(self.stored_items[collection_id][name])

    def probe(self) -> None:
        return

    def close(self) -> None:
        return

    def _write(
        self, collection_id: str, items: Sequence[Mapping[str, Any]], *, replacing: bool
    ) -> None:
        for one in items:
            _check_id(one["id"])
        found = self.stored_items.get(collection_id)
        if found is None:
            raise PermanentError(SourceFault.NOT_FOUND, f"there is no collection {collection_id!r}")
        faults = {}
        for one in items:
            name = one["id"]
            if not replacing and found.get(name, one) != one:
                faults[name] = "another item stands"
            elif fault := _fault_of(one):
                faults[name] = fault
            else:
                found[name] = _copied(one)
        if faults:
            raise failed_items(
                {
                    name: PermanentError(SourceFault.UNAVAILABLE, fault)
                    for name, fault in faults.items()
                },
                f"created in collection {collection_id!r}",
            )


def _check_id(name: str) -> None:
    if name in ("", ".", ".."):
        raise BadInputError(f"{name!r} cannot be the id of an item")


def _fault_of(item: Mapping[str, Any]) -> str:
    """What an API has against an item; empty for nothing."""
    when = item["properties"].get("datetime")
    try:
        shapely.geometry.shape(item["geometry"])
        datetime.fromisoformat(when) if when is not None else None
    except (ValueError, TypeError, AttributeError) as error:
        return f"it is not valid ({type(error).__name__})"
    return ""


def _copied(document: Mapping[str, Any]) -> JsonObject:
    copied: JsonObject = json.loads(json.dumps(document))
    return copied
