"""Messages that announce CMIP6+ records: a full item, or a JSON Patch of one.

Fields that are not named here are kept as they came.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json, to_json

from estinel_assets.errors import PermanentError
from estinel_assets.pids.reasons import PidReason

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Longest message that is read, in bytes."""
MAX_ID_LENGTH = 1024
"""Longest id of an item or collection, in characters."""
_SHOWN_PROBLEMS = 10

_PATCH = "PATCH"

Name = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]


def parse_time(value: object) -> datetime | None:
    """Read a time as messages write it: ISO 8601, with a `T` or a space, with a zone or without.

    Args:
        value: the text; None where there is none.

    Returns:
        The time, naive where the text names no zone.

    Raises:
        ValueError: it is not such a text.
    """
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("a time is a text in ISO 8601") from None


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Item(_Part):
    """A STAC item, as far as handles need it."""

    id: Name
    properties: dict[str, Any] = Field(default_factory=dict)
    assets: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        """Refuse what was decoded from JSON and cannot be written again, as half a character."""
        to_json([self.properties, self.assets])
        return self


class Metadata(_Part):
    """About the message itself."""

    time: Annotated[datetime | None, BeforeValidator(parse_time)] = None
    """When the record was published; naive where the message names no zone."""


class FullItemPayload(_Part):
    """A whole item."""

    method: Literal["POST", "PUT"] = "POST"
    collection_id: Name | None = None
    item: Item


class Patch(_Part):
    """A JSON Patch (RFC 6902)."""

    operations: list[Any]
    """Its operations, unchecked: what is wrong with one is found when the patch is applied."""


class PatchPayload(_Part):
    """A change of an item that the STAC API has."""

    method: Literal["PATCH"]
    collection_id: Name
    item_id: Name
    patch: Patch


class FullItemBody(_Part):
    """The `data` of a message with a whole item."""

    type: Literal["STAC"] = "STAC"
    payload: FullItemPayload


class PatchBody(_Part):
    """The `data` of a message with a patch."""

    type: Literal["STAC"] = "STAC"
    payload: PatchPayload


class FullItemMessage(_Part):
    """A message that brings a whole item."""

    data: FullItemBody
    metadata: Metadata = Field(default_factory=Metadata)


class PatchMessage(_Part):
    """A message that changes an item."""

    data: PatchBody
    metadata: Metadata = Field(default_factory=Metadata)


Message = FullItemMessage | PatchMessage


def parse_message(body: bytes | None, *, max_bytes: int = MAX_MESSAGE_BYTES) -> Message:
    """Read a message.

    Args:
        body: its bytes, JSON in UTF-8; None for a message without a value.
        max_bytes: longest message that is read.

    Returns:
        The message, in the form that its method says; without a method it brings a whole item.

    Raises:
        PermanentError: it is no message; the reason is `invalid_message`.
    """
    if not body:
        raise _invalid("it is empty")
    if len(body) > max_bytes:
        raise _invalid(
            f"it has {len(body)} bytes, and the longest that is read has {max_bytes}: "
            "raise the limit, or announce fewer files at once"
        )
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _invalid(f"it is not JSON: {error}") from error
    return read_message(document)


def read_message(document: object) -> Message:
    """Read a message that is decoded already, such as one that was kept for another attempt.

    Raises:
        PermanentError: it is no message; the reason is `invalid_message`.
    """
    if not isinstance(document, dict):
        raise _invalid("it is not a JSON object")
    try:
        if _method(document) == _PATCH:
            return PatchMessage.model_validate(document)
        return FullItemMessage.model_validate(document)
    except ValidationError as error:
        raise _invalid(problems_of(error)) from error


def problems_of(error: ValidationError) -> str:
    """What pydantic found, without the values: where and what, the first ten."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [
        f"{'.'.join(str(part)[:80] for part in one['loc']) or 'it'}: {one['msg']}"
        for one in found[:_SHOWN_PROBLEMS]
    ]
    if len(found) > len(shown):
        shown.append(f"and {len(found) - len(shown)} more")
    return "; ".join(shown)


def _method(document: dict[str, Any]) -> object:
    body = document.get("data")
    payload = body.get("payload") if isinstance(body, dict) else None
    return payload.get("method") if isinstance(payload, dict) else None


def _invalid(problem: str) -> PermanentError:
    return PermanentError(PidReason.INVALID_MESSAGE, f"the message cannot be used: {problem}")
