"""One request: address, key, pace, and what its failures say."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from estinel_assets.errors import BadInputError, PermanentError, RetryableError, SourceFault
from estinel_assets.settings import TransportSettings
from estinel_assets.stac.transactions import StacTransactions
from estinel_assets.stac.transactions.limits import Pace
from estinel_assets.transport import RetryPolicy
from tests.support.stac_api import stac_item
from tests.support.stac_stub import Answer, Asked, StacStub
from tests.support.web_server import free_port

KEY = "k3y-that-nobody-may-see"
POLICY = RetryPolicy(attempts=2, backoff_s=0, backoff_max_s=0, deadline_s=60, sleep=lambda _: None)


_OPENED: list[StacTransactions] = []


def opened(url: str, **options: Any) -> StacTransactions:
    given = {"policy": POLICY, "timeout_s": 5, "key": lambda: KEY} | options
    _OPENED.append(StacTransactions(url, **given))
    return _OPENED[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPENED:
        _OPENED.pop().close()


@pytest.fixture(scope="module")
def stub() -> Iterator[StacStub]:
    with StacStub() as running:
        yield running


@pytest.fixture
def api(stub: StacStub) -> StacStub:
    stub.reset()
    return stub


def found_nothing(asked: Asked) -> Answer:
    return Answer(404)


@pytest.mark.parametrize("path", ["", "/", "/gate/stac", "/gate/stac/", "/a%20b//"])
def test_a_path_of_the_root_is_kept(api: StacStub, path: str) -> None:
    api.spoil(found_nothing)
    opened(api.url + path).collection("c")
    assert api.asked[0].path == path.rstrip("/").replace("%20", " ") + "/collections/c"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://bucket/x", "must begin with https"),
        ("host/stac", "must begin with https"),
        ("", "must begin with https"),
        ("https://", "must begin with https"),
        ("https://h/stac?key=s3cret", "has a query"),
        ("https://h/stac#s3cret", "has a query or a fragment"),
        ("http://[::1/s3cret", "cannot be read"),
    ],
)
def test_an_unusable_address_is_refused_at_once(url: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words) as raised:
        opened(url)
    assert "key=" not in str(raised.value)


def test_the_key_is_asked_for_with_each_request(api: StacStub) -> None:
    keys = iter(["one", "two", None])
    target = opened(api.url, key=lambda: next(keys), key_header="X-Our-Key")
    for _ in range(3):
        target.collection("c")
    assert [one.headers.get("x-our-key") for one in api.asked] == ["one", "two", None]


def test_a_name_and_password_in_the_address_are_sent_and_not_shown(
    api: StacStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    address = api.url.replace("//", "//user:s3cret@")
    api.spoil(lambda _: Answer(500))
    target = opened(address)
    with pytest.raises(RetryableError) as raised:
        target.collection("c")
    assert api.asked[0].headers["authorization"].startswith("Basic ")
    for text in (str(raised.value), repr(target), caplog.text):
        assert "s3cret" not in text
        assert api.url.rsplit(":", 1)[-1] in text


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_key_that_the_api_repeats_is_not_shown(
    api: StacStub, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    api.spoil(lambda _: Answer(status, f'{{"detail": "no such key: {KEY}!"}}'))
    target = opened(api.url)
    with pytest.raises((RetryableError, PermanentError)) as raised:
        target.create_items("c", [stac_item("a", collection="c")])
    assert "no such key: (key)!" in str(raised.value)
    assert KEY not in str(raised.value) + repr(target) + caplog.text
    assert raised.value.__cause__ is None


def test_a_redirect_to_another_host_does_not_get_the_key(api: StacStub) -> None:
    with StacStub() as elsewhere:
        elsewhere.collections["c"] = {"id": "c", "description": "elsewhere"}
        away = {"Location": f"{elsewhere.url}/collections/c"}
        api.spoil(lambda _: Answer(302, headers=away))
        assert (opened(api.url).collection("c") or {})["description"] == "elsewhere"
        assert api.asked[0].headers["x-api-key"] == KEY
        assert "x-api-key" not in elsewhere.asked[0].headers


def test_a_redirect_within_the_host_keeps_the_key(api: StacStub) -> None:
    api.spoil(
        lambda asked: (
            None
            if asked.path.endswith("/c")
            else Answer(308, headers={"Location": f"{api.url}/collections/c"})
        )
    )
    assert opened(api.url).collection("d") is not None
    assert [one.headers["x-api-key"] for one in api.asked] == [KEY, KEY]


def test_a_redirect_in_circles_ends(api: StacStub) -> None:
    api.spoil(lambda asked: Answer(302, headers={"Location": asked.path}))
    with pytest.raises(PermanentError, match="redirects in circles"):
        opened(api.url).collection("c")


class Counted(Pace):
    """A pace that counts."""

    def __init__(self) -> None:
        super().__init__(None)
        self.calls = 0

    def wait(self) -> None:
        self.calls += 1


class Watched(Pace):
    """A pace that sees how many wait for their turn at once; each holds its place meanwhile."""

    def __init__(self) -> None:
        super().__init__(None)
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.calls = 0

    def wait(self) -> None:
        with self._lock:
            self.calls += 1
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.01)
        with self._lock:
            self._now -= 1


def test_no_more_are_in_flight_than_allowed_from_all_threads(api: StacStub) -> None:
    api.items["c"] = {f"i{number}": stac_item(f"i{number}", collection="c") for number in range(9)}
    watched = Watched()
    target = opened(api.url, at_once=2, pace=watched)
    with ThreadPoolExecutor(4) as threads:
        reading = [threads.submit(target.collection, "c") for _ in range(8)]
        target.delete_items("c", list(api.items["c"]))
        assert all(future.result() for future in reading)
    assert api.items["c"] == {}
    assert watched.calls == 17
    assert watched.most == 2


def test_what_a_model_finds_wrong_is_said_in_a_line(api: StacStub) -> None:
    problem = {"loc": ["body", "Item", "bbox"], "msg": "too short", "input": {"id": "secret"}}
    api.spoil(lambda _: Answer(422, json.dumps({"detail": [problem, problem | {"msg": "odd"}, 5]})))
    with pytest.raises(PermanentError, match=r"422 \(Item.bbox: too short; Item.bbox: odd\)$"):
        opened(api.url).collection("c")


def test_every_try_waits_for_its_turn(api: StacStub) -> None:
    paced = Counted()
    api.spoil(lambda _: Answer(503))
    with pytest.raises(RetryableError):
        opened(api.url, pace=paced).collection("c")
    assert paced.calls == 2


def test_a_silent_api_is_a_timeout() -> None:
    def slow(asked: Asked) -> None:
        time.sleep(0.2)

    with StacStub() as api:  # of its own: it is late with its answers
        api.spoil(slow)
        with pytest.raises(RetryableError, match="no answer within") as raised:
            opened(api.url, timeout_s=0.05).collection("c")
    assert raised.value.reason == SourceFault.TIMEOUT


def test_an_api_that_nobody_serves_is_unavailable() -> None:
    with pytest.raises(RetryableError) as raised:
        opened(f"http://127.0.0.1:{free_port()}").collection("c")
    assert raised.value.reason == SourceFault.UNAVAILABLE


def test_the_settings_decide(api: StacStub) -> None:
    target = StacTransactions.from_settings(
        api.url, TransportSettings(attempts=4, backoff_s=0), key=lambda: KEY, key_header="X-K"
    )
    api.spoil(lambda _: Answer(503))
    with pytest.raises(RetryableError, match="after 4 tries"):
        target.collection("c")
    target.close()
    assert {one.headers["x-k"] for one in api.asked} == {KEY}


class TestProbe:
    def test_creates_and_deletes_a_collection_of_its_own(self, api: StacStub) -> None:
        opened(api.url, name=lambda: "u").probe()
        writes = [(one.method, one.path) for one in api.asked if one.method != "GET"]
        assert writes == [
            ("POST", "/collections"),
            ("POST", "/collections/estinel-probe-u/items"),
            ("DELETE", "/collections/estinel-probe-u/items/estinel-probe-item-u"),
            ("DELETE", "/collections/estinel-probe-u"),
        ]
        assert set(api.collections) == {"c"}

    def test_names_are_never_the_same(self, api: StacStub) -> None:
        target = opened(api.url)
        target.probe()
        target.probe()
        assert len({one.body["id"] for one in api.calls("POST", "/collections")}) == 2

    def test_says_that_it_cannot_be_reached(self) -> None:
        with pytest.raises(RetryableError, match="cannot be reached: GET http"):
            opened(f"http://127.0.0.1:{free_port()}").probe()

    @pytest.mark.parametrize("landing", [{"conformsTo": []}, {"conformsTo": ["https://x/core"]}])
    def test_says_that_there_is_no_transaction_extension(
        self, api: StacStub, landing: dict[str, Any]
    ) -> None:
        api.landing = landing
        with pytest.raises(PermanentError, match="has no Transaction extension"):
            opened(api.url).probe()
        assert {one.method for one in api.asked} == {"GET"}

    def test_says_that_it_is_no_stac_api(self, api: StacStub) -> None:
        api.landing = {"hello": "world"}
        with pytest.raises(PermanentError, match="is no STAC API"):
            opened(api.url).probe()

    def test_conformance_may_stand_on_a_page_of_its_own(self, api: StacStub) -> None:
        said = '{"conformsTo": ["http://stacspec.org/ogcapi-features/extensions/transaction/"]}'
        api.landing = {}
        api.spoil(lambda asked: Answer(200, said) if asked.path == "/conformance" else None)
        opened(api.url).probe()
        assert set(api.collections) == {"c"}

    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize("writes_only", [True, False])
    def test_says_that_the_key_is_refused(
        self, api: StacStub, status: int, writes_only: bool
    ) -> None:
        api.spoil(lambda asked: None if writes_only and asked.method == "GET" else Answer(status))
        with pytest.raises(PermanentError, match="refuses our key") as raised:
            opened(api.url).probe()
        assert raised.value.reason == SourceFault.FORBIDDEN
        assert KEY not in str(raised.value)

    def test_leaves_nothing_where_items_are_refused(self, api: StacStub) -> None:
        api.spoil(lambda asked: Answer(422) if asked.path.endswith("/items") else None)
        with pytest.raises(PermanentError, match="does not let us create an item"):
            opened(api.url).probe()
        assert set(api.collections) == {"c"}

    def test_names_what_it_could_not_delete(self, api: StacStub) -> None:
        api.spoil(lambda asked: Answer(500) if asked.method == "DELETE" else None)
        with pytest.raises(RetryableError, match="'estinel-probe-u' may be left"):
            opened(api.url, name=lambda: "u").probe()
