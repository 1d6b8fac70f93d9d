"""What every source of items promises: pgstac, the embedded STAC API, and the fake."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from estinel_assets.errors import PermanentError
from estinel_assets.pids.item_source import MAX_VERSIONS, ItemFault, ItemSource
from estinel_assets.pids.plugins import VersionQuery
from estinel_assets.pids.stac_items import StacItems
from estinel_assets.stac.transactions import StacTransactions
from estinel_assets.transport import RetryPolicy
from tests.support.memory_items import MemoryItems
from tests.support.pgstac import pgstac_api, why_no_pgstac
from tests.support.stac_api import running_stac_api, stac_collection, stac_item

POLICY = RetryPolicy(attempts=3, backoff_s=0.01, backoff_max_s=0.02, deadline_s=60)
DATASET = "CMIP6.ScenarioMIP.IPSL.IPSL-CM6A-LR.ssp245.r1i1p1f1.Amon.pr.gr"


@dataclass(frozen=True)
class World:
    """A source, and how to fill what it looks at."""

    open: Callable[[str | None], ItemSource]
    """With a collection for messages that name none."""
    store: Callable[[str, list[dict[str, Any]]], None]


@pytest.fixture(scope="module", params=["pgstac", "embedded", "memory"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    if request.param == "memory":
        yield in_memory()
    elif request.param == "embedded":
        with running_stac_api(tmp_path_factory.mktemp("stac"), transactions=True) as root:
            yield from over_http(root)
    else:
        if reason := why_no_pgstac():
            pytest.skip(reason)
        with pgstac_api() as root:
            yield from over_http(root)


def in_memory() -> World:
    stored: list[Mapping[str, Any]] = []
    return World(
        open=lambda collection: MemoryItems(stored, collection=collection),
        store=lambda _, items: stored.extend(items),
    )


def over_http(root: str) -> Iterator[World]:
    target = StacTransactions(root, policy=POLICY, timeout_s=20)

    def store(collection_id: str, items: list[dict[str, Any]]) -> None:
        target.create_collection(stac_collection(collection_id))
        target.create_items(collection_id, items)

    yield World(
        open=lambda collection: StacItems(
            root, policy=POLICY, timeout_s=20, collection=collection, at_once=4
        ),
        store=store,
    )
    target.close()


@pytest.fixture
def collection_id() -> str:
    """A collection of the test's own, not made yet."""
    return f"c-{uuid4().hex}"


@pytest.fixture
def filled(world: World, collection_id: str) -> Iterator[Callable[..., ItemSource]]:
    """Fills the collection, and opens the source."""
    opened: list[ItemSource] = []

    def fill(*ids: str, default: str | None = None, **properties: object) -> ItemSource:
        items = [stac_item(name, collection=collection_id, **properties) for name in ids]
        world.store(collection_id, items)
        opened.append(world.open(default))
        return opened[-1]

    yield fill
    for source in opened:
        source.close()


def query(collection_id: str | None, dataset_id: str = DATASET) -> VersionQuery:
    return VersionQuery(collection_id, dataset_id, {"variable_id": "pr"})


def versions(source: ItemSource, collection_id: str | None, dataset_id: str = DATASET) -> set[str]:
    found = source.versions(query(collection_id, dataset_id)).versions
    assert list(found) == sorted(set(found))
    return set(found)


def test_an_item_comes_as_it_stands(filled: Callable[..., ItemSource], collection_id: str) -> None:
    name = f"{DATASET}.v20190119"
    source = filled(name, **{"cmip6:variable_id": "pr", "retracted": False, "pid": None})
    source.probe()
    item = source.item(collection_id, name)
    assert item is not None
    assert item["id"] == name
    assert item["collection"] == collection_id
    assert item["properties"]["cmip6:variable_id"] == "pr"
    assert item["properties"]["retracted"] is False
    item["properties"]["retracted"] = True
    again = source.item(collection_id, name)
    assert again is not None
    assert again["properties"]["retracted"] is False


def test_there_is_no_such_item(filled: Callable[..., ItemSource], collection_id: str) -> None:
    source = filled(f"{DATASET}.v1")
    assert source.item(collection_id, f"{DATASET}.v2") is None
    assert source.item(f"{collection_id}-absent", f"{DATASET}.v1") is None
    assert source.item(collection_id, "ä b?c#d%2F") is None


@pytest.mark.parametrize("name", ["", ".", "..", "a\x00b", "a\nb", "\ud800"])
def test_ids_that_no_item_can_have(world: World, collection_id: str, name: str) -> None:
    source = world.open(None)
    for ask in (
        lambda: source.item(collection_id, name),
        lambda: source.item(name, f"{DATASET}.v1"),
        lambda: source.versions(query(collection_id, name)),
    ):
        with pytest.raises(PermanentError, match="no STAC API can have") as raised:
            ask()
        assert raised.value.reason == ItemFault.REFUSED
    source.close()


def test_versions_of_a_dataset_and_of_no_other(
    filled: Callable[..., ItemSource], collection_id: str
) -> None:
    ours = {f"{DATASET}.{version}" for version in ("v1", "v20190119", "v20200101", "20210101")}
    others = {
        f"{DATASET}1.v1",
        f"{DATASET}x.v20190119",
        DATASET.replace("IPSL-CM6A-LR", "IPSLxCM6A-LR") + ".v20190119",
        DATASET.replace(".pr.", ".prc.") + ".v20190119",
        DATASET.removesuffix("r") + ".v20190119",
        DATASET,
        f"{DATASET}-v1",
        f"{DATASET.lower()}.v20190119",
    }
    source = filled(*ours, *others)
    assert versions(source, collection_id) == ours
    assert versions(source, collection_id, f"{DATASET}1") == {f"{DATASET}1.v1"}


def test_an_id_that_has_signs_of_patterns_is_taken_by_the_letter(
    filled: Callable[..., ItemSource], collection_id: str
) -> None:
    source = filled("a_b%c.v1", "axbyc.v1", "a_b%cd.v1", 'a\\b"c.v1')
    assert versions(source, collection_id, "a_b%c") == {"a_b%c.v1"}
    assert versions(source, collection_id, 'a\\b"c') == {'a\\b"c.v1'}


def test_items_whose_properties_say_nothing_are_found(
    filled: Callable[..., ItemSource], collection_id: str
) -> None:
    source = filled(f"{DATASET}.v1", activity_id=["ScenarioMIP"])
    assert versions(source, collection_id) == {f"{DATASET}.v1"}


def test_no_versions_are_an_answer(filled: Callable[..., ItemSource], collection_id: str) -> None:
    source = filled("other.v1")
    assert versions(source, collection_id) == set()
    assert versions(source, f"{collection_id}-absent") == set()


def test_the_message_s_collection_counts_then_the_configured_one_then_all(
    world: World, filled: Callable[..., ItemSource], collection_id: str
) -> None:
    dataset = f"d{uuid4().hex}"
    other = f"c-{uuid4().hex}"
    world.store(other, [stac_item(f"{dataset}.v2", collection=other)])
    source = filled(f"{dataset}.v1", default=other)
    assert versions(source, collection_id, dataset) == {f"{dataset}.v1"}
    assert versions(source, None, dataset) == {f"{dataset}.v2"}
    everywhere = world.open(None)
    assert versions(everywhere, None, dataset) == {f"{dataset}.v1", f"{dataset}.v2"}
    everywhere.close()


def test_versions_on_many_pages(filled: Callable[..., ItemSource], collection_id: str) -> None:
    ids = {f"{DATASET}.v{number}" for number in range(250)}
    assert versions(filled(*ids), collection_id) == ids


def test_more_versions_than_there_can_be_are_refused(
    filled: Callable[..., ItemSource], collection_id: str
) -> None:
    source = filled(*(f"{DATASET}.v{number:04d}" for number in range(MAX_VERSIONS + 1)))
    with pytest.raises(PermanentError, match="more than 1000 items") as raised:
        source.versions(query(collection_id))
    assert raised.value.reason == ItemFault.REFUSED


def test_many_threads_share_one_source(
    filled: Callable[..., ItemSource], collection_id: str
) -> None:
    names = [f"d{number}.v1" for number in range(20)]
    source = filled(*names)
    start = threading.Barrier(8)

    def ask(part: int) -> int:
        start.wait(10)
        for name in names[part::8]:
            item = source.item(collection_id, name)
            assert item is not None
            assert item["id"] == name
            assert versions(source, collection_id, name.removesuffix(".v1")) == {name}
        return len(names[part::8])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == len(names)
