"""A message as its outcome keeps it, and back: nothing is lost on the way. Pure.

Bytes are kept as text where they are UTF-8, else as `{"base64": …}`.
"""

from base64 import b64decode, b64encode
from datetime import datetime
from hashlib import sha256
from typing import Any

from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.incoming import IncomingMessage

MESSAGE = "message"
"""Under which word of its detail an outcome keeps the message."""
RETRIES = "retries"
"""Under which word an outcome says how often the message was tried again; absent for never."""
SKIPPED = "skipped"
"""Under which word an outcome says that work went on without the message."""
FILES = "files"
"""First part of the key of a message of which only the body is known."""

Kept = str | dict[str, str] | None
"""Bytes as JSON can hold them."""


def describe_message(message: IncomingMessage) -> dict[str, Any]:
    """What an outcome keeps of a message, so that it can be tried again; JSON values only."""
    time = message.received_at
    return {
        "key": kept_bytes(message.key),
        "headers": [[name, kept_bytes(value)] for name, value in message.headers],
        "time": None if time is None else time.isoformat(),
        "body": kept_bytes(message.body),
    }


def message_of(outcome: Outcome) -> IncomingMessage | None:
    """The message of an outcome; None where the outcome does not keep it.

    Its `retries` are those that the outcome counts; another attempt is one more.
    """
    kept = outcome.detail.get(MESSAGE)
    if kept is None:
        return None
    return IncomingMessage(
        unit=outcome.key,
        body=bytes_of(kept["body"]),
        key=bytes_of(kept["key"]),
        headers=tuple((name, bytes_of(value)) for name, value in kept["headers"]),
        received_at=None if kept["time"] is None else datetime.fromisoformat(kept["time"]),
        retries=outcome.detail.get(RETRIES, 0),
    )


def fingerprint(message: IncomingMessage) -> str:
    """What tells a message's body from others: its SHA-256, in hex."""
    return sha256(message.body or b"").hexdigest()


def unit_of_body(body: bytes | None) -> Key:
    """The key of the outcome of a message of which only the body is known."""
    return FILES, sha256(body or b"").hexdigest()


def kept_bytes(value: bytes | None) -> Kept:
    """Bytes as JSON can hold them."""
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode("ascii")}


def bytes_of(kept: Kept) -> bytes | None:
    """The bytes that `kept_bytes` made this of.

    Raises:
        ValueError: it made this of no bytes.
    """
    if kept is None:
        return None
    if isinstance(kept, str):
        return kept.encode("utf-8")
    if isinstance(kept, dict) and isinstance(kept.get("base64"), str):
        return b64decode(kept["base64"], validate=True)
    raise ValueError("bytes are kept as a text or as an object with `base64`")
