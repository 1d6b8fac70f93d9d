"""Recorded Earth Search answers, replayed over HTTP through the real client."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from estinel_assets.errors import PermanentError
from estinel_assets.settings import StacSettings, TransportSettings
from estinel_assets.stac.bands import BANDS, Provider
from estinel_assets.stac.offsets import boa_offset
from estinel_assets.stac.scene_table import decode_table, encode_table, merge_items, read_items
from estinel_assets.stac.scenes import parse_scene
from estinel_assets.stac.search import SceneQuery, StacApiSource
from estinel_assets.stac.versions import keep_newest
from tests.support.real import real_data
from tests.support.replay import ReplayServer

RECORDING = "stac/xcube_search_bbox_paged_202003.exchanges.json"
QUERY = SceneQuery(
    collection="sentinel-2-l2a",
    boxes=((9.0, 47.0, 10.0, 48.0),),
    start=datetime(2020, 3, 1, tzinfo=UTC),
    end=datetime(2020, 3, 5, 23, 59, 59, tzinfo=UTC),
)


@pytest.fixture
def server() -> Iterator[ReplayServer]:
    with ReplayServer(real_data(RECORDING)) as replay:
        yield replay


@pytest.fixture
def source(server: ReplayServer) -> Iterator[StacApiSource]:
    api = StacApiSource.from_settings(
        StacSettings(url=server.root), TransportSettings(attempts=2, backoff_s=0.01)
    )
    yield api
    api.close()


def test_all_pages_are_found(server: ReplayServer, source: StacApiSource) -> None:
    result = source.search(QUERY)
    assert (len(result.items), result.matched) == (16, 16)
    assert len({item["id"] for item in result.items}) == 16
    # The root, two pages, and the empty page that the second one's next link leads to.
    assert result.requests == 4
    assert [(request.method, request.path) for request in server.requests] == [
        ("GET", "/v1"),
        *[("POST", "/v1/search")] * 3,
    ]
    assert "next" not in server.requests[1].body
    assert all("next" in request.body for request in server.requests[2:])


def test_a_second_search_does_not_read_the_root_again(
    server: ReplayServer, source: StacApiSource
) -> None:
    first, second = source.search(QUERY), source.search(QUERY)
    assert first.items == second.items
    assert [request.path for request in server.requests].count("/v1") == 1


def test_a_search_that_was_not_recorded_is_not_answered(source: StacApiSource) -> None:
    with pytest.raises(PermanentError, match="not recorded"):
        source.search(SceneQuery("sentinel-2-l2a", QUERY.boxes, QUERY.start, QUERY.start))


def test_from_search_to_stored_scenes_with_versions_and_offsets(source: StacApiSource) -> None:
    found = source.search(QUERY)
    table = merge_items(None, found.items, covered=[(QUERY.start, QUERY.end)]).table
    items = {item["id"]: item for item in read_items(decode_table(encode_table(table)))}
    scenes = [parse_scene(item, Provider.EARTH_SEARCH) for item in items.values()]
    assert all(set(scene.assets) == set(BANDS) for scene in scenes)
    kept, superseded = keep_newest(scenes)
    assert len(kept) == len(superseded) == 8
    for scene in kept:
        assert scene.baseline == (5, 0)
        assert boa_offset(items[scene.id], Provider.EARTH_SEARCH).offset_dn == 0
