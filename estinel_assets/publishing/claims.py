"""Claims: a prefix of an object store belongs to one publication.

A claim is taken before the first object is written below it, so that what stands there can only
be ours, and is given up when nothing of ours is left. It is marked, not deleted, for the same
reason as a lease: no store can delete on condition that nothing changed.

Claims stand at paths made from the prefixes' own addresses, so that one prefix has one claim
however a configuration spells its store, and so that those inside and around another one are found:
no two publications may have prefixes of which one lies in the other.
"""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import accumulate

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
from estinel_assets.publishing.layout import CLAIM, CLAIMS, claim_folder
from estinel_assets.publishing.model import Place, StoreAt
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json
from estinel_assets.storage.port import ObjectStore

_TRIES = 6


class Claim(BaseModel):
    """Whom a prefix belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    publication: str
    txn: str
    """The transaction that took it."""
    address: str
    """Of the prefix, in full."""
    store: dict[str, str]
    path: str
    free: bool = False

    @property
    def place(self) -> Place:
        """The prefix."""
        return Place(StoreAt(**self.store), self.path)


def take_claim(
    journal: ObjectStore, place: Place, address: str, *, publication: str, txn: str
) -> None:
    """Make a prefix a publication's own. One that it has already stays as it is.

    Args:
        journal: the store of the settings.
        place: the prefix.
        address: its full address.
        publication: whose it is to be.
        txn: the transaction that takes it.

    Raises:
        PermanentError: another publication has it, or one inside or around it.
        RetryableError: others keep taking it.
        StoreError: the store refuses.
    """
    path = _path(address)
    claim = Claim(
        publication=publication,
        txn=txn,
        address=address,
        store=asdict(place.store),
        path=place.path,
    )
    body = dump_json(claim.model_dump(), what=journal.uri(path))
    for _ in range(_TRIES):
        found = _read(journal, path)
        try:
            if found is None:
                journal.create(path, body, content_type=JSON_TYPE)
            elif not found[0].free:
                if found[0].publication != publication:
                    raise _taken(found[0], address)
            else:
                journal.replace(path, body, etag=found[1], content_type=JSON_TYPE)
        except (AlreadyExistsError, ChangedError, NotFoundError, UnansweredError):
            continue
        # Looked for when ours stands: of two that are taken at once, at least one sees the other.
        other = next(_near(journal, address, publication), None)
        if other is not None:
            give_up_claim(journal, address, publication=publication, txn=txn)
            raise _taken(other, address)
        return
    raise RetryableError(
        PublishingReason.STORE_FAILED, f"{journal.uri(path)} keeps changing; try again"
    )


def give_up_claim(journal: ObjectStore, address: str, *, publication: str, txn: str | None) -> None:
    """Give a prefix up, where it is this publication's.

    Args:
        journal: the store of the settings.
        address: of the prefix.
        publication: whose it may be.
        txn: only if this transaction took it; None whichever did.

    Raises:
        StoreError: the store refuses.
    """
    path = _path(address)
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


def has_claim(journal: ObjectStore, address: str, publication: str) -> bool:
    """Whether a prefix is a publication's own now.

    Raises:
        StoreError: the store refuses.
    """
    claim = claim_of(journal, address)
    return claim is not None and not claim.free and claim.publication == publication


def claim_of(journal: ObjectStore, address: str) -> Claim | None:
    """Whom a prefix belongs to, or belonged to last; None where it never was anybody's."""
    found = _read(journal, _path(address))
    return None if found is None else found[0]


def claims(journal: ObjectStore, *, with_free: bool = False) -> list[Claim]:
    """All prefixes that belong to a publication; with those that belonged to one, if asked."""
    return list(_below(journal, CLAIMS, with_free=with_free))


def _near(journal: ObjectStore, address: str, publication: str) -> Iterator[Claim]:
    """Claims of others inside and around a prefix."""
    folder = claim_folder(address)
    parts = folder.removeprefix(f"{CLAIMS}/").split("/")
    for above in list(accumulate(parts, lambda head, tail: f"{head}/{tail}"))[:-1]:
        found = _read(journal, f"{CLAIMS}/{above}/{CLAIM}")
        if found is not None and not found[0].free and found[0].publication != publication:
            yield found[0]
    for claim in _below(journal, folder):
        if claim.publication != publication:
            yield claim


def _below(journal: ObjectStore, folder: str, *, with_free: bool = False) -> Iterator[Claim]:
    for meta in journal.list(folder):
        found = _read(journal, meta.path)
        if found is not None and (with_free or not found[0].free):
            yield found[0]


def _path(address: str) -> str:
    return f"{claim_folder(address)}/{CLAIM}"


def _read(journal: ObjectStore, path: str) -> tuple[Claim, str] | None:
    try:
        stored = journal.get(path)
    except NotFoundError:
        return None
    what = journal.uri(path)
    try:
        return Claim.model_validate(load_json(stored.data, what=what)), stored.meta.etag
    except ValidationError:
        raise StoreError(f"{what} is no claim; restore it from a backup") from None


def _taken(claim: Claim, address: str) -> PermanentError:
    where = (
        address if claim.address == address else f"{claim.address}, which overlaps with {address},"
    )
    return PermanentError(
        PublishingReason.ALREADY_PUBLISHED,
        f"{where} belongs to the publication {claim.publication!r}; remove that one, or send this "
        "to another location",
    )
