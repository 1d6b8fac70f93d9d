"""The steps of a publication, what undoes each, and how the journal writes them down."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.model import Body, JsonObject, StoreAt


class Kind(StrEnum):
    """What a step is about."""

    CLAIM = "claim"
    """A prefix of an object store becomes this publication's own."""
    OBJECT = "object"
    DOCUMENT = "document"
    COLLECTION = "collection"
    ITEM = "item"


class Verb(StrEnum):
    """What a step does."""

    CREATE = "create"
    REPLACE = "replace"
    DELETE = "delete"


class Phase(StrEnum):
    """Steps that are done together, in the order in which that is: what is visible comes last."""

    CLAIMS = "claims"
    OBJECTS = "objects"
    DOCUMENTS = "documents"
    COLLECTIONS = "collections"
    ITEMS = "items"
    ITEM_DELETIONS = "item_deletions"
    """Once the new stands; items before the documents that they belong to."""
    DOCUMENT_DELETIONS = "document_deletions"
    AFTER = "after"
    """What follows the commit: nothing refers to it any more."""


_PHASES = {
    Kind.CLAIM: Phase.CLAIMS,
    Kind.OBJECT: Phase.OBJECTS,
    Kind.DOCUMENT: Phase.DOCUMENTS,
    Kind.COLLECTION: Phase.COLLECTIONS,
    Kind.ITEM: Phase.ITEMS,
}
_DELETIONS = {Kind.DOCUMENT: Phase.DOCUMENT_DELETIONS, Kind.ITEM: Phase.ITEM_DELETIONS}

_INVERSE = {Verb.CREATE: Verb.DELETE, Verb.REPLACE: Verb.REPLACE, Verb.DELETE: Verb.CREATE}


@dataclass(frozen=True, slots=True)
class Known:
    """A document that is in memory; a `Body`."""

    document: JsonObject

    def read(self) -> JsonObject:
        """See `Body.read`."""
        return self.document


@dataclass(frozen=True, slots=True)
class Step:
    """One change at one target."""

    kind: Kind
    verb: Verb
    name: str
    """Path of an object or a claimed prefix, id of a document, collection or item."""
    group: str = ""
    """Collection of an item; prefix of an object that is claimed."""
    store: StoreAt = field(default=StoreAt())
    """Of an object or a claimed prefix."""
    size: int = 0
    """Bytes of an object."""
    digest: str = ""
    """Of what stands afterwards; an object's sha256."""
    former_digest: str | None = None
    """Of the document that stood before, where it had one."""
    former: Body | None = field(default=None, compare=False)
    """The document that stood before; None where nothing did. Objects are never replaced."""
    body: Body | None = field(default=None, compare=False)
    """The document to write. Not in the journal: undoing needs only the former one."""
    source: Path | None = field(default=None, compare=False)
    """The file to copy. Not in the journal."""
    media_type: str | None = None

    @property
    def phase(self) -> Phase:
        """When it is done."""
        if self.verb is Verb.DELETE:
            return _DELETIONS.get(self.kind, Phase.AFTER)
        return _PHASES[self.kind]

    def inverse(self) -> "Step":
        """The step that undoes this one, where its effect stands."""
        return Step(
            self.kind,
            _INVERSE[self.verb],
            self.name,
            group=self.group,
            store=self.store,
            size=self.size,
            digest=self.former_digest or "",
            former_digest=self.digest,
            body=self.former,
        )

    def describe(self) -> str:
        """The step in a line, for people."""
        where = f"{self.group}/{self.name}" if self.kind is Kind.ITEM else self.name
        if self.kind in (Kind.OBJECT, Kind.CLAIM):
            where = f"{self.store.url.rstrip('/')}/{self.name}" if self.store.url else self.name
        return f"{self.verb} {self.kind} {where}"


class Steps(Protocol):
    """Steps of one phase; they need not be in memory, and may be read more than once."""

    def __iter__(self) -> Iterator[Step]: ...

    def __len__(self) -> int: ...


def by_group(steps: Iterable[Step]) -> Iterator[tuple[str, list[Step]]]:
    """Steps in batches of one group each, such as one collection; in order."""
    for group, members in groupby(steps, key=lambda step: step.group):
        for batch in batches(members):
            yield group, batch


def to_line(step: Step) -> str:
    """A step as one line of the journal."""
    document: dict[str, Any] = {
        "kind": step.kind,
        "verb": step.verb,
        "name": step.name,
        "group": step.group,
        "store": step.store.as_json() if step.kind in (Kind.CLAIM, Kind.OBJECT) else None,
        "size": step.size,
        "digest": step.digest,
        "former_digest": step.former_digest,
        "former": None if step.former is None else step.former.read(),
    }
    kept = {key: value for key, value in document.items() if value not in (None, "", 0)}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def from_line(line: str) -> Step:
    """A step as the journal has it.

    Raises:
        ValueError: it is none.
        KeyError: it is none.
    """
    document = json.loads(line)
    former = document.get("former")
    return Step(
        Kind(document["kind"]),
        Verb(document["verb"]),
        document["name"],
        group=document.get("group", ""),
        store=StoreAt(**document.get("store", {})),
        size=document.get("size", 0),
        digest=document.get("digest", ""),
        former_digest=document.get("former_digest"),
        former=None if former is None else Known(former),
    )
