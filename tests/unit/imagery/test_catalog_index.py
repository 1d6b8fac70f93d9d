"""The index of the web catalogue and what it is made of: days, grids, faults, newest images."""

import json

import pytest

from estinel_assets.errors import StoreError
from estinel_assets.imagery.catalog import merge_catalog
from estinel_assets.imagery.catalog_entries import PublicAddress
from estinel_assets.imagery.catalog_fragments import update_fragment
from estinel_assets.imagery.catalog_index import index_entry
from estinel_assets.imagery.layout import (
    CATALOG,
    CATALOG_LEASE,
    CATALOG_STATE,
    INDEX,
    fragment_path,
)
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import site_window
from estinel_assets.outcomes.index import rebuild
from estinel_assets.outcomes.object_ledger import ObjectLedger
from estinel_assets.storage.documents import dump_json
from tests.support.outcomes import outcome
from tests.support.recording_store import RecordingStore

HOBART = Site("Hobart", 147.3257, -42.8826, purpose=("tasmania",))
VOSTOK = Site("Vostok", 106.8, -78.4646)
DOME = Site("Dome C", 123.33, -80.1)
PUBLIC = "https://images.example/archive"
MADE = {
    "collection": "sentinel-2-c1-l2a",
    "valid_fraction": 1.0,
    "cloud_fraction": 0.25,
    "clear_fraction": 0.75,
    "attribution": "Contains modified Copernicus Sentinel data 2024",
}


@pytest.fixture
def store():
    return RecordingStore()


def write_fragment(store, site, days, public=PUBLIC):
    """A site's part of the catalogue after its days ended with these reasons."""
    ledger = ObjectLedger(store.store, "imagery", "outcomes/imagery", field_name="scenes")
    for minutes, (day, reason) in enumerate(days.items()):
        detail = MADE if reason == "none" else {}
        ledger.put_one(
            outcome(
                site.site_id, day, reason=reason, minutes=minutes, product="imagery", detail=detail
            )
        )
    rows = rebuild(ledger, (site.site_id,), {}).values()
    address = PublicAddress(store, public)
    update_fragment(store, site, site_window(site), rows, ledger, address)
    return stored(store, fragment_path(site.site_id))


def merge(store, public=PUBLIC):
    return merge_catalog(store, lease_ttl_s=30, lease_wait_s=5, public_url=public)


def stored(store, path):
    return json.loads(store.get(path).data)


DAYS = {
    "2024-12-04": "none",
    "2024-12-01": "none",
    "2024-12-05": "too_cloudy",
    "2024-12-06": "source_timeout",
    "2024-12-07": "no_valid_pixels",
    "2024-12-09": "internal_error",
    "search": "none",
}


def test_a_fragment_says_how_each_day_ended(store):
    fragment = write_fragment(store, HOBART, DAYS)

    assert fragment["days"] == {
        "2024-12-01": "none",
        "2024-12-04": "none",
        "2024-12-05": "too_cloudy",
        "2024-12-06": "source_timeout",
        "2024-12-07": "no_valid_pixels",
        "2024-12-09": "internal_error",
    }
    assert list(fragment["days"]) == sorted(fragment["days"])
    assert fragment["address"] == PUBLIC


@pytest.mark.parametrize(
    ("site", "epsg"), [(HOBART, 32755), (VOSTOK, 32748), (DOME, 3031)], ids=lambda one: str(one)
)
def test_a_location_says_where_its_pixels_lie(store, site, epsg):
    grid = write_fragment(store, site, {})["location"]["grid"]

    expected = site_window(site).grid
    assert grid == {
        "epsg": epsg,
        "transform": list(expected.transform),
        "shape": [expected.height, expected.width],
    }


def test_the_index(store):
    fragment = write_fragment(store, HOBART, DAYS)
    write_fragment(store, DOME, {"2024-12-05": "too_cloudy"})
    merged = merge(store)

    index = stored(store, INDEX)
    dome, hobart = index.pop("locations")
    assert index == {
        "version": 1,
        "root": PUBLIC,
        "reasons": {
            str(reason): {"fault": reason.fault, "meaning": reason.meaning}
            for reason in ImageryReason
        },
    }
    newest = fragment["location"]["images"][-1]
    assert newest["date"] == "2024-12-04"
    assert hobart == {
        "id": "site_af38900f",
        "name": "Hobart",
        "lon": 147.3257,
        "lat": -42.8826,
        "purpose": ["tasmania"],
        "grid": fragment["location"]["grid"],
        "n_images": 2,
        "first": "2024-12-01",
        "newest": "2024-12-04",
        "newest_image": newest,
        "faults": 2,
        "file": "fragments/site_af38900f.json",
        "version": store.head(fragment_path(HOBART.site_id)).etag,
        "ratings": None,
    }
    assert (dome["name"], dome["n_images"], dome["faults"]) == ("Dome C", 0, 0)
    assert (dome["first"], dome["newest"], dome["newest_image"]) == (None, None, None)
    assert merged.n_index_bytes == len(store.get(INDEX).data)
    assert merged.counts()["index_bytes"] == merged.n_index_bytes
    assert stored(store, CATALOG)["root"] == PUBLIC


def test_an_index_is_small_beside_its_catalogue(store):
    days = {f"2024-{month:02d}-{day:02d}": "none" for month in (1, 3, 5) for day in range(1, 29)}
    write_fragment(store, HOBART, days)

    merged = merge(store)

    assert merged.n_images == 84
    assert merged.n_index_bytes * 10 < merged.n_bytes


def test_an_index_of_which_one_site_changed_reads_that_site_only(store):
    write_fragment(store, HOBART, DAYS)
    write_fragment(store, DOME, {"2024-12-01": "none"})
    merge(store)
    before = {entry["id"]: entry for entry in stored(store, INDEX)["locations"]}
    write_fragment(store, DOME, {"2024-12-01": "none", "2024-12-02": "source_corrupt"})
    store.forget()

    merge(store)

    assert [path for path in store.reads if "fragments" in path] == [fragment_path(DOME.site_id)]
    after = {entry["id"]: entry for entry in stored(store, INDEX)["locations"]}
    assert after[HOBART.site_id] == before[HOBART.site_id]
    assert after[DOME.site_id]["faults"] == 1


def test_a_merge_of_nothing_new_leaves_the_index_as_it_is(store):
    write_fragment(store, HOBART, DAYS)
    merge(store)
    before = store.head(INDEX)
    store.forget()

    merged = merge(store)

    assert (merged.n_bytes, merged.n_index_bytes) == (0, 0)
    assert [path for path in store.writes if path != CATALOG_LEASE] == []
    assert store.head(INDEX).last_modified == before.last_modified


def test_another_public_address_is_the_root_at_once(store):
    write_fragment(store, HOBART, {"2024-12-01": "none"})
    merge(store)

    merge(store, public=None)

    assert stored(store, INDEX)["root"] == stored(store, CATALOG)["root"] == store.url


@pytest.mark.parametrize("broken", [b"{", b"[]", b'{"version": 2, "locations": []}', b"\xff"])
def test_an_index_that_cannot_be_read_is_made_anew(store, broken):
    write_fragment(store, HOBART, DAYS)
    merge(store)
    good = store.get(INDEX).data
    store.put(INDEX, broken)

    merge(store)

    assert store.get(INDEX).data == good


# Parts of the catalogue that an earlier release wrote


def of_before(store, site):
    """Write a site's part as an earlier release did: without days and grid."""
    path = fragment_path(site.site_id)
    fragment = stored(store, path)
    del fragment["days"], fragment["location"]["grid"]
    store.put(path, dump_json(fragment))
    return fragment


def test_an_older_fragment_is_written_anew_without_reading_its_outcomes(store, monkeypatch):
    new = write_fragment(store, HOBART, DAYS)
    of_before(store, HOBART)
    read = []
    original = ObjectLedger.read

    def reading(self, entries):
        taken = list(entries)
        read.extend(taken)
        return original(self, taken)

    ledger = ObjectLedger(store.store, "imagery", "outcomes/imagery", field_name="scenes")
    rows = rebuild(ledger, (HOBART.site_id,), {}).values()
    monkeypatch.setattr(ObjectLedger, "read", reading)
    address = PublicAddress(store, PUBLIC)
    update_fragment(store, HOBART, site_window(HOBART), rows, ledger, address)

    assert read == []
    assert stored(store, fragment_path(HOBART.site_id)) == new


def test_a_catalogue_of_an_earlier_release_gets_its_index(store):
    write_fragment(store, HOBART, DAYS)
    write_fragment(store, DOME, {"2024-12-01": "none"})
    of_before(store, HOBART)
    merge(store)
    # As the earlier release left it.
    catalog = stored(store, CATALOG)
    del catalog["root"]
    store.put(CATALOG, dump_json(catalog))
    store.store.delete(INDEX)

    merged = merge(store)

    assert (merged.n_locations, merged.n_images) == (2, 3)
    dome, hobart = stored(store, INDEX)["locations"]
    assert (hobart["grid"], hobart["faults"], hobart["n_images"]) == (None, 0, 2)
    assert dome["grid"]["epsg"] == 3031
    assert stored(store, CATALOG)["root"] == PUBLIC
    assert merge(store).n_changed == 0


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"[]",
        b'{"location": {"id": "site_af38900f", "name": "Hobart"}}',
        b'{"location": {"id": "site_af38900f", "name": "Hobart", "images": [1]}}',
        b'{"location": {"id": "site_af38900f", "name": 1, "images": []}}',
        b'{"location": {"id": "a", "name": "b", "images": []}, "days": []}',
    ],
)
def test_a_broken_fragment_is_named_by_a_merge_and_written_anew_by_an_update(store, broken):
    path = fragment_path(HOBART.site_id)
    good = write_fragment(store, HOBART, DAYS)
    store.put(path, broken)

    with pytest.raises(StoreError, match=r"site_af38900f\.json is n") as refused:
        merge(store)

    assert "remove it" in str(refused.value) or "delete it" in str(refused.value)
    assert write_fragment(store, HOBART, DAYS) | {"listed": {}} == good | {"listed": {}}
    assert merge(store).n_images == 2


def test_a_fragment_that_remembers_nothing_is_made_from_the_outcomes(store):
    good = write_fragment(store, HOBART, DAYS)
    path = fragment_path(HOBART.site_id)
    store.put(path, dump_json({"location": good["location"] | {"images": []}}))

    again = write_fragment(store, HOBART, {})

    assert again == good


def test_every_fault_is_counted_and_no_honest_no():
    days = {f"2024-01-{n:02d}": str(reason) for n, reason in enumerate(ImageryReason, 1)}
    location = {"id": "a", "name": "b", "images": []}

    entry = index_entry({"location": location, "days": days}, file="fragments/a.json", version="1")

    assert entry["faults"] == sum(reason.fault for reason in ImageryReason)
    assert 0 < entry["faults"] < len(ImageryReason)


def test_a_state_of_an_older_merge_only_makes_the_next_one_read_more(store):
    write_fragment(store, HOBART, DAYS)
    merge(store)
    good = store.get(INDEX).data
    store.put(CATALOG_STATE, dump_json({fragment_path(HOBART.site_id): "another"}))

    assert merge(store).n_changed == 1
    assert store.get(INDEX).data == good
