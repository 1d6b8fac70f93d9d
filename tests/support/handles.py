"""Handle servers and clients for tests."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from estinel_assets.demo.handle_app import LocalHandleApp, ServerLogin
from estinel_assets.pids.handle_client import HandleClient, HandleLogin
from estinel_assets.pids.ports import (
    ADMIN_TYPE,
    STAMP_TYPE,
    HandleRecord,
    HandleService,
    HandleValue,
    Registered,
)
from estinel_assets.pids.stamps import Stamp
from estinel_assets.transport import RetryPolicy

PREFIX = "21.TEST"
USER = "300:21.TEST/OWNER"
PASSWORD = "pass:wörd 1"
LOGIN = HandleLogin(USER, PASSWORD)
STAMP = Stamp(datetime(2025, 3, 4, 5, 6, 7, 89, tzinfo=UTC), ("CMIP6", "3", "41"))
LATER = Stamp(STAMP.at, ("CMIP6", "3", "100"))
ADAPTERS_TYPES = frozenset({ADMIN_TYPE, STAMP_TYPE})
"""Of the values that a service writes by itself."""


def handle_app(**options: Any) -> LocalHandleApp:
    """A server's application that lets one user write."""
    return LocalHandleApp(login=ServerLogin(USER, PASSWORD), **options)


def handle_client(url: str, *, attempts: int = 4, **options: Any) -> HandleClient:
    """A client that does not wait between its tries."""
    policy = RetryPolicy(
        attempts=attempts, backoff_s=0.0, backoff_max_s=0.0, deadline_s=60.0, sleep=lambda _: None
    )
    told: dict[str, Any] = {"prefix": PREFIX, "timeout_s": 5.0, "login": LOGIN, **options}
    return HandleClient(url, policy=policy, **told)


def values_of(**texts: str) -> list[HandleValue]:
    """Values by type, at the indexes 1, 2, 3…"""
    return [HandleValue(index, kind, text) for index, (kind, text) in enumerate(texts.items(), 1)]


def register(
    service: HandleService,
    handle: str,
    values: Sequence[HandleValue],
    *,
    owned: Iterable[str] = (),
    stamp: Stamp = STAMP,
) -> Registered:
    """Register a record of these values."""
    return service.register(HandleRecord(handle, tuple(values), frozenset(owned)), stamp)


def put_foreign(url: str, handle: str, values: Sequence[HandleValue]) -> None:
    """Let a handle of a server have these values, as another writer left them."""
    admin = {"handle": f"0.NA/{PREFIX}", "index": 200, "permissions": "011111110011"}
    written = [{"index": one.index, "type": one.type, "data": one.data} for one in values]
    written.append({"index": 100, "type": ADMIN_TYPE, "data": {"format": "admin", "value": admin}})
    answer = httpx.put(
        f"{url}/api/handles/{handle}", json=written, auth=(quote(USER), PASSWORD), timeout=30
    )
    answer.raise_for_status()


def own_values(record: HandleRecord | None) -> list[HandleValue]:
    """A record's values, without those that the service writes by itself."""
    assert record is not None
    return [value for value in record.values if value.type not in ADAPTERS_TYPES]


def texts_of(record: HandleRecord | None) -> dict[str, str]:
    """The texts of these values by type."""
    return {value.type: value.data for value in own_values(record)}


def stamp_text(record: HandleRecord | None) -> str:
    """What a record's only stamp says."""
    assert record is not None
    (text,) = [value.data for value in record.values if value.type == STAMP_TYPE]
    return text
