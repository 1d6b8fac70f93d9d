"""The targets as the transaction sees them; the object store's port is `storage.port`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.model import JsonObject, StoreAt
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.storage.port import ObjectStore


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A document as the index keeps it."""

    id: str
    publication: str
    """Id of the publication that it belongs to."""
    digest: str
    """Of everything it was made from."""
    document: JsonObject
    """With GRQ's fields."""


class WritableDocument(Protocol):
    """What an `IndexedDocument` is made from; its document may be read when it is asked for."""

    @property
    def id(self) -> str:
        """See `IndexedDocument`."""
        ...

    @property
    def publication(self) -> str:
        """See `IndexedDocument`."""
        ...

    @property
    def digest(self) -> str:
        """See `IndexedDocument`."""
        ...

    @property
    def document(self) -> JsonObject:
        """See `IndexedDocument`; may be asked for more than once, and must be the same."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One document of the index that is written or deleted."""

    id: str
    expected: str | None
    """Digest of what stands now; None for nothing."""
    document: WritableDocument | None
    """What is to stand, under the same id; None for nothing."""


@dataclass(frozen=True, slots=True)
class DocumentQuery:
    """What to look for; everything given must hold."""

    ids: tuple[str, ...] = ()
    publication: str | None = None
    bbox: tuple[float, float, float, float] | None = None
    """(west, south, east, north) in degrees, EPSG:4326; west > east crosses ±180°. A document
    without a location is not found."""
    starts: datetime | None = None
    """Documents that end at this time or later, UTC."""
    ends: datetime | None = None
    """Documents that start at this time or earlier, UTC."""
    dataset_type: str | None = None
    text: str | None = None
    """Words, all of which stand in the id, label, dataset, type or a text of the metadata."""


class DocumentIndex(Protocol):
    """The dataset index. Safe to use from many threads.

    Every operation raises RetryableError (`index_failed`), after retries, where the database
    cannot be reached or refuses.
    """

    def get(self, ids: Collection[str]) -> dict[str, IndexedDocument]:
        """The documents of these ids that there are, by id."""
        ...

    def apply(self, changes: Iterable[Change]) -> None:
        """Write and delete in one transaction: all or nothing.

        Args:
            changes: in the order of their ids, each once; read more than once, in batches.

        Raises:
            DocumentsChangedError: something else stands; nothing was changed.
        """
        ...

    def search(
        self, query: DocumentQuery, *, limit: int | None = None
    ) -> Iterator[IndexedDocument]:
        """Documents by id, in the order of their ids."""
        ...

    def probe(self) -> None:
        """Make sure that it can be read and written, without leaving anything behind."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class StacTarget(Protocol):
    """A STAC API with the Transaction extension. Safe to use from many threads.

    Documents come back as they were written: without the links that the API makes itself (self,
    root, parent, collection, items). Retryable failures have been retried when an error comes out:
    RetryableError or PermanentError.
    """

    def collection(self, collection_id: str) -> JsonObject | None:
        """A collection; None where there is none."""
        ...

    def create_collection(self, collection: Mapping[str, Any]) -> None:
        """Add a collection; the same one standing already is no error.

        Raises:
            PermanentError: another one of this id stands.
        """
        ...

    def replace_collection(self, collection: Mapping[str, Any]) -> None:
        """Put a collection in place of the one that stands."""
        ...

    def delete_collection(self, collection_id: str) -> None:
        """Delete a collection, with whatever items it has; an absent one is no error."""
        ...

    def has_items(self, collection_id: str) -> bool:
        """Whether a collection has any item."""
        ...

    def items(self, collection_id: str, item_ids: Collection[str]) -> dict[str, JsonObject]:
        """The items of these ids that there are, by id."""
        ...

    def create_items(self, collection_id: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Add items, in bulk where the API can; the same ones standing already are no error.

        Where a call fails, it is read back what stands, and the rest is halved until each item
        that fails is known by name. Nothing is taken for granted.

        Raises:
            PermanentError: another item of an id stands, or the API refuses one; it is named.
            RetryableError: the API failed until the end; some may stand.
        """
        ...

    def replace_items(self, collection_id: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Put items in place of those that stand; one that does not stand is added."""
        ...

    def delete_items(self, collection_id: str, item_ids: Collection[str]) -> None:
        """Delete items, many at once; absent ones are no error.

        Raises:
            UnitError: some could not be deleted; all were tried.
        """
        ...

    def all_items(self, collection_id: str) -> Iterator[JsonObject]:
        """All items of a collection, page by page."""
        ...

    def probe(self) -> None:
        """Make sure that items can be written with our key, leaving nothing behind."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Targets:
    """Where a publication goes."""

    journal: ObjectStore
    """The store of the settings; keeps journals, leases, claims and states."""
    open_store: Callable[[StoreAt], ObjectStore]
    """Opens a store for objects; the same one for the same argument."""
    index: DocumentIndex
    stac: StacTarget | None
    """None where no STAC API is configured: catalogues are then refused."""

    def need_stac(self) -> StacTarget:
        """The STAC API.

        Raises:
            PermanentError: none is configured.
        """
        if self.stac is None:
            raise PermanentError(
                PublishingReason.STAC_FAILED,
                "there are STAC items to publish and no STAC API: set publishing.stac_url",
            )
        return self.stac
