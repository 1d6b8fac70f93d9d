"""Files over HTTP with byte ranges, as archives serve granules.

Understood are one range a request (RFC 9110, 14.2), HEAD, and a bearer token for what lies below
`protected/`. Several ranges at once are answered with the whole file, which the standard allows.
"""

import mimetypes
import os
import re
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Send

Header = tuple[bytes, bytes]

PROTECTED = "protected"
"""Folder whose files need the token."""

_CHUNK = 1 << 20
_RANGE = re.compile(rb"bytes=([0-9]*)-([0-9]*)")


class FilesFolder:
    """Serves the files below a folder."""

    def __init__(self, folder: Path, token: str | None) -> None:
        """Keep the folder.

        Args:
            folder: links that lead out of it are not followed.
            token: opens what lies below `protected/`; without one that stays shut.
        """
        self._folder = folder.resolve()
        self._bearer = None if token is None else b"Bearer " + token.encode()

    async def answer(
        self, method: str, path: str, headers: dict[bytes, bytes], send: "Send"
    ) -> None:
        """Answer one request.

        Args:
            method: GET or HEAD.
            path: relative to the folder, decoded.
            headers: of the request, names in lower case.
            send: takes the answer's messages.
        """
        if path.partition("/")[0] == PROTECTED and (
            self._bearer is None or headers.get(b"authorization") != self._bearer
        ):
            await respond(send, 401, b"a token is needed", [(b"www-authenticate", b"Bearer")])
            return
        if method not in ("GET", "HEAD"):
            await respond(send, 405, b"files are read only", [(b"allow", b"GET, HEAD")])
            return
        try:
            # Resolved, so that no path and no link leads out of the folder.
            file = (self._folder / path).resolve()
            inside = file.is_relative_to(self._folder) and file.is_file()
        except ValueError:  # a null byte in the path
            inside = False
        if not inside:
            await respond(send, 404, b"no such file")
            return
        await _send_file(file, headers.get(b"range"), send, with_body=method == "GET")


async def respond(
    send: "Send",
    status: int,
    body: bytes,
    headers: list[Header] | None = None,
    content_type: bytes = b"text/plain",
) -> None:
    """Send a short answer."""
    stated = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send(
        {"type": "http.response.start", "status": status, "headers": stated + (headers or [])}
    )
    await send({"type": "http.response.body", "body": body})


async def _send_file(file: Path, asked: bytes | None, send: "Send", *, with_body: bool) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        state = os.fstat(descriptor)
        span = range_of(asked, state.st_size)
        start, end = span or (0, state.st_size)
        if span is not None and start >= end:
            size = b"bytes */%d" % state.st_size
            await respond(send, 416, b"", [(b"content-range", size)])
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", b"%d" % (end - start)),
            (b"accept-ranges", b"bytes"),
            (b"last-modified", formatdate(state.st_mtime, usegmt=True).encode()),
            (b"etag", b'"%x-%x"' % (state.st_mtime_ns, state.st_size)),
        ]
        if span is not None:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, state.st_size)))
        status = 200 if span is None else 206
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while with_body and start < end:
            chunk = os.pread(descriptor, min(_CHUNK, end - start), start)
            if not chunk:
                break
            start += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        os.close(descriptor)


def range_of(asked: bytes | None, size: int) -> tuple[int, int] | None:
    """The bytes that a `Range` header asks for.

    Args:
        asked: the header, if any.
        size: of the file, in bytes.

    Returns:
        First byte and the one after the last, which is not behind the first where the file has
        none of those bytes. None where the whole file is to be sent, because the header is absent,
        malformed or asks for several ranges.
    """
    found = None if asked is None else _RANGE.fullmatch(asked)
    if found is None:
        return None
    first, last = found[1], found[2]
    if not first:
        return (max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size
