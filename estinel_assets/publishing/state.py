"""What a publication consists of: a small record that says which state stands, and the state.

Replacing the record, by compare-and-swap, is what commits a transaction. The state, one line for
each part, is written before, under the transaction's own name.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from estinel_assets.errors import (
    AlreadyExistsError,
    ChangedError,
    NotFoundError,
    StoreError,
    UnansweredError,
)
from estinel_assets.publishing.layout import current_path, state_path, states_path
from estinel_assets.publishing.model import Content, Place, Policy, StoreAt
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json
from estinel_assets.storage.port import ObjectStore

GZIP_TYPE = "application/gzip"
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


@dataclass(slots=True)
class State:
    """All parts of a publication, without their bodies."""

    places: set[Place] = field(default_factory=set)
    objects: dict[tuple[StoreAt, str], tuple[int, str]] = field(default_factory=dict)
    """Size and sha256 by store and path."""
    documents: dict[str, str] = field(default_factory=dict)
    """Digest by id."""
    collections: set[str] = field(default_factory=set)
    """Those that this publication made."""
    items: dict[tuple[str, str], str] = field(default_factory=dict)
    """Digest by collection and id."""

    def lines(self) -> Iterator[str]:
        """The state as the store keeps it, sorted."""
        for place in sorted(self.places):
            yield _line(kind="place", store=asdict(place.store), path=place.path)
        for (store, path), (size, digest) in sorted(self.objects.items()):
            yield _line(kind="object", store=asdict(store), path=path, size=size, digest=digest)
        for name, digest in sorted(self.documents.items()):
            yield _line(kind="document", id=name, digest=digest)
        for name in sorted(self.collections):
            yield _line(kind="collection", id=name)
        for (collection, name), digest in sorted(self.items.items()):
            yield _line(kind="item", collection=collection, id=name, digest=digest)

    def add(self, line: str) -> None:
        """Take in a line.

        Raises:
            KeyError: it is none.
            ValueError: it is none.
        """
        part = json.loads(line)
        match part["kind"]:
            case "place":
                self.places.add(Place(StoreAt(**part["store"]), part["path"]))
            case "object":
                key = StoreAt(**part["store"]), part["path"]
                self.objects[key] = part["size"], part["digest"]
            case "document":
                self.documents[part["id"]] = part["digest"]
            case "collection":
                self.collections.add(part["id"])
            case "item":
                self.items[part["collection"], part["id"]] = part["digest"]
            case kind:
                raise ValueError(f"unknown part {kind!r}")


def state_of(content: Content, collections_made: set[str]) -> State:
    """The state that a content leads to."""
    return State(
        places=set(content.places),
        objects={(one.store, one.path): (one.size, one.sha256) for one in content.objects},
        documents={one.id: one.digest for one in content.documents},
        collections=collections_made,
        items={(one.collection, one.id): one.digest for one in content.items},
    )


def counts_of(state: State) -> dict[str, int]:
    """How much it is."""
    return {
        "objects": len(state.objects),
        "bytes": sum(size for size, _ in state.objects.values()),
        "documents": len(state.documents),
        "collections": len(state.collections),
        "items": len(state.items),
    }


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


def write_state(store: ObjectStore, publication: str, txn: str, state: State) -> None:
    """Store a state under its transaction's name."""
    packed = gzip.compress("\n".join(state.lines()).encode(), mtime=0)
    store.put(state_path(publication, txn), packed, content_type=GZIP_TYPE)


def drop_states(store: ObjectStore, publication: str) -> None:
    """Delete the states that nothing refers to. The caller holds the publication's lease."""
    current = read_current(store, publication).current
    kept = "" if current is None or not current.txn else state_path(publication, current.txn)
    for meta in list(store.list(states_path(publication))):
        if meta.path != kept:
            store.delete(meta.path)


def read_state(store: ObjectStore, current: Current | None) -> State:
    """The state that stands; an empty one where nothing does.

    Raises:
        StoreError: it cannot be read or understood.
    """
    state = State()
    if current is None or current.removed:
        return state
    path = state_path(current.publication, current.txn)
    try:
        # Not splitlines: names may hold characters that it takes for ends of lines.
        for line in filter(None, gzip.decompress(store.get(path).data).decode().split("\n")):
            state.add(line)
    except (ValueError, KeyError, TypeError, EOFError, OSError) as error:
        raise StoreError(
            f"{store.uri(path)} is no state of a publication ({type(error).__name__}); restore it "
            "from a backup"
        ) from None
    return state


def _swap(store: ObjectStore, path: str, etag: str | None, current: Current) -> None:
    body = dump_json(current.model_dump(mode="json"), what=store.uri(path))
    if etag is None:
        store.create(path, body, content_type=JSON_TYPE)
    else:
        store.replace(path, body, etag=etag, content_type=JSON_TYPE)


def _is_committed(store: ObjectStore, current: Current) -> bool:
    stands = read_current(store, current.publication).current
    return stands is not None and stands.txn == current.txn


def _line(**part: Any) -> str:
    return json.dumps(part, ensure_ascii=False, separators=(",", ":"))


@cache
def _adapter() -> TypeAdapter[Current]:
    return TypeAdapter(Current)


def current_of(
    publication: str,
    content: Content | None,
    state: State,
    *,
    txn: str,
    policy: Policy,
    now: datetime,
    run_id: str,
    moved: bool,
) -> Current:
    """The record of a state; of a removal where there is no content."""
    return Current(
        publication=publication,
        fingerprint="" if content is None else content.fingerprint,
        txn=txn,
        removed=content is None,
        policy=policy,
        committed_at=now,
        run_id=run_id,
        moved=moved,
        counts=counts_of(state),
        places=tuple(
            f"{place.store.url}/{place.path}".lstrip("/") for place in sorted(state.places)
        ),
    )
