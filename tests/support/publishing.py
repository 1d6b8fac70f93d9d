"""A small world to publish into, made sources, and faults at every step."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from estinel_assets.errors import StoreError
from estinel_assets.outcomes.run import Run
from estinel_assets.publishing.entry_forms import document_shelf, item_shelf, object_shelf
from estinel_assets.publishing.index import open_index
from estinel_assets.publishing.layout import ROOT
from estinel_assets.publishing.model import (
    DIGEST,
    PUBLICATION,
    CollectionEntry,
    Content,
    DocumentEntry,
    ItemEntry,
    JsonObject,
    ObjectEntry,
    Place,
    StoreAt,
)
from estinel_assets.publishing.ports import DocumentIndex, DocumentQuery, StacTarget, Targets
from estinel_assets.publishing.publisher import Publisher
from estinel_assets.publishing.spool import Spool
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from estinel_assets.transport.policy import RetryPolicy
from tests.support.memory_stac import MemoryStac
from tests.support.watched_store import Crash, WatchedStore

AT = StoreAt("memory://objects")
NO_PATIENCE = RetryPolicy(attempts=2, backoff_s=0.0, backoff_max_s=0.0, deadline_s=30.0)


@dataclass(frozen=True)
class Made:
    """A source that is made up: files, documents, collections and items by name."""

    folder: Path
    objects: Mapping[str, bytes] = field(default_factory=dict)
    documents: Mapping[str, JsonObject] = field(default_factory=dict)
    collections: Mapping[str, JsonObject] = field(default_factory=dict)
    items: Mapping[tuple[str, str], JsonObject] = field(default_factory=dict)
    place: str = "products/one"

    @property
    def fingerprint(self) -> str:
        return digest(
            [
                self.place,
                {name: sha256(body).hexdigest() for name, body in self.objects.items()},
                self.documents,
                self.collections,
                sorted((*key, one) for key, one in self.items.items()),
            ]
        )

    def content(self, *, publication: str, suffix: str, revision: str, spool: Spool) -> Content:
        place = Place(AT, self.place + suffix + (f"-r{revision}" if revision else ""))
        objects = []
        for name, body in self.objects.items():
            source = self.folder / sha256(body).hexdigest()
            source.write_bytes(body)
            objects.append(
                ObjectEntry(AT, f"{place.path}/{name}", source, len(body), sha256(body).hexdigest())
            )
        items = []
        for (collection, name), one in self.items.items():
            said = digest([one, place.path])
            document = made_item(collection, name + suffix, **one, place=place.path)
            document["properties"] |= {PUBLICATION: publication, DIGEST: said}
            items.append(ItemEntry(collection, name + suffix, said, spool.add(document)))
        documents = []
        for name, one in self.documents.items():
            said = digest([one, place.path])
            described = {"id": name + suffix, "urls": [place.path], **one}
            documents.append(DocumentEntry(name + suffix, said, spool.add(described)))
        made = object_shelf(spool), document_shelf(spool), item_shelf(spool)
        made[0].put(objects)
        made[1].put(documents)
        made[2].put(items)
        return Content(
            publication=publication,
            fingerprint=self.fingerprint,
            objects=made[0],
            documents=made[1],
            items=made[2],
            places=(place,) if objects else (),
            collections=[
                CollectionEntry(name, digest(one), spool.add(made_collection(name, **one)))
                for name, one in self.collections.items()
            ],
        )


def old_content(folder: Path) -> Made:
    """What most tests publish first."""
    return Made(
        folder,
        objects={"a.tif": b"pixels"},
        documents={"a": {"label": "first"}, "b": {"label": "second"}},
        collections={"one": {}},
        items={("one", "a"): {"title": "first"}, ("one", "b"): {"title": "second"}},
    )


def new_content(folder: Path) -> Made:
    """Other content of the same publication: one of each is changed, added and gone."""
    return replace(
        old_content(folder),
        objects={"a.tif": b"other pixels", "d.tif": b"more"},
        documents={"a": {"label": "changed"}, "c": {"label": "third"}},
        collections={"one": {"title": "changed"}, "two": {}},
        items={
            ("one", "a"): {"title": "changed"},
            ("one", "c"): {"title": "third"},
            ("two", "a"): {"title": "in another collection"},
        },
    )


def digest(value: Any) -> str:
    """A short name for a JSON value."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def made_collection(name: str, **more: Any) -> JsonObject:
    """A valid STAC collection."""
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": name,
        "description": name,
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2024-01-01T00:00:00Z", None]]},
        },
        "links": [],
        **more,
    }


def made_item(collection: str, name: str, *, place: str = "x", **properties: Any) -> JsonObject:
    """A valid STAC item."""
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "geometry": {"type": "Point", "coordinates": [147.3, -42.9]},
        "bbox": [147.3, -42.9, 147.3, -42.9],
        "properties": {"datetime": "2024-12-04T00:10:00Z", **properties},
        "links": [],
        "assets": {"file": {"href": f"https://objects.test/{place}/{name}"}},
    }


@dataclass
class World:
    """Three targets and the journal's store."""

    objects: ObjectStore
    index: DocumentIndex
    stac: StacTarget
    journal: ObjectStore

    def targets(self) -> Targets:
        return Targets(self.journal, lambda _: self.objects, self.index, self.stac)

    def publisher(self, targets: Targets | None = None, **options: Any) -> Publisher:
        run = Run("a-run", lambda: datetime(2024, 12, 5, tzinfo=UTC), "1")
        return Publisher(targets or self.targets(), run, in_flight=2, **options)

    def snapshot(self, collections: list[str] | None = None) -> JsonObject:
        """Everything that readers can see, in full."""
        names = ["one", "two", "three"] if collections is None else collections
        return {
            "objects": {
                meta.path: sha256(self.objects.get(meta.path).data).hexdigest()
                for meta in self.objects.list()
                if not meta.path.startswith(f"{ROOT}/")
            },
            "documents": {
                one.id: (one.publication, one.digest, one.document)
                for one in self.index.search(DocumentQuery())
            },
            "collections": {name: self.stac.collection(name) for name in names},
            "items": {
                name: {one["id"]: one for one in self.stac.all_items(name)}
                for name in names
                if self.stac.collection(name) is not None
            },
        }

    def open_journals(self) -> list[str]:
        return [meta.path for meta in self.journal.list(ROOT) if "/journal/" in meta.path]


@contextmanager
def memory_world(folder: Path) -> Iterator[World]:
    """Everything in memory but the index, an SQLite file in a folder."""
    index = open_index(None, default_folder=folder, policy=NO_PATIENCE)
    try:
        store = open_store("memory://")
        yield World(store, index, MemoryStac(), store)
    finally:
        index.close()


class Mode(StrEnum):
    """What happens from an effect on."""

    ONCE = "once"
    """One effect fails."""
    AWAY = "away"
    """Every effect fails, until it is mended."""
    DEAD = "dead"
    """The worker is gone: nothing that it asks for happens any more."""


class Fault:
    """Something goes wrong at the n-th effect on any target, before it or after it."""

    def __init__(
        self, at: int, *, after: bool = False, mode: Mode = Mode.ONCE, only: str = ""
    ) -> None:
        """Make a fault.

        Args:
            at: which effect, from 0.
            after: the effect happens all the same, though nobody is told.
            mode: what happens to later effects.
            only: effects whose names have this in them; others neither count nor fail.
        """
        self.at, self.after, self.mode, self.only = at, after, mode, only
        self.seen: list[str] = []
        """The effects, in their order."""
        self._lock = Lock()

    @property
    def count(self) -> int:
        return len(self.seen)

    def reading(self) -> None:
        """Something is read."""
        if self.mode is Mode.DEAD and self.count > self.at:
            raise Crash

    def around(self, name: str, effect: Callable[[], Any]) -> Any:
        """Let an effect happen, or not."""
        if self.only not in name:
            return effect()
        with self._lock:
            number = self.count
            self.seen.append(name)
        if number < self.at or (self.mode is Mode.ONCE and number > self.at):
            return effect()
        if self.after and number == self.at:
            effect()
        if self.mode is Mode.DEAD:
            raise Crash
        raise StoreError(f"the target is away ({name})")


class _FaultyStore(WatchedStore):
    def __init__(self, inner: ObjectStore, fault: Fault) -> None:
        super().__init__(inner, reading=fault.reading)
        self._fault = fault

    def _watched(self, operation: str, path: str, write: Callable[[], Any]) -> Any:
        if path.endswith("/lease.json"):
            self._fault.reading()  # leases have tests of their own
            return write()
        return self._fault.around(f"{operation} {path}", write)


class _FaultyPort:
    """Counts what changes something at a port."""

    def __init__(self, inner: Any, fault: Fault, effects: frozenset[str]) -> None:
        self._inner, self._fault, self._effects = inner, fault, effects

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        def call(*args: Any, **options: Any) -> Any:
            if name in self._effects:
                return self._fault.around(name, lambda: found(*args, **options))
            self._fault.reading()
            return found(*args, **options)

        return call


_INDEX_EFFECTS = frozenset({"apply"})
_STAC_EFFECTS = frozenset(
    {
        "create_collection",
        "replace_collection",
        "delete_collection",
        "create_items",
        "replace_items",
        "delete_items",
    }
)


def faulty(world: World, fault: Fault) -> Targets:
    """The world's targets with a fault."""
    objects = _FaultyStore(world.objects, fault)
    journal = objects if world.journal is world.objects else _FaultyStore(world.journal, fault)
    index: Any = _FaultyPort(world.index, fault, _INDEX_EFFECTS)
    stac: Any = _FaultyPort(world.stac, fault, _STAC_EFFECTS)
    return Targets(journal, lambda _: objects, index, stac)
