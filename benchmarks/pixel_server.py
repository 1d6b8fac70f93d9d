"""An HTTP server for files and uploads that is slow on purpose and costs little.

    python -m benchmarks.pixel_server FOLDER UPLOADS

It shares the processors with what is measured, so a thread a connection sleeps, and hands files to
the kernel (`sendfile`). The first part of a path says how long an answer waits: `/delay-30/…` 30
ms. Of the rest, the last two parts name the file. What stands between is free, so that the same
file has as many addresses as are wanted, and no client knows it from before. A PUT is read and
forgotten, unless `check` stands in its path; then it is kept in the folder UPLOADS.

It prints its port, and answers every line on its standard input with what it counted since the last
one: requests by method, those for what is not there, and bytes of bodies sent.
"""

import json
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import Process, started

_HEAD_END = b"\r\n\r\n"
_MODIFIED = b"Sat, 01 Jun 2024 00:00:00 GMT"


class PixelServer:
    """The server, in another process."""

    def __init__(self, process: Process) -> None:
        """Made by `pixel_server`."""
        self._process = process
        self.port: int = process.address

    def root(self, delay_ms: int) -> str:
        """The address below which answers wait so long."""
        return f"http://127.0.0.1:{self.port}/delay-{delay_ms:02}"

    def counts(self) -> dict[str, int]:
        """What was asked for since the last time."""
        return self._process.counts()


@contextmanager
def pixel_server(folder: Path, uploads: Path) -> Iterator[PixelServer]:
    """Serve a folder from another process, and keep what is uploaded for a check in another."""
    with started("benchmarks.pixel_server", str(folder), str(uploads)) as process:
        yield PixelServer(process)


class _Files:
    """Files that were asked for, open."""

    def __init__(self, folder: Path, uploads: Path) -> None:
        self.folder = folder
        self.uploads = uploads
        self._open: dict[str, tuple[int, int] | None] = {}

    def find(self, name: str) -> tuple[int, int] | None:
        """Descriptor and size; None where there is no such file."""
        if name not in self._open:
            path = self.folder / name
            if ".." in name or not path.is_file():
                self._open[name] = None
            else:
                self._open[name] = (os.open(path, os.O_RDONLY), path.stat().st_size)
        return self._open[name]


class _Connection(threading.Thread):
    """Answers one client until it leaves."""

    def __init__(self, client: socket.socket, files: _Files, counts: "Counter[str]") -> None:
        super().__init__(daemon=True)
        self._client = client
        self._files = files
        self._counts = counts
        self._pending = b""

    def run(self) -> None:
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while head := self._head():
                self._answer(head)
        except (ConnectionError, TimeoutError):
            pass  # the client has what it wanted
        finally:
            self._client.close()

    def _head(self) -> bytes:
        while (end := self._pending.find(_HEAD_END)) < 0:
            more = self._client.recv(65536)
            if not more:
                return b""
            self._pending += more
        head, self._pending = self._pending[:end], self._pending[end + len(_HEAD_END) :]
        return head

    def _answer(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ", 2)
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines)
        }
        _, delay, *rest = target.partition("?")[0].split("/")
        self._counts[method] += 1
        if method == "PUT":
            self._take(fields, rest)
        time.sleep(int(delay.removeprefix("delay-")) / 1000)
        if method == "PUT":
            self._client.sendall(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n')
        else:
            self._send(method, fields, "/".join(rest[-2:]))

    def _take(self, fields: dict[bytes, bytes], rest: list[str]) -> None:
        if fields.get(b"expect", b"").lower() == b"100-continue":
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(fields[b"content-length"])
        pieces, have = [self._pending[:length]], min(length, len(self._pending))
        self._pending = self._pending[length:]
        while have < length:
            piece = self._client.recv(min(length - have, 1 << 20))
            if not piece:
                raise ConnectionError("an upload was broken off")
            pieces.append(piece)
            have += len(piece)
        self._counts["bytes_taken"] += length
        if "check" in rest:
            path = self._files.uploads.joinpath(*rest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(pieces))

    def _send(self, method: str, fields: dict[bytes, bytes], name: str) -> None:
        found = self._files.find(name)
        if found is None:
            self._counts["absent"] += 1
            self._client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        descriptor, size = found
        start, end, status = 0, size, b"200 OK"
        asked = fields.get(b"range")
        if asked is not None:
            start, end = _range(asked.decode("ascii"), size)
            status = b"206 Partial Content"
        head = (
            b"HTTP/1.1 %b\r\nContent-Length: %d\r\nAccept-Ranges: bytes\r\n"
            b'Content-Type: image/tiff\r\nETag: "%d"\r\nLast-Modified: %b\r\n'
        ) % (status, end - start, size, _MODIFIED)
        if asked is not None:
            head += b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, size)
        body = method != "HEAD"
        self._client.sendall(head + b"\r\n", socket.MSG_MORE if body else 0)
        while body and start < end:
            sent = os.sendfile(self._client.fileno(), descriptor, start, end - start)
            start += sent
            self._counts["bytes"] += sent


def _range(asked: str, size: int) -> tuple[int, int]:
    first, last = asked.removeprefix("bytes=").split("-")
    if not first:
        return max(size - int(last), 0), size
    return min(int(first), size), min(int(last) + 1, size) if last else size


def _serve(folder: Path, uploads: Path) -> None:
    counts: Counter[str] = Counter()
    files = _Files(folder, uploads)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            _Connection(client, files, counts).start()

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    for _ in sys.stdin:
        found = dict(counts)
        counts.clear()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]))
