"""A site's images as a publication: imagery has stored them, here they get into API and index.

Imagery hands over by what it has stored: the site's part of the web catalogue, which lists the
images that stand and the version of the outcome of each, and the STAC item beside each image. The
objects stay where they are and stay imagery's own. An item is read only when its day is new or was
made again.
"""

import json
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

from estinel_assets.errors import NotFoundError, PermanentError, StoreError
from estinel_assets.publishing.entry_forms import object_shelf
from estinel_assets.publishing.item_documents import document_id, item_document
from estinel_assets.publishing.model import (
    DIGEST,
    PUBLICATION,
    Body,
    CollectionEntry,
    Content,
    DocumentEntry,
    ItemEntry,
    JsonObject,
)
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.shelves import Form, Row
from estinel_assets.publishing.spool import Spool
from estinel_assets.storage.documents import load_json, read_json
from estinel_assets.storage.port import ObjectStore

FRAGMENTS = "catalog/fragments"
"""Where imagery keeps each site's part of the web catalogue: a contract path."""
PREFIX = "images:"
"""What the ids of these publications begin with, before the SITE_ID."""
VERSION = "1"
"""Of what is made here from an item; a new one publishes all items again."""
_KEPT_LINKS = frozenset({"license", "derived_from", "about", "via"})


@dataclass(frozen=True, slots=True)
class SiteImages:
    """The images of one site that stand now; a `Source`."""

    store: ObjectStore
    site_id: str
    collection: str
    """Id of the STAC collection that takes them."""
    images: tuple[tuple[str, str], ...]
    """Path of each item without its suffix, and its version."""
    address: Callable[[str], str] = field(compare=False)
    """Where readers find an object of the store."""

    @property
    def publication(self) -> str:
        """Id of the publication."""
        return PREFIX + self.site_id

    @property
    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return self._digest(*(part for image in self.images for part in image))

    def content(
        self,
        *,
        publication: str,
        suffix: str,  # noqa: ARG002 - images have no versions
        revision: str,  # noqa: ARG002 - objects stay where they are
        spool: Spool,
    ) -> Content:
        """See `Source.content`."""

        def item(digest: str, path: str) -> ItemEntry:
            body = _Item(self, path, publication, digest)
            return ItemEntry(self.collection, posixpath.basename(path), digest, body)

        def made() -> Iterator[ItemEntry]:
            return (item(self._digest(*image), image[0]) for image in self.images)

        items = spool.shelf(Form(4, _item_row, lambda row: item(*row[2:])))
        items.put(made())
        documents = spool.shelf(Form(4, _document_row, lambda row: _document(item(*row[2:]))))
        documents.put(map(_document, made()))
        described = _collection(self.collection)
        return Content(
            publication=publication,
            fingerprint=self.fingerprint,
            objects=object_shelf(spool),
            documents=documents,
            collections=[
                CollectionEntry(self.collection, self._digest("collection"), spool.add(described))
            ],
            items=items,
        )

    def _digest(self, *parts: str) -> str:
        told = json.dumps([VERSION, self.collection, self.address("x"), *parts])
        return sha256(told.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Item:
    """A stored item as it is published; a `Body`."""

    source: SiteImages
    path: str
    publication: str
    digest: str

    def read(self) -> JsonObject:
        """Read the item, with addresses that hold anywhere."""
        store = self.source.store
        item = read_json(store, f"{self.path}.json")
        try:
            return self._published(item)
        except (KeyError, TypeError, AttributeError):
            raise StoreError(
                f"{store.uri(self.path)}.json is no STAC item; make its day again"
            ) from None

    def _published(self, item: JsonObject) -> JsonObject:
        folder = posixpath.dirname(self.path)
        links = [link for link in item["links"] if link.get("rel") in _KEPT_LINKS]
        return {
            **item,
            "collection": self.source.collection,
            "properties": {
                **item["properties"],
                PUBLICATION: self.publication,
                DIGEST: self.digest,
            },
            "links": links,
            "assets": {
                name: {**asset, "href": self._href(folder, asset["href"])}
                for name, asset in item["assets"].items()
            },
        }

    def _href(self, folder: str, href: str) -> str:
        if urlsplit(href).scheme:
            return href
        return self.source.address(posixpath.normpath(posixpath.join(folder, unquote(href))))


@dataclass(frozen=True, slots=True)
class _Document:
    """The index document of an item; a `Body`."""

    item: Body

    def read(self) -> JsonObject:
        """Make it from the item."""
        return item_document(self.item.read(), version=VERSION)


def _item_row(one: ItemEntry) -> Row:
    return one.collection, one.id, one.digest, _path(one.body)


def _document_row(one: DocumentEntry) -> Row:
    return "", one.id, one.digest, _path(one.body)


def _document(item: ItemEntry) -> DocumentEntry:
    named = document_id({"id": item.id, "collection": item.collection})
    return DocumentEntry(named, item.digest, _Document(item.body))


def _path(body: Body) -> str:
    """The stored item that a body is made from."""
    match body:
        case _Item(path=path) | _Document(item=_Item(path=path)):
            return path
        case _:
            raise TypeError(f"{type(body).__name__} is no image's")


def site_of(publication: str) -> str | None:
    """The site whose images a publication is; None for any other publication."""
    return publication.removeprefix(PREFIX) if publication.startswith(PREFIX) else None


def read_site_images(
    store: ObjectStore, site_id: str, *, collection: str, address: Callable[[str], str]
) -> SiteImages:
    """A site's images that stand now.

    Args:
        store: the one that imagery writes to.
        site_id: SITE_ID.
        collection: id of the STAC collection that takes them.
        address: where readers find an object of the store, by its path.

    Returns:
        The source.

    Raises:
        PermanentError: the site was never updated.
        StoreError: the site's part of the catalogue cannot be read.
    """
    path = f"{FRAGMENTS}/{site_id}.json"
    try:
        stored = store.get(path)
    except NotFoundError:
        # Nothing listed is not the same as nothing there: what is published stays.
        raise PermanentError(
            PublishingReason.NOTHING_FOUND,
            f"the site {site_id} has no part of the web catalogue ({store.uri(path)}); update it "
            "first",
        ) from None
    fragment: Mapping[str, Any] = load_json(stored.data, what=store.uri(path))
    try:
        images = tuple(
            (image["id"], fragment["listed"][image["date"]])
            for image in fragment["location"]["images"]
        )
    except (KeyError, TypeError):
        raise StoreError(
            f"{store.uri(path)} is no part of a web catalogue; update its site"
        ) from None
    return SiteImages(store, site_id, collection, images, address)


def _collection(name: str) -> JsonObject:
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "title": "Estinel images",
        "description": "Images of sites by solar day, made from Sentinel-2 scenes.",
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-06-23T00:00:00Z", None]]},
        },
        "links": [],
    }
