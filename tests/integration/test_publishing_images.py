"""Imagery's images in index and STAC API, under Dagster: a site's new days, sensor and asset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from estinel_assets.orchestration.keys_job import run_config
from estinel_assets.orchestration.runs import CONTENT_TAG
from estinel_assets.publishing.opening import opened_targets
from estinel_assets.publishing.ports import DocumentQuery
from estinel_assets.publishing.sensors import images_sensor
from tests.support.increment import HOBART, MadeScene, MadeWorld, day_number
from tests.support.publishing_dagster import PublishingWorld, publishing_world, quiet_dagster

pytestmark = quiet_dagster

IMAGES = dg.AssetKey("published_images")
KEY = f"images:{HOBART.site_id}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PublishingWorld]:
    with publishing_world(tmp_path / "world") as made:
        yield made


@pytest.fixture
def imagery(world: PublishingWorld) -> MadeWorld:
    made = MadeWorld(store=world.store)
    made.source.add(*(MadeScene(HOBART, day_number(number)) for number in (1, 2)))
    return made


@pytest.fixture
def published(world: PublishingWorld, imagery: MadeWorld) -> PublishingWorld:
    """A world in which the images of two days are published."""
    imagery.update()
    run = world.run("publish_images", config=run_config([(KEY,)]))
    assert run.success, run.error
    return world


def _tick(world: PublishingWorld) -> Any:
    built = world.definitions().resources
    assert built is not None
    with dg.build_sensor_context(
        instance=world.instance,
        sensor_name=images_sensor.name,
        repository_def=world.definitions().get_repository_def(),
        resources={name: built[name] for name in ("settings", "store")},
    ) as context:
        return images_sensor.evaluate_tick(context)


def _items(world: PublishingWorld) -> dict[str, Any]:
    with opened_targets(world.settings, world.store) as targets:
        collection = world.settings.publishing.images_collection
        found = {one["id"]: one for one in targets.need_stac().all_items(collection)}
        documents = list(targets.index.search(DocumentQuery(publication=KEY)))
    assert {one.document["stac_item_id"] for one in documents} == set(found)
    return found


def test_a_sites_new_days_become_items_by_the_sensor(
    world: PublishingWorld, imagery: MadeWorld
) -> None:
    assert _tick(world).skip_message == "no site has images to publish"
    imagery.update()
    (request,) = _tick(world).run_requests
    assert request.run_config == run_config([(KEY,)])
    run = world.run("publish_images", config=request.run_config)
    assert run.success, run.error
    shown = world.events(run.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION, IMAGES)
    assert shown[HOBART.site_id]["action"] == "published"
    assert shown[HOBART.site_id]["items"] == 2
    first = _items(world)
    assert len(first) == 2
    assert not _tick(world).run_requests

    imagery.source.add(MadeScene(HOBART, day_number(3)))
    imagery.update()
    (again,) = _tick(world).run_requests
    assert again.tags[CONTENT_TAG] != request.tags[CONTENT_TAG]
    assert world.run("publish_images", config=again.run_config).success
    second = _items(world)
    assert len(second) == 3
    assert {name: second[name] for name in first} == first


def test_an_image_opens_from_its_item(published: PublishingWorld) -> None:
    root = published.store.url
    items = _items(published)
    assert len(items) == 2
    for item in items.values():
        for asset in item["assets"].values():
            assert asset["href"].startswith(f"{root}/")
            assert published.store.head(asset["href"].removeprefix(f"{root}/")).size


def test_the_asset_shows_how_a_sites_images_were_published(published: PublishingWorld) -> None:
    world = published
    outcome = world.definitions().load_asset_value(
        IMAGES, partition_key=HOBART.site_id, instance=world.instance
    )
    assert (outcome.key, outcome.status) == ((KEY,), True)
    assert outcome.detail["site"] == HOBART.site_id
    result = world.execute([IMAGES], partition_key=HOBART.site_id)
    assert result.success
    found = world.events(result.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION, IMAGES)
    assert found[HOBART.site_id]["action"] == "unchanged"


def test_images_that_failed_are_published_again_by_reason(
    published: PublishingWorld, imagery: MadeWorld
) -> None:
    world = published
    imagery.source.add(MadeScene(HOBART, day_number(4)))
    imagery.update()
    right = world.settings.publishing.stac_url
    world.configure(publishing={"stac_url": "http://127.0.0.1:9"})
    failed = world.run("publish_images", config=run_config([(KEY,)]))
    assert not failed.success
    assert world.reasons()[KEY] == "stac_failed"
    world.configure(publishing={"stac_url": right})
    assert len(_items(world)) == 2
    assert world.by_reason("false:stac_failed").success
    assert world.reasons()[KEY] == "none"
    assert len(_items(world)) == 3
