"""Journals that are not closed: transactions that go on, or were broken off."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from estinel_assets.outcomes.paths import decode_key
from estinel_assets.publishing.journal import Journal, open_journals
from estinel_assets.publishing.layout import BY_ID, journal_path, lease_path
from estinel_assets.storage.lease import lease_is_live
from estinel_assets.storage.port import ObjectStore


@dataclass(frozen=True, slots=True)
class Unclosed:
    """A journal that is not closed."""

    publication: str
    txn: str
    since: datetime
    """When its transaction began, UTC."""
    held: bool
    """Whether a live worker is at it."""


def unclosed_journals(store: ObjectStore) -> Iterator[Unclosed]:
    """All journals that are not closed, of all publications.

    Args:
        store: the one of the settings.

    Raises:
        StoreError: the store refuses, or a journal cannot be understood.
    """
    for folder in store.list_folders(BY_ID):
        (name,) = decode_key(folder)
        journals = open_journals(store, name)
        held = bool(journals) and lease_is_live(store, lease_path(name)) is True
        for journal in journals:
            since = _began(journal)
            if since is not None:
                yield Unclosed(name, journal.txn, since, held)


def _began(journal: Journal) -> datetime | None:
    """When a transaction began; None where its journal was closed meanwhile."""
    begin = journal.begin()
    if begin is not None:
        return begin.started_at
    # Never sealed, or about to vanish: its objects tell.
    written = journal.store.list(journal_path(journal.publication, journal.txn))
    return min((meta.last_modified for meta in written), default=None)
