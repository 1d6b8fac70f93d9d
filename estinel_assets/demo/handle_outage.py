"""A Handle server in a thread of this process that can be told to fail, for the demo and tests."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from estinel_assets.demo.cmr_files import respond
from estinel_assets.demo.handle_app import LocalHandleApp
from estinel_assets.demo.handle_server import ServerLogin, serve
from estinel_assets.errors import EstinelError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_DOWN = json.dumps({"responseCode": 2, "message": "The server is down"}).encode()


class FailingHandleApp(LocalHandleApp):
    """The Handle server's application, which may answer 503 for a while."""

    def __init__(self, *, login: ServerLogin | None = None, latency_s: float = 0.0) -> None:
        """Begin well, without handles.

        Args:
            login: needed to write; None lets everybody.
            latency_s: each request waits so long before anything is done, in seconds.
        """
        super().__init__(login=login, latency_s=latency_s)
        self._left: int | None = None
        """Requests that are still answered; None for all."""
        self._counting = threading.Lock()

    def fail_after(self, requests: int) -> None:
        """Answer so many requests more, and none after them until `recover`."""
        with self._counting:
            self._left = requests

    def recover(self) -> None:
        """Answer all requests again."""
        with self._counting:
            self._left = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        if self._fails():
            await respond(send, 503, _DOWN, content_type=b"application/json;charset=UTF-8")
        else:
            await super().__call__(scope, receive, send)

    def _fails(self) -> bool:
        with self._counting:
            if self._left is None:
                return False
            self._left -= 1
            return self._left < 0


@contextmanager
def serving_handles(app: LocalHandleApp) -> Iterator[str]:
    """Serve handles from a thread for as long as the context lasts.

    Args:
        app: with the handles.

    Yields:
        The server's address, without a slash at the end.

    Raises:
        EstinelError: it does not start.
        MissingDependencyError: the extra `serve` is not installed.
    """
    over, answers = threading.Event(), threading.Event()
    address = ""
    problem: BaseException | None = None

    def ready(url: str) -> None:
        nonlocal address
        address = url
        answers.set()

    def run() -> None:
        nonlocal problem
        try:
            serve(app, ready=ready, until=_until(over))
        except EstinelError as error:
            problem = error
        finally:
            answers.set()

    thread = threading.Thread(target=run, name="local-handles", daemon=True)
    thread.start()
    try:
        answers.wait(_START_TIMEOUT_S)
        if problem is not None:
            raise problem
        if not address:
            raise EstinelError("the local Handle server did not start")
        yield address
    finally:
        over.set()
        thread.join(_STOP_TIMEOUT_S)


def _until(over: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        over.wait()

    return wait
