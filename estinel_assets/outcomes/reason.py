"""Reasons: why a unit of work ended as it did, one `StrEnum` a product line.

The members of such an enum *are* its table: each carries its two flags and its meaning::

    class ImageryReason(Reason):
        NONE = "none", False, False, "The images stand."
        SOURCE_TIMEOUT = "source_timeout", True, True, "A source did not answer in time."
"""

from enum import StrEnum
from typing import TypeVar

from estinel_assets.errors import BadInputError


class Reason(StrEnum):
    """Base of the reasons of a product line.

    Attributes:
        retryable: another attempt is worth it.
        fault: something went wrong, as against an honest "no". Only faults raise, set the exit
            codes 1 and 2, or alert.
        meaning: one sentence for people.
    """

    retryable: bool
    fault: bool
    meaning: str

    def __new__(
        cls,
        word: str,
        retryable: bool,  # noqa: FBT001 - a row of the table is positional
        fault: bool,  # noqa: FBT001
        meaning: str,
    ) -> "Reason":
        """Make a member out of a row of the table."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.retryable = retryable
        member.fault = fault
        member.meaning = meaning
        return member


R = TypeVar("R", bound="Reason")


def parse_reason(reasons: type[R], word: str) -> R:
    """The member with this word.

    Raises:
        BadInputError: the product line has no such reason; the message lists those it has.
    """
    for reason in reasons:
        if reason == word:
            return reason
    known = ", ".join(reasons)
    raise BadInputError(f"no reason is called {word!r}; choose one of: {known}")
