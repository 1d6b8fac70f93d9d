"""What stands in a lease's object."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from estinel_assets.errors import LeaseError
from estinel_assets.storage.documents import dump_json
from estinel_assets.storage.processes import ProcessIdentity, is_gone


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One holder's hold on a lease."""

    token: str
    """Told apart from every other hold, also of the same process."""
    owner: str
    """For people, such as a run id."""
    process: ProcessIdentity
    acquired_at: AwareDatetime
    """UTC."""
    renewed_at: AwareDatetime
    """UTC."""
    expires_at: AwareDatetime
    """UTC, by the holder's clock."""
    released: bool = False
    """The holder finished and gave it up."""

    def to_json(self) -> bytes:
        """The object's bytes."""
        times = {
            name: getattr(self, name).astimezone(UTC).isoformat()
            for name in ("acquired_at", "renewed_at", "expires_at")
        }
        return dump_json({**asdict(self), **times})

    @classmethod
    def from_json(cls, body: bytes, uri: str) -> "LeaseRecord":
        """Read an object's bytes.

        Raises:
            LeaseError: they are no lease.
        """
        try:
            return _adapter().validate_python(json.loads(body))
        except (ValueError, ValidationError):
            raise LeaseError(
                f"{uri} is no lease; delete it if no worker is running, and try again"
            ) from None

    def is_free(self, now: datetime, here: ProcessIdentity, skew: timedelta) -> bool:
        """Whether another may take it.

        Args:
            now: UTC.
            here: the process that asks.
            skew: how far two hosts' clocks may differ.

        Returns:
            True where it was released, expired even for a clock that is `skew` behind, or held by
            a process that is known to have ended.
        """
        return self.released or now >= self.expires_at + skew or is_gone(self.process, here)

    def describe(self) -> str:
        """The holder and the expiry, for messages."""
        return (
            f"{self.owner} (process {self.process.pid} on {self.process.host}), "
            f"until {self.expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} unless renewed"
        )


@cache
def _adapter() -> TypeAdapter[LeaseRecord]:
    return TypeAdapter(LeaseRecord)
