"""The same pipeline on a local store and on S3, and sites whose names try to break out."""

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pystac
import pytest
import requests
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from estinel_assets.imagery.site_id import site_id
from tests.support.hostile import HOSTILE_NAMES
from tests.support.http import RangeServer
from tests.support.imagery import (
    FIRST_DAY,
    digests,
    imagery_world,
    plain_scenes,
    quiet_dagster,
    stamped,
)
from tests.support.s3 import s3_server

pytestmark = quiet_dagster

PUBLIC = "https://images.example/archive"
# One of each kind; that all of them give safe paths is tested where the paths are made.
NAMES = [
    name
    for name in HOSTILE_NAMES
    if name in {"../x", "..", "a\\b", "%2e", "🐧🐧", "<script>alert(1)</script>", "é" * 300}
]


@pytest.fixture
def s3(monkeypatch):
    with s3_server() as access:
        for name, value in access.environment().items():
            monkeypatch.setenv(name, value)
        yield access


def published(world):
    catalog = world.products("catalog")
    merged = {path: body for path, body in catalog.items() if "image-catalog" in path}
    return digests({**world.products(), **merged})


@pytest.fixture(params=[1, pytest.param(3, marks=pytest.mark.soak)], ids=["a scene", "scenes"])
def both(tmp_path, tmp_path_factory, s3, request):
    """The last scenes, and worlds of them: on a local store and on S3."""
    scenes = plain_scenes(tmp_path_factory.getbasetemp())[-request.param :]
    settings = {"store": {"public_url": PUBLIC}}
    with imagery_world(tmp_path, scenes, settings=settings) as local:
        yield scenes, local, local.move(s3.url("store"), access=s3)


def test_s3_holds_the_same_bytes_as_a_local_store(both, s3):
    scenes, local, remote = both
    for world in (local, remote):
        assert world.update().success
        assert world.run("build_web_catalog").success

    assert published(remote) == published(local)
    days = {1: 1, 3: 2}[len(scenes)]
    assert len(published(remote)) == days * 9 + 2
    assert [key for key in s3.keys("store/") if "Hobart_2024-12-05.tif" in key] == [
        "store/sentinel-2-c1-l2a/2024/12/05/Hobart_2024-12-05.tif"
    ]
    uris = remote.outcomes()["2024-12-05"].outputs
    assert uris[0].startswith(f"s3://{s3.bucket}/store/sentinel-2-c1-l2a/")
    kinds = {
        ending: s3.client().head_object(
            Bucket=s3.bucket,
            Key=f"store/sentinel-2-c1-l2a/2024/12/05/Hobart_2024-12-05{ending}",
        )["ContentType"]
        for ending in (".tif", "_q128.png", ".json")
    }
    assert kinds == {
        ".tif": "image/tiff", "_q128.png": "image/png", ".json": "application/geo+json",
    }  # fmt: skip


@pytest.mark.soak
def test_s3_is_kept_up_as_a_local_store_is(both):
    scenes, local, remote = both
    for world in (local, remote):
        assert world.update().success
        assert world.run("build_web_catalog").success
    before = remote.versions("sentinel-2-c1-l2a", "thumbs", "catalog", "stac")
    assert remote.update().success
    assert remote.run("build_web_catalog").success
    assert remote.versions("sentinel-2-c1-l2a", "thumbs", "catalog", "stac") == before

    local.publish(stamped(scenes[-1]))
    for world in (local, remote):
        assert world.update().success
    assert published(remote) == published(local)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Where the store of the hostile names answers readers."""
    folder = tmp_path_factory.mktemp("hostile") / "world"
    (folder / "store").mkdir(parents=True)
    with RangeServer(folder / "store") as server:
        yield folder, server.url()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, served):
    """Hostile names as sites at the same place, with images of one day."""
    folder, public = served
    scenes = plain_scenes(tmp_path_factory.getbasetemp())[2:3]
    rows = []
    for name in NAMES:
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow([name, 147.3257, -42.8826, 10, 40, 40, "a,b"])
        rows.append(row.getvalue())
    settings = {"store": {"public_url": public}}
    with imagery_world(folder, scenes, sites=rows, settings=settings) as world:
        for name in NAMES:
            ran = world.update(site_id(name))
            assert ran.success, (name, ran.error)
        assert world.run("build_web_catalog").success
        yield world


DAY = FIRST_DAY + timedelta(days=1)


def test_hostile_names_stay_in_their_folders(hostile):
    day = "2024/12/02"
    assert hostile.folder.parent.joinpath("world") == hostile.folder
    assert [path.name for path in hostile.folder.parent.iterdir()] == ["world"]
    expected = {"estinel.toml", "sites.csv", "store"}
    assert {path.name for path in hostile.folder.iterdir() if "sqlite" not in path.name} == expected
    paths = set(hostile.products())
    assert len(paths) == 9 * len(NAMES)
    for path in paths:
        folder, _, file = path.removeprefix("thumbs/").rpartition("/")
        assert folder == f"sentinel-2-c1-l2a/{day}"
        assert file.isascii()
        assert DAY.isoformat() in file
    for name in NAMES:
        assert hostile.reasons(site_id(name)) == {DAY.isoformat(): "none"}


def test_hostile_names_stand_in_the_catalogue_as_they_are(hostile):
    catalog = hostile.catalog()

    assert sorted(entry["name"] for entry in catalog["locations"]) == sorted(NAMES)
    assert {entry["id"] for entry in catalog["locations"]} == set(map(site_id, NAMES))
    ids = [image["id"] for entry in catalog["locations"] for image in entry["images"]]
    assert len(set(ids)) == len(NAMES)


def addresses(image):
    return [
        *image["url"].values(),
        *image["thumbnail"].values(),
        image["download"],
        image["stac-item"],
    ]


def test_public_addresses_of_hostile_names_lead_to_their_files(hostile, served):
    for entry in hostile.catalog()["locations"]:
        (image,) = entry["images"]
        assert len(addresses(image)) == 8
        for address in addresses(image):
            assert address.startswith(served[1])
            answer = requests.get(address, timeout=10)
            assert answer.status_code == 200, (entry["name"], address)


def test_without_a_public_address_the_stores_own_is_given(hostile):
    del hostile.former["store"]["public_url"]
    hostile.configure()

    for name in ("%2e", "é" * 300):
        assert hostile.update(site_id(name)).success
        (image,) = hostile.fragment(site_id(name))["images"]
        for address in addresses(image):
            assert urlsplit(address).scheme == "file"
            assert Path(unquote(urlsplit(address).path)).is_file()


def test_items_of_hostile_names_are_valid_and_lead_to_their_files(hostile):
    store = hostile.store
    titles = []
    for path, body in hostile.products().items():
        if not path.endswith(".json"):
            continue
        item = json.loads(body)
        JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
        titles.append(item["properties"]["estinel:location"])
        here = "https://h/" + path.replace("%", "%25")
        for asset in item["assets"].values():
            there = unquote(urlsplit(urljoin(here, asset["href"])).path).lstrip("/")
            assert store.head(there).size > 0
    assert sorted(titles) == sorted(NAMES)
