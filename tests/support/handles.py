"""Handle servers and clients for tests."""

from typing import Any

from estinel_assets.demo.handle_app import LocalHandleApp, ServerLogin
from estinel_assets.pids.handle_client import HandleClient, HandleLogin
from estinel_assets.pids.ports import ADMIN_TYPE, HandleRecord, HandleValue
from estinel_assets.transport import RetryPolicy

PREFIX = "21.TEST"
USER = "300:21.TEST/OWNER"
PASSWORD = "pass:wörd 1"
LOGIN = HandleLogin(USER, PASSWORD)


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


def texts_of(record: HandleRecord | None) -> dict[str, str]:
    """A record's values by type, without the one that says who may change it."""
    assert record is not None
    return {value.type: value.data for value in record.values if value.type != ADMIN_TYPE}
