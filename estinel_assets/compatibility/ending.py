"""How a check ends early: with a reason, a message, and perhaps a hint."""

from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.errors import UnitError


class CheckEndedError(UnitError):
    """The check of a collection ends here, and this is the answer.

    Attributes:
        reason: a word of `CompatibilityReason`.
        hint: one line on what would make the collection work; None where nothing is known.
    """

    def __init__(self, reason: CompatibilityReason, message: str, hint: str | None = None) -> None:
        super().__init__(reason, message)
        self.hint = hint

    def __reduce__(self) -> tuple[type["CheckEndedError"], tuple[str, str, str | None]]:  # type: ignore[override]
        """Pickle with all arguments, so that it survives a process boundary."""
        return type(self), (self.reason, str(self), self.hint)
