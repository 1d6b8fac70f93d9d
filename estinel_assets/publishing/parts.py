"""What a publication consists of: the state that stands, and the one that a transaction leads to.

A state is stored under its transaction's own name, with one line for each part. It is read onto
shelves and written from them, so that however large it is, little of it is in memory.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from estinel_assets.errors import StoreError
from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.entry_forms import store_at, words_of
from estinel_assets.publishing.layout import state_path
from estinel_assets.publishing.lines import GZIP_TYPE, read_lines, write_lines
from estinel_assets.publishing.model import Content, Place, Policy, StoreAt
from estinel_assets.publishing.shelves import AT_ONCE, Form, Key, Row, Shelf
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.state import Current
from estinel_assets.storage.port import ObjectStore

_PIECE_BYTES = 2**20


class ObjectPart(NamedTuple):
    """An object that stands."""

    store: StoreAt
    path: str
    size: int
    """Bytes."""
    digest: str
    """Its sha256, hex."""

    @property
    def key(self) -> Key:
        """See `ObjectEntry.key`."""
        return self.store.group, self.path


class Part(NamedTuple):
    """A document or an item that stands."""

    group: str
    """Collection of an item; empty for documents."""
    name: str
    digest: str


def _object_row(one: ObjectPart) -> Row:
    return *one.key, *words_of(one.store), one.size, one.digest


def _object(row: Row) -> ObjectPart:
    _, path, url, endpoint_url, profile, size, digest = row
    return ObjectPart(store_at(url, endpoint_url, profile), path, size, digest)


_OBJECT = Form(7, _object_row, _object)
_PART: Form[Part] = Form(3, lambda one: one, lambda row: Part(*row))


@dataclass(slots=True)
class State:
    """All parts of a publication that stand, without their bodies; none at first."""

    spool: Spool
    objects: Shelf[ObjectPart] = field(init=False)
    documents: Shelf[Part] = field(init=False)
    items: Shelf[Part] = field(init=False)
    places: set[Place] = field(default_factory=set)
    collections: set[str] = field(default_factory=set)
    """Those that this publication made."""

    def __post_init__(self) -> None:
        self.objects = self.spool.shelf(_OBJECT)
        self.documents = self.spool.shelf(_PART)
        self.items = self.spool.shelf(_PART)

    def add(self, lines: list[str]) -> None:
        """Take in some lines.

        Raises:
            KeyError: one is none.
            ValueError: one is none.
            TypeError: one is none.
        """
        objects, documents, items = [], [], []
        for part in map(json.loads, lines):
            match part["kind"]:
                case "place":
                    self.places.add(Place(StoreAt(**part["store"]), part["path"]))
                case "object":
                    store = store_at(**part["store"])
                    objects.append(ObjectPart(store, part["path"], part["size"], part["digest"]))
                case "document":
                    documents.append(Part("", part["id"], part["digest"]))
                case "collection":
                    self.collections.add(part["id"])
                case "item":
                    items.append(Part(part["collection"], part["id"], part["digest"]))
                case kind:
                    raise ValueError(f"unknown part {kind!r}")
        self.objects.put(objects)
        self.documents.put(documents)
        self.items.put(items)


@dataclass(frozen=True, slots=True)
class NextState:
    """The state that a content leads to; an empty one where there is none."""

    content: Content | None
    collections: frozenset[str] = frozenset()
    """Those that this publication made."""

    @property
    def places(self) -> list[Place]:
        """Prefixes of its objects."""
        return [] if self.content is None else sorted(set(self.content.places))

    def counts(self) -> dict[str, int]:
        """How much it is."""
        content = self.content
        if content is None:
            return dict.fromkeys(("objects", "bytes", "documents", "collections", "items"), 0)
        return {
            "objects": len(content.objects),
            "bytes": content.bytes,
            "documents": len(content.documents),
            "collections": len(self.collections),
            "items": len(content.items),
        }

    def lines(self) -> Iterator[str]:
        """The state as the store keeps it, sorted."""
        content = self.content
        if content is None:
            return
        for place in self.places:
            yield _line(kind="place", store=place.store.as_json(), path=place.path)
        for entry in content.objects:
            yield _line(
                kind="object",
                store=entry.store.as_json(),
                path=entry.path,
                size=entry.size,
                digest=entry.sha256,
            )
        for document in content.documents:
            yield _line(kind="document", id=document.id, digest=document.digest)
        for name in sorted(self.collections):
            yield _line(kind="collection", id=name)
        for item in content.items:
            yield _line(kind="item", collection=item.collection, id=item.id, digest=item.digest)


def current_of(
    publication: str,
    state: NextState,
    *,
    txn: str,
    policy: Policy,
    now: datetime,
    run_id: str,
    moved: bool,
) -> Current:
    """The record of a state; of a removal where there is no content."""
    content = state.content
    return Current(
        publication=publication,
        fingerprint="" if content is None else content.fingerprint,
        txn=txn,
        removed=content is None,
        policy=policy,
        committed_at=now,
        run_id=run_id,
        moved=moved,
        counts=state.counts(),
        places=tuple(f"{place.store.url}/{place.path}".lstrip("/") for place in state.places),
    )


def write_state(
    store: ObjectStore, publication: str, txn: str, state: NextState, spool: Spool
) -> None:
    """Store a state under its transaction's name."""
    packed = spool.folder / f"state-{txn}"
    with packed.open("wb") as file:
        write_lines(file, state.lines())
    store.put_file(state_path(publication, txn), packed, content_type=GZIP_TYPE)


def read_state(store: ObjectStore, current: Current | None, spool: Spool) -> State:
    """The state that stands; an empty one where nothing does.

    Raises:
        StoreError: it cannot be read or understood.
    """
    state = State(spool)
    if current is None or current.removed:
        return state
    path = state_path(current.publication, current.txn)
    try:
        for lines in batches(read_lines(_pieces(store, path)), AT_ONCE):
            state.add(lines)
    except (ValueError, KeyError, TypeError, EOFError, zlib.error) as error:
        raise StoreError(
            f"{store.uri(path)} is no state of a publication ({type(error).__name__}); restore it "
            "from a backup"
        ) from None
    return state


def _pieces(store: ObjectStore, path: str) -> Iterator[bytes]:
    start = 0
    while piece := store.get_range(path, start, _PIECE_BYTES):
        yield piece
        if len(piece) < _PIECE_BYTES:
            return
        start += _PIECE_BYTES


def _line(**part: Any) -> str:
    return json.dumps(part, ensure_ascii=False, separators=(",", ":"))
