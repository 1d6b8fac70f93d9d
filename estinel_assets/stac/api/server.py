"""Running the embedded STAC API: in this thread until interrupted, or beside it."""

import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from estinel_assets.errors import BadInputError, EstinelError
from estinel_assets.stac.api.app import API_KEY_HEADER, create_app, serving_dependencies

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0


def serve(
    database_path: Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    scenes_folder: Path | None = None,
    *,
    transactions: bool = False,
    api_key: str | None = None,
    api_key_header: str = API_KEY_HEADER,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted; an interrupt comes out as `KeyboardInterrupt`.

    Args:
        database_path: the SQLite file; made where absent.
        host: address to listen at.
        port: port to listen at; 0 takes a free one.
        scenes_folder: served at `/scenes`.
        transactions: answer requests that write; see `create_app`.
        api_key: asked for by requests that write.
        api_key_header: header that brings the key.
        ready: called with the API's address once it answers.

    Raises:
        MissingDependencyError: the extra `serve` is not installed.
        BadInputError: database, folder, key or address cannot be used.
    """
    app = create_app(
        database_path,
        scenes_folder=scenes_folder,
        transactions=transactions,
        api_key=api_key,
        api_key_header=api_key_header,
    )
    server = _prepare(app, ready or (lambda _: None))
    with _listen(host, port) as listener:
        server.run(sockets=[listener])


class ServerThread:
    """The API in a thread of this process, for as long as the context lasts.

    Attributes:
        url: its address, without a slash at the end; set once it answers.
    """

    def __init__(
        self,
        database_path: Path,
        *,
        scenes_folder: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        transactions: bool = False,
        api_key: str | None = None,
        api_key_header: str = API_KEY_HEADER,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            database_path: the SQLite file; made where absent.
            scenes_folder: served at `/scenes`.
            host: address to listen at.
            port: port to listen at; 0 takes a free one.
            transactions: answer requests that write; see `create_app`.
            api_key: asked for by requests that write.
            api_key_header: header that brings the key.
        """
        self._create_app = partial(
            create_app,
            database_path,
            scenes_folder=scenes_folder,
            transactions=transactions,
            api_key=api_key,
            api_key_header=api_key_header,
        )
        self._host = host
        self._port = port
        self._ready = threading.Event()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def start(self) -> Self:
        """Start, and return once it answers.

        Raises:
            MissingDependencyError: the extra `serve` is not installed.
            BadInputError: database, folder, key or address cannot be used.
        """
        server = _prepare(self._create_app(), self._answering)
        listener = _listen(self._host, self._port)
        self._server = server

        def run() -> None:
            try:
                with listener:
                    server.run(sockets=[listener])
            finally:
                self._ready.set()

        self._thread = threading.Thread(target=run, name="stac-api", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT_S) or not server.started:
            self.stop()
            raise EstinelError(
                f"the STAC API did not start within {_START_TIMEOUT_S:.0f} s: see its log"
            )
        return self

    def stop(self) -> None:
        """Stop, and return once it is gone; stopping twice is no error."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT_S)
        self._server, self._thread, self.url = None, None, ""
        self._ready.clear()

    def _answering(self, url: str) -> None:
        self.url = url
        self._ready.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _prepare(app: "FastAPI", ready: Callable[[str], None]) -> "uvicorn.Server":
    with serving_dependencies():
        import uvicorn

    class AnnouncingServer(uvicorn.Server):
        """Says when it answers, and where."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started and sockets:
                ready(_address(sockets[0]))

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=5,
    )
    return AnnouncingServer(config)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise BadInputError(
            f"the STAC API cannot listen at {host}, port {port} ({error}): "
            "choose another port, or 0 for a free one"
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
