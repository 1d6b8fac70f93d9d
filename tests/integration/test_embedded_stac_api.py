"""The embedded STAC API over HTTP, asked by the clients that will ask it: pystac-client, GDAL."""

import json
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet
import pystac
import pytest
import rasterio
import requests
import shapely
import stac_geoparquet.arrow
from pystac_client import Client
from rasterio.windows import Window

from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import ItemRepository
from tests.support.cli import command_line, estinel, process_environment
from tests.support.real import real_data
from tests.support.stac_api import (
    DATABASE_NAME,
    running_stac_api,
    stac_collection,
    stac_item,
)

START = datetime(2024, 1, 1, tzinfo=UTC)
METHODS = ("GET", "POST")


def day(number):
    return START + timedelta(days=number)


def rfc3339(instant):
    return instant.isoformat().replace("+00:00", "Z")


def daily_item(number, **options):
    """One a day; each a degree wide, marching east from -180°."""
    west = -180 + number * 10.0
    return stac_item(
        f"item-{number:02d}",
        bbox=(west, 0.0, west + 1, 1.0),
        datetime=rfc3339(day(number)),
        collection="even" if number % 2 == 0 else "odd",
        assets={"red": {"href": f"scenes/item-{number:02d}/B04.tif", "type": "image/tiff"}},
        **{"eo:cloud_cover": (number * 7) % 30},
        **options,
    )


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "item-00").mkdir()
    pixels = np.random.default_rng(1).integers(1, 10_000, (1, 512, 512), dtype="uint16")
    with rasterio.open(
        folder / "item-00" / "B04.tif",
        "w",
        driver="GTiff",
        width=512,
        height=512,
        count=1,
        dtype="uint16",
        crs="EPSG:32755",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_200_000),
        tiled=True,
        blockxsize=128,
        blockysize=128,
    ) as file:
        file.write(pixels)
    return folder


@pytest.fixture(scope="module")
def url(tmp_path_factory, scenes):
    items = [daily_item(number) for number in range(30)]
    collections = [stac_collection("even"), stac_collection("odd")]
    folder = tmp_path_factory.mktemp("api")
    with running_stac_api(folder, collections, items, scenes_folder=scenes) as address:
        yield address


@pytest.fixture(scope="module")
def client(url):
    return Client.open(url)


def numbers(search):
    return sorted(int(item.id.removeprefix("item-")) for item in search.items())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, range(30)),
        ({"bbox": [-180, -10, -150.5, 10]}, [0, 1, 2]),
        ({"bbox": [-180, -10, 0, -150.5, 10, 100]}, [0, 1, 2]),
        ({"bbox": [105, 0, -165, 1]}, [0, 1, 29]),
        ({"datetime": day(3)}, [3]),
        ({"datetime": [day(3), day(6)]}, [3, 4, 5, 6]),
        ({"datetime": [day(27), None]}, [27, 28, 29]),
        ({"datetime": "../2024-01-02"}, [0, 1]),
        ({"datetime": "2024-01-05"}, [4]),
        ({"collections": ["odd"], "datetime": [None, day(4)]}, [1, 3]),
        ({"collections": ["odd", "even"], "ids": ["item-01", "item-02", "x"]}, [1, 2]),
        ({"collections": ["absent"]}, []),
        (
            {
                "intersects": {
                    "type": "MultiPolygon",
                    "coordinates": [
                        [[[100, 0], [115, 0], [115, 5], [100, 0]]],
                        [[[-180, 0], [-175, 0], [-175, 1], [-180, 0]]],
                    ],
                }
            },
            [0, 28, 29],
        ),
        ({"intersects": {"type": "Point", "coordinates": [-169.5, 0.5]}}, [1]),
    ],
)
def test_searches(client, method, parameters, expected):
    search = client.search(method=method, **parameters)

    assert numbers(search) == list(expected)
    assert search.matched() == len(expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sortby", [None, "-datetime", "+properties.eo:cloud_cover,-id", "id"])
def test_paging_gives_every_item_once_and_in_order(client, method, sortby):
    search = client.search(method=method, limit=7, sortby=sortby)

    pages = [page.items for page in search.pages()]
    found = [item for page in pages for item in page]

    assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
    keys = {
        None: lambda item: (-item.datetime.timestamp(), item.id),
        "-datetime": lambda item: (-item.datetime.timestamp(), item.id),
        "id": lambda item: item.id,
        "+properties.eo:cloud_cover,-id": lambda item: (
            item.properties["eo:cloud_cover"],
            -int(item.id.removeprefix("item-")),
        ),
    }
    assert found == sorted(found, key=keys[sortby])
    assert len({item.id for item in found}) == search.matched() == 30


def test_items_of_a_collection_are_paged(client):
    items = client.get_collection("odd").get_items()

    assert sorted(item.id for item in items) == [f"item-{n:02d}" for n in range(1, 30, 2)]


@pytest.mark.parametrize("method", METHODS)
def test_items_that_come_between_two_pages_neither_hide_nor_repeat_the_others(tmp_path, method):
    old = [stac_item(f"old-{n:02d}", datetime=rfc3339(day(n // 3))) for n in range(30)]
    with (
        running_stac_api(tmp_path, [stac_collection("scenes")], old) as url,
        Database(tmp_path / DATABASE_NAME) as database,
    ):
        repository = ItemRepository(database)
        found = []
        for number, page in enumerate(Client.open(url).search(method=method, limit=7).pages()):
            found += [item.id for item in page.items]
            repository.upsert_items(
                stac_item(f"new-{number}-{n}", datetime=rfc3339(day(n))) for n in range(-1, 12)
            )

    assert sorted(name for name in found if name.startswith("old")) == [item["id"] for item in old]
    assert len(set(found)) == len(found)


def test_every_answer_is_valid_stac(url, client):
    client.validate()
    collection = client.get_collection("even")
    collection.validate()
    found = next(collection.get_items())
    found.validate()
    item = collection.get_item("item-04")
    item.validate()
    for page in client.search(limit=10).pages_as_dicts():
        for feature in page["features"]:
            pystac.Item.from_dict(feature).validate()
    assert item.get_self_href() == f"{url}/collections/even/items/item-04"
    assert {child.id for child in client.get_collections()} == {"even", "odd"}


def test_landing_page_and_conformance_name_what_is_there(url):
    landing = requests.get(url, timeout=10).json()
    conformance = requests.get(f"{url}/conformance", timeout=10).json()["conformsTo"]

    links = {(link["rel"], link["href"]) for link in landing["links"]}
    assert landing["conformsTo"] == conformance
    assert "https://api.stacspec.org/v1.0.0/item-search" in conformance
    assert "https://api.stacspec.org/v1.0.0/item-search#sort" in conformance
    assert {("search", f"{url}/search"), ("child", f"{url}/collections/odd")} <= links
    (queryables,) = [href for rel, href in links if rel.endswith("/queryables")]
    answer = requests.get(queryables, timeout=10)
    assert answer.headers["Content-Type"].startswith("application/schema+json")
    assert answer.json()["$id"] == queryables
    assert {"id", "collection", "datetime"} <= set(answer.json()["properties"])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stac_client_filters_page_by_page(url, method):
    expression = {
        "op": "and",
        "args": [
            {"op": ">=", "args": [{"property": "id"}, "item-05"]},
            {"op": "<", "args": [{"property": "id"}, "item-12"]},
        ],
    }
    client = Client.open(url)

    search = client.search(
        method=method, collections=["odd"], filter=expression, filter_lang="cql2-json", limit=2
    )

    assert search.matched() == 4
    assert sorted(item.id for item in search.items()) == [
        "item-05",
        "item-07",
        "item-09",
        "item-11",
    ]


def test_items_of_a_collection_are_not_filtered(url):
    answer = requests.get(
        f"{url}/collections/odd/items", params={"filter": "id = 'item-01'"}, timeout=10
    )

    assert answer.status_code == 400
    assert "does not support" in answer.json()["description"]


def test_a_post_may_follow_its_next_link_as_it_stands(url):
    body = {"limit": 20, "collections": ["even", "odd"], "datetime": "2024-01-03T00:00:00Z/.."}
    first = requests.post(f"{url}/search", json=body, timeout=10).json()
    (following,) = [link for link in first["links"] if link["rel"] == "next"]

    second = requests.post(following["href"], json=following["body"], timeout=10).json()

    assert following["method"] == "POST"
    assert following["body"].items() >= body.items()
    assert (first["numberReturned"], second["numberReturned"]) == (20, 8)
    assert first["numberMatched"] == second["numberMatched"] == 28
    assert not [link for link in second["links"] if link["rel"] == "next"]


def test_a_plus_in_a_query_string_may_come_as_a_space(url):
    answer = requests.get(f"{url}/search?sortby=+datetime&limit=1", timeout=10).json()

    assert [feature["id"] for feature in answer["features"]] == ["item-00"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bbox": "1,2,3"}, "4 or 6"),
        ({"bbox": "1,2,3,north"}, "numbers joined by commas"),
        ({"datetime": "yesterday"}, "RFC 3339"),
        ({"limit": "0"}, "at least 1"),
        ({"limit": "many"}, "limit: .*integer"),
        ({"intersects": '{"type": "Circle"}'}, "'Circle'"),
        ({"token": "x"}, "next"),
        ({"filter": "a = 1"}, "filter-lang=cql2-json"),
        ({"filter": "a = 1", "filter-lang": "cql2-json"}, "filter: .*not JSON"),
        ({"query": '{"gsd": {"eq": 10}}'}, "does not support"),
    ],
)
def test_a_bad_get_is_answered_with_400_and_the_reason(url, parameters, message):
    answer = requests.get(f"{url}/search", params=parameters, timeout=10)

    assert answer.status_code == 400
    assert answer.json()["code"] == "BadInputError"
    assert re.search(message, answer.json()["description"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"bbox": [1, 2, 3]}, "4 or 6"),
        ({"bbox": [1, 50, 3, 4]}, "south 50.0 is above north 4.0"),
        ({"bbox": "1,2,3,4"}, "bbox: .*list"),
        ({"datetime": "2024-01-01"}, "RFC 3339"),
        ({"limit": -1}, "at least 1"),
        ({"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, "cannot be read"),
        (
            {"intersects": {"type": "Point", "coordinates": [0, 0]}, "bbox": [1, 2, 3, 4]},
            "only one",
        ),
        ({"query": {"gsd": {"eq": 10}}}, "does not support"),
        ({"sortby": [{"direction": "asc"}]}, "sortby.0.field"),
    ],
)
def test_a_bad_post_is_answered_with_400_and_the_reason(url, body, message):
    answer = requests.post(f"{url}/search", json=body, timeout=10)

    assert answer.status_code == 400
    assert re.search(message, answer.json()["description"])


def test_a_body_that_is_no_json_is_answered_with_400(url):
    answer = requests.post(
        f"{url}/search", data="{", headers={"Content-Type": "application/json"}, timeout=10
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "BadInputError")


@pytest.mark.parametrize(
    "path",
    [
        "collections/absent",
        "collections/absent/items",
        "collections/even/items/absent",
        "collections/even/items/item-01",
        "scenes/absent.tif",
        "scenes/../stac.sqlite",
        "scenes/%2e%2e/stac.sqlite",
    ],
)
def test_what_is_not_there_is_404(url, path):
    assert requests.get(f"{url}/{path}", timeout=10).status_code == 404


def test_asset_addresses_are_absolute_and_follow_the_host_that_was_asked(url, scenes):
    port = url.rpartition(":")[2]
    answers = [
        requests.get(f"http://{host}:{port}/collections/even/items/item-00", timeout=10).json()
        for host in ("127.0.0.1", "localhost")
    ]

    hrefs = [answer["assets"]["red"]["href"] for answer in answers]

    assert hrefs == [
        f"http://{host}:{port}/scenes/item-00/B04.tif" for host in ("127.0.0.1", "localhost")
    ]
    content = requests.get(hrefs[0], timeout=10).content
    assert content == (scenes / "item-00" / "B04.tif").read_bytes()


def test_byte_ranges_of_scenes(url, scenes):
    content = (scenes / "item-00" / "B04.tif").read_bytes()
    address = f"{url}/scenes/item-00/B04.tif"

    def ranged(value):
        return requests.get(address, headers={"Range": value}, timeout=10)

    head = requests.head(address, timeout=10)
    middle = ranged("bytes=100-199")
    end = ranged(f"bytes={len(content) - 10}-{len(content) + 99}")
    last = ranged("bytes=-7")

    assert head.headers["Accept-Ranges"] == "bytes"
    assert int(head.headers["Content-Length"]) == len(content)
    assert (middle.status_code, middle.content) == (206, content[100:200])
    assert middle.headers["Content-Range"] == f"bytes 100-199/{len(content)}"
    assert (end.status_code, end.content) == (206, content[-10:])
    assert (last.status_code, last.content) == (206, content[-7:])
    assert ranged(f"bytes={len(content)}-").status_code == 416


def test_gdal_reads_a_window_of_a_scene(client, scenes):
    item = client.get_collection("even").get_item("item-00")
    window = Window(200, 130, 50, 40)

    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        rasterio.open(item.assets["red"].href) as remote,
        rasterio.open(scenes / "item-00" / "B04.tif") as local,
    ):
        assert np.array_equal(remote.read(1, window=window), local.read(1, window=window))
        assert remote.crs == local.crs


def test_without_a_folder_there_are_no_scenes(tmp_path):
    with running_stac_api(tmp_path) as url:
        assert requests.get(f"{url}/scenes/a.tif", timeout=10).status_code == 404
        assert requests.post(f"{url}/search", json={}, timeout=10).json()["features"] == []


def test_a_stopped_server_is_gone(tmp_path):
    with running_stac_api(tmp_path) as url:
        assert requests.get(f"{url}/_mgmt/ping", timeout=10).status_code == 200

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/_mgmt/ping", timeout=10)


def test_the_real_items_are_found_as_a_brute_force_filter_finds_them(tmp_path):
    table = pyarrow.parquet.read_table(real_data("stac/rustac_1000_items.parquet"))
    items = list(stac_geoparquet.arrow.stac_table_to_items(table))
    footprints = [shapely.from_geojson(json.dumps(item["geometry"])) for item in items]
    times = [datetime.fromisoformat(item["properties"]["datetime"]) for item in items]
    west, south, east, north = shapely.total_bounds(footprints)
    areas = [
        shapely.box(west, south, east, north),
        shapely.box(-105.3, 39.9, -105.2, 40.1),
        shapely.Point(-104.99, 39.74),
        shapely.Polygon([(-109, 37), (-102, 37), (-105.5, 41)]),
        shapely.MultiPolygon(
            [shapely.box(-108, 38, -107.9, 38.1), shapely.box(-103, 40, -102, 41)]
        ),
    ]
    spans = [(min(times), max(times)), (times[0], times[0]), (min(times), sorted(times)[300])]

    with running_stac_api(tmp_path, [stac_collection("sentinel-2-l2a")], items) as url:
        client = Client.open(url)
        for area in areas:
            for first, last in spans:
                expected = {
                    item["id"]
                    for item, place, time in zip(items, footprints, times, strict=True)
                    if place.intersects(area) and first <= time <= last
                }
                search = client.search(
                    intersects=area.__geo_interface__,
                    # As text: pystac-client cuts fractions of a second from datetimes.
                    datetime=f"{rfc3339(first)}/{rfc3339(last)}",
                    limit=200,
                )
                found = [item["id"] for item in search.items_as_dicts()]
                assert search.matched() == len(found) == len(set(found))
                assert set(found) == expected
        whole = client.search(limit=250)
        assert {item["id"] for item in whole.items_as_dicts()} == {item["id"] for item in items}


def test_eight_threads_search_while_one_writes(tmp_path):
    batch = 20
    old = [stac_item(f"old-{n:03d}", datetime=rfc3339(day(n))) for n in range(200)]
    names = {item["id"] for item in old}
    writing = threading.Event()

    def write(repository):
        for number in range(15):
            new = [stac_item(f"new-{number}-{n}", datetime=rfc3339(day(n))) for n in range(batch)]
            repository.upsert_items([*new, *old[number::15]])
        writing.set()

    def search(url):
        rounds = 0
        while not (writing.is_set() and rounds):
            body, found = {"limit": 60, "bbox": [147, -43, 148, -42]}, []
            while body is not None:
                answer = requests.post(f"{url}/search", json=body, timeout=60)
                answer.raise_for_status()
                page = answer.json()
                # A write is seen whole or not at all.
                assert (page["numberMatched"] - len(old)) % batch == 0
                found += [feature["id"] for feature in page["features"]]
                links = [link for link in page["links"] if link["rel"] == "next"]
                body = links[0]["body"] if links else None
            assert len(found) == len(set(found))
            assert names <= set(found)
            rounds += 1
        return rounds

    with (
        running_stac_api(tmp_path, [stac_collection("scenes")], old) as url,
        Database(tmp_path / DATABASE_NAME) as database,
        ThreadPoolExecutor(9) as pool,
    ):
        searches = [pool.submit(search, url) for _ in range(8)]
        pool.submit(write, ItemRepository(database)).result()
        assert all(one.result() >= 1 for one in searches)
        assert Client.open(url).search().matched() == len(old) + 15 * batch


@pytest.fixture(scope="module")
def writable(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writable")
    with running_stac_api(
        folder, [stac_collection("scenes")], transactions=True, api_key="k"
    ) as address:
        yield address, folder / DATABASE_NAME


WITH_KEY = {"X-Api-Key": "k"}


def test_eight_writers_beside_readers_lose_nothing(writable):
    url, path = writable
    done = threading.Event()
    items = f"{url}/collections/scenes/items"

    def write(writer):
        statuses = []
        with requests.Session() as session:
            session.headers.update(WITH_KEY)
            for number in range(12):
                item = stac_item(f"w{writer}-{number}")
                statuses.append(session.post(items, json=item, timeout=30).status_code)
                if number % 3 == 0:
                    bulk = {"items": {item["id"]: item}, "method": "upsert"}
                    answer = session.post(
                        f"{url}/collections/scenes/bulk_items", json=bulk, timeout=30
                    )
                    statuses.append(answer.status_code)
                if number % 4 == 0:
                    address = f"{items}/{item['id']}"
                    statuses.append(session.delete(address, timeout=30).status_code)
        return set(statuses)

    def read():
        statuses = set()
        with requests.Session() as session:
            while not done.is_set():
                statuses.add(session.get(f"{url}/search?limit=100", timeout=30).status_code)
        return statuses

    def write_from_outside():
        # As another process would: with a connection and a lock of its own.
        with Database(path) as database:
            repository = ItemRepository(database)
            for number in range(20):
                repository.upsert_items([stac_item(f"outside-{number}")])

    with ThreadPoolExecutor(11) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        outside = threads.submit(write_from_outside)
        written = set().union(*threads.map(write, range(8)))
        outside.result()
        done.set()
        assert set().union(*(reader.result() for reader in readers)) == {200}
    assert written == {200, 201}
    found = Client.open(url).search(collections=["scenes"], limit=1000)
    expected = {f"w{w}-{n}" for w in range(8) for n in range(12) if n % 4} | {
        f"outside-{number}" for number in range(20)
    }
    assert {item.id for item in found.items()} == expected


def test_of_eight_that_create_the_same_item_one_wins(writable):
    url, _ = writable

    def create(writer):
        return requests.post(
            f"{url}/collections/scenes/items",
            json=stac_item("same", writer=writer),
            headers=WITH_KEY,
            timeout=30,
        ).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(create, range(8)))

    assert sorted(statuses) == [201] + [409] * 7
    stored = requests.get(f"{url}/collections/scenes/items/same", timeout=30).json()
    assert stored["properties"]["writer"] == statuses.index(201)


def test_patches_of_one_item_at_once_all_count(writable):
    url, _ = writable
    address = f"{url}/collections/scenes/items"
    requests.post(address, json=stac_item("patched"), headers=WITH_KEY, timeout=30)

    def patch(number):
        return requests.patch(
            f"{address}/patched",
            json={"properties": {f"p{number}": number}},
            headers=WITH_KEY,
            timeout=30,
        ).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(patch, range(8))) == {200}

    properties = requests.get(f"{address}/patched", timeout=30).json()["properties"]
    assert {f"p{number}": number for number in range(8)}.items() <= properties.items()


@pytest.mark.parametrize("method", ["insert", "upsert"])
def test_a_bulk_of_500_items_is_quick(writable, method):
    url, _ = writable
    assets = {f"band{n}": {"href": f"s3://bucket/{n}.tif", "roles": ["data"]} for n in range(12)}
    items = [stac_item(f"bulk-{method}-{n}", assets=assets) for n in range(500)]

    answer = requests.post(
        f"{url}/collections/scenes/bulk_items",
        json={"items": {item["id"]: item for item in items}, "method": method},
        headers=WITH_KEY,
        timeout=30,
    )

    assert answer.json() == {"received": 500, "success": 500, "skipped": 0, "errors": []}
    # Usually 0.3 s. The limit leaves room for a busy machine.
    assert answer.elapsed < timedelta(seconds=10)


def test_what_was_published_is_found_by_a_stac_client(writable):
    url, _ = writable
    item = stac_item("found", bbox=(5, 60, 6, 61), assets={"x": {"href": "s3://bucket/x.tif"}})
    requests.post(f"{url}/collections/scenes/items", json=item, headers=WITH_KEY, timeout=30)

    client = Client.open(url)
    (found,) = client.search(bbox=[5, 60, 6, 61]).items()
    assert found.id == "found"
    assert found.assets["x"].href == "s3://bucket/x.tif"
    assert found.get_collection().id == "scenes"
    assert "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction" in (
        client.get_conforms_to()
    )


def test_the_command_serves_transactions_with_a_key_from_a_file(tmp_path):
    (tmp_path / "key").write_text("s3cret\n")
    options = ["--transactions", "--api-key-file", "key", "--api-key-header", "X-Token"]
    process = subprocess.Popen(
        command_line(["stac", "serve", "--database", "x", "--port", 0, *options, "--json"]),
        cwd=tmp_path,
        env=process_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        printed = "".join(iter(process.stdout.readline, "}\n"))
        url = json.loads(printed + "}")["url"]
        body = stac_collection("scenes")
        absent = requests.post(f"{url}/collections", json=body, timeout=30)
        right = {"X-Token": "s3cret"}
        given = requests.post(f"{url}/collections", json=body, headers=right, timeout=30)
        process.terminate()
        rest, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()

    assert (absent.status_code, given.status_code) == (401, 201)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert "s3cret" not in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--api-key-file", "key"], "turn transactions on"),
        (["--transactions", "--api-key-file", "absent"], "absent cannot be read"),
        (["--transactions", "--api-key-file", "empty"], "API key is empty"),
        (["--transactions", "--api-key-file", "bytes"], "bytes cannot be read"),
    ],
)
def test_the_command_refuses_unusable_keys(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("s3cret\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    result = estinel("stac", "serve", "--database", "s.sqlite", *options)
    assert result.code == 3
    assert message in result.stderr
    assert "s3cret" not in result.stderr
