"""The consensus as a table, and as documents beside the catalogue."""

import json
from datetime import date

import pytest

from estinel_assets.errors import LeaseHeldError, StoreError
from estinel_assets.imagery.layout import fragment_path
from estinel_assets.imagery.rating_store import import_user
from estinel_assets.imagery.site_ratings import (
    RATINGS_LEASE,
    SCHEMA,
    make_ratings,
    read_listing,
    site_ratings_path,
)
from estinel_assets.storage.lease import hold_lease
from tests.support.ratings import entry, put_fragment
from tests.support.recording_store import RecordingStore

HOBART, CASEY = "site_af38900f", "site_00000001"


@pytest.fixture
def store():
    store = RecordingStore()
    put_fragment(store, HOBART, ["2024-12-01", "2024-12-02", "2024-12-03"])
    put_fragment(store, CASEY, ["2024-12-01"])
    store.forget()
    return store


def make(store, wait_s=0.0):
    return make_ratings(store, lease_ttl_s=30, lease_wait_s=wait_s)


def document(store, site_id):
    return json.loads(store.get(site_ratings_path(site_id)).data)


def written(store):
    return [path for path in store.writes if not path.startswith("leases/")]


def test_the_table_and_the_documents(store):
    first, second, _ = (f"{HOBART}/2024-12-0{day}" for day in (1, 2, 3))
    import_user(store, "u", {first: entry("good"), second: entry("ok"), "gone": entry("bad")})
    import_user(store, "v", {first: entry("good"), second: entry("bad")})
    import_user(store, "w", {first: entry("bad"), f"{CASEY}/2024-12-01": entry(None)})
    store.forget()

    made = make(store)

    assert made.table.schema == SCHEMA
    assert made.table.to_pylist() == [
        {"image_id": "gone", "site": None, "date": None, "good": 0, "ok": 0, "bad": 1,
         "raters": 1, "consensus": "bad"},
        {"image_id": first, "site": HOBART, "date": date(2024, 12, 1), "good": 2, "ok": 0,
         "bad": 1, "raters": 3, "consensus": "good"},
        {"image_id": second, "site": HOBART, "date": date(2024, 12, 2), "good": 0, "ok": 1,
         "bad": 1, "raters": 2, "consensus": "split"},
    ]  # fmt: skip
    assert made.counts() == {"images": 3, "users": 3, "unknown_images": 1, "sites_written": 1}
    assert document(store, HOBART) == {
        "images": {
            first: {"consensus": "good", "good": 2, "ok": 0, "bad": 1, "raters": 3},
            second: {"consensus": "split", "good": 0, "ok": 1, "bad": 1, "raters": 2},
        }
    }
    assert written(store) == ["catalog/ratings/site_af38900f.json"]


def test_only_what_changed_is_written(store):
    import_user(store, "u", {f"{HOBART}/2024-12-01": entry("good")})
    import_user(store, "u", {f"{CASEY}/2024-12-01": entry("good")})
    assert make(store).n_written == 2
    store.forget()

    assert make(store).n_written == 0
    assert written(store) == []
    import_user(store, "v", {f"{CASEY}/2024-12-01": entry("bad")})
    store.forget()
    assert make(store).n_written == 1
    assert written(store) == [site_ratings_path(CASEY)]


def test_ratings_that_are_taken_back_leave_the_document(store):
    import_user(store, "u", {f"{HOBART}/2024-12-01": entry("good")})
    make(store)
    import_user(store, "u", {f"{HOBART}/2024-12-01": entry(None, -5)})

    made = make(store)

    assert made.table.num_rows == 0
    assert document(store, HOBART) == {"images": {}}


def test_without_ratings_nothing_is_written(store):
    made = make(store)

    assert made.table.num_rows == 0
    assert made.table.schema == SCHEMA
    assert written(store) == []


def test_without_a_catalogue_ratings_are_kept(store):
    empty = RecordingStore()
    import_user(empty, "u", {"a": entry("good")})

    made = make(empty)

    assert made.counts() == {"images": 1, "users": 1, "unknown_images": 1, "sites_written": 0}


def test_one_run_at_a_time(store):
    import_user(store, "u", {f"{HOBART}/2024-12-01": entry("good")})
    with hold_lease(store, RATINGS_LEASE, ttl_s=30), pytest.raises(LeaseHeldError):
        make(store)
    assert make(store).n_written == 1


@pytest.mark.parametrize(
    "body",
    [b"{", b"{}", b'{"location": {"id": "x", "name": "x", "images": [{"date": "2024-12-01"}]}}',
     b'{"location": {"id": "x", "name": "x", "images": [{"id": "i", "date": "soon"}]}}',
     b'{"location": {"id": "x", "name": "x", "images": [{"id": "i", "date": 5}]}}'],
)  # fmt: skip
def test_a_broken_part_of_the_catalogue_is_named(store, body):
    store.put(fragment_path(CASEY), body)

    with pytest.raises(StoreError, match=f"{CASEY}.json"):
        read_listing(store)


def test_a_broken_object_of_a_user_is_named(store):
    store.put("ratings/users/u.json", b"{")

    with pytest.raises(StoreError, match=r"u\.json holds no ratings"):
        make(store)
