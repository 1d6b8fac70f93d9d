"""The web catalogue: its schema, what an update reads and writes, and many merges at once."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from estinel_assets.errors import LeaseHeldError, LeaseLostError, StoreError
from estinel_assets.imagery.catalog import PACKED_CATALOG, merge_catalog
from estinel_assets.imagery.catalog_entries import PublicAddress, image_entry
from estinel_assets.imagery.catalog_fragments import update_fragment
from estinel_assets.imagery.layout import (
    CATALOG,
    CATALOG_LEASE,
    CATALOG_STATE,
    INDEX,
    fragment_path,
)
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import site_window
from estinel_assets.outcomes.index import rebuild
from estinel_assets.outcomes.object_ledger import ObjectLedger
from estinel_assets.storage.lease import hold_lease
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.paths import LocalRoot, object_uri
from tests.support.outcomes import outcome
from tests.support.recording_store import RecordingStore

HOBART = Site("Hobart", 147.3257, -42.8826, purpose=("tasmania", "estuary"))
CASEY = Site("Casey Station", 110.5267, -66.2825, purpose=())
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


def ledger_of(store):
    return ObjectLedger(store.store, "imagery", "outcomes/imagery", field_name="scenes")


def record(store, site, day, reason="none", minutes=0, **detail):
    made = {**MADE, **detail} if reason == "none" else detail
    ledger_of(store).put_one(
        outcome(site.site_id, day, reason=reason, minutes=minutes, product="imagery", detail=made)
    )


def fragment(store, site=HOBART, public=PUBLIC):
    ledger = ledger_of(store)
    rows = rebuild(ledger, (site.site_id,), {}).values()
    address = PublicAddress(store, public)
    return update_fragment(store, site, site_window(site), rows, ledger, address)


def merge(store, wait_s=10.0, public=PUBLIC):
    return merge_catalog(store, lease_ttl_s=30, lease_wait_s=wait_s, public_url=public)


def catalog(store):
    return json.loads(store.get(CATALOG).data)


def index(store):
    return json.loads(store.get(INDEX).data)


def test_the_schema(store):
    record(store, HOBART, "2024-12-04")
    fragment(store)
    merge(store)

    base = "sentinel-2-c1-l2a/2024/12/04/Hobart_2024-12-04"
    view = {"view_q128": "q128", "view_hist": "histeq", "view_stretch": "stretch"}
    assert catalog(store) == {
        "root": PUBLIC,
        "locations": [
            {
                "id": "site_af38900f",
                "name": "Hobart",
                "lon": 147.3257,
                "lat": -42.8826,
                "purpose": ["tasmania", "estuary"],
                "grid": {
                    "epsg": 32755,
                    "transform": [10.0, 0.0, 523580.0, 0.0, -10.0, 5255190.0],
                    "shape": [603, 603],
                },
                "images": [
                    {
                        "id": base,
                        "date": "2024-12-04",
                        "url": {k: f"{PUBLIC}/{base}_{v}.png" for k, v in view.items()},
                        "thumbnail": {
                            k: f"{PUBLIC}/thumbs/{base}_{v}.png" for k, v in view.items()
                        },
                        "download": f"{PUBLIC}/{base}.tif",
                        "stac-item": f"{PUBLIC}/{base}.json",
                        "valid_fraction": 1.0,
                        "cloud_fraction": 0.25,
                        "clear_fraction": 0.75,
                        "attribution": "Contains modified Copernicus Sentinel data 2024",
                    }
                ],
            }
        ],
    }


def test_the_document_is_compact_and_keeps_its_order(store):
    record(store, HOBART, "2024-12-04")
    made = fragment(store)
    merge(store)

    stored = store.get(CATALOG).data
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    expected = {"root": PUBLIC, "locations": [made.location]}
    assert stored.decode() == json.dumps(expected, **compact) + "\n"


def test_half_a_character_in_a_part_of_the_catalogue_is_named(store):
    record(store, HOBART, "2024-12-04")
    fragment(store)
    path = fragment_path(HOBART.site_id)
    body = store.get(path).data.replace(b"Contains modified", b"\\ud800 modified")
    store.put(path, body)

    with pytest.raises(StoreError, match=r"attribution.* is not valid Unicode; delete that part"):
        merge(store)


@pytest.mark.parametrize(
    ("public", "root"),
    [(PUBLIC, PUBLIC), (f"{PUBLIC}/", PUBLIC), (None, "file:///srv/store")],
)
def test_addresses_encode_what_file_names_hold(public, root):
    # In the site's file names a percent sign is encoded, and an address encodes that once more.
    site = Site("%", 0.0, 0.0)
    assert site.file_stem == "%25"

    entry = image_entry(site, date(2024, 12, 4), MADE, PublicAddress(StoreAt(), public))

    assert entry["download"] == f"{root}/sentinel-2-c1-l2a/2024/12/04/%2525_2024-12-04.tif"
    assert entry["id"] == "sentinel-2-c1-l2a/2024/12/04/%25_2024-12-04"


class StoreAt:
    """What an address asks of a store; nothing is opened."""

    url = "file:///srv/store"

    def uri(self, path):
        return object_uri(LocalRoot(Path("/srv/store")), path)


def test_images_are_by_date_and_locations_by_name(store):
    for day in ("2024-12-04", "2015-07-01", "2024-02-29"):
        record(store, HOBART, day)
    record(store, CASEY, "2024-12-04")
    fragment(store, HOBART)
    fragment(store, CASEY)
    merge(store)

    casey, hobart = catalog(store)["locations"]
    assert (casey["name"], hobart["name"]) == ("Casey Station", "Hobart")
    assert casey["purpose"] == []
    assert [one["date"] for one in hobart["images"]] == ["2015-07-01", "2024-02-29", "2024-12-04"]


def test_only_days_with_images_are_listed(store):
    standing = {**MADE, "outputs": ["x"]}
    record(store, HOBART, "2024-12-01")
    record(store, HOBART, "2024-12-02", "source_timeout")
    record(store, HOBART, "2024-12-03", "no_valid_pixels")
    record(store, HOBART, "2024-12-04", "source_timeout", standing=standing)
    record(store, HOBART, "2024-12-05", "interrupted", standing=standing)
    record(store, HOBART, "search")

    listed = fragment(store)

    days = [image["date"] for image in listed.location["images"]]
    assert days == ["2024-12-01", "2024-12-04", "2024-12-05"]
    assert listed.n_images == 3
    assert "search" not in listed.listed


def test_a_fragment_reads_only_what_changed(store, monkeypatch):
    for day in range(1, 20):
        record(store, HOBART, f"2024-12-{day:02d}")
    fragment(store)
    read = []
    original = ObjectLedger.read

    def reading(self, entries):
        taken = list(entries)
        read.extend(entry.key[-1] for entry in taken)
        return original(self, taken)

    store.forget()
    record(store, HOBART, "2024-12-07", "source_timeout", minutes=5)
    ledger = ledger_of(store)
    rows = rebuild(ledger, (HOBART.site_id,), {}).values()
    monkeypatch.setattr(ObjectLedger, "read", reading)
    address = PublicAddress(store, PUBLIC)
    listed = update_fragment(store, HOBART, site_window(HOBART), rows, ledger, address)

    assert read == ["2024-12-07"]
    assert listed.n_images == 18
    assert store.writes == [fragment_path(HOBART.site_id)]


def test_a_fragment_that_says_the_same_is_not_written(store):
    record(store, HOBART, "2024-12-01")
    first = fragment(store)
    store.forget()

    assert fragment(store) == first
    assert store.writes == []


def test_an_outcome_that_is_gone_takes_its_image_along(store):
    record(store, HOBART, "2024-12-01")
    record(store, HOBART, "2024-12-02")
    fragment(store)
    for meta in list(store.list("outcomes")):
        if "2024-12-02" in meta.path:
            store.store.delete(meta.path)

    assert [image["date"] for image in fragment(store).location["images"]] == ["2024-12-01"]


def test_another_public_address_changes_every_entry(store):
    record(store, HOBART, "2024-12-01")
    fragment(store)

    moved = fragment(store, public="https://elsewhere.example")

    (image,) = moved.location["images"]
    assert image["download"].startswith("https://elsewhere.example/sentinel")


def test_a_site_whose_row_changed(store):
    record(store, HOBART, "2024-12-01")
    fragment(store)
    renamed = Site("Hobart", 147.0, -42.0, purpose=("port",))

    location = fragment(store, renamed).location

    assert (location["lon"], location["purpose"]) == (147.0, ["port"])
    assert len(location["images"]) == 1


# The merge


def test_a_merge_reads_only_the_fragments_that_changed(store):
    for site in (HOBART, CASEY):
        record(store, site, "2024-12-01")
        fragment(store, site)
    assert merge(store).n_changed == 2
    record(store, CASEY, "2024-12-02")
    fragment(store, CASEY)
    store.forget()

    merged = merge(store)

    assert (merged.n_locations, merged.n_images, merged.n_changed) == (2, 3, 1)
    assert merged.n_bytes == len(store.store.get(CATALOG).data)
    fragments = [path for path in store.reads if "fragments" in path]
    assert fragments == [fragment_path(CASEY.site_id)]


def test_a_merge_of_nothing_new_writes_nothing(store):
    record(store, HOBART, "2024-12-01")
    fragment(store)
    merge(store)
    store.forget()

    merged = merge(store)

    assert (merged.n_locations, merged.n_images) == (1, 1)
    assert (merged.n_changed, merged.n_bytes) == (0, 0)
    assert [path for path in store.writes if path != CATALOG_LEASE] == []


def test_a_fragment_that_lists_the_same_leaves_the_document(store):
    record(store, HOBART, "2024-12-01")
    fragment(store)
    merge(store)
    # Another outcome, the same images.
    record(store, HOBART, "2024-12-01", "source_timeout", 5, standing={**MADE, "outputs": ["x"]})
    fragment(store)
    store.forget()

    assert merge(store).n_changed == 1
    assert [path for path in store.writes if path != CATALOG_LEASE] == [INDEX, CATALOG_STATE]
    store.forget()
    assert merge(store).n_changed == 0


def test_the_packed_catalogue_is_the_same_and_has_no_time(store):
    record(store, HOBART, "2024-12-01")
    fragment(store)
    merge(store)
    packed = store.get(PACKED_CATALOG).data

    assert gzip.decompress(packed) == store.get(CATALOG).data
    assert packed[3:8] == bytes(5)  # no flags, so no name; no time
    for path in (CATALOG, PACKED_CATALOG, CATALOG_STATE):
        store.store.delete(path)
    merge(store)
    assert store.get(PACKED_CATALOG).data == packed


@pytest.mark.parametrize("lost", [CATALOG, PACKED_CATALOG, CATALOG_STATE, INDEX])
def test_what_is_lost_is_made_again(store, lost):
    record(store, HOBART, "2024-12-01")
    fragment(store)
    merge(store)
    before = {path: store.get(path).data for path in (CATALOG, PACKED_CATALOG, INDEX)}
    store.store.delete(lost)

    merge(store)

    assert {path: store.get(path).data for path in before} == before
    assert store.head(CATALOG_STATE)


def test_a_fragment_that_is_gone_takes_its_location_along(store):
    for site in (HOBART, CASEY):
        record(store, site, "2024-12-01")
        fragment(store, site)
    merge(store)
    store.store.delete(fragment_path(CASEY.site_id))

    assert merge(store).n_locations == 1
    assert [entry["name"] for entry in catalog(store)["locations"]] == ["Hobart"]
    assert [entry["name"] for entry in index(store)["locations"]] == ["Hobart"]
    assert gzip.decompress(store.get(PACKED_CATALOG).data) == store.get(CATALOG).data


@pytest.mark.parametrize("refused", [PACKED_CATALOG, CATALOG, INDEX, CATALOG_STATE])
def test_a_merge_that_stopped_halfway_is_made_up_for(store, refused):
    record(store, HOBART, "2024-12-01")
    fragment(store)
    merge(store)
    record(store, HOBART, "2024-12-02")
    fragment(store)
    store.refused = refused
    with pytest.raises(StoreError, match="was refused"):
        merge(store)
    store.refused = ""

    merge(store)

    assert len(catalog(store)["locations"][0]["images"]) == 2
    assert index(store)["locations"][0]["n_images"] == 2
    assert gzip.decompress(store.get(PACKED_CATALOG).data) == store.get(CATALOG).data
    assert merge(store).n_changed == 0


class Overtaken(RecordingStore):
    """While a merge is about to write, another one writes."""

    overtake = None

    def _write(self, path):
        if path == self.at and self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            overtake()
        super()._write(path)


@pytest.mark.parametrize("at", [CATALOG, PACKED_CATALOG, INDEX])
@pytest.mark.parametrize("first", [True, False])
def test_a_merge_that_was_overtaken_undoes_nothing(at, first):
    store = Overtaken()
    store.at = at
    record(store, HOBART, "2024-12-01")
    fragment(store)
    if not first:
        merge(store)
        record(store, HOBART, "2024-12-02")
        fragment(store)

    def overtake():
        # The sleeper's lease has expired: another worker took it over and merged more.
        store.store.delete(CATALOG_LEASE)
        record(store, HOBART, "2024-12-03")
        fragment(store)
        merge(RecordingStore(store.store))

    store.overtake = overtake
    with pytest.raises(LeaseLostError, match=r"(image-catalog|index)\.json.*meanwhile"):
        merge(store)

    newest = [image["date"] for image in catalog(store)["locations"][0]["images"]]
    assert newest[-1] == "2024-12-03"
    assert index(store)["locations"][0]["newest"] == "2024-12-03"
    if at == PACKED_CATALOG:
        assert gzip.decompress(store.get(PACKED_CATALOG).data) == store.get(CATALOG).data
    merge(store)
    assert gzip.decompress(store.get(PACKED_CATALOG).data) == store.get(CATALOG).data


def test_a_merge_waits_for_another_and_gives_up_in_time(store):
    with (
        hold_lease(store, CATALOG_LEASE, ttl_s=30, owner="another merge"),
        pytest.raises(LeaseHeldError, match="another merge"),
    ):
        merge(store, wait_s=0.0)


def test_many_merges_at_once_lose_no_site(tmp_path):
    local = RecordingStore(open_store(f"file://{tmp_path}/store"))
    sites = [Site(f"Site {number}", float(number), 0.0) for number in range(6)]
    for site in sites:
        record(local, site, "2024-12-01")

    def update(site):
        fragment(local, site)
        return merge(local, wait_s=60)

    with ThreadPoolExecutor(len(sites)) as pool:
        merged = list(pool.map(update, sites))

    assert {entry["name"] for entry in catalog(local)["locations"]} == {s.location for s in sites}
    assert {entry["name"] for entry in index(local)["locations"]} == {s.location for s in sites}
    assert max(one.n_locations for one in merged) == len(sites)
    assert gzip.decompress(local.get(PACKED_CATALOG).data) == local.get(CATALOG).data
