"""What a message announces, whichever form it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from estinel_assets.errors import PermanentError
from estinel_assets.pids.messages import FullItemMessage, Item, Message
from estinel_assets.pids.patches import patch_item
from estinel_assets.pids.reasons import PidReason


@dataclass(frozen=True, slots=True)
class Announcement:
    """An item, and when it was announced."""

    item: Item
    collection_id: str | None
    """As the message says; None where it says nothing."""
    announced_at: datetime | None
    """As the message says, naive where it names no zone, else when the broker took it; None where
    neither is known."""
    patched: bool = False


def announce(
    message: Message,
    *,
    stored: Mapping[str, Any] | None = None,
    received_at: datetime | None = None,
) -> Announcement:
    """Bring a message's item and time together.

    Args:
        message: either form.
        stored: for a patch, the item as the STAC API has it; None where it has none.
        received_at: when the broker took the message, for one that does not say when it is from.

    Returns:
        The announcement.

    Raises:
        PermanentError: the patch cannot be applied (`invalid_patch`), or there is nothing to apply
            it to (`item_not_found`, `stac_refused`).
    """
    at = message.metadata.time or received_at
    if isinstance(message, FullItemMessage):
        full = message.data.payload
        return Announcement(full.item, full.collection_id, at)
    patch = message.data.payload
    if stored is None:
        raise PermanentError(
            PidReason.ITEM_NOT_FOUND,
            f"the STAC API has no item {patch.item_id} in {patch.collection_id}: "
            "send the whole item",
        )
    return Announcement(patch_item(message, stored), patch.collection_id, at, patched=True)
