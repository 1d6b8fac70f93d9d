"""The form of the lines that keep messages for another attempt, both ways. Pure.

A line is the message's JSON with `__infos__` as its last field: when and why it failed or was
skipped, how often it was tried again, and, in lines of ours, where it came from. A message that is
no JSON object stands in `body_base64` of `__infos__`. Lines that the original wrote know nothing
of places and headers, and may carry the message's `key` beside its fields.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.message_records import FILES, bytes_of, kept_bytes, unit_of_body

INFOS = "__infos__"
_MARK = f', "{INFOS}": '
"""Between the message's own text and what is added to it."""
_BODY = "body_base64"


@dataclass(frozen=True, slots=True)
class LineContent:
    """What a line says."""

    message: IncomingMessage
    reason: str | None
    """Why it was kept; None where the line is the message alone."""


def kept_line(outcome: Outcome, message: IncomingMessage, *, skipped: bool) -> bytes:
    """The line of a message that failed or was skipped, with its newline.

    Args:
        outcome: of the message.
        message: with the retries that were made.
        skipped: whether work went on without it; else it failed.
    """
    timestamp = "skip_timestamp" if skipped else "failure_timestamp"
    infos = {
        timestamp: outcome.finished_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "retries": message.retries,
        "reason": outcome.reason,
        "error": outcome.error,
        **_origin(message),
    }
    return _line(message.body, infos)


def dump_line(message: IncomingMessage) -> bytes:
    """The line of a message as it came, with its newline.

    One that is no JSON object, or has a field `__infos__` of its own, gets an `__infos__` of ours.
    """
    text = _object_text(message.body)
    if text is None or INFOS in _parsed(text):
        return _line(message.body, _origin(message))
    return f"{text}\n".encode()


def read_line(line: bytes) -> LineContent:
    """Read a line of ours or of the original, of failures, skipped messages or a dump.

    Raises:
        BadInputError: it cannot be read; the message says why.
    """
    try:
        text = line.decode("utf-8").strip()
        document = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"it is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise BadInputError("it is not a JSON object")
    if INFOS not in document:
        body = text.encode()
        return LineContent(IncomingMessage(unit_of_body(body), body), None)
    infos = document.pop(INFOS)
    if not isinstance(infos, dict):
        raise BadInputError(f"its `{INFOS}` is not a JSON object")
    try:
        message = _ours(text, document, infos) or _originals(document, infos)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInputError(f"its `{INFOS}` is damaged ({error!r})") from None
    reason = infos.get("reason")
    return LineContent(message, None if reason is None else str(reason))


def _origin(message: IncomingMessage) -> dict[str, Any]:
    """Where a message came from, and what came with it."""
    at, time = message.position, message.received_at
    place: dict[str, Any] = {FILES: message.unit[-1]}
    if at is not None:
        place = {"topic": at.at.topic, "partition": at.at.partition, "offset": at.offset}
    return {
        **place,
        "key": kept_bytes(message.key),
        "headers": [[name, kept_bytes(value)] for name, value in message.headers],
        "time": None if time is None else time.isoformat(),
    }


def _line(body: bytes | None, infos: Mapping[str, Any]) -> bytes:
    text = _object_text(body)
    if text is None or body is None:
        added = {**infos, _BODY: None if body is None else b64encode(body).decode("ascii")}
        return f"{json.dumps({INFOS: added})}\n".encode()
    if text.encode() != body:
        infos = {**infos, _BODY: b64encode(body).decode("ascii")}
    return f"{text[:-1]}{_MARK}{json.dumps(infos)}}}\n".encode()


def _object_text(body: bytes | None) -> str | None:
    """A message as text in one line; None where it is no JSON object, or an empty one."""
    try:
        document = from_json(body or b"", allow_inf_nan=False)
        text = (body or b"").decode("utf-8")
    except ValueError:
        return None
    if not isinstance(document, dict) or not document:
        return None
    # Between the tokens of JSON a blank is as good as a line's end, and within them is none.
    return text.replace("\r", " ").replace("\n", " ").strip()


def _ours(
    text: str, document: Mapping[str, Any], infos: Mapping[str, Any]
) -> IncomingMessage | None:
    """The message of a line of ours; None where the line is the original's."""
    unit: Key
    if "topic" in infos:
        unit = _text(infos, "topic"), str(_count(infos, "partition")), str(_count(infos, "offset"))
    elif FILES in infos:
        unit = FILES, _text(infos, FILES)
    else:
        return None
    time = infos.get("time")
    return IncomingMessage(
        unit=unit,
        body=_body(text, document, infos),
        key=bytes_of(infos.get("key")),
        headers=tuple((str(name), bytes_of(value)) for name, value in infos.get("headers", ())),
        received_at=None if time is None else datetime.fromisoformat(time),
        retries=_count(infos, "retries"),
    )


def _body(text: str, document: Mapping[str, Any], infos: Mapping[str, Any]) -> bytes | None:
    """The message's bytes as they came; what was changed in the line by hand counts."""
    if _BODY in infos:
        kept = infos[_BODY]
        body = None if kept is None else b64decode(kept, validate=True)
        if not document or document == _without_infos(body or b""):
            return body
    head, _, tail = text.rpartition(_MARK)
    if head and _is_json(tail[:-1], infos):
        return f"{head}}}".encode()
    return _encoded(document)


def _originals(document: dict[str, Any], infos: Mapping[str, Any]) -> IncomingMessage:
    key = document.pop("key", None)
    body = _encoded(document)
    return IncomingMessage(
        unit=unit_of_body(body),
        body=body,
        key=None if key is None else str(key).encode(errors="surrogatepass"),
        retries=_count(infos, "retries"),
    )


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _without_infos(body: bytes) -> dict[str, Any]:
    return {name: value for name, value in from_json(body).items() if name != INFOS}


def _parsed(text: str) -> Any:
    """JSON as lines of ours have it, or as Python writes it, half characters included."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def _is_json(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return bool(_parsed(text) == expected)
    except ValueError:
        return False


def _text(infos: Mapping[str, Any], name: str) -> str:
    value = infos[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` is no text: {value!r}")
    return value


def _count(infos: Mapping[str, Any], name: str) -> int:
    value = infos.get(name, 0) if name == "retries" else infos[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"`{name}` is no number of 0 or more: {value!r}")
    return value
