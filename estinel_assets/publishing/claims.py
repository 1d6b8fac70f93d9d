"""Claims: a prefix of an object store belongs to one publication.

A claim is taken before the first object is written below it, so that what stands there can only
be ours, and is given up when nothing of ours is left. It is marked, not deleted, for the same
reason as a lease: no store can delete on condition that nothing changed.
"""

from dataclasses import asdict

from pydantic import BaseModel, ConfigDict, ValidationError

from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    PermanentError,
    RetryableError,
    StoreError,
    UnansweredError,
)
from estinel_assets.publishing.layout import CLAIMS, claim_path
from estinel_assets.publishing.model import Place, StoreAt
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json, read_json
from estinel_assets.storage.port import ObjectStore

_TRIES = 6


class Claim(BaseModel):
    """Whom a prefix belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    publication: str
    txn: str
    """The transaction that took it."""
    store: dict[str, str]
    path: str
    free: bool = False

    @property
    def place(self) -> Place:
        """The prefix."""
        return Place(StoreAt(**self.store), self.path)


def take_claim(journal: ObjectStore, place: Place, *, publication: str, txn: str) -> None:
    """Make a prefix a publication's own. One that it has already stays as it is.

    Raises:
        PermanentError: another publication has it.
        RetryableError: others keep taking it.
        StoreError: the store refuses.
    """
    path = claim_path(place)
    claim = Claim(publication=publication, txn=txn, store=asdict(place.store), path=place.path)
    body = dump_json(claim.model_dump(), what=journal.uri(path))
    for _ in range(_TRIES):
        found = _read(journal, path)
        try:
            if found is None:
                journal.create(path, body, content_type=JSON_TYPE)
                return
            standing, etag = found
            if not standing.free:
                if standing.publication == publication:
                    return
                raise PermanentError(
                    PublishingReason.ALREADY_PUBLISHED,
                    f"{_address(place)} belongs to the publication {standing.publication!r}; "
                    "remove that one, or send this to another location",
                )
            journal.replace(path, body, etag=etag, content_type=JSON_TYPE)
        except (AlreadyExistsError, ChangedError, NotFoundError, UnansweredError):
            continue
        else:
            return
    raise RetryableError(
        PublishingReason.STORE_FAILED, f"{journal.uri(path)} keeps changing; try again"
    )


def give_up_claim(journal: ObjectStore, place: Place, *, publication: str, txn: str | None) -> None:
    """Give a prefix up, where it is this publication's.

    Args:
        journal: the store of the settings.
        place: the prefix.
        publication: whose it may be.
        txn: only if this transaction took it; None whichever did.

    Raises:
        StoreError: the store refuses.
    """
    path = claim_path(place)
    for _ in range(_TRIES):
        found = _read(journal, path)
        if found is None or found[0].free or found[0].publication != publication:
            return
        standing, etag = found
        if txn is not None and standing.txn != txn:
            return
        freed = standing.model_copy(update={"free": True})
        body = dump_json(freed.model_dump(), what=journal.uri(path))
        try:
            journal.replace(path, body, etag=etag, content_type=JSON_TYPE)
        except (ChangedError, NotFoundError, UnansweredError):
            continue
        else:
            return
    raise StoreError(f"{journal.uri(path)} keeps changing; try again")


def claims(journal: ObjectStore) -> list[Claim]:
    """All prefixes that belong to a publication."""
    found = (_parse(journal, meta.path, None) for meta in journal.list(CLAIMS))
    return [claim for claim in found if not claim.free]


def _read(journal: ObjectStore, path: str) -> tuple[Claim, str] | None:
    try:
        stored = journal.get(path)
    except NotFoundError:
        return None
    return _parse(journal, path, stored.data), stored.meta.etag


def _parse(journal: ObjectStore, path: str, body: bytes | None) -> Claim:
    what = journal.uri(path)
    document = read_json(journal, path) if body is None else load_json(body, what=what)
    try:
        return Claim.model_validate(document)
    except ValidationError:
        raise StoreError(f"{what} is no claim; restore it from a backup") from None


def _address(place: Place) -> str:
    return f"{place.store.url or 'the store'}/{place.path}"
