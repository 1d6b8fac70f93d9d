"""Trying again what files keep: failures and skipped messages, also those of piddiplatsch."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import NO_REASON, Outcome
from estinel_assets.pids.configuration import load_configuration
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.jsonl_lines import (
    BadLine,
    KeptMessage,
    Latest,
    Place,
    find_files,
    latest,
    read_lines,
    remove_lines,
)
from estinel_assets.pids.working_again import WorkingAgain, opened_again
from estinel_assets.settings import Settings, load_settings
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore


@dataclass(slots=True)
class Retried:
    """What came of trying again."""

    total: int
    """Messages in the files, each counted once."""
    unreadable: tuple[str, ...]
    """Lines that could not be read: file, line and problem."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Messages that were tried, by how they ended."""
    removed: int = 0
    """Lines that were taken out of the files."""
    stopped_by: Outcome | None = None
    """The message at which a service was down, so that the others were not tried."""

    @property
    def succeeded(self) -> int:
        """Messages that are registered now."""
        return self.reasons[NO_REASON]

    @property
    def failed(self) -> int:
        """Messages that failed again, the skipped ones included."""
        return self.reasons.total() - self.succeeded

    @property
    def left(self) -> int:
        """Messages that were not tried."""
        return self.total - self.reasons.total()

    @property
    def success_rate(self) -> float:
        """Share of all messages that are registered now, from 0 to 1; 1 where there was none."""
        return self.succeeded / self.total if self.total else 1.0


def retry_files(
    paths: Iterable[Path | str],
    settings: Settings | None = None,
    *,
    store: ObjectStore | None = None,
    delete_after: bool = False,
    dry_run: bool = False,
    force: bool = False,
) -> Retried:
    """Try the messages again that files keep.

    What fails again is written to the files of the next retry.

    Args:
        paths: files, folders with `*.jsonl` at any depth, or patterns such as `failures/r*/*`.
        settings: all of them; None for those of the environment.
        store: takes the outcomes; None for that of the settings.
        delete_after: take out of the files what succeeded, and delete files without lines.
        dry_run: write records to files, ask no service, record nothing and delete nothing.
        force: go on where a service is down, and record its messages as skipped.

    Returns:
        How many there were, and how they ended.

    Raises:
        BadInputError: a path finds nothing, or settings cannot be used.
        StoreError: outcomes cannot be kept.
    """
    settings = settings or load_settings()
    configuration = load_configuration(settings.pids)
    files = find_files(paths)
    unreadable: list[str] = []
    which = latest(_readable(read_lines(files), unreadable))
    retried = Retried(len(which), tuple(unreadable))
    run_id = f"retry-{uuid.uuid4()}"
    dry_run = dry_run or configuration.handle.is_dry
    kept_in = None if dry_run else store or _open_store(settings)
    done: list[Place] = []
    with opened_again(settings, configuration, kept_in, run_id, force=force) as again:
        try:
            for outcomes in again.run(_chosen(files, which)):
                _count(retried, outcomes, again)
                done += _done(outcomes, which)
        finally:
            # At the end, because the lines behind a removed one have other numbers afterwards.
            if delete_after and not dry_run:
                retried.removed = remove_lines(done)
    return retried


def _open_store(settings: Settings) -> ObjectStore:
    at = settings.store
    return open_store(at.url, endpoint_url=at.endpoint_url, region=at.region, profile=at.profile)


def _readable(
    lines: Iterable[KeptMessage | BadLine], unreadable: list[str]
) -> Iterator[KeptMessage]:
    for line in lines:
        if isinstance(line, BadLine):
            unreadable.append(str(line))
        else:
            yield line


def _chosen(files: Sequence[Path], which: Mapping[Key, Latest]) -> Iterator[IncomingMessage]:
    """Each message once, from the line that counts; lines that came meanwhile are left alone."""
    for line in read_lines(files):
        if isinstance(line, KeptMessage):
            chosen = which.get(line.message.unit)
            if chosen is not None and chosen.place == line.place:
                yield line.again


def _count(retried: Retried, outcomes: Sequence[Outcome], again: WorkingAgain) -> None:
    for outcome in outcomes:
        retried.reasons[outcome.reason] += 1
        if retried.stopped_by is None and again.is_stopped_by(outcome):
            retried.stopped_by = outcome


def _done(outcomes: Sequence[Outcome], which: Mapping[Key, Latest]) -> list[Place]:
    """The lines of messages that are registered now."""
    return [place for one in outcomes if one.status for place in which[one.key].places]
