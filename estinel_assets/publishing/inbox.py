"""The inbox: a folder of job folders, and which of them wait to be published."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from estinel_assets.errors import BadInputError
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.rules import RetryRule, is_due, is_final
from estinel_assets.publishing.reasons import PublishingReason

log = get_logger(__name__)

LEFT_OUT = "_datasets.json"
"""What publishing itself writes into a folder."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A job folder at a glance: without reading its files."""

    fingerprint: str
    """Of the paths, sizes and times of all files."""
    changed_at: datetime
    """When something in it changed last, UTC."""
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job folder that is to be published."""

    publication: str
    """Its id: the folder's name."""
    folder: Path
    listing: Listing
    why: str
    """`new`, `changed` or `due`."""


def list_folder(folder: Path) -> Listing:
    """Look at a folder's files, without reading them.

    Raises:
        BadInputError: it is no folder that can be read.
    """
    told = sha256()
    newest = files = size = 0

    def refuse(error: OSError) -> None:
        raise BadInputError(f"{error.filename} cannot be read ({error.strerror}): see its rights")

    if not folder.is_dir():
        raise BadInputError(f"{folder} is no folder: name a job's folder")
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        newest = max(newest, 0 if parent == str(folder) else Path(parent).stat().st_mtime_ns)
        for name in sorted(names):
            path = Path(parent, name)
            if path.parent == folder and name == LEFT_OUT:
                continue
            found = path.lstat()
            newest = max(newest, found.st_mtime_ns)
            files += 1
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
            relative = os.fsencode(path.relative_to(folder))
            told.update(b"%s\0%d\0%d\n" % (relative, found.st_size, found.st_mtime_ns))
    changed_at = datetime.fromtimestamp(newest / 1e9, UTC)
    return Listing(told.hexdigest()[:32], changed_at, files, size)


def waiting(
    inbox: Path,
    standing: Mapping[Key, IndexRow],
    now: datetime,
    *,
    quiet_s: float,
    retry: RetryRule,
) -> Iterator[Waiting]:
    """The job folders that are to be published, by name.

    Args:
        inbox: the folder that holds them.
        standing: how publications ended so far.
        now: UTC, aware.
        quiet_s: a folder in which something changed less than so many seconds ago is not
            complete yet.
        retry: how often and with which pauses a failure is tried again.
    """
    for folder in sorted(inbox.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        try:
            listing = list_folder(folder)
        except (BadInputError, FileNotFoundError) as error:
            # It is being moved or written, or not ours to read; the others are not to wait for it.
            log.warning("job folder passed over", folder=str(folder), error=str(error))
            continue
        if now - listing.changed_at < timedelta(seconds=quiet_s) or not listing.files:
            continue
        why = why_waiting(standing.get((folder.name,)), listing.fingerprint, now, retry)
        if why is None:
            continue
        yield Waiting(folder.name, folder, listing, why)


def why_waiting(row: IndexRow | None, inputs: str, now: datetime, retry: RetryRule) -> str | None:
    """Why something is to be published: `new`, `changed` or `due`; None where it is not.

    Args:
        row: how it ended last, if it ever did.
        inputs: fingerprint of what it is now.
        now: UTC, aware.
        retry: how often and with which pauses a failure is tried again.
    """
    if row is None:
        return "new"
    if row.inputs != inputs:
        return "changed"
    final = is_final(row, PublishingReason, max_attempts=retry.max_attempts)
    return "due" if not final and is_due(row, now, retry) else None
