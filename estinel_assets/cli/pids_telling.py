"""How the commands of `estinel pids` speak of messages."""

from typing import TYPE_CHECKING, Any

from estinel_assets.cli.output import printable

if TYPE_CHECKING:
    from estinel_assets.outcomes.record import Outcome

MOST_CHARACTERS = 500
"""Of an error that is shown; JSON has it whole."""


def messages(count: int) -> str:
    """So many messages."""
    return f"{count} message{'' if count == 1 else 's'}"


def message_document(outcome: "Outcome") -> dict[str, Any]:
    """A message and how it ended, for JSON."""
    topic, partition, offset = outcome.key if len(outcome.key) == 3 else (None, None, None)
    return {
        "key": list(outcome.key),
        "topic": topic,
        "partition": None if partition is None else int(partition),
        "offset": None if offset is None else int(offset),
        "item_id": outcome.detail.get("item_id"),
        "reason": outcome.reason,
        "error": outcome.error,
    }


def told_message(outcome: "Outcome") -> str:
    """A message and how it ended, on one line."""
    where = "the message " + "/".join(outcome.key)
    if len(outcome.key) == 3:
        topic, partition, offset = outcome.key
        where = f"the message at offset {offset} of partition {partition} of {topic}"
    error = printable(outcome.error or "")
    if len(error) > MOST_CHARACTERS:
        error = f"{error[:MOST_CHARACTERS]}…"
    return f"{where}: {outcome.reason}: {error}"
