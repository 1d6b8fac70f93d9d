"""The small record of a publication that says which state stands.

Replacing it, by compare-and-swap, is what commits a transaction. The state itself is written before
(`parts`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    StoreError,
    UnansweredError,
)
from estinel_assets.publishing.layout import current_path, state_path, states_path
from estinel_assets.publishing.model import Policy
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json
from estinel_assets.storage.port import ObjectStore

_TRIES = 4


class Current(BaseModel):
    """What stands under a publication's id. For people to read, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    publication: str
    fingerprint: str
    """Of the content; empty when it was removed."""
    txn: str
    """Transaction that made it so."""
    removed: bool = False
    policy: Policy
    committed_at: AwareDatetime
    run_id: str
    counts: Mapping[str, int]
    """Objects, bytes, documents, collections and items."""
    places: tuple[str, ...] = ()
    """Addresses of the prefixes with its objects, for people."""
    fenced: str = ""
    """The last transaction that was undone, and can therefore not be committed any more."""
    moved: bool = False
    """Whether a worker that was taken over may still be writing at the usual places."""

    @property
    def stands(self) -> bool:
        """Whether there is anything."""
        return not self.removed


@dataclass(frozen=True, slots=True)
class Standing:
    """`Current` as it was read, for the next compare-and-swap."""

    current: Current | None
    etag: str | None


def read_current(store: ObjectStore, publication: str) -> Standing:
    """What stands under an id.

    Raises:
        StoreError: the record cannot be read or understood.
    """
    path = current_path(publication)
    try:
        stored = store.get(path)
    except NotFoundError:
        return Standing(None, None)
    try:
        current = _adapter().validate_python(load_json(stored.data, what=store.uri(path)))
    except ValidationError as error:
        raise StoreError(
            f"{store.uri(path)} is no record of a publication "
            f"({error.error_count()} faults); restore it from a backup"
        ) from None
    return Standing(current, stored.meta.etag)


def commit(
    store: ObjectStore, standing: Standing, current: Current, check: Callable[[], None]
) -> None:
    """Make a new state the one that stands, unless another one came between.

    Args:
        store: the one of the settings.
        standing: what stood when the transaction began.
        current: what is to stand.
        check: raises where the lease is lost.

    Raises:
        ChangedError: another one came between.
        StoreError: the store refuses; nobody knows whether it stands where no answer came.
    """
    path = current_path(current.publication)
    for left in reversed(range(_TRIES)):
        check()
        try:
            _swap(store, path, standing.etag, current)
        except UnansweredError:
            if _is_committed(store, current):
                return
            if not left:
                raise
        except (AlreadyExistsError, ChangedError, NotFoundError) as error:
            # The answer to an earlier try may have been lost.
            if _is_committed(store, current):
                return
            raise ChangedError(
                f"{store.uri(path)} cannot be committed ({error}); publish it again"
            ) from error
        else:
            return


def fence(
    store: ObjectStore,
    publication: str,
    txn: str,
    *,
    moved: bool,
    now: datetime,
    run_id: str,
) -> bool:
    """Make sure that a transaction cannot be committed any more, before it is undone.

    A commit that is late, of a worker that was suspended or whose request took its time, finds
    another record than it expects.

    Args:
        store: the one of the settings.
        publication: whose transaction it is.
        txn: the transaction.
        moved: its worker may still be writing, so that the next objects go to other places.
        now: UTC, aware.
        run_id: who undoes it.

    Returns:
        False; True where it stands committed, and is not to be undone.

    Raises:
        StoreError: the store refuses, or others keep writing.
    """
    path = current_path(publication)
    for _ in range(_TRIES):
        standing = read_current(store, publication)
        current = standing.current
        if current is None:
            fenced = Current(
                publication=publication,
                fingerprint="",
                txn="",
                removed=True,
                policy=Policy.FAIL,
                committed_at=now,
                run_id=run_id,
                counts={},
                fenced=txn,
                moved=moved,
            )
        else:
            committed = current.txn == txn
            if (committed or current.fenced == txn) and (current.moved or not moved):
                return committed
            fenced = current.model_copy(
                update={
                    "fenced": current.fenced if committed else txn,
                    "moved": current.moved or moved,
                }
            )
        try:
            _swap(store, path, standing.etag, fenced)
        except (AlreadyExistsError, ChangedError, NotFoundError, UnansweredError):
            continue
        return fenced.txn == txn
    raise StoreError(f"{store.uri(path)} keeps changing; check who writes it")


def drop_states(store: ObjectStore, publication: str) -> None:
    """Delete the states that nothing refers to. The caller holds the publication's lease."""
    current = read_current(store, publication).current
    kept = "" if current is None or not current.txn else state_path(publication, current.txn)
    for meta in list(store.list(states_path(publication))):
        if meta.path != kept:
            store.delete(meta.path)


def _swap(store: ObjectStore, path: str, etag: str | None, current: Current) -> None:
    body = dump_json(current.model_dump(mode="json"), what=store.uri(path))
    if etag is None:
        store.create(path, body, content_type=JSON_TYPE)
    else:
        store.replace(path, body, etag=etag, content_type=JSON_TYPE)


def _is_committed(store: ObjectStore, current: Current) -> bool:
    stands = read_current(store, current.publication).current
    return stands is not None and stands.txn == current.txn


@cache
def _adapter() -> TypeAdapter[Current]:
    return TypeAdapter(Current)
