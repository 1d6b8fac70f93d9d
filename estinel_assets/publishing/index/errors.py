"""What the index raises beside the errors of all adapters."""

from collections.abc import Iterable

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.reasons import PublishingReason

_NAMED = 10


class FieldError(ValueError):
    """A field of a document or a query cannot be used; says what is wrong with it."""


class DocumentsChangedError(PermanentError):
    """Other documents stand than were expected; nothing was changed.

    Attributes:
        ids: of those documents, in their order.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = tuple(sorted(ids))
        super().__init__(
            PublishingReason.ALREADY_PUBLISHED,
            "these documents of the dataset index are not what they were when the publication was "
            f"planned: {named(self.ids)}; see who publishes the same ids, then publish again",
        )

    def __reduce__(self) -> tuple[type["DocumentsChangedError"], tuple[tuple[str, ...]]]:  # type: ignore[override]
        """Pickle with the ids, so that the error survives a process boundary."""
        return type(self), (self.ids,)


def named(ids: Iterable[str]) -> str:
    """Ids for a message: all of a few, the first of many."""
    listed = sorted(ids)
    text = ", ".join(map(repr, listed[:_NAMED]))
    return text if len(listed) <= _NAMED else f"{text} and {len(listed) - _NAMED:,} more"
