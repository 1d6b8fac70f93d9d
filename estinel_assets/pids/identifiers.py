"""Which handle an item and its files have: the one that they name, else one made of their ids."""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid3

from estinel_assets.errors import PermanentError
from estinel_assets.pids.reasons import PidReason
from estinel_assets.pids.records import handle_uri

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PREFIX = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]*")
_SCHEMES = ("hdl:", "https://hdl.handle.net/", "http://hdl.handle.net/")


class ForeignPrefix(StrEnum):
    """What to do where an item names a handle under another prefix than ours."""

    REFUSE = "refuse"
    """The message fails: the handle is another service's."""
    KEEP = "keep"
    """Register it as it is named; the Handle service must be responsible for that prefix too."""
    REPLACE = "replace"
    """Register the same suffix under our prefix, with a warning; for trials with real messages."""


@dataclass(frozen=True, slots=True)
class NamedHandle:
    """A handle that an item names."""

    handle: str
    """`prefix/suffix`."""
    warning: str = ""


def dataset_suffix(item_id: str) -> str:
    """The suffix of a dataset whose item names no handle."""
    return str(uuid3(NAMESPACE_URL, item_id))


def file_suffix(item_id: str, asset_key: str) -> str:
    """The suffix of a file whose asset names no handle."""
    return str(uuid3(NAMESPACE_URL, f"{item_id}#{asset_key}"))


def read_handle(
    value: object, *, field: str, prefix: str, foreign: ForeignPrefix
) -> NamedHandle | None:
    """Read the handle that an item or asset names.

    Args:
        value: a UUID, alone or after a prefix, with or without `hdl:`; or nothing.
        field: where it stands, for messages.
        prefix: our prefix.
        foreign: what to do with another prefix.

    Returns:
        The handle; None where nothing is named.

    Raises:
        PermanentError: it is no such handle, or under another prefix (`invalid_pid`).
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _invalid(field, value, "a handle is a text")
    plain = value.strip()
    for scheme in _SCHEMES:
        if plain.lower().startswith(scheme):
            plain = plain[len(scheme) :]
            break
    named, slash, suffix = plain.rpartition("/")
    suffix = suffix.lower()
    if not _UUID.fullmatch(suffix) or (slash and not _PREFIX.fullmatch(named)):
        raise _invalid(field, value, "write it as hdl:prefix/UUID")
    ours = f"{prefix}/{suffix}"
    if not slash or named.lower() == prefix.lower():
        return NamedHandle(ours)
    if foreign is ForeignPrefix.KEEP:
        return NamedHandle(f"{named}/{suffix}")
    if foreign is ForeignPrefix.REPLACE:
        return NamedHandle(ours, f"{field} {handle_uri(f'{named}/{suffix}')} becomes {ours}")
    raise _invalid(
        field,
        value,
        f"its prefix is not ours, {prefix}: set the prefix, or foreign_prefix to "
        f"{ForeignPrefix.KEEP} or {ForeignPrefix.REPLACE}",
    )


def _invalid(field: str, value: object, problem: str) -> PermanentError:
    shown = repr(value)
    return PermanentError(
        PidReason.INVALID_PID, f"{field} {shown[:120]} is no handle that we can register: {problem}"
    )
