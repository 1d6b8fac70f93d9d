"""The tables of the configuration as models. Times are in seconds, sizes in bytes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from estinel_assets.errors import BadInputError
from estinel_assets.pids.handle_values import check_handle
from estinel_assets.pids.identifiers import ForeignPrefix

UNLIMITED: Final = -1
BOOTSTRAP: Final = "bootstrap.servers"
BROKERS: Final = (BOOTSTRAP, "metadata.broker.list")
"""Both names that librdkafka has for the servers."""
GROUP: Final = "group.id"
KafkaValue = str | int | float | bool | SecretStr
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_KEY_OF_A_HANDLE = re.compile(r"[0-9]+:[^/\s]+/\S+")
_PREFIX_ALONE: Final = "must be a prefix alone, as in 21.14100"


class HandleAddress(NamedTuple):
    """Where records are registered."""

    server_url: str
    """Of the Handle service."""
    prefix: str
    """Of the handles."""


def _address(value: str) -> str:
    """An address without what would have to stay hidden."""
    try:
        parts = urlsplit(value)
        usable = bool(parts.scheme in ("http", "https") and parts.hostname) and parts.port != 0
    except ValueError:  # such as a host with one bracket
        usable = False
    if not usable or not value.isprintable() or " " in value:
        raise ValueError("must be an address that begins with https:// or http://")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an address without user name, query and fragment")
    return value


def _prefix(value: str) -> str:
    try:
        check_handle(f"{value}/suffix")
    except BadInputError:
        raise ValueError(_PREFIX_ALONE) from None
    if "/" in value:
        raise ValueError(_PREFIX_ALONE)
    return value


def _user(value: str) -> str:
    """An owner, or the name in a login."""
    if not _KEY_OF_A_HANDLE.fullmatch(value):
        raise ValueError("must be index:prefix/suffix, as in 300:21.TEST/USER")
    return value


def _hidden_user(value: SecretStr) -> SecretStr:
    _user(value.get_secret_value())
    return value


_Address = Annotated[str, AfterValidator(_address)]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    # Strict, because TOML has types: "3" is not 3, nor is true 1.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, populate_by_name=True
    )


class TransientConfiguration(_Table):
    """What happens when the Handle service or the STAC API is away."""

    stop_on_skip: bool = True
    """Stop after the retries of a message; else it is recorded as skipped, and the next follows."""
    retries: int = Field(default=3, ge=0)
    """Tries of a message after the first one."""
    backoff_initial: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Wait before the first retry, in seconds; doubled after each."""
    backoff_max: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """Longest wait between two tries, in seconds."""
    preflight_stac: bool = True
    """Ask the STAC API at the start whether it is there."""

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.backoff_max < self.backoff_initial:
            raise ValueError("backoff_max must not be less than backoff_initial")
        return self


class ConsumerConfiguration(_Table):
    """Which messages are worked through, and how."""

    processor: str = Field(default="cmip6", min_length=1)
    """Name of the plugin that makes the records."""
    topic: str = "CMIP6"
    """Of Kafka."""
    output_dir: Annotated[Path, Field(strict=False)] = Path("outputs")
    """Folder of the JSONL files of failures, skipped messages, dumps and dry runs."""
    max_errors: int = 1
    """Stop when so many messages have failed; -1 for never."""
    in_flight: int = Field(default=32, ge=1, le=1024)
    """Messages in work at once."""
    flush_messages: int = Field(default=500, ge=1, le=100_000)
    """Messages after whose end their outcomes are stored and their offsets committed."""
    flush_seconds: _Seconds = 2.0
    """Longest time until that happens, in seconds."""
    max_message_bytes: int = Field(default=8 * 1024**2, ge=1)
    """A larger message fails without being read, in bytes."""
    transient: TransientConfiguration = TransientConfiguration()

    @field_validator("topic")
    @classmethod
    def _is_a_topic(cls, topic: str) -> str:
        if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
            raise ValueError("must be the name of one topic: letters, digits, '.', '_' and '-'")
        return topic

    @field_validator("max_errors")
    @classmethod
    def _may_be_reached(cls, most: int) -> int:
        if most != UNLIMITED and most < 1:
            raise ValueError("must be -1 (never stop) or at least 1")
        return most


class KafkaConfiguration(_Table):
    """The consumer of Kafka."""

    options: Mapping[str, KafkaValue] = {}
    """Properties of librdkafka by their names, our own defaults among them."""

    @property
    def bootstrap_servers(self) -> str | None:
        """`host:port`, separated by commas; None where none is named."""
        named = (self.options.get(key) for key in BROKERS)
        return next((str(servers) for servers in named if servers), None)

    @property
    def group_id(self) -> str:
        """The group in whose name offsets are committed."""
        return str(self.options[GROUP])


class HandleConfiguration(_Table):
    """The Handle service."""

    backend: Literal["pyhandle", "jsonl"] = "pyhandle"
    """`jsonl` writes records to files and asks no service: every run is a dry run. `pyhandle` is
    the REST interface of a Handle server, whatever library asks it."""
    server_url: _Address | None = None
    """Of the server, with or without `/api/handles`."""
    prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    """Under which handles are registered, such as `21.14100`."""
    username: Annotated[SecretStr, AfterValidator(_hidden_user)] | None = None
    """As in `300:21.TEST/USER`: the index of a key and the handle that has it."""
    password: SecretStr | None = Field(default=None, min_length=1)
    """The secret key of that user."""
    foreign_prefix: Annotated[ForeignPrefix, Field(strict=False)] = ForeignPrefix.REFUSE
    """What to do where an item names a handle under another prefix: `refuse` it, `keep` it, or
    `replace` the prefix by ours."""
    owner: Annotated[str, AfterValidator(_user)] | None = None
    """Who may change new handles, as in `300:21.TEST/USER`; else index 200 of the prefix's own
    handle."""
    at_once: int = Field(default=32, ge=1, le=1024)
    """Requests in flight."""
    timeout: _Seconds = 30.0
    """Longest wait for one answer, in seconds."""
    read_first: bool = False
    """Ask before creating a handle, which is cheaper where most stand already."""

    @property
    def is_dry(self) -> bool:
        """Whether no service is asked."""
        return self.backend == "jsonl"

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            absent = "username" if self.username is None else "password"
            raise ValueError(
                f"a login has two parts, and {absent} is absent: set handle.{absent}, or "
                f"ESTINEL_PIDS_HANDLE_{absent.upper()}"
            )
        return self


class StacConfiguration(_Table):
    """The STAC API in which items stand that a patch changes, and earlier versions."""

    base_url: _Address | None = None
    """Root of the API."""
    timeout: _Seconds = 10.0
    """Longest wait for one answer, in seconds."""
    collection: str = Field(default="cmip6", min_length=1)
    """Where a message names none."""


class LookupConfiguration(_Table):
    """The search for the previous version of a dataset."""

    backend: Literal["stac", "es"] = "stac"
    """`es` may only stand here where the lookup is not enabled."""
    enabled: bool = True
    """Whether versions are looked up."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.enabled and self.backend == "es":
            raise ValueError(
                'versions are looked up in the STAC API: set lookup.backend = "stac" and '
                "stac.base_url, or lookup.enabled = false"
            )
        return self


class ValidationConfiguration(_Table):
    """The table `schema`: how much an item must say."""

    strict_mode: bool = False
    """An item fails where one of its files is not fully described; else only where all are, and
    the others are registered, with warnings."""


class StatsConfiguration(_Table):
    """How often counts and rates are logged: at whichever comes first."""

    interval_seconds: _Seconds = 10.0
    """Seconds between two lines."""
    summary_interval: int = Field(default=1000, ge=1)
    """Messages between two lines."""
