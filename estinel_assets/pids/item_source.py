"""Items that are announced elsewhere, as the product line sees them."""

from enum import StrEnum
from typing import Any, Final, Protocol

from estinel_assets.errors import PermanentError
from estinel_assets.pids.plugins import LookedUp, VersionQuery

MAX_VERSIONS: Final = 1000
"""Most items that an answer to a `VersionQuery` may hold."""


class ItemFault(StrEnum):
    """What may go wrong with the STAC API, in the words that reasons use."""

    UNAVAILABLE = "stac_unavailable"
    REFUSED = "stac_refused"


class ItemSource(Protocol):
    """Looks up items. Safe to share between threads."""

    def item(self, collection_id: str, item_id: str) -> dict[str, Any] | None:
        """An item as it stands; None where there is none.

        Raises:
            RetryableError: the API failed until the end (`stac_unavailable`).
            PermanentError: it refuses, gives something else than the item, or no API can have an
                item of such an id (`stac_refused`).
        """

    def versions(self, query: VersionQuery) -> LookedUp:
        """All versions of a dataset that there are, by the ids of their items, sorted.

        A version's id is that of the dataset, a dot, and what begins with a digit or a letter.

        Returns:
            None of them where there are none, which is no error.

        Raises:
            RetryableError: the API failed until the end (`stac_unavailable`).
            PermanentError: it refuses, cannot look for ids, finds more than 1,000 items, or no API
                can have items of such an id (`stac_refused`).
        """

    def probe(self) -> None:
        """Ask for something, to see whether items can be looked up; it changes nothing.

        Raises:
            RetryableError: it does not answer (`stac_unavailable`).
            PermanentError: it refuses, is no STAC API, or cannot look for ids (`stac_refused`).
        """

    def close(self) -> None:
        """Close connections; nothing can be asked afterwards."""


def check_ids(*ids: str) -> None:
    """Make sure that an API can be asked for items, datasets or collections of such ids.

    Some APIs break when they are asked for others, which would look like an outage.

    Raises:
        PermanentError: one is empty, `.`, `..`, or holds what cannot be printed (`stac_refused`).
    """
    for one in ids:
        if one in ("", ".", "..") or not one.isprintable():
            raise PermanentError(
                ItemFault.REFUSED,
                f"no STAC API can have anything of the id {one[:200]!r}: announce it by another id",
            )
