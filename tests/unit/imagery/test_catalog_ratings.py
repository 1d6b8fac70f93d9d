"""The index of the catalogue says which sites have ratings, so that its page asks for no others."""

import json

import pytest

from estinel_assets.errors import LeaseHeldError
from estinel_assets.imagery.catalog import merge_catalog
from estinel_assets.imagery.catalog_entries import location_entry
from estinel_assets.imagery.catalog_ratings import announce_ratings
from estinel_assets.imagery.layout import CATALOG_LEASE, INDEX, fragment_path
from estinel_assets.imagery.rating_store import import_user
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.site_ratings import make_ratings, site_ratings_path
from estinel_assets.imagery.windows import site_window
from estinel_assets.storage.documents import dump_json
from estinel_assets.storage.lease import hold_lease
from tests.support.ratings import entry
from tests.support.recording_store import RecordingStore

HOBART = Site("Hobart", 147.3257, -42.8826)
VOSTOK = Site("Vostok", 106.8, -78.4646)
IMAGE = {"id": "a/Hobart_2024-12-04", "date": "2024-12-04"}
LEASES = {"lease_ttl_s": 30, "lease_wait_s": 5}


@pytest.fixture
def store():
    """A catalogue of two sites, of which the first has an image, merged."""
    store = RecordingStore()
    for site, images in ((HOBART, [IMAGE]), (VOSTOK, [])):
        location = location_entry(site, site_window(site)) | {"images": images}
        store.put(fragment_path(site.site_id), dump_json({"location": location}))
    merge_catalog(store, **LEASES)
    return store


def told(store):
    """What the index says, by the site's name."""
    index = json.loads(store.get(INDEX).data)
    return {location["name"]: location["ratings"] for location in index["locations"]}


def put_ratings(store, site=HOBART):
    store.put(site_ratings_path(site.site_id), dump_json({"images": {}}))


def test_a_merge_tells_of_ratings(store):
    assert told(store) == {"Hobart": None, "Vostok": None}
    put_ratings(store)

    merge_catalog(store, **LEASES)

    assert told(store) == {"Hobart": f"ratings/{HOBART.site_id}.json", "Vostok": None}


def test_ratings_are_told_of_when_they_are_made(store):
    import_user(store, "one", {IMAGE["id"]: entry("good")})

    make_ratings(store, **LEASES)

    assert told(store) == {"Hobart": f"ratings/{HOBART.site_id}.json", "Vostok": None}
    before = store.get(INDEX).data
    merge_catalog(store, **LEASES)
    assert store.get(INDEX).data == before


def test_what_the_index_says_already_is_not_written(store):
    put_ratings(store)
    assert announce_ratings(store, **LEASES)
    store.forget()

    assert not announce_ratings(store, **LEASES)
    assert store.writes == []


def test_an_index_of_an_earlier_release_learns_it(store):
    index = json.loads(store.get(INDEX).data)
    for location in index["locations"]:
        del location["ratings"]
    store.put(INDEX, dump_json(index))

    assert announce_ratings(store, **LEASES)
    assert told(store) == {"Hobart": None, "Vostok": None}


@pytest.mark.parametrize(
    "index",
    [None, {"version": 2, "locations": []}, [], {"version": 1, "locations": [{"name": "a"}]}],
    ids=["absent", "newer", "a list", "without ids"],
)
def test_what_is_no_index_of_this_release_is_left_alone(store, index):
    if index is None:
        store.store.delete(INDEX)
    else:
        store.put(INDEX, dump_json(index))

    assert not announce_ratings(store, **LEASES)
    assert index is None or json.loads(store.get(INDEX).data) == index


def test_the_index_is_not_written_beside_a_merge(store):
    put_ratings(store)

    with hold_lease(store, CATALOG_LEASE, ttl_s=30, wait_s=1), pytest.raises(LeaseHeldError):
        announce_ratings(store, lease_ttl_s=30, lease_wait_s=0.1)

    assert told(store)["Hobart"] is None
