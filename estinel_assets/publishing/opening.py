"""Opens what publishing needs, from the settings."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from urllib.parse import quote

from estinel_assets.clock import utc_now
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.run import Run
from estinel_assets.publishing.datasets_config import DatasetsConfig, load_datasets_config
from estinel_assets.publishing.index import open_index
from estinel_assets.publishing.locations import open_place
from estinel_assets.publishing.model import Place, StoreAt
from estinel_assets.publishing.ports import StacTarget, Targets
from estinel_assets.publishing.publications import Publications
from estinel_assets.publishing.publisher import Publisher
from estinel_assets.publishing.reasons import PUBLISHING
from estinel_assets.publishing.site_images import FRAGMENTS, SiteImages, read_site_images
from estinel_assets.settings import PublishingSettings, Settings, StoreSettings
from estinel_assets.stac.transactions import StacTransactions
from estinel_assets.storage.paths import LocalRoot, parse_root
from estinel_assets.storage.port import ObjectStore
from estinel_assets.transport import RetryPolicy

CODE_VERSION = "1"
"""Of the product line; a new one says that publications may differ."""


def open_book(settings: Settings, store: ObjectStore) -> OutcomeBook:
    """How publications ended."""
    return OutcomeBook.from_settings(store, PUBLISHING, settings.outcomes)


def open_config(settings: PublishingSettings) -> DatasetsConfig:
    """The routes of the settings.

    Raises:
        BadInputError: `datasets.json` cannot be used; all its faults are listed.
    """
    return load_datasets_config(settings.config, os.environ)


@contextmanager
def opened_targets(settings: Settings, store: ObjectStore) -> Iterator[Targets]:
    """The targets of the settings, closed at the end; nothing is asked yet.

    Args:
        settings: all of them.
        store: the one that they name.

    Raises:
        BadInputError: an address cannot be used.
        MissingDependencyError: the index's driver is not installed.
    """
    at = settings.publishing
    policy = RetryPolicy.from_settings(settings.transport)
    index = open_index(
        None if at.index_url is None else at.index_url.get_secret_value(),
        default_folder=_local_folder(store),
        policy=policy,
    )
    stac = _open_stac(settings)
    try:
        yield Targets(store, StoreCache(store, settings.store).open, index, stac)
    finally:
        index.close()
        if stac is not None:
            stac.close()


@contextmanager
def opened_publications(
    settings: Settings,
    store: ObjectStore,
    run_id: str,
    *,
    objects_done: Callable[[int], None] = lambda _: None,
) -> Iterator[Publications]:
    """Everything that publishes, closed at the end.

    Args:
        settings: all of them.
        store: the one that they name.
        run_id: who does it.
        objects_done: told of the bytes of each object that is written.

    Raises:
        BadInputError: a setting or `datasets.json` cannot be used.
        MissingDependencyError: the index's driver is not installed.
    """
    config = open_config(settings.publishing)
    run = Run(run_id, utc_now, CODE_VERSION)
    with opened_targets(settings, store) as targets:
        publisher = Publisher(
            targets,
            run,
            lease_ttl_s=settings.outcomes.lease_ttl_s,
            in_flight=settings.publishing.uploads_at_once,
            objects_done=objects_done,
        )
        yield Publications(
            publisher=publisher,
            book=open_book(settings, store),
            config=config,
            settings=settings.publishing,
            environment=os.environ,
            address=Addresses(targets, settings.store).of,
        )


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where readers find what stands below a place."""

    targets: Targets
    store: StoreSettings

    def of(self, place: Place) -> str:
        """The address of a place for readers."""
        if place.store == StoreAt():
            return own_address(self.targets.journal, self.store, place.path)
        return self.targets.open_store(place.store).uri(place.path)


def own_address(store: ObjectStore, settings: StoreSettings, path: str) -> str:
    """Where readers find what stands at a path of the store of the settings."""
    if settings.public_url is None:
        return store.uri(path)
    return f"{settings.public_url.rstrip('/')}/{quote(path)}"


def stored_images(store: ObjectStore, settings: Settings) -> Iterator[SiteImages]:
    """The images of every site that has some, by SITE_ID.

    Raises:
        StoreError: the store cannot be listed, or a site's part of the catalogue not be read.
    """
    for meta in sorted(store.list(FRAGMENTS), key=lambda meta: meta.path):
        yield read_site_images(
            store,
            PurePosixPath(meta.path).stem,
            collection=settings.publishing.images_collection,
            address=partial(own_address, store, settings.store),
        )


class StoreCache:
    """Opens each store once. Safe to use from many threads."""

    def __init__(self, own: ObjectStore, settings: StoreSettings) -> None:
        """Start with the store of the settings."""
        self._opened = {StoreAt(): own}
        self._settings = settings
        self._lock = Lock()

    def open(self, at: StoreAt) -> ObjectStore:
        """The store at an address."""
        with self._lock:
            if at not in self._opened:
                self._opened[at] = open_place(at, self._settings)
            return self._opened[at]


def _open_stac(settings: Settings) -> StacTarget | None:
    at = settings.publishing
    if at.stac_url is None:
        return None
    key = at.stac_key
    return StacTransactions.from_settings(
        at.stac_url,
        settings.transport,
        key=lambda: None if key is None else key.get_secret_value(),
        key_header=at.stac_key_header,
        at_once=at.stac_at_once,
        per_second=at.stac_per_second,
        bulk_items=at.stac_bulk_items,
    )


def _local_folder(store: ObjectStore) -> Path | None:
    """The folder of a local store; None for any other."""
    root = parse_root(store.url)
    return root.folder if isinstance(root, LocalRoot) else None


def check_inbox(settings: PublishingSettings) -> Path:
    """The folder that the sensor watches.

    Raises:
        BadInputError: none is named, or it is no folder.
    """
    inbox = settings.inbox
    if inbox is None:
        raise BadInputError("no inbox is named: set publishing.inbox to a folder of job folders")
    if not inbox.is_dir():
        raise BadInputError(f"publishing.inbox {inbox} is no folder: make it, or name another")
    return inbox
