"""The items of a `map`, taken as workers come free, by a source that may also say: not now."""

import time
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final, Generic, TypeVar

T = TypeVar("T")

ASK_AGAIN_S: Final = 0.1
"""How long an engine waits before it asks anew a source that had no item for now."""


class Later(Enum):
    """The type of `LATER`."""

    LATER = "later"


LATER: Final = Later.LATER
"""What an iterable of items yields where it has none for now, but may have one later.

An engine with a free worker asks again when an item has ended, and every `ASK_AGAIN_S` at least.
"""


class Supply(Generic[T]):
    """The items that are still to come."""

    def __init__(self, items: Iterable[T | Later]) -> None:
        """Args: items: where they come from; nothing is taken before it is asked for."""
        self._items = iter(items)
        self._ended = False
        self._later = False

    def take(self, room: int) -> Iterator[T]:
        """Yield up to so many items: fewer where there are none for now, or no more.

        An item is used, and put under way, before the next is taken.
        """
        self._later = False
        for _ in range(room):
            if self._ended:
                return
            try:
                item = next(self._items)
            except StopIteration:
                self._ended = True
                return
            if isinstance(item, Later):
                self._later = True
                return
            yield item

    @property
    def wait_s(self) -> float | None:
        """How long to wait for the end of an item before asking again; None for no limit."""
        return ASK_AGAIN_S if self._later else None

    def more(self) -> bool:
        """Whether to go on asking when nothing is under way; waits where the answer was `LATER`."""
        if self._later:
            time.sleep(ASK_AGAIN_S)
        return not self._ended
