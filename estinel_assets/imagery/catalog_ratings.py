"""Which sites have ratings, as the catalogue's index tells its page.

A merge of the catalogue writes it with everything else; ratings that are made later are announced
here, by whoever made them.
"""

from estinel_assets.errors import ChangedError, LeaseLostError, NotFoundError
from estinel_assets.imagery.catalog_index import entries_by_site, with_ratings
from estinel_assets.imagery.layout import CATALOG_LEASE, INDEX, PAGE, RATINGS
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json
from estinel_assets.storage.lease import hold_lease
from estinel_assets.storage.port import ObjectStore, StoredObject


def rated_files(store: ObjectStore) -> frozenset[str]:
    """The documents of sites with ratings, relative to the index."""
    return frozenset(meta.path.removeprefix(f"{PAGE}/") for meta in store.list(RATINGS))


def announce_ratings(store: ObjectStore, *, lease_ttl_s: float, lease_wait_s: float) -> bool:
    """Let the index say which sites have ratings, where it does not.

    Args:
        store: where index and ratings are.
        lease_ttl_s: a merge silent for this long counts as dead, in seconds.
        lease_wait_s: how long to wait for a merge of the catalogue, in seconds.

    Returns:
        Whether the index was written. One that is absent, or no index of this version, is left
        to the next merge.

    Raises:
        LeaseHeldError: a merge of the catalogue went on for longer than that.
        LeaseLostError: a merge wrote the index meanwhile; it has read the ratings itself.
        StoreError: the index is not JSON, or the store refuses.
    """
    if _outdated(store) is None:
        return False
    with hold_lease(store, CATALOG_LEASE, ttl_s=lease_ttl_s, wait_s=lease_wait_s) as lease:
        found = _outdated(store)
        if found is None:
            return False
        stored, body = found
        lease.check()
        try:
            store.replace(INDEX, body, etag=stored.meta.etag, content_type=JSON_TYPE)
        except (ChangedError, NotFoundError):
            raise LeaseLostError(
                f"{store.uri(INDEX)} was written by a merge meanwhile; make the ratings again"
            ) from None
        return True


def _outdated(store: ObjectStore) -> tuple[StoredObject, bytes] | None:
    """The index and what it should be; None where it is right or there is none to write."""
    try:
        stored = store.get(INDEX)
    except NotFoundError:
        return None
    index = load_json(stored.data, what=store.uri(INDEX))
    entries = entries_by_site(index)
    if not entries or len(entries) != len(index["locations"]):
        return None
    rated = rated_files(store)
    index["locations"] = [with_ratings(entry, rated) for entry in entries.values()]
    body = dump_json(index)
    return None if body == stored.data else (stored, body)
