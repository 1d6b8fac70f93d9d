"""Is it the collections, or is it the network? Pure.

An outage turns thousands of good results into `cant_open_file`. So a failure for a network reason
is kept back until the checks around it show that files can be reached.
"""

from collections import Counter, deque

from estinel_assets.compatibility.reasons import NETWORK_REASONS
from estinel_assets.errors import EstinelError


class OutageSuspectedError(EstinelError):
    """Too many of the latest checks failed anew for one network reason; the run pauses."""


class OutageGuard:
    """Looks at the latest checks of a run."""

    def __init__(self, *, share: float, window: int) -> None:
        """Start with no check seen.

        Args:
            share: of the latest checks that, failing anew for one network reason, means an outage.
            window: how many checks are the latest ones; with fewer, no outage is assumed.
        """
        self._share = share
        self._latest: deque[str | None] = deque(maxlen=window)

    def see(self, reason: str, former: str | None) -> bool:
        """Take a check into account.

        Args:
            reason: how it ended.
            former: how the collection stood before; None where it was never checked.

        Returns:
            Whether the result is to be kept back: it is a failure for a network reason, and the
            collection did not stand under that reason before.
        """
        suspect = reason in NETWORK_REASONS and reason != former
        self._latest.append(reason if suspect else None)
        return suspect

    def verdict(self) -> str | None:
        """The network reason of an outage; None where there is none."""
        if len(self._latest) < (self._latest.maxlen or 0):
            return None
        suspects = Counter(reason for reason in self._latest if reason is not None)
        for reason, number in suspects.most_common(1):
            if number >= self._share * len(self._latest):
                return reason
        return None

    def explain(self, reason: str, kept_back: int) -> OutageSuspectedError:
        """What to raise for an outage.

        Args:
            reason: the verdict.
            kept_back: results that were not recorded.
        """
        number = sum(one == reason for one in self._latest)
        return OutageSuspectedError(
            f"{number} of the latest {len(self._latest)} checks failed anew with {reason}: this "
            f"looks like an outage, so the run stops. {kept_back} such results were not recorded, "
            "and what stood before still stands. Try again when the archives answer, or raise "
            "compatibility.outage_share if they are right"
        )
