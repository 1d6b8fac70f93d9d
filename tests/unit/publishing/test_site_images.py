"""A site's images in API and index: what is new, what was made again, and what is gone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from estinel_assets.errors import PermanentError, StoreError
from estinel_assets.publishing.ending import Action
from estinel_assets.publishing.model import DIGEST, Policy
from estinel_assets.publishing.ports import DocumentQuery
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.site_images import FRAGMENTS, SiteImages, read_site_images
from estinel_assets.publishing.stac_validation import schema_problems
from estinel_assets.storage.port import ObjectStore
from tests.support.increment import HOBART, MadeScene, MadeWorld, day_number
from tests.support.publishing import World, memory_world
from tests.support.recording_store import RecordingStore

COLLECTION = "estinel-images"


@pytest.fixture
def imagery() -> MadeWorld:
    made = MadeWorld()
    made.source.add(*(MadeScene(HOBART, day_number(number)) for number in (1, 2, 3)))
    made.update()
    return made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with memory_world(tmp_path) as made:
        yield made


def _source(store: ObjectStore) -> SiteImages:
    return read_site_images(
        store,
        HOBART.site_id,
        collection=COLLECTION,
        address=lambda path: f"https://images.test/{path}",
    )


def _publish(world: World, source: SiteImages) -> Action:
    return world.publisher().publish(source, source.publication, Policy.REPLACE).action


def test_every_image_is_an_item_and_a_document(world: World, imagery: MadeWorld) -> None:
    assert _publish(world, _source(imagery.store)) is Action.PUBLISHED
    items = list(world.stac.all_items(COLLECTION))
    assert len(items) == 3
    for item in items:
        assert schema_problems(item, "Feature") == []
        assert item["collection"] == COLLECTION
        for asset in item["assets"].values():
            path = asset["href"].removeprefix("https://images.test/")
            assert imagery.store.head(path).size > 0
        assert any(link["rel"] == "license" for link in item["links"])
    documents = list(world.index.search(DocumentQuery(dataset_type=COLLECTION)))
    assert {one.document["stac_item_id"] for one in documents} == {item["id"] for item in items}
    assert all(one.publication == f"images:{HOBART.site_id}" for one in documents)


def test_only_what_was_made_again_is_read_and_written(world: World, imagery: MadeWorld) -> None:
    _publish(world, _source(imagery.store))
    before = {item["id"]: item for item in world.stac.all_items(COLLECTION)}
    assert _publish(world, _source(imagery.store)) is Action.UNCHANGED
    imagery.source.add(
        MadeScene(HOBART, day_number(4)), MadeScene(HOBART, day_number(2), version=2)
    )
    imagery.update()
    watched = RecordingStore(imagery.store)
    assert _publish(world, _source(watched)) is Action.REPLACED
    read = {path for path in watched.reads if path.endswith(".json") and FRAGMENTS not in path}
    assert len(read) == 2
    after = {item["id"]: item for item in world.stac.all_items(COLLECTION)}
    assert len(after) == 4
    changed = {name for name in before if after[name] != before[name]}
    assert len(changed) == 1
    assert all(str(day_number(2)) in name for name in changed)


def test_an_image_that_is_withdrawn_goes(world: World, imagery: MadeWorld) -> None:
    source = _source(imagery.store)
    _publish(world, source)
    fewer = replace(source, images=source.images[:-1])
    assert _publish(world, fewer) is Action.REPLACED
    assert len(list(world.stac.all_items(COLLECTION))) == 2
    assert len(list(world.index.search(DocumentQuery()))) == 2


def test_a_site_that_was_never_updated_is_named(world: World) -> None:
    with pytest.raises(PermanentError, match="update it first") as told:
        _source(RecordingStore())
    assert told.value.reason == PublishingReason.NOTHING_FOUND


def test_two_addresses_are_two_contents(imagery: MadeWorld) -> None:
    source = _source(imagery.store)
    moved = replace(source, address=lambda path: f"https://moved.test/{path}")
    assert source.fingerprint != moved.fingerprint
    assert source.fingerprint == _source(imagery.store).fingerprint


def test_the_digest_is_the_one_of_the_state(world: World, imagery: MadeWorld) -> None:
    source = _source(imagery.store)
    _publish(world, source)
    digests = {item["properties"][DIGEST] for item in world.stac.all_items(COLLECTION)}
    assert len(digests) == 3


def test_a_part_of_a_catalogue_that_is_none_is_named(imagery: MadeWorld) -> None:
    imagery.store.put(f"{FRAGMENTS}/{HOBART.site_id}.json", b'{"location": {}}')
    with pytest.raises(StoreError, match="is no part of a web catalogue; update its site"):
        _source(imagery.store)
