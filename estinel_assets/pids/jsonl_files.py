"""The original's files of failed, skipped and dumped messages, written from outcomes.

::

    {folder}/failures/r{retries}/failed_items_{date}.jsonl
    {folder}/skipped/skipped_items_{date}.jsonl
    {folder}/dump/dump_messages_{date}.jsonl

Whole lines are added at the end of a file under its lock (`flock`), which whoever takes lines out
holds, too.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.line_forms import dump_line, kept_line
from estinel_assets.pids.message_records import SKIPPED, message_of

_MOST_BYTES = 16 * 1024 * 1024
"""Lines of one file that are gathered before they are written."""


class JsonlFiles:
    """Adds the lines of outcomes to files. Others may add to the same files at the same time."""

    def __init__(self, folder: Path, *, dump: bool = False) -> None:
        """Remember the folder; it is made with the first line.

        Args:
            folder: for the files.
            dump: whether every message gets a line, whatever became of it.
        """
        self._folder = folder
        self._dump = dump

    def write(self, outcomes: Iterable[Outcome]) -> None:
        """Add the lines of outcomes; they are on the disk when this returns.

        The time at which a message was finished names the file, in UTC: an outcome that is written
        twice has both lines in the same file.

        Args:
            outcomes: those that failed or were skipped must keep their message, and all of them
                where messages are dumped.

        Raises:
            BadInputError: a file cannot be written.
            ValueError: an outcome does not keep its message.
        """
        waiting: dict[Path, list[bytes]] = {}
        sizes: dict[Path, int] = {}
        for outcome in outcomes:
            for path, line in self._lines(outcome):
                waiting.setdefault(path, []).append(line)
                sizes[path] = sizes.get(path, 0) + len(line)
                if sizes[path] >= _MOST_BYTES:
                    sizes[path] = 0
                    _append(path, b"".join(waiting.pop(path)))
        for path, lines in waiting.items():
            _append(path, b"".join(lines))

    def _lines(self, outcome: Outcome) -> Iterator[tuple[Path, bytes]]:
        if outcome.status and not self._dump:
            return
        message = message_of(outcome)
        if message is None:
            raise ValueError(f"the outcome of {'/'.join(outcome.key)} does not keep its message")
        date = f"{outcome.finished_at.astimezone(UTC):%Y-%m-%d}"
        if self._dump:
            yield self._folder / "dump" / f"dump_messages_{date}.jsonl", dump_line(message)
        if outcome.status:
            return
        skipped = bool(outcome.detail.get(SKIPPED))
        folder = f"failures/r{message.retries}"
        path = self._folder / folder / f"failed_items_{date}.jsonl"
        if skipped:
            path = self._folder / "skipped" / f"skipped_items_{date}.jsonl"
        yield path, kept_line(outcome, message, skipped=skipped)


@contextmanager
def locked(path: Path, flags: int) -> Iterator[int]:
    """Hold a file that nobody replaces or removes, nor adds to, as long as all keep to its lock.

    Args:
        path: the file.
        flags: as for `os.open`; it must be opened for writing.

    Raises:
        OSError: it cannot be opened.
    """
    while True:
        file = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _stands_at(file, path):
                yield file
                return
        finally:
            os.close(file)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _append(path: Path, lines: bytes) -> None:
    try:
        made = _make_folder(path.parent)
        with locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
            size = os.fstat(file).st_size
            # Whoever was killed in the middle of a line left it without its end.
            torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            rest = memoryview(b"\n" + lines if torn else lines)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        for folder in [*made, path.parent] if size == 0 else []:
            sync_folder(folder)
    except OSError as error:
        raise BadInputError(
            f"{path} cannot take lines ({error.strerror}): make room, or choose another folder"
        ) from error


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above; which ones have a new name in them."""
    absent = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [one.parent for one in absent]


def _stands_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
