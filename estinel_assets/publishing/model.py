"""What is published: objects, documents, collections and items, each with a digest.

Bodies are read when they are needed, and the parts of a publication stand on shelves, so that what
is in memory does not grow with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from estinel_assets.publishing.shelves import Key, Shelf

JsonObject = dict[str, Any]


class Policy(StrEnum):
    """What to do where other content stands under the same publication."""

    FAIL = "fail"
    """Refuse."""
    SKIP = "skip"
    """Leave what stands."""
    REPLACE = "replace"
    """Put the new in its place."""
    VERSION = "version"
    """Publish the new beside it, under ids with a version."""


@dataclass(frozen=True, slots=True, order=True)
class StoreAt:
    """A store that objects go to."""

    url: str = ""
    """Root, such as `s3://bucket`; empty for the store of the settings."""
    endpoint_url: str = ""
    """S3 server other than the one of the settings; empty for that."""
    profile: str = ""
    """Profile of the AWS configuration; empty for the settings' credentials."""

    @property
    def group(self) -> str:
        """What keys of its objects begin with: the store, whatever the credentials."""
        return f"{self.endpoint_url} {self.url}"

    def as_json(self) -> dict[str, str]:
        """As records keep it."""
        return {"url": self.url, "endpoint_url": self.endpoint_url, "profile": self.profile}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A prefix that one product's objects stand below."""

    store: StoreAt
    path: str
    """Relative to the store's root, without slashes at its ends."""


class Body(Protocol):
    """A JSON document that is read when it is needed."""

    def read(self) -> JsonObject:
        """The document."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One object that is to stand."""

    store: StoreAt
    path: str
    """Key, relative to the store's root."""
    source: Path
    """Absolute path of the file that is copied."""
    size: int
    """Bytes."""
    sha256: str
    """Hex."""
    media_type: str | None = None

    @property
    def key(self) -> Key:
        """Its place on a shelf."""
        return self.store.group, self.path


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """One document of the dataset index."""

    id: str
    digest: str
    """Of everything it is made from."""
    body: Body


@dataclass(frozen=True, slots=True)
class CollectionEntry:
    """One STAC collection."""

    id: str
    digest: str
    body: Body


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """One STAC item."""

    collection: str
    id: str
    digest: str
    body: Body


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that a publication is to consist of.

    Its parts stand on shelves of the spool, however many they are; collections are few.
    """

    publication: str
    """Its id."""
    fingerprint: str
    """Digest of all that goes in; the same content has the same fingerprint."""
    objects: Shelf[ObjectEntry]
    documents: Shelf[DocumentEntry]
    items: Shelf[ItemEntry]
    places: tuple[Place, ...] = ()
    """Prefixes that are this publication's own, and nobody else's."""
    collections: Sequence[CollectionEntry] = ()
    """Their ids are unique."""
    warnings: tuple[str, ...] = field(default=())

    @property
    def bytes(self) -> int:
        """Bytes of all objects."""
        return sum(entry.size for entry in self.objects)


PUBLICATION = "estinel:publication"
"""Property of an item: id of the publication that it belongs to."""
DIGEST = "estinel:digest"
"""Property of an item: digest of what it was made from."""


def owner_of(item: Mapping[str, Any]) -> str | None:
    """The publication that a standing item belongs to; None for one that we did not publish."""
    owner = item.get("properties", {}).get(PUBLICATION)
    return owner if isinstance(owner, str) else None


def digest_of(document: Mapping[str, Any]) -> str | None:
    """What a standing item or collection was made from; None for one that we did not publish."""
    digest = document.get("properties", {}).get(DIGEST, document.get(DIGEST))
    return digest if isinstance(digest, str) else None
