"""A small HTTP proxy that goes wrong on request: between a client and any server of a test.

It runs on asyncio in a thread of its own, listens on 127.0.0.1 at a free port, and passes on every
request except for what it was told to do to it::

    with FaultProxy(access.endpoint_url) as proxy:
        proxy.spoil(every(5, Fault(status=503), Fault(reset=True)))

Every answer closes its connection, so that one request is one connection.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_HEAD_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to a request. A delay may go with any of the others."""

    status: int | None = None
    """Answer with it; the server never sees the request."""
    delay_s: float = 0.0
    """Wait so long before anything else."""
    reset: bool = False
    """Reset the connection; the server never sees the request."""
    lost: bool = False
    """Let the server do what was asked, and reset the connection in place of its answer."""
    cut: bool = False
    """Let the server do what was asked, and send half of its answer's body."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that came by."""

    number: int
    """From 1 on."""
    method: str
    target: str
    """Path and query as sent."""

    @property
    def path(self) -> str:
        """Without the query."""
        return urlsplit(self.target).path


Chooser = Callable[[Passed], Fault | None]
"""What is to be done to a request; None leaves it in peace."""


def every(nth: int, *faults: Fault) -> Chooser:
    """Spoil each nth request, with the faults in turn."""

    def choose(request: Passed) -> Fault | None:
        turn, left = divmod(request.number, nth)
        return None if left else faults[(turn - 1) % len(faults)]

    return choose


class FaultProxy:
    """The proxy; use as a context manager. All methods may be called from any thread."""

    def __init__(self, upstream: str) -> None:
        """Args: upstream: the server's address, http."""
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._upstream = parts.hostname, parts.port
        self._choose: Chooser = lambda _: None
        self._lock = threading.Lock()
        self._passed: list[tuple[Passed, Fault | None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_HEAD_LIMIT, backlog=128)
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The proxy's address, in place of the server's."""
        assert self._server is not None, "the proxy is not running: use it in a with statement"
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def spoil(self, choose: Chooser | None) -> None:
        """Do this to requests from now on, counted from 1 again; None leaves them in peace."""
        with self._lock:
            self._choose = choose or (lambda _: None)
            self._passed.clear()

    @property
    def requests(self) -> list[Passed]:
        """Every request since the last call of `spoil`, oldest first."""
        with self._lock:
            return [request for request, _ in self._passed]

    @property
    def spoilt(self) -> list[Passed]:
        """Those that something was done to."""
        with self._lock:
            return [request for request, fault in self._passed if fault is not None]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # A client that goes away is part of what is tested.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_body_length(head))
        fault = self._fault_of(head)
        await asyncio.sleep(fault.delay_s)
        if fault.reset:
            _reset(writer)
            return
        if fault.status is not None:
            writer.write(_refusal(fault.status))
            await writer.drain()
            return
        answer = await self._asked(_closing(head) + body)
        if fault.lost:
            _reset(writer)
            return
        start = answer.index(b"\r\n\r\n") + 4
        keep = start + (len(answer) - start) // 2 if fault.cut else len(answer)
        writer.write(_closing(answer[:start]) + answer[start:keep])
        await writer.drain()

    def _fault_of(self, head: bytes) -> Fault:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        with self._lock:
            request = Passed(len(self._passed) + 1, method, target)
            fault = self._choose(request)
            self._passed.append((request, fault))
        return fault or Fault()

    async def _asked(self, request: bytes) -> bytes:
        """The server's whole answer."""
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            writer.write(request)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _body_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
        if name.lower() == b"transfer-encoding":
            raise NotImplementedError("the proxy passes on bodies of a known length only")
    return 0


def _closing(head: bytes) -> bytes:
    """A head that says that its connection ends with it."""
    kept = [
        line
        for line in head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        if line.partition(b":")[0].lower() not in {b"connection", b"keep-alive", b"expect"}
    ]
    return b"\r\n".join([*kept, b"Connection: close", b"", b""])


def _refusal(status: int) -> bytes:
    body = b"<Error><Code>ServiceUnavailable</Code><Message>Not now.</Message></Error>"
    head = f"HTTP/1.1 {status} Not now\r\nContent-Type: application/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Send RST in place of FIN: lingering for no time."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
