"""Lines of text under gzip, written and read a piece at a time."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from estinel_assets.publishing.batches import batches

GZIP_TYPE = "application/gzip"
_LEVEL = 3
_LINES = 50
_PIECE = 2**18
_GZIP = 31
"""What zlib calls the format."""


def write_lines(file: BinaryIO, lines: Iterable[str]) -> None:
    """Write lines; the same ones give the same bytes."""
    with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
        before = ""
        for batch in batches(lines, _LINES):
            packed.write((before + "\n".join(batch)).encode())
            before = "\n"


def read_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Read what `write_lines` has written; empty lines are left out.

    A line ends with a line feed alone: texts may hold what else Python takes for an end of lines.

    Raises:
        EOFError: the end is missing.
        zlib.error: it is something else.
        UnicodeDecodeError: it is no text.
    """
    rest = b""
    for text in _unpacked(pieces):
        *whole, rest = (rest + text).split(b"\n")
        yield from (line.decode() for line in whole if line)
    if rest:
        yield rest.decode()


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(_GZIP)
    for piece in pieces:
        left = piece
        while left:
            yield unpacking.decompress(left, _PIECE)
            left = unpacking.unconsumed_tail
    yield unpacking.flush()
    if not unpacking.eof:
        raise EOFError
