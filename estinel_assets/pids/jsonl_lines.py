"""Reading files of kept messages, line by line, and taking out the lines that are done with."""

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from glob import has_magic, iglob
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.paths import Key
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.jsonl_files import locked, sync_folder
from estinel_assets.pids.line_forms import read_line

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Longest line that is read; that of the largest message is well below."""
_ENDING = ".jsonl"
_NOT_MESSAGES = "handles_"
"""Begins the names of files that a dry run writes: records, not messages."""


@dataclass(frozen=True, slots=True)
class Place:
    """One line of a file."""

    path: Path
    number: int
    """From 1."""
    digest: str
    """Of its bytes, so that another line is never taken for it."""

    def __str__(self) -> str:
        return f"{self.path}, line {self.number}"


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message that a line keeps."""

    place: Place
    message: IncomingMessage
    """With the retries that the line counts."""
    reason: str | None
    """Why it was kept; None in a dump."""

    @property
    def retries(self) -> int:
        """How often it was tried again until the line was written."""
        return self.message.retries

    @property
    def again(self) -> IncomingMessage:
        """The message for another attempt, which counts as one more."""
        return replace(self.message, retries=self.message.retries + 1)


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be read."""

    place: Place
    problem: str

    def __str__(self) -> str:
        return f"{self.place} cannot be read: {self.problem}; repair or remove it"


@dataclass(frozen=True, slots=True)
class Latest:
    """The lines of one message, which several attempts or a crash may have left."""

    place: Place
    """The one that counts: that of the most retries, and of those the last."""
    older: tuple[Place, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """All of them: what can be removed when the message is registered."""
        return self.place, *self.older


def find_files(paths: Iterable[Path | str]) -> list[Path]:
    """The files that paths name, each once, in the order of the paths.

    Args:
        paths: files, folders (every `*.jsonl` below, sorted, except `handles_*.jsonl`, which a dry
            run writes), or patterns as in a shell, with `**` for any folders.

    Raises:
        BadInputError: a path finds nothing; the message lists every such path.
    """
    found: dict[Path, Path] = {}
    problems = []
    for path in paths:
        files = list(_files(Path(path)))
        if not files:
            problems.append(f"{path} {_absence(Path(path))}")
        for file in files:
            found.setdefault(file.resolve(), file)
    if problems:
        raise BadInputError("; ".join(problems))
    return list(found.values())


def read_lines(paths: Iterable[Path | str]) -> Iterator[KeptMessage | BadLine]:
    """Read messages from files, one after the other; only one is in memory.

    Args:
        paths: as for `find_files`.

    Returns:
        What each line keeps; blank lines are passed over.

    Raises:
        BadInputError: a path finds nothing (at once), or a file cannot be read (when it is due).
    """
    files = find_files(paths)
    return (line for file in files for line in _read_file(file))


def latest(lines: Iterable[KeptMessage | BadLine]) -> dict[Key, Latest]:
    """Which line of each message counts; keeps places, not messages. Bad lines are passed over.

    A message of the same offset and another time is another one, of a topic that was made anew: of
    these, one counts, and the lines of the others stay for another attempt.
    """
    kept: dict[Key, tuple[int, datetime | None, Latest]] = {}
    for line in lines:
        if isinstance(line, BadLine):
            continue
        unit, time = line.message.unit, line.message.received_at
        retries, at, former = kept.get(unit, (0, time, None))
        is_same = former is not None and at == time
        if former is None or line.retries >= retries:
            older = former.places if former is not None and is_same else ()
            kept[unit] = line.retries, time, Latest(line.place, older)
        elif is_same:
            kept[unit] = retries, at, replace(former, older=(*former.older, line.place))
    return {unit: found for unit, (_, _, found) in kept.items()}


def remove_lines(places: Iterable[Place]) -> int:
    """Take lines out of their files; a file without lines is deleted.

    Each file is replaced by a new one at once. Lines that were added meanwhile stay, and so does a
    line that is not the same any more. A program that adds lines without the file's lock, as the
    original does, must not write at that very moment.

    Returns:
        How many lines were taken out.

    Raises:
        BadInputError: a file cannot be written; those before it are done.
    """
    by_path: dict[Path, dict[int, str]] = {}
    for place in places:
        by_path.setdefault(place.path, {})[place.number] = place.digest
    removed = 0
    for path, digests in by_path.items():
        try:
            with locked(path, os.O_RDWR) as file:
                removed += _rewrite(path, file, digests)
        except FileNotFoundError:  # nothing is left to be taken out
            continue
        except OSError as error:
            raise BadInputError(
                f"{path} cannot be written anew ({error.strerror}): its lines stay as they are"
            ) from error
    return removed


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for file in sorted(path.rglob(f"*{_ENDING}")):
            if file.is_file() and not file.name.startswith(_NOT_MESSAGES):
                yield file
    elif has_magic(str(path)):
        for match in sorted(iglob(str(path), recursive=True)):  # noqa: PTH207 - absolute ones, too
            yield from _files(Path(match))


def _absence(path: Path) -> str:
    if path.is_dir():
        return f"has no *{_ENDING} of messages below it"
    return "matches nothing" if has_magic(str(path)) else "does not exist"


def _read_file(path: Path) -> Iterator[KeptMessage | BadLine]:
    try:
        with path.open("rb") as file:
            for number, line, digest in _numbered(file):
                if line is not None and not line.strip():
                    continue
                yield _content(Place(path, number, digest), line)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror})") from error


def _content(place: Place, line: bytes | None) -> KeptMessage | BadLine:
    if line is None:
        return BadLine(place, f"it is longer than {MAX_LINE_BYTES} bytes")
    try:
        content = read_line(line)
    except BadInputError as error:
        return BadLine(place, str(error))
    return KeptMessage(place, content.message, content.reason)


def _numbered(file: BinaryIO) -> Iterator[tuple[int, bytes | None, str]]:
    """Lines with their numbers and digests; None for one that is too long."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        digest = _digest_of(line)
        if line.endswith(b"\n") or len(line) < MAX_LINE_BYTES:
            yield number, line, digest
            continue
        while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield number, None, digest


def _digest_of(line: bytes) -> str:
    return blake2b(line.rstrip(b"\r\n"), digest_size=16).hexdigest()


def _rewrite(path: Path, file: int, digests: Mapping[int, str]) -> int:
    """Write a locked file anew without some of its lines."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    removed, is_empty = 0, True
    try:
        with part.open("xb") as sink, open(file, "rb", closefd=False) as source:
            for number, line in enumerate(source, start=1):
                if digests.get(number) == _digest_of(line[:MAX_LINE_BYTES]):
                    removed += 1
                    continue
                sink.write(line)
                is_empty = is_empty and not line.strip()
            os.fchmod(sink.fileno(), os.fstat(file).st_mode & 0o7777)
            sink.flush()
            os.fsync(sink.fileno())
        if removed == 0:
            return 0
        if is_empty:
            path.unlink()
        else:
            part.replace(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
    return removed
