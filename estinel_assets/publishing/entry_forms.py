"""How the parts of a publication stand on shelves."""

import os
from functools import lru_cache
from pathlib import Path

from estinel_assets.publishing.model import Body, DocumentEntry, ItemEntry, ObjectEntry, StoreAt
from estinel_assets.publishing.shelves import Form, Row, Shelf
from estinel_assets.publishing.spool import Spool, SpooledBody


def object_shelf(spool: Spool) -> Shelf[ObjectEntry]:
    """A shelf for objects, by store and path."""
    return spool.shelf(Form(9, _object_row, _object))


def document_shelf(spool: Spool) -> Shelf[DocumentEntry]:
    """A shelf for documents, by id."""

    def pack(one: DocumentEntry) -> Row:
        return "", one.id, one.digest, *spooled(one.body)

    def unpack(row: Row) -> DocumentEntry:
        _, name, digest, start, length = row
        return DocumentEntry(name, digest, SpooledBody(spool, start, length))

    return spool.shelf(Form(5, pack, unpack))


def item_shelf(spool: Spool) -> Shelf[ItemEntry]:
    """A shelf for items, by collection and id."""

    def pack(one: ItemEntry) -> Row:
        return one.collection, one.id, one.digest, *spooled(one.body)

    def unpack(row: Row) -> ItemEntry:
        collection, name, digest, start, length = row
        return ItemEntry(collection, name, digest, SpooledBody(spool, start, length))

    return spool.shelf(Form(5, pack, unpack))


def spooled(body: Body | None) -> tuple[int, int]:
    """Where a document is in its spool; nowhere for none.

    Raises:
        TypeError: it is in none.
    """
    if body is None:
        return -1, 0
    if not isinstance(body, SpooledBody):
        raise TypeError(f"{type(body).__name__} is in no spool")
    return body.start, body.length


@lru_cache(maxsize=64)
def store_at(url: str, endpoint_url: str, profile: str) -> StoreAt:
    """A store; the same one for the same words."""
    return StoreAt(url, endpoint_url, profile)


def words_of(store: StoreAt) -> tuple[str, str, str]:
    """What `store_at` takes."""
    return store.url, store.endpoint_url, store.profile


def _object_row(one: ObjectEntry) -> Row:
    source = os.fsencode(one.source)
    return *one.key, *words_of(one.store), source, one.size, one.sha256, one.media_type


def _object(row: Row) -> ObjectEntry:
    _, path, url, endpoint_url, profile, source, size, sha256, media_type = row
    store = store_at(url, endpoint_url, profile)
    return ObjectEntry(store, path, Path(os.fsdecode(source)), size, sha256, media_type)
