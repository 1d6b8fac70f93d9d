"""Who has items in a STAC collection: it may be deleted only when nobody has any more.

An API deletes a collection with all its items, so that whoever deletes an empty one must know that
nobody is about to add some. A publication registers before it writes items, and asks afterwards
whether the collection is being deleted; whoever deletes says so first, and asks then whether
anybody is registered. Whatever their order, one of the two sees the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from estinel_assets.errors import RetryableError
from estinel_assets.outcomes.paths import encode_key
from estinel_assets.publishing.layout import COLLECTIONS
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.storage.documents import write_json
from estinel_assets.storage.lease import hold_lease, lease_is_live
from estinel_assets.storage.port import ObjectStore

_TTL_S = 60.0


def register(journal: ObjectStore, collection: str, publication: str) -> None:
    """Say that a publication has, or is to have, items in a collection.

    Raises:
        RetryableError: the collection is just being deleted.
        StoreError: the store refuses.
    """
    write_json(journal, _user(collection, publication), {"publication": publication})
    if lease_is_live(journal, _deletion(collection)):
        raise RetryableError(
            PublishingReason.BUSY,
            f"the collection {collection} is just being deleted by another publication; try again",
        )


def unregister(journal: ObjectStore, collection: str, publication: str) -> None:
    """Say that a publication has no items in a collection any more."""
    journal.delete(_user(collection, publication))


@contextmanager
def deletion(journal: ObjectStore, collection: str, publication: str) -> Iterator[bool]:
    """Hold a collection for deletion; gives whether no other publication uses it.

    Raises:
        LeaseHeldError: another publication is about to delete it.
        StoreError: the store refuses.
    """
    with hold_lease(journal, _deletion(collection), ttl_s=_TTL_S, owner=publication) as lease:
        own = _user(collection, publication)
        others = any(meta.path != own for meta in journal.list(_users(collection)))
        lease.check()
        yield not others


def _folder(collection: str) -> str:
    return f"{COLLECTIONS}/{encode_key((collection,))}"


def _users(collection: str) -> str:
    return f"{_folder(collection)}/users"


def _user(collection: str, publication: str) -> str:
    return f"{_users(collection)}/{encode_key((publication,))}.json"


def _deletion(collection: str) -> str:
    return f"{_folder(collection)}/deletion/lease.json"
