"""JSON Patches (RFC 6902), applied to the items that they change."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jsonpatch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from estinel_assets.errors import PermanentError
from estinel_assets.pids.messages import Item, PatchMessage, problems_of
from estinel_assets.pids.reasons import PidReason

MAX_OPERATIONS = 1000
MAX_VALUES = 200_000
"""Most values that a patched item may hold; a patch that copies can double an item again and
again."""
MAX_DEPTH = 100
"""Deepest nesting of a patched item."""
_LONGEST_POINTER = 2000


class _Operation(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: str = Field(max_length=_LONGEST_POINTER)
    source: str = Field(default="", alias="from", max_length=_LONGEST_POINTER)


_OPERATIONS = TypeAdapter(list[_Operation])


def patch_item(message: PatchMessage, stored: Mapping[str, Any]) -> Item:
    """Apply a message's patch to the item that it changes.

    Args:
        message: the message.
        stored: the item as the STAC API has it; it is not changed.

    Returns:
        The item after the patch.

    Raises:
        PermanentError: the patch is not valid or does not fit (`invalid_patch`), or the STAC API
            gave another item than the one that the message names (`stac_refused`).
    """
    item_id = message.data.payload.item_id
    if stored.get("id") != item_id:
        raise PermanentError(
            PidReason.STAC_REFUSED,
            f"the STAC API gave the item {str(stored.get('id'))[:200]!r} for {item_id!r}",
        )
    patched = _apply(message.data.payload.patch.operations, stored, item_id)
    try:
        item = Item.model_validate(patched)
    except ValidationError as error:
        raise _invalid(item_id, f"what it leaves is no item: {problems_of(error)}") from error
    if item.id != item_id:
        raise _invalid(item_id, f"it changes the id to {item.id!r}: announce a new item instead")
    return item


def _apply(operations: Sequence[Any], stored: Mapping[str, Any], item_id: str) -> Any:
    if len(operations) > MAX_OPERATIONS:
        raise _invalid(
            item_id, f"it has {len(operations)} operations; at most {MAX_OPERATIONS} are applied"
        )
    try:
        _OPERATIONS.validate_python(operations)
    except ValidationError as error:
        raise _invalid(item_id, f"its operations: {problems_of(error)}") from error
    try:
        document: Any = copy.deepcopy(dict(stored))
        for number, operation in enumerate(operations):
            document = _step(document, operation, number, item_id)
    except RecursionError as error:
        raise _invalid(item_id, "it nests the item too deep") from error
    _check_shape(document, item_id)
    return document


def _step(document: Any, operation: dict[str, Any], number: int, item_id: str) -> Any:
    try:
        document = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise _invalid(
            item_id,
            f"operation {number} ({operation['op']} {operation['path'][:200]!r}): "
            f"{str(error)[:300]}",
        ) from error
    if operation["op"] == "copy":
        _check_shape(document, item_id)
    return document


def _check_shape(document: Any, item_id: str) -> None:
    values = 0
    stack = [(document, 1)]
    while stack:
        value, depth = stack.pop()
        values += 1
        if values > MAX_VALUES:
            raise _invalid(item_id, f"it leaves an item of more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise _invalid(item_id, f"it nests the item deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            stack.extend((one, depth + 1) for one in value.values())
        elif isinstance(value, list):
            stack.extend((one, depth + 1) for one in value)


def _invalid(item_id: str, problem: str) -> PermanentError:
    return PermanentError(
        PidReason.INVALID_PATCH, f"the patch of {item_id} cannot be applied: {problem}"
    )
