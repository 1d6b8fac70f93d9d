"""What every STAC API that we publish to promises: pgstac, the embedded one, and the fake."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from estinel_assets.errors import BadInputError, PermanentError, SourceFault
from estinel_assets.publishing.ports import StacTarget
from estinel_assets.stac.transactions import StacTransactions
from estinel_assets.stac.transactions.documents import difference
from estinel_assets.transport import RetryPolicy
from tests.support.memory_stac import MemoryStac
from tests.support.pgstac import pgstac_api, why_no_pgstac
from tests.support.stac_api import running_stac_api, stac_collection, stac_item

POLICY = RetryPolicy(attempts=3, backoff_s=0.01, backoff_max_s=0.02, deadline_s=60)
IN_MEMORY = "memory:"
MEMORY = MemoryStac()
EXTENSION = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"


@pytest.fixture(scope="module", params=["pgstac", "embedded", "memory"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "pgstac":
        if reason := why_no_pgstac():
            pytest.skip(reason)
        with pgstac_api() as root:
            yield root
    elif request.param == "memory":
        yield IN_MEMORY
    else:
        folder: Path = tmp_path_factory.mktemp("stac")
        with running_stac_api(folder, transactions=True) as root:
            yield root


def opened(url: str, **options: Any) -> StacTarget:
    if url.startswith(IN_MEMORY):
        return MEMORY
    return StacTransactions(url, policy=POLICY, timeout_s=20, **{"at_once": 4, **options})


@pytest.fixture
def target(url: str) -> Iterator[StacTarget]:
    target = opened(url)
    yield target
    target.close()


@pytest.fixture
def collection_id(target: StacTarget) -> str:
    """An empty collection of the test's own."""
    made = f"c-{uuid4().hex}"
    target.create_collection(stac_collection(made))
    return made


def items_of(collection_id: str, count: int, **properties: object) -> list[dict[str, Any]]:
    return [
        stac_item(f"item-{number:04d}", collection=collection_id, **properties)
        for number in range(count)
    ]


def ids_of(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def rich_collection(collection_id: str) -> dict[str, Any]:
    return stac_collection(collection_id) | {
        "title": "Terre Adélie 日本 👩‍🔬",
        "keywords": [],
        "stac_extensions": [EXTENSION],
        "extent": {
            "spatial": {"bbox": [[170.5, -43, -170, 12.25]]},
            "temporal": {"interval": [["2015-01-01T00:00:00.5+02:00", None]]},
        },
        "providers": [{"name": "a", "roles": ["producer"], "processing:level": "L2"}],
        "summaries": {"gsd": {"minimum": 0, "maximum": 5.5}, "platform": ["a", "b"]},
        "assets": {"thumb": {"href": "https://h/y.png", "roles": ["thumbnail"]}},
        "item_assets": {"data": {"type": "image/tiff", "roles": ["data"], "other:x": {"a": 1}}},
        "links": [
            {"rel": "license", "href": "https://h/license?a=1&b=2#c", "title": "Größe"},
            {"rel": "via", "href": "s3://bucket/key", "type": "text/plain", "more": [1, None]},
        ],
        "estinel:note": {"nested": {"deep": [1, {"x": "y"}]}},
    }


def rich_item(item_id: str, collection_id: str) -> dict[str, Any]:
    item = stac_item(
        item_id,
        collection=collection_id,
        assets={
            "data": {"href": "s3://b/a.tif", "type": "image/tiff", "roles": ["data"]},
            "other": {
                "href": "https://h/b%20c.tif?x=1",
                "eo:bands": [{"name": "B04", "center_wavelength": 0.665}],
                "description": "",
            },
        },
    )
    item["stac_extensions"] = [EXTENSION]
    item["bbox"] = [147.12345678901234, -43.1, 1.5, 148, -42, 3]
    low = [147.12345678901234, -43.1, 1.5]
    item["geometry"] = {
        "type": "Polygon",
        "coordinates": [[low, [148.000000000000014, -43.1, 2], [148, -42, 3], low]],
    }
    item["properties"] = {
        "datetime": None,
        "start_datetime": "2020-01-01T00:00:00.123456+02:00",
        "end_datetime": "2020-01-02T00:00:00Z",
        "created": "2020-01-02T00:00:00.5Z",
        "gsd": 10,
        "estinel:publication": "p",
        "text": '<a&b> "quoted" \\u0000 é 日本 👩‍🔬 \u2028',
        "nested": {"a": {"b": [1, None, [], {}, {"c": True}]}, "empty": {}},
        "numbers": [2**53 + 1, -(2**62), 1e300, 1e-300, 0.1, -0.5],
    }
    item["links"] = [
        {"rel": "derived_from", "href": "https://h/y?z=1&a=b#f", "title": "é"},
        {"rel": "via", "href": "s3://bucket/key"},
    ]
    return item


@pytest.mark.parametrize("slash", ["", "/"])
def test_probe_leaves_nothing_behind(url: str, slash: str) -> None:
    target = opened(url + slash, name=lambda: "one")
    target.probe()
    target.probe()
    assert target.collection("estinel-probe-one") is None
    target.close()


def test_the_key_is_sent_and_may_change(tmp_path: Path) -> None:
    keys = ["wrong-key", None, "right-key"]
    with running_stac_api(
        tmp_path, transactions=True, api_key="right-key", api_key_header="X-Our-Key"
    ) as root:
        target = opened(root, key=lambda: keys[0], key_header="X-Our-Key")
        for _ in range(2):
            with pytest.raises(PermanentError, match="refuses our key") as raised:
                target.probe()
            assert raised.value.reason == SourceFault.FORBIDDEN
            assert "wrong-key" not in str(raised.value)
            del keys[0]
        target.probe()
        target.close()


def test_an_api_that_only_reads_is_named(tmp_path: Path) -> None:
    with running_stac_api(tmp_path) as root:
        target = opened(root)
        with pytest.raises(PermanentError, match="has no Transaction extension"):
            target.probe()
        target.close()


class TestCollections:
    def test_comes_back_as_it_was_written(self, target: StacTarget) -> None:
        written = rich_collection(f"c-{uuid4().hex}")
        before = copy.deepcopy(written)
        target.create_collection(written)
        back = target.collection(written["id"])
        assert written == before
        assert back is not None
        assert difference(written, back) is None
        assert back["links"] == written["links"]
        for name in ("assets", "item_assets", "providers", "summaries", "keywords", "title"):
            assert back[name] == written[name]

    def test_the_same_may_be_created_again_and_no_other(self, target: StacTarget) -> None:
        written = rich_collection(f"c-{uuid4().hex}")
        target.create_collection(written)
        target.create_collection(written)
        with pytest.raises(PermanentError, match=f"'{written['id']}' stands.*differs in title"):
            target.create_collection(written | {"title": "Another"})
        assert (target.collection(written["id"]) or {})["title"] == written["title"]

    def test_what_came_back_can_be_written_back(self, target: StacTarget) -> None:
        written = rich_collection(f"c-{uuid4().hex}")
        target.create_collection(written)
        former = target.collection(written["id"])
        assert former is not None
        target.replace_collection(written | {"title": "Another"})
        target.replace_collection(former)
        assert target.collection(written["id"]) == former

    def test_is_replaced_or_added(self, target: StacTarget) -> None:
        made = stac_collection(f"c-{uuid4().hex}")
        target.replace_collection(made)
        target.replace_collection(made | {"description": "Changed"})
        assert (target.collection(made["id"]) or {})["description"] == "Changed"

    def test_is_deleted_with_its_items(self, target: StacTarget, collection_id: str) -> None:
        target.create_items(collection_id, items_of(collection_id, 3))
        target.delete_collection(collection_id)
        assert target.collection(collection_id) is None
        assert not target.has_items(collection_id)
        assert list(target.all_items(collection_id)) == []
        assert target.items(collection_id, ["item-0000"]) == {}
        target.delete_collection(collection_id)


class TestItems:
    @pytest.mark.parametrize("bulk_items", [500, 1], ids=["bulk", "single"])
    def test_come_back_as_they_were_written(
        self, url: str, collection_id: str, bulk_items: int
    ) -> None:
        target = opened(url, bulk_items=bulk_items)
        target.replace_collection(rich_collection(collection_id))
        written = rich_item("é 日本-_.~", collection_id)
        bare = stac_item("bare", collection=collection_id)
        before = copy.deepcopy([written, bare])
        target.create_items(collection_id, [written, bare])
        assert [written, bare] == before
        found = target.items(collection_id, [written["id"], "bare", "absent"])
        assert sorted(found) == sorted([written["id"], "bare"])
        for item in (written, bare):
            back = found[item["id"]]
            assert difference(item, back) is None
            assert back["links"] == item["links"]
            assert back["assets"] == item["assets"]
            assert back["bbox"] == item["bbox"]
            assert back["geometry"] == item["geometry"]
            assert back["properties"]["datetime"] == item["properties"]["datetime"]
        properties = found[written["id"]]["properties"]
        for name in ("text", "nested", "numbers", "gsd"):
            assert properties[name] == written["properties"][name]
        assert {item["id"]: item for item in target.all_items(collection_id)} == found
        target.close()

    def test_what_came_back_can_be_written_back(
        self, target: StacTarget, collection_id: str
    ) -> None:
        target.create_items(collection_id, [rich_item("a", collection_id)])
        former = target.items(collection_id, ["a"])
        target.replace_items(collection_id, [stac_item("a", collection=collection_id)])
        assert target.items(collection_id, ["a"]) != former
        target.replace_items(collection_id, list(former.values()))
        assert target.items(collection_id, ["a"]) == former

    @pytest.mark.parametrize("bulk_items", [7, 1])
    def test_the_same_may_be_created_again_and_no_other(
        self, url: str, collection_id: str, bulk_items: int
    ) -> None:
        target = opened(url, bulk_items=bulk_items)
        items = items_of(collection_id, 10)
        target.create_items(collection_id, items[3:5])
        target.create_items(collection_id, items[:8])
        target.create_items(collection_id, items[:8])
        other = [stac_item("item-0002", collection=collection_id, title="Another"), *items[3:]]
        with pytest.raises(PermanentError, match=r"1 item was not created.*'item-0002': another"):
            target.create_items(collection_id, other)
        standing = target.items(collection_id, ids_of(items))
        assert sorted(standing) == ids_of(items)
        assert "title" not in standing["item-0002"]["properties"]
        target.close()

    def test_bad_ones_are_named_and_good_ones_stand(
        self, target: StacTarget, collection_id: str
    ) -> None:
        items = items_of(collection_id, 12)
        items[4]["geometry"] = {"type": "Polygon", "coordinates": "nowhere"}
        items[9]["properties"]["datetime"] = "no time at all"
        with pytest.raises(PermanentError) as raised:
            target.create_items(collection_id, items)
        assert "2 items were not created" in str(raised.value)
        assert "'item-0004': " in str(raised.value)
        assert "'item-0009': " in str(raised.value)
        good = [item for number, item in enumerate(items) if number not in (4, 9)]
        assert sorted(target.items(collection_id, ids_of(items))) == ids_of(good)

    @pytest.mark.parametrize("bulk_items", [4, 1])
    def test_are_replaced_or_added(self, url: str, collection_id: str, bulk_items: int) -> None:
        target = opened(url, bulk_items=bulk_items)
        target.create_items(collection_id, items_of(collection_id, 5, title="old"))
        target.replace_items(collection_id, items_of(collection_id, 9, title="new"))
        found = target.items(collection_id, ids_of(items_of(collection_id, 9)))
        assert {item["properties"]["title"] for item in found.values()} == {"new"}
        assert len(found) == 9
        target.close()

    def test_are_deleted_and_absent_ones_are_no_error(
        self, target: StacTarget, collection_id: str
    ) -> None:
        items = items_of(collection_id, 9)
        target.create_items(collection_id, items)
        target.delete_items(collection_id, [*ids_of(items)[2:], "absent"])
        target.delete_items(collection_id, ids_of(items)[2:])
        assert sorted(target.items(collection_id, ids_of(items))) == ids_of(items)[:2]
        assert target.has_items(collection_id)
        target.delete_items(collection_id, ids_of(items))
        assert not target.has_items(collection_id)

    @pytest.mark.parametrize("item_id", ["..", ".", ""])
    def test_an_id_that_is_a_way_up_reaches_no_collection(
        self, target: StacTarget, collection_id: str, item_id: str
    ) -> None:
        with pytest.raises(BadInputError, match="cannot be the id"):
            target.delete_items(collection_id, [item_id])
        with pytest.raises(BadInputError, match="cannot be the id"):
            target.create_items(collection_id, [stac_item(item_id, collection=collection_id)])
        assert target.collection(collection_id) is not None

    def test_many_are_found_on_many_pages(self, target: StacTarget, collection_id: str) -> None:
        items = items_of(collection_id, 260)
        target.create_items(collection_id, items)
        assert sorted(ids_of(list(target.all_items(collection_id)))) == ids_of(items)
        assert sorted(target.items(collection_id, ids_of(items))) == ids_of(items)

    def test_an_absent_collection_is_named(self, target: StacTarget) -> None:
        for count in (1, 3):
            with pytest.raises(PermanentError, match="no collection 'absent'") as raised:
                target.create_items("absent", items_of("absent", count))
            assert raised.value.reason == SourceFault.NOT_FOUND
        assert target.items("absent", ["a"]) == {}
        target.delete_items("absent", ["a"])

    def test_many_threads_share_one_client(self, target: StacTarget, collection_id: str) -> None:
        def publish(start: int) -> None:
            mine = items_of(collection_id, 40)[start : start + 10]
            target.create_items(collection_id, mine)
            assert sorted(target.items(collection_id, ids_of(mine))) == ids_of(mine)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(publish, range(0, 40, 10)))
        assert len(list(target.all_items(collection_id))) == 40
