"""The CMR client against pages made up one by one: paging, and all that may go wrong."""

import json
from typing import Any

import pytest

from estinel_assets.compatibility.cmr import LAST_OFFSET, CmrClient
from estinel_assets.demo.cmr_items import collection_item, granule_item
from estinel_assets.errors import (
    BadInputError,
    PermanentError,
    RetryableError,
    SourceFault,
    UnitError,
)
from tests.support.cmr import cmr_client, page
from tests.support.replay import Answer, ScriptedServer

Json = dict[str, Any]


def made(*numbers: int) -> list[Json]:
    return [collection_item(f"C{number}-TEST", f"Name{number}", "1") for number in numbers]


def ids(client: CmrClient, **asked: Any) -> list[str]:
    return [one.concept_id for one in client.collections(**asked)]


# Paging.


def test_pages_are_asked_for_until_one_is_empty() -> None:
    with (
        ScriptedServer(
            page(made(1, 2), 3, '["a",2]'), page(made(3), 3, '["b",3]'), page([], 3)
        ) as server,
        cmr_client(server.url) as client,
    ):
        assert ids(client, page_size=2) == ["C1-TEST", "C2-TEST", "C3-TEST"]
    assert [request.path for request in server.requests] == ["/search/collections.umm_json"] * 3
    sent = [
        {name.lower(): value for name, value in request.headers.items()}.get("cmr-search-after")
        for request in server.requests
    ]
    assert sent == [None, '["a",2]', '["b",3]']
    assert all(request.query == server.requests[0].query for request in server.requests)


def test_a_page_without_the_header_is_the_last() -> None:
    with (
        ScriptedServer(page(made(1, 2), 2), Answer(500)) as server,
        cmr_client(server.url) as client,
    ):
        assert ids(client) == ["C1-TEST", "C2-TEST"]
        assert len(server.requests) == 1


def test_what_is_asked_for() -> None:
    with ScriptedServer(page([])) as server, cmr_client(f"{server.url}") as client:
        assert ids(client) == []
        assert ids(client, providers=["A", "B"], page_size=7) == []
        client.collection("C1-TEST")
        client.granule_at("C1-TEST", 5)
        client.granule("G1-TEST")
        queries = [(request.path, request.query) for request in server.requests]
    common = {"has_granules": ["true"], "sort_key[]": ["-usage_score"]}
    assert queries == [
        (
            "/search/collections.umm_json",
            {**common, "page_size": ["2000"], "consortium[]": ["EOSDIS"]},
        ),
        (
            "/search/collections.umm_json",
            {**common, "page_size": ["7"], "provider[]": ["A", "B"]},
        ),
        (
            "/search/collections.umm_json",
            {"concept_id": ["C1-TEST"], "include_granule_counts": ["true"], "page_size": ["1"]},
        ),
        (
            "/search/granules.umm_json",
            {"collection_concept_id": ["C1-TEST"], "page_size": ["1"], "offset": ["5"]},
        ),
        ("/search/granules.umm_json", {"concept_id": ["G1-TEST"], "page_size": ["1"]}),
    ]


def test_a_record_that_moved_to_the_next_page_comes_once() -> None:
    with (
        ScriptedServer(
            page(made(1, 2), 3, '["a"]'), page(made(2, 3), 3, '["b"]'), page([], 3)
        ) as s,
        cmr_client(s.url) as client,
    ):
        assert ids(client) == ["C1-TEST", "C2-TEST", "C3-TEST"]


def test_a_cmr_that_gives_the_same_page_for_ever_is_left() -> None:
    with ScriptedServer(page(made(1), 5, '["a"]')) as server, cmr_client(server.url) as client:
        with pytest.raises(RetryableError, match="counts 5 collections and listed 1"):
            ids(client)
        assert len(server.requests) == 2


def test_collections_come_while_later_pages_are_not_asked_for_yet() -> None:
    with (
        ScriptedServer(page(made(1), 2, '["a"]'), page(made(2), 2)) as server,
        cmr_client(server.url) as client,
    ):
        collections = client.collections()
        assert next(collections).concept_id == "C1-TEST"
        assert len(server.requests) == 1
        assert [one.concept_id for one in collections] == ["C2-TEST"]


# Shortfalls.


@pytest.mark.parametrize(
    ("answers", "listed"),
    [
        ((page(made(1, 2), 834),), 2),
        ((page(made(1, 2), 834, '["a"]'), page([], 834)), 2),
        ((page(made(1, 2), 834, '["a"]'), page([], 0)), 2),
        ((page([], 834),), 0),
        ((page(["no object"], 834),), 0),  # type: ignore[list-item]
    ],
    ids=["one page", "second empty", "second forgets the count", "nothing", "no records"],
)
def test_fewer_than_counted_is_an_error(answers: tuple[Answer, ...], listed: int) -> None:
    with (
        ScriptedServer(*answers) as server,
        cmr_client(server.url) as client,
        pytest.raises(
            RetryableError, match=f"counts 834 collections and listed {listed}: the list"
        ) as raised,
    ):
        ids(client)
    assert raised.value.reason == SourceFault.UNAVAILABLE


def test_zero_is_an_answer() -> None:
    with ScriptedServer(page([])) as server, cmr_client(server.url) as client:
        assert ids(client) == []
        assert client.collection("C0-UNKNOWN") is None
        assert client.granule_at("C0-UNKNOWN", 0) is None
        assert client.granule("G0-UNKNOWN") is None


def test_a_count_without_the_counted_is_an_error_for_single_records_too() -> None:
    with ScriptedServer(page([], 1)) as server, cmr_client(server.url) as client:
        with pytest.raises(RetryableError, match="counts 1 collections and listed 0"):
            client.collection("C1-TEST")
        with pytest.raises(RetryableError, match="counts 1 granules and listed 0"):
            client.granule("G1-TEST")
        with pytest.raises(RetryableError, match="counts 1 granules and listed 0"):
            client.granule_at("C1-TEST", 0)
        assert client.granule_at("C1-TEST", 1) is None  # beyond the end, as CMR says it


# Single records.


def test_single_records() -> None:
    collection = collection_item("C1-TEST", "Name", "061", granule_count=7)
    granule = granule_item("G1-TEST", "C1-TEST", "https://a.b/c.nc")
    with (
        ScriptedServer(page([collection]), page([granule], 9), page([granule])) as server,
        cmr_client(server.url) as client,
    ):
        found = client.collection("C1-TEST")
        assert found is not None
        assert (found.short_name_and_version, found.granule_count) == ("Name.061", 7)
        at, by_id = client.granule_at("C1-TEST", 3), client.granule("G1-TEST")
        assert at is not None
        assert at == by_id
        assert at.collection_concept_id == "C1-TEST"


def test_another_record_than_the_one_asked_for_is_refused() -> None:
    with ScriptedServer(page(made(2))) as server, cmr_client(server.url) as client:
        with pytest.raises(PermanentError, match="asked for C1-TEST and gave C2-TEST") as raised:
            client.collection("C1-TEST")
        assert raised.value.reason == SourceFault.CORRUPT


# Bad answers.


HALF = json.dumps({"hits": 1, "items": made(1)}).encode()[:200]


@pytest.mark.parametrize(
    ("answer", "kind", "fault", "words"),
    [
        (Answer(500), RetryableError, SourceFault.UNAVAILABLE, "after 2 tries: .* answered 500"),
        (
            Answer.html(),
            RetryableError,
            SourceFault.CORRUPT,
            "after 2 tries: the answer is no JSON but 33 bytes, text/html; check that cmr_url",
        ),
        (
            Answer(200, HALF, {"Content-Type": "application/json", "CMR-Hits": "1"}),
            RetryableError,
            SourceFault.CORRUPT,
            "after 2 tries: the answer is no JSON but 200 bytes, application/json",
        ),
        (
            Answer(200, HALF, {"CMR-Hits": "1"}, cut=True),
            RetryableError,
            SourceFault.UNAVAILABLE,
            "after 2 tries: the connection failed",
        ),
        (Answer(reset=True), RetryableError, SourceFault.UNAVAILABLE, "after 2 tries"),
        (Answer(200, b"\xff\xfe\xff"), RetryableError, SourceFault.CORRUPT, "without a content"),
        (Answer(200, b"[" * 100_000), RetryableError, SourceFault.CORRUPT, "no JSON"),
        (
            Answer.json({"hits": 1}, CMR_Hits="1"),
            PermanentError,
            SourceFault.CORRUPT,
            "no list of `items`",
        ),
        (Answer.json([], CMR_Hits="1"), PermanentError, SourceFault.CORRUPT, "no list of `items`"),
        (Answer.json({"items": []}), PermanentError, SourceFault.CORRUPT, "the header CMR-Hits"),
        (
            page([{"meta": {"native-id": "lost"}, "umm": {}}]),
            PermanentError,
            SourceFault.CORRUPT,
            r"a collection \(lost\) without a concept-id",
        ),
        (
            Answer.json({"errors": ["Parameter [x] was not recognized."]}, 400),
            PermanentError,
            SourceFault.UNAVAILABLE,
            r"answered 400 \(Parameter \[x\] was not recognized",
        ),
        (Answer(401), PermanentError, SourceFault.FORBIDDEN, "401"),
        (Answer(404), PermanentError, SourceFault.NOT_FOUND, "404"),
    ],
)
def test_bad_answers(answer: Answer, kind: type[UnitError], fault: SourceFault, words: str) -> None:
    with ScriptedServer(answer) as server, cmr_client(server.url) as client:
        with pytest.raises(kind, match=words) as raised:
            ids(client)
        assert len(server.requests) == (2 if kind is RetryableError else 1)
    assert raised.value.reason == fault
    assert "EOSDIS" not in str(raised.value), "the query is shown"
    if "concept-id" not in words:
        assert f"{server.url}/search/collections.umm_json" in str(raised.value)


@pytest.mark.parametrize(
    "bad",
    [
        Answer(500),
        Answer.html(),
        Answer(200, HALF),
        Answer(200, HALF, cut=True),
        Answer(reset=True),
    ],
    ids=["500", "HTML", "half a page", "cut", "reset"],
)
def test_a_bad_answer_in_the_middle_is_asked_for_again_and_nothing_is_lost(bad: Answer) -> None:
    with (
        ScriptedServer(page(made(1, 2), 4, '["a"]'), bad, page(made(3, 4), 4)) as server,
        cmr_client(server.url) as client,
    ):
        assert ids(client) == ["C1-TEST", "C2-TEST", "C3-TEST", "C4-TEST"]
        assert len(server.requests) == 3


def test_silence_is_a_timeout() -> None:
    with (
        ScriptedServer(Answer(hang=True)) as server,
        cmr_client(server.url, attempts=1, timeout_s=0.1) as client,
        pytest.raises(RetryableError) as raised,
    ):
        client.collection("C1-TEST")
    assert raised.value.reason == SourceFault.TIMEOUT


def test_the_body_counts_where_no_header_does() -> None:
    with (
        ScriptedServer(Answer.json({"hits": 2, "items": made(1)})) as server,
        cmr_client(server.url) as client,
        pytest.raises(RetryableError, match="counts 2 collections and listed 1"),
    ):
        ids(client)


# Bad questions.


def test_questions_that_make_no_sense_are_not_asked() -> None:
    with ScriptedServer(Answer(500)) as server, cmr_client(server.url) as client:
        for size in (0, 2001):
            with pytest.raises(BadInputError, match=f"pages of {size} collections"):
                ids(client, page_size=size)
        for offset in (-1, LAST_OFFSET + 1):
            with pytest.raises(BadInputError, match=f"offset {offset}:"):
                client.granule_at("C1-TEST", offset)
        with pytest.raises(BadInputError, match="'G1-TEST' is no concept id of a collection"):
            client.collection("G1-TEST")
        with pytest.raises(BadInputError, match="'x' is no concept id of a collection"):
            client.granule_at("x", 0)
        with pytest.raises(BadInputError, match="'C1-TEST' is no concept id of a granule"):
            client.granule("C1-TEST")
        assert server.requests == []
