"""The catalogue's page in the store: what is written when, on every kind of store."""

import json

import pytest

from estinel_assets.errors import LeaseHeldError, StoreError
from estinel_assets.imagery.layout import CATALOG_LEASE, PAGE_MANIFEST
from estinel_assets.imagery.page_files import PageFile, page_files
from estinel_assets.imagery.page_publishing import PagePublished, publish_page
from estinel_assets.storage.lease import hold_lease
from estinel_assets.storage.opening import open_store
from tests.support.recording_store import RecordingStore
from tests.support.s3 import s3_server


def page(**bodies):
    """A page of these files; `__` stands for a slash and `_` for the dot."""
    names = {name.replace("__", "/").replace("_", "."): body for name, body in bodies.items()}
    return {name: PageFile(name, body.encode()) for name, body in names.items()}


FIRST = page(index_html="one", sw_js="worker", app__main_js="import 1", css__base_css="a {}")
SECOND = page(index_html="two", sw_js="worker", app__main_js="import 2", app__new_js="new")


@pytest.fixture(scope="module")
def s3():
    with s3_server() as access:
        yield access


@pytest.fixture(params=["memory", "file", "s3"])
def store(request, tmp_path):
    if request.param == "s3":
        access = request.getfixturevalue("s3")
        return RecordingStore(access.open(request.node.name.replace("[", "-").strip("]")))
    url = "memory://" if request.param == "memory" else f"file://{tmp_path}/store"
    return RecordingStore(open_store(url))


def publish(store, files, wait_s=5.0):
    return publish_page(store, lease_ttl_s=30, lease_wait_s=wait_s, files=files)


def standing(store):
    """What stands of the page, by name; the manifest left out."""
    return {
        meta.path.removeprefix("catalog/"): store.store.get(meta.path).data.decode()
        for meta in store.list("catalog")
        if meta.path != PAGE_MANIFEST
    }


def texts(files):
    return {name: file.body.decode() for name, file in files.items()}


def written(store):
    return [path for path in store.writes if path != CATALOG_LEASE]


def test_a_page_is_published_whole_and_its_start_last(store):
    done = publish(store, FIRST)

    assert standing(store) == texts(FIRST)
    assert done == PagePublished(4, 4, 0, sum(len(file.body) for file in FIRST.values()))
    assert written(store)[-2:] == ["catalog/index.html", PAGE_MANIFEST]


def test_a_page_that_stands_is_left_alone(store):
    publish(store, FIRST)
    manifest = store.get(PAGE_MANIFEST).data
    store.forget()

    assert publish(store, FIRST).page_files_written == 0
    assert written(store) == []
    assert store.get(PAGE_MANIFEST).data == manifest


def test_another_release_writes_what_differs_and_deletes_what_it_lacks(store):
    publish(store, FIRST)
    store.put("catalog/css/own.css", b"mine")
    store.put("catalog/image-catalog.json", b"{}")
    store.forget()

    done = publish(store, SECOND)

    assert (done.page_files_written, done.page_files_deleted) == (3, 1)
    assert written(store)[:-2] == ["catalog/app/main.js", "catalog/app/new.js"]
    # What no release brought stays.
    assert standing(store) == {
        **texts(SECOND), "css/own.css": "mine", "image-catalog.json": "{}",
    }  # fmt: skip
    assert publish(store, SECOND).page_files_written == 0


@pytest.mark.parametrize("name", ["app/main.js", "index.html"])
def test_a_file_that_was_lost_or_changed_is_written_again(store, name):
    publish(store, FIRST)
    store.store.delete(f"catalog/{name}")
    assert publish(store, FIRST).page_files_written == 1
    store.put(f"catalog/{name}", b"something else, and longer")

    assert publish(store, FIRST).page_files_written == 1
    assert standing(store) == texts(FIRST)


@pytest.mark.parametrize("refused", ["app/main.js", "app/new.js", "index.html", PAGE_MANIFEST])
def test_a_release_that_stopped_halfway_is_made_up_for_also_by_the_former_one(store, refused):
    publish(store, FIRST)
    store.refused = refused
    with pytest.raises(StoreError, match="was refused"):
        publish(store, SECOND)
    if refused == "index.html":
        assert standing(store)["index.html"] == "one"
        assert standing(store)["css/base.css"] == "a {}", "the former page still asks for it"
    store.refused = ""

    publish(store, FIRST)
    former = standing(store)
    publish(store, SECOND)

    assert texts(FIRST).items() <= former.items()
    assert texts(SECOND).items() <= standing(store).items()


@pytest.mark.parametrize(
    "manifest",
    [b"{", b"[]", b'{"version": 9}', b'{"version": 1, "files": []}', b"\xff\xfe"],
)
def test_a_manifest_that_cannot_be_read_is_made_anew(store, manifest):
    publish(store, FIRST)
    store.put(PAGE_MANIFEST, manifest)

    assert publish(store, FIRST).page_files_written == 4
    assert publish(store, FIRST).page_files_written == 0


def test_a_manifest_that_names_others_files_deletes_none(store):
    publish(store, FIRST)
    others = [
        "catalog/fragments/site_1.json", "catalog/ratings/site_1.json", "catalog/index.json",
        "catalog/image-catalog.json", "catalog/merged.json", "markers/site_1.json",
    ]  # fmt: skip
    for path in others:
        store.put(path, b"{}")
    document = json.loads(store.get(PAGE_MANIFEST).data)
    document["files"] |= {
        name: {"sha256": "", "etag": ""}
        for name in (
            "fragments/site_1.json", "ratings/site_1.json", "index.json", "image-catalog.json",
            "merged.json", "page.json", "../markers/site_1.json", "a//b.js", "/x.js", "",
        )
    }  # fmt: skip
    store.put(PAGE_MANIFEST, json.dumps(document).encode())

    assert publish(store, FIRST).page_files_deleted == 0
    assert all(store.head(path) for path in others)


def test_a_page_waits_for_a_merge(store):
    with (
        hold_lease(store, CATALOG_LEASE, ttl_s=30, owner="a merge"),
        pytest.raises(LeaseHeldError, match="a merge"),
    ):
        publish(store, FIRST, wait_s=0.0)


def test_a_bucket_says_what_each_file_is(s3):
    store = s3.open("types")

    publish_page(store, lease_ttl_s=30, lease_wait_s=5)

    client = s3.client()
    kinds = {
        name: client.head_object(Bucket=s3.bucket, Key=f"types/catalog/{name}")["ContentType"]
        for name in ("index.html", "sw.js", "app/main.js", "css/base.css", "app/outlines.json")
    }
    assert kinds == {
        "index.html": "text/html; charset=utf-8",
        "sw.js": "text/javascript; charset=utf-8",
        "app/main.js": "text/javascript; charset=utf-8",
        "css/base.css": "text/css; charset=utf-8",
        "app/outlines.json": "application/json",
    }
    names = {key.removeprefix("types/catalog/") for key in s3.keys("types/catalog/")}
    assert names == {*page_files(), "page.json"}
