"""Writing to a STAC API that fails halfway, forgets, or says one thing and does another."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from estinel_assets.errors import BadInputError, PermanentError, RetryableError, SourceFault
from estinel_assets.stac.transactions import StacTransactions
from estinel_assets.transport import RetryPolicy
from tests.support.proxy import Fault, FaultProxy, Passed
from tests.support.stac_api import stac_item
from tests.support.stac_stub import Answer, Asked, StacStub, first

Opener = Callable[..., StacTransactions]


class Pauses(list[float]):
    """What a policy would have waited, without waiting."""

    def policy(self, attempts: int = 3) -> RetryPolicy:
        return RetryPolicy(
            attempts=attempts,
            backoff_s=0.5,
            backoff_max_s=8,
            deadline_s=120,
            sleep=self.append,
            uniform=lambda: 1.0,
        )


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def opened(pauses: Pauses) -> Iterator[Opener]:
    targets: list[StacTransactions] = []

    def opener(url: str, **options: Any) -> StacTransactions:
        given = {"policy": pauses.policy(), "timeout_s": 5, "at_once": 3} | options
        targets.append(StacTransactions(url, **given))
        return targets[-1]

    yield opener
    for target in targets:
        target.close()


@pytest.fixture(scope="module")
def stub() -> Iterator[StacStub]:
    with StacStub() as running:
        yield running


@pytest.fixture
def api(stub: StacStub) -> StacStub:
    stub.reset()
    return stub


def items(*numbers: int, **properties: object) -> list[dict[str, Any]]:
    return [stac_item(f"i{number:02d}", collection="c", **properties) for number in numbers]


def is_bulk(asked: Asked) -> bool:
    return asked.bulk


def sizes(api: StacStub) -> list[int]:
    return sorted((len(one.body["items"]) for one in api.asked if one.bulk), reverse=True)


def test_items_go_in_batches_and_are_read_back(api: StacStub, opened: Opener) -> None:
    opened(api.url, bulk_items=4).create_items("c", items(*range(10)))
    assert sizes(api) == [4, 4, 2]
    assert sorted(api.items["c"]) == [item["id"] for item in items(*range(10))]
    searches = api.calls("POST", "/search")
    assert sorted(len(search.body["ids"]) for search in searches) == [2, 4, 4]
    assert all(search.body["fields"]["include"] == ["id", "collection"] for search in searches)


def test_nothing_to_write_asks_nothing(api: StacStub, opened: Opener) -> None:
    target = opened(api.url)
    target.create_items("c", [])
    target.replace_items("c", [])
    target.delete_items("c", [])
    assert target.items("c", []) == {}
    assert api.asked == []


def test_500s_in_the_middle_are_tried_again(api: StacStub, opened: Opener, pauses: Pauses) -> None:
    api.spoil(first(2, Answer(500), is_bulk))
    opened(api.url, bulk_items=4, at_once=1).create_items("c", items(*range(8)))
    assert len(api.items["c"]) == 8
    assert sizes(api) == [4, 4, 4, 4]
    assert pauses == [0.5, 1.0]


def test_429_waits_as_long_as_the_api_asks(api: StacStub, opened: Opener, pauses: Pauses) -> None:
    api.spoil(first(1, Answer(429, headers={"Retry-After": "7"}), is_bulk))
    opened(api.url).create_items("c", items(1, 2))
    assert pauses == [7.0]


def test_an_error_after_the_effect_is_no_error(api: StacStub, opened: Opener) -> None:
    api.spoil(first(1, Answer(502, done=True), is_bulk))
    opened(api.url).create_items("c", items(1, 2, 3))
    assert len(api.items["c"]) == 3
    # 502, then 409; no half was needed.
    assert sizes(api) == [3, 3]


@pytest.mark.parametrize("bulk_items", [10, 1], ids=["bulk", "single"])
def test_lost_answers_are_no_error(api: StacStub, opened: Opener, bulk_items: int) -> None:
    def every_third_write(request: Passed) -> Fault | None:
        lost = request.method == "POST" and request.path != "/search" and request.number % 3 == 1
        return Fault(lost=True) if lost else None

    with FaultProxy(api.url) as proxy:
        proxy.spoil(every_third_write)
        target = opened(proxy.url, bulk_items=bulk_items, at_once=1)
        target.create_items("c", items(*range(8)))
        target.create_collection({"id": "d", "type": "Collection"})
        assert proxy.spoilt
    assert len(api.items["c"]) == 8


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("bulk_items", [10, 1], ids=["bulk", "single"])
def test_items_stand_though_every_answer_is_lost(
    api: StacStub, opened: Opener, bulk_items: int, replacing: bool
) -> None:
    target = opened(api.url, bulk_items=bulk_items)
    if replacing:
        target.create_items("c", items(*range(4), title="old"))
    api.spoil(
        lambda asked: (
            Answer(504, done=True) if asked.method != "GET" and asked.path != "/search" else None
        )
    )
    write = target.replace_items if replacing else target.create_items
    write("c", items(*range(4), title="new"))
    assert {item["properties"]["title"] for item in api.items["c"].values()} == {"new"}


@pytest.mark.parametrize("bulk_items", [8, 3])
def test_items_that_a_bulk_forgot_are_noticed_and_written(
    api: StacStub, opened: Opener, bulk_items: int
) -> None:
    api.takes = lambda item_id: item_id not in ("i02", "i05")
    opened(api.url, bulk_items=bulk_items).create_items("c", items(*range(8)))
    assert len(api.items["c"]) == 8
    assert sorted(one.body["id"] for one in api.calls("POST", "/items")) == ["i02", "i05"]


@pytest.mark.parametrize(
    "said",
    ['{"success": 2}', '{"success": 3, "skipped": 1}', '{"success": 3, "errors": [1]}', "[]", "ok"],
)
def test_another_item_that_a_bulk_skipped_is_noticed(
    api: StacStub, opened: Opener, said: str
) -> None:
    opened(api.url).create_items("c", items(1, title="old"))

    def skip(asked: Asked) -> Answer | None:
        if not asked.bulk:
            return None
        api.items["c"] = asked.body["items"] | api.items["c"]
        return Answer(200, said)

    api.spoil(skip)
    with pytest.raises(PermanentError, match=r"'i01': another item .*\(properties\.title\)$"):
        opened(api.url).create_items("c", items(0, 1, 2, title="new"))
    assert sorted(api.items["c"]) == ["i00", "i01", "i02"]


def test_replaced_items_that_a_bulk_forgot_are_noticed(api: StacStub, opened: Opener) -> None:
    opened(api.url).create_items("c", items(*range(6), title="old"))
    api.takes = lambda item_id: item_id != "i03"
    opened(api.url).replace_items("c", items(*range(8), title="new"))
    titles = {item["properties"]["title"] for item in api.items["c"].values()}
    assert titles == {"new"}
    assert [one.path for one in api.calls("PUT", "")] == ["/collections/c/items/i03"]


def test_an_item_that_fails_the_whole_bulk_is_found_by_halving(
    api: StacStub, opened: Opener
) -> None:
    def refuse(asked: Asked) -> Answer | None:
        single = asked.method == "POST" and asked.path.endswith("/items")
        bad = single and asked.body["id"] in ("i03", "i11")
        bad |= asked.bulk and not asked.body["items"].keys().isdisjoint(("i03", "i11"))
        return Answer(422, '{"detail": "no such thing as gsd -1"}') if bad else None

    api.spoil(refuse)
    with pytest.raises(PermanentError, match="2 items were not created in collection 'c'") as it:
        opened(api.url, bulk_items=16).create_items("c", items(*range(16)))
    assert "'i03': POST" in str(it.value)
    assert "'i11': POST" in str(it.value)
    assert "no such thing as gsd -1" in str(it.value)
    assert len(api.items["c"]) == 14
    assert sizes(api) == [16, 8, 8, 4, 4, 4, 4, 2, 2, 2, 2]


def test_twenty_bad_items_are_named_and_the_others_counted(api: StacStub, opened: Opener) -> None:
    api.spoil(lambda asked: Answer(400, "no") if asked.path.endswith("items") else None)
    with pytest.raises(PermanentError, match="33 items were not created") as raised:
        opened(api.url, bulk_items=1).create_items("c", items(*range(33)))
    named = [item["id"] for item in items(*range(33)) if f"'{item['id']}'" in str(raised.value)]
    assert len(named) == 20
    assert str(raised.value).endswith("; and 13 more")


def test_an_api_that_fails_on_every_item_is_left_alone_after_twenty(
    api: StacStub, opened: Opener
) -> None:
    api.spoil(lambda asked: Answer(500) if asked.path.endswith("items") else None)
    with pytest.raises(RetryableError, match="the rest was not tried") as raised:
        opened(api.url, bulk_items=1).create_items("c", items(*range(90)))
    assert raised.value.reason == SourceFault.UNAVAILABLE
    assert len({one.body["id"] for one in api.calls("POST", "/items")}) < 40


def test_an_api_that_cannot_be_read_either_ends_it_at_once(api: StacStub, opened: Opener) -> None:
    api.spoil(lambda _: Answer(503))
    with pytest.raises(RetryableError, match=r"POST .*/search failed after 3 tries.*503"):
        opened(api.url, bulk_items=4).create_items("c", items(*range(4)))
    assert sizes(api) == [4, 4, 4]


def test_a_refused_key_ends_it_at_once(api: StacStub, opened: Opener) -> None:
    api.spoil(lambda asked: Answer(403) if asked.path.endswith("items") else None)
    for bulk_items in (4, 1):
        with pytest.raises(PermanentError, match="403") as raised:
            opened(api.url, bulk_items=bulk_items, at_once=1).create_items("c", items(*range(16)))
        assert raised.value.reason == SourceFault.FORBIDDEN
    assert len(api.asked) < 16


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_api_without_bulk_is_asked_for_it_once(
    api: StacStub, opened: Opener, status: int
) -> None:
    api.spoil(lambda asked: Answer(status) if asked.bulk else None)
    target = opened(api.url, bulk_items=4, at_once=1)
    target.create_items("c", items(*range(10)))
    target.replace_items("c", items(*range(12), title="new"))
    assert len(sizes(api)) == 1
    assert len(api.calls("POST", "/items")) == 12
    assert {item["properties"].get("title") for item in api.items["c"].values()} == {"new"}


def test_a_single_item_that_the_api_took_and_lost_is_noticed(api: StacStub, opened: Opener) -> None:
    def swallow(asked: Asked) -> Answer | None:
        single = asked.method == "POST" and asked.path.endswith("/items")
        return Answer(201, "{}") if single and asked.body["id"] == "i02" else None

    api.spoil(swallow)
    with pytest.raises(RetryableError, match="'i02': the API took it, and it does not stand"):
        opened(api.url, bulk_items=1).create_items("c", items(1, 2, 3))
    assert sorted(api.items["c"]) == ["i01", "i03"]


def test_an_item_that_the_api_changed_is_noticed(api: StacStub, opened: Opener) -> None:
    def change(asked: Asked) -> Answer | None:
        if asked.method == "POST" and asked.path.endswith("/items"):
            asked.body["properties"]["gsd"] = 5
        return None

    api.spoil(change)
    with pytest.raises(RetryableError, match=r"'i01': .* differs .* in properties\.gsd"):
        opened(api.url, bulk_items=1).create_items("c", items(1))


def test_a_conflict_with_nothing_worth_another_attempt(api: StacStub, opened: Opener) -> None:
    api.spoil(lambda asked: Answer(409) if asked.path.endswith("items") else None)
    with pytest.raises(RetryableError, match="409, but no such item stands"):
        opened(api.url).create_items("c", items(1, 2))


def test_writing_that_is_redirected_says_where_to(api: StacStub, opened: Opener) -> None:
    to = {"Location": "https://elsewhere.example/c?key=s3cret"}
    api.spoil(lambda asked: Answer(307, headers=to) if asked.path.endswith("items") else None)
    with pytest.raises(PermanentError) as raised:
        opened(api.url, bulk_items=1).create_items("c", items(1))
    assert "it redirects to https://elsewhere.example/c; use that address" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert api.items["c"] == {}


def test_what_cannot_be_json_is_named_and_the_rest_stands(api: StacStub, opened: Opener) -> None:
    for bulk_items in (10, 1):
        bad = [*items(1, 2, 3), stac_item("nan", collection="c", gsd=float("nan"))]
        with pytest.raises(PermanentError, match=r"1 item was not created.*'nan': it is no JSON"):
            opened(api.url, bulk_items=bulk_items).create_items("c", bad)
        assert sorted(api.items["c"]) == ["i01", "i02", "i03"]


def test_unusable_items_are_all_named_before_anything_is_asked(
    api: StacStub, opened: Opener
) -> None:
    elsewhere = stac_item("x", collection="d")
    with pytest.raises(BadInputError) as raised:
        opened(api.url).create_items("c", [*items(1, 1), elsewhere, {"id": None}])
    assert "two items have the id 'i01'" in str(raised.value)
    assert "item 'x' belongs to collection 'd'" in str(raised.value)
    assert "None cannot be the id" in str(raised.value)
    assert api.asked == []


def test_an_item_without_a_collection_gets_it(api: StacStub, opened: Opener) -> None:
    (item,) = items(1)
    del item["collection"]
    opened(api.url).create_items("c", [item])
    assert api.items["c"]["i01"]["collection"] == "c"
    assert "collection" not in item


class TestDeleting:
    def test_failures_are_named_when_all_were_tried(self, api: StacStub, opened: Opener) -> None:
        opened(api.url).create_items("c", items(*range(8)))
        bad = ("/items/i02", "/items/i05")
        api.spoil(
            lambda asked: (
                Answer(500) if asked.method == "DELETE" and asked.path.endswith(bad) else None
            )
        )
        with pytest.raises(RetryableError, match="2 items were not deleted") as raised:
            opened(api.url).delete_items("c", [item["id"] for item in items(*range(8))])
        assert "'i02': " in str(raised.value)
        assert "'i05': " in str(raised.value)
        assert sorted(api.items["c"]) == ["i02", "i05"]

    def test_lost_answers_are_no_error(self, api: StacStub, opened: Opener) -> None:
        opened(api.url).create_items("c", items(*range(4)))
        api.spoil(first(3, Answer(502, done=True), lambda asked: asked.method == "DELETE"))
        opened(api.url).delete_items("c", [item["id"] for item in items(*range(4))])
        assert api.items["c"] == {}

    def test_items_are_gone_though_every_answer_is_lost(
        self, api: StacStub, opened: Opener
    ) -> None:
        opened(api.url).create_items("c", items(*range(4)))
        tried: set[str] = set()

        def lose(asked: Asked) -> Answer | None:
            if asked.method != "DELETE":
                return None
            done = asked.path not in tried
            tried.add(asked.path)
            return Answer(502, done=done)

        api.spoil(lose)
        opened(api.url).delete_items("c", [item["id"] for item in items(*range(4))])
        assert api.items["c"] == {}

    def test_one_that_is_called_absent_and_stands_is_noticed(
        self, api: StacStub, opened: Opener
    ) -> None:
        opened(api.url).create_items("c", items(1))
        api.spoil(lambda asked: Answer(404) if asked.method == "DELETE" else None)
        with pytest.raises(PermanentError, match=r"'i01': .*absent, and it stands"):
            opened(api.url).delete_items("c", ["i01", "i02"])

    def test_a_collection_that_must_be_empty_is_emptied(
        self, api: StacStub, opened: Opener
    ) -> None:
        opened(api.url).create_items("c", items(*range(5)))

        def refuse(asked: Asked) -> Answer | None:
            whole = asked.method == "DELETE" and asked.path == "/collections/c"
            return Answer(409, "not empty") if whole and api.items["c"] else None

        api.spoil(refuse)
        opened(api.url).delete_collection("c")
        assert "c" not in api.collections
