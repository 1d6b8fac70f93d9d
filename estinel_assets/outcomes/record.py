"""The outcome record, and the rules that read it: newest, final, next attempt."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from estinel_assets.outcomes.paths import Key, decode_key, encode_key

NO_REASON = "none"


def _read_key(value: object) -> object:
    return decode_key(value) if isinstance(value, str) else value


class Outcome(BaseModel):
    """How one unit of work ended. Written last, and the only thing that says what is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: str
    """The product line, such as `imagery`."""
    key: Annotated[Key, BeforeValidator(_read_key), PlainSerializer(encode_key)]
    """What names the unit; stored as its encoded path."""
    status: bool
    reason: str
    """A word from the product line's reasons; `none` exactly when status is true."""
    error: str | None = None
    """The error message, for people; None on success."""
    attempts: int = Field(ge=1)
    """Which attempt at this input it was, counted from 1."""
    started_at: AwareDatetime
    finished_at: AwareDatetime
    duration_s: float = Field(ge=0)
    run_id: str
    """The Dagster run, or another name for who did it."""
    code_version: str
    inputs: str = ""
    """Fingerprint of everything that went in; a changed one starts the attempts anew."""
    outputs: tuple[str, ...] = ()
    """URIs of what stands in the store."""
    detail: dict[str, Any] = Field(default_factory=dict)
    """What the product line adds. JSON values only."""

    @model_validator(mode="after")
    def _status_agrees_with_reason(self) -> "Outcome":
        if self.status != (self.reason == NO_REASON):
            raise ValueError(f"status {self.status} does not go with reason {self.reason!r}")
        return self

    @property
    def age_key(self) -> tuple[datetime, str]:
        """Orders the records of one key: the largest is the newest."""
        return self.finished_at, self.run_id
