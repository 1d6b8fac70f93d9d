"""What every engine promises."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from estinel_assets.compute.supply import Later

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Completed(Generic[T, R]):
    """One item and what became of it."""

    item: T
    value: R | None
    """What the function returned; None where it raised."""
    error: BaseException | None
    """What the function raised, for the caller to deal with; None where it returned."""

    def result(self) -> R:
        """What the function returned.

        Raises:
            BaseException: whatever the function raised.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Engine(Protocol):
    """Runs a function over items, several at a time."""

    def map(
        self, function: Callable[[T], R], items: Iterable[T | Later]
    ) -> Generator[Completed[T, R], None, None]:
        """Yield each item as it completes, in no promised order.

        Items are taken only as workers come free, so that an endless iterable costs no memory.
        Where it yields `LATER`, it has no item for now, and is asked again. Closing the iterator
        early starts no further item, and waits for those under way or ends them.
        """
        ...

    def close(self) -> None:
        """Give back what it holds between maps, such as a cluster; another map would begin anew."""
        ...
