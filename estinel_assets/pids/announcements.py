"""What a message announces, whichever form it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from estinel_assets.errors import PermanentError
from estinel_assets.outcomes.paths import Key
from estinel_assets.pids.messages import FullItemMessage, Item, Message
from estinel_assets.pids.patches import patch_item
from estinel_assets.pids.reasons import PidReason
from estinel_assets.pids.stamps import Stamp, stamp_of


@dataclass(frozen=True, slots=True)
class Announcement:
    """An item, and when it was announced."""

    item: Item
    collection_id: str | None
    """As the message says; None where it says nothing."""
    announced_at: datetime | None
    """As the message says, naive where it names no zone, else when the broker took it; None where
    neither is known."""
    stamp: Stamp
    """Decides whether its records are newer than those that stand."""
    patched: bool = False


def announce(
    message: Message,
    *,
    stored: Mapping[str, Any] | None = None,
    received_at: datetime | None = None,
    unit: Key = (),
) -> Announcement:
    """Bring a message's item and time together.

    Args:
        message: either form.
        stored: for a patch, the item as the STAC API has it; None where it has none.
        received_at: when the broker took the message; its stamp has the earlier time of this and
            the one that it says itself.
        unit: the key of the message's outcome, for the order of messages of one time.

    Returns:
        The announcement.

    Raises:
        PermanentError: the patch cannot be applied (`invalid_patch`), or there is nothing to apply
            it to (`item_not_found`, `stac_refused`).
    """
    at = message.metadata.time or received_at
    stamp = stamp_of(message.metadata.time, received_at, unit=unit)
    if isinstance(message, FullItemMessage):
        full = message.data.payload
        return Announcement(full.item, full.collection_id, at, stamp)
    patch = message.data.payload
    if stored is None:
        raise PermanentError(
            PidReason.ITEM_NOT_FOUND,
            f"the STAC API has no item {patch.item_id} in {patch.collection_id}: "
            "send the whole item",
        )
    item = patch_item(message, stored)
    return Announcement(item, patch.collection_id, at, stamp, patched=True)
