"""From a site's run to the page: what stands in the store then, and how it is served."""

import json
import threading
import urllib.request

import dagster as dg
import pytest
import rasterio

from estinel_assets.imagery.browse_server import open_server
from estinel_assets.imagery.layout import INDEX, PAGE_MANIFEST
from estinel_assets.imagery.page_files import page_files
from tests.support.imagery import imagery_world, plain_scenes, quiet_dagster

pytestmark = quiet_dagster

SITES = ["Hobart,147.3257,-42.8826,10,40,40,tasmania", "50% é,147.3257,-42.8826,10,40,40,"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A world of two sites with a day each, its catalogue merged; and the merge's counts."""
    scenes = plain_scenes(tmp_path_factory.getbasetemp())[2:3]
    with imagery_world(tmp_path_factory.mktemp("published"), scenes, sites=SITES) as world:
        for site in site_ids(world):
            ran = world.update(site)
            assert ran.success, ran.error
        merged = world.run("build_web_catalog")
        assert merged.success, merged.error
        yield world


def site_ids(world):
    assert world.run("refresh_sites").success
    return world.instance.get_dynamic_partitions("sites")


def stored(world, path):
    return json.loads(world.store.get(path).data)


def test_the_page_stands_beside_its_catalogue(published):
    standing = {meta.path for meta in published.store.list("catalog")}

    assert {f"catalog/{name}" for name in page_files()} <= standing
    assert {INDEX, PAGE_MANIFEST, "catalog/image-catalog.json"} <= standing
    start = published.store.get("catalog/index.html").data
    assert start == page_files()["index.html"].body


def test_the_run_tells_what_it_wrote(published):
    event = published.instance.get_latest_materialization_event(dg.AssetKey("web_catalog"))
    said = {name: entry.value for name, entry in event.asset_materialization.metadata.items()}

    assert (said["locations"], said["images"]) == (2, 2)
    assert said["page_files"] == said["page_files_written"] == len(page_files())
    assert said["page_files_deleted"] == 0
    assert said["page_bytes"] == sum(len(file.body) for file in page_files().values())
    assert said["index_bytes"] == len(published.store.get(INDEX).data)


def test_the_index_says_what_stands(published):
    index = stored(published, INDEX)

    assert index["root"] == published.store.url
    for location in index["locations"]:
        fragment = stored(published, f"catalog/{location['file']}")
        (image,) = fragment["location"]["images"]
        assert location["newest_image"] == image
        assert fragment["days"] == {image["date"]: "none"}
        with rasterio.open(published.folder / "store" / f"{image['id']}.tif") as composite:
            assert location["grid"]["epsg"] == composite.crs.to_epsg()
            assert location["grid"]["transform"] == list(composite.transform)[:6]
            assert location["grid"]["shape"] == list(composite.shape)


def test_everything_that_the_index_names_is_served(published):
    """Addresses below the root are read relative to the catalogue, as the page does."""
    server = open_server(published.store)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        index = read(f"{server.url}index.json")
        root = f"{index['root']}/"
        for location in index["locations"]:
            assert read(f"{server.url}{location['file']}")["location"]["id"] == location["id"]
            image = location["newest_image"]
            addresses = [*image["url"].values(), *image["thumbnail"].values(), image["download"]]
            assert all(address.startswith(root) for address in addresses)
            for address in addresses:
                # What a file:// address holds is percent-encoded already.
                target = server.url.replace("catalog/", address.removeprefix(root))
                with urllib.request.urlopen(target, timeout=10) as reply:  # noqa: S310 - ours
                    assert reply.status == 200
                    assert reply.read()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read(url):
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - ours
        return json.loads(reply.read())
