"""A site's update on an S3 server that is slow, refuses, loses answers or stays away.

The server is moto behind a proxy that spoils some of the requests.
"""

import threading
import time
from dataclasses import dataclass, replace

import pytest

from estinel_assets.errors import LeaseHeldError, StoreError, UnansweredError
from estinel_assets.storage.lease import Lease, Timing, hold_lease, read_lease
from tests.support.cli import estinel
from tests.support.imagery import COLLECTION, digests, imagery_world, plain_scenes, quiet_dagster
from tests.support.proxy import Fault, FaultProxy, every
from tests.support.s3 import S3Access, s3_server

pytestmark = quiet_dagster

# A failed day is due at once, so that the next update takes it up.
SETTINGS = {
    "store": {"public_url": "https://images.example/archive"},
    "outcomes": {"backoff_s": 0, "max_attempts": 10},
}
DAYS = ["2024-12-03", "2024-12-04", "2024-12-05"]


@dataclass(frozen=True)
class SpoiltS3:
    """An S3 server and the proxy before it."""

    access: S3Access
    """Past the proxy."""
    seen: S3Access
    """Through the proxy."""
    proxy: FaultProxy


def published(world):
    return digests(world.products(COLLECTION, "thumbs"))


@pytest.fixture(scope="module")
def served():
    """One server for all tests, and the proxy before it."""
    with s3_server() as access, FaultProxy(access.endpoint_url) as proxy:
        yield access, proxy


@pytest.fixture
def s3(served, monkeypatch):
    """A bucket that nothing is wrong with."""
    server, proxy = served
    proxy.spoil(None)
    access = server.another()
    seen = replace(access, endpoint_url=proxy.url)
    for name, value in seen.environment().items():
        monkeypatch.setenv(name, value)
    return SpoiltS3(access, seen, proxy)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A world whose three days were made on a local store, where nothing goes wrong."""
    scenes = plain_scenes(tmp_path_factory.getbasetemp())[-4:]
    with imagery_world(tmp_path_factory.mktemp("clean"), scenes, settings=SETTINGS) as world:
        ran = world.update()
        assert ran.success, ran.error
        assert world.reasons() == dict.fromkeys(DAYS, "none")
        yield world


@pytest.fixture
def world(clean, s3):
    """The same world on S3, through the proxy, with nothing made yet."""
    return clean.move(s3.seen.url("store"), access=s3.seen)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param((Fault(status=503), Fault(status=500)), id="5xx"),
        pytest.param(
            (Fault(delay_s=0.5), Fault(delay_s=0.1, status=503)), id="slow", marks=pytest.mark.soak
        ),
    ],
)
def test_refusals_and_slow_answers_change_nothing(s3, clean, world, faults):
    proxy, products = s3.proxy, published(clean)
    # Requests run side by side, so that one of them may meet several faults in a row.
    proxy.spoil(every(8, *faults))
    ran = world.update()
    spoilt = proxy.spoilt
    proxy.spoil(None)

    assert ran.success, ran.error
    assert len(spoilt) >= 8
    assert {request.method for request in spoilt} >= {"GET", "PUT"}
    assert published(world) == products
    assert world.reasons() == dict.fromkeys(DAYS, "none")
    assert {outcome.attempts for outcome in world.outcomes().values()} == {1}
    assert world.fragment() == clean.fragment()


@pytest.mark.soak
def test_connections_that_break_end_in_the_same_products(s3, clean, world):
    """A conditional write whose answer is lost is not repeated: updates may fail, none harms."""
    proxy, products = s3.proxy, published(clean)
    faults = Fault(reset=True), Fault(lost=True), Fault(cut=True)
    spoilt = 0
    for _ in range(10):
        proxy.spoil(every(7, *faults))
        ran = world.update()
        spoilt += len(proxy.spoilt)
        proxy.spoil(None)
        standing = published(world)
        assert standing.items() <= products.items(), "something half-written stands"
        if ran.success:
            break
        assert "s3://" in ran.error, ran.error

    # With the connection whole again, one update is left at most.
    last = world.update()

    assert last.success, last.error
    assert spoilt >= 5
    assert published(world) == products
    assert world.reasons() == dict.fromkeys(DAYS, "none")
    assert world.fragment() == clean.fragment()


@pytest.mark.soak
def test_a_store_that_stays_away_fails_the_run_clearly(s3, clean, world):
    seen, proxy, products = s3.seen, s3.proxy, published(clean)
    # The run that fails cannot give its lease back; the next one waits until it expires.
    leases = {"lease_ttl_s": 10, "lease_wait_s": 60}
    world.configure(compute={"workers": 1}, outcomes={**SETTINGS["outcomes"], **leases})
    # Away from the moment that the first day's images are being written.
    composites = 0

    def away(request):
        nonlocal composites
        composites += request.method == "PUT" and request.path.endswith("_scl.tif")
        return Fault(status=503) if composites > 1 else None

    proxy.spoil(away)
    ran = world.update()
    told = estinel(
        "--config", world.config, "outcomes", "count", "--product", "imagery", "--json",
        **seen.environment(),
    )  # fmt: skip
    proxy.spoil(None)

    assert not ran.success
    assert "the server answered 503" in ran.error
    assert f"s3://{seen.bucket}/store/" in ran.error
    assert "X-Amz" not in ran.error
    assert told.code not in {0, 6}
    assert "the server answered 503" in told.stdout + told.stderr

    # What stands is whole, and nothing says that what is missing was made.
    standing = published(world)
    assert standing
    assert standing.items() <= products.items()
    made = {day for day, reason in world.reasons().items() if reason == "none"}
    for day in made:
        assert {path for path in products if day in path} <= standing.keys()
    assert len(made) == 1
    assert not s3.access.keys("store/markers/")

    again = world.update()
    assert again.success, again.error
    assert published(world) == products
    assert world.fragment() == clean.fragment()


def test_a_lease_outlives_slow_and_failing_answers(s3):
    seen, proxy = s3.seen, s3.proxy
    store, rival = seen.open("leases"), seen.open("leases")
    proxy.spoil(every(3, Fault(status=503, delay_s=0.1), Fault(delay_s=0.3)))
    # It is renewed each third of its time.
    with hold_lease(store, "site.json", ttl_s=2.4) as lease:
        renewals = {lease.record.renewed_at}
        ends = time.monotonic() + 60
        while len(renewals) < 3:
            assert time.monotonic() < ends, "it is not renewed"
            threading.Event().wait(0.3)
            lease.check()
            with pytest.raises(LeaseHeldError), hold_lease(rival, "site.json", ttl_s=2.4):
                pass
            renewals.add(lease.record.renewed_at)
    proxy.spoil(None)

    assert not lease.took_over
    with hold_lease(rival, "site.json", ttl_s=2.4) as taken:
        assert not taken.took_over, "it was not released"


BROKEN = [pytest.param(Fault(reset=True), id="reset"), pytest.param(Fault(lost=True), id="lost")]
PAGE = 1000
"""Objects in one answer to a LIST."""


def first(method, fault, *, at=""):
    """Spoil the first request of a method whose path has a part, and no other."""
    left = [fault]

    def choose(request):
        matches = request.method == method and at in request.path
        return left.pop() if matches and left else None

    return choose


@pytest.mark.parametrize("fault", BROKEN)
def test_a_lease_outlives_a_connection_that_breaks(s3, fault):
    store, rival = s3.seen.open("leases"), s3.seen.open("leases")
    timing = Timing(ttl_s=600)

    s3.proxy.spoil(first("PUT", fault))
    lease = Lease.acquire(store, "site.json", timing, owner="run one")
    assert len(s3.proxy.spoilt) == 1
    assert not lease.took_over
    assert read_lease(rival, "site.json") == lease.record
    with pytest.raises(LeaseHeldError, match="run one"):
        Lease.acquire(rival, "site.json", timing, owner="run two")

    former = lease.record
    s3.proxy.spoil(first("PUT", fault))
    lease.renew()
    assert len(s3.proxy.spoilt) == 1
    assert lease.record.renewed_at > former.renewed_at
    assert read_lease(rival, "site.json") == lease.record

    s3.proxy.spoil(first("PUT", fault))
    lease.release()
    assert len(s3.proxy.spoilt) == 1
    heir = Lease.acquire(rival, "site.json", timing, owner="run two")
    assert not heir.took_over, "it was not released"


def test_an_update_outlives_a_lease_whose_connection_breaks(s3, clean, world):
    s3.proxy.spoil(first("PUT", Fault(reset=True), at="/leases/"))

    ran = world.update()

    assert ran.success, ran.error
    assert len(s3.proxy.spoilt) == 1
    assert published(world) == published(clean)
    assert {outcome.attempts for outcome in world.outcomes().values()} == {1}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_deletion_is_repeated(s3, fault):
    store = s3.seen.open("plain")
    for path in ("a", "b"):
        store.put(path, b"x")

    s3.proxy.spoil(first("DELETE", fault))
    store.delete("a")

    assert [request.method for request in s3.proxy.requests] == ["DELETE"] * 2
    assert s3.access.keys("plain/") == ["plain/b"]


def odd_names(number):
    """Paths in the order of S3, of which each needs some encoding in an address."""
    return [f"many/é %2F+&={number // 500}/{number:04d} ~[x]" for number in range(number)]


LISTINGS = [
    # Each fault and each page once; all of them together are a long version of it.
    pytest.param(fault, page, id=f"{name} {page}", marks=[] if at == page else pytest.mark.soak)
    for at, (name, fault) in enumerate(
        {"reset": Fault(reset=True), "lost": Fault(lost=True), "cut": Fault(cut=True)}.items(), 1
    )
    for page in (1, 2, 3)
]


@pytest.mark.parametrize(("fault", "page"), LISTINGS)
def test_a_listing_goes_on_where_it_broke(s3, fault, page):
    store, paths = s3.seen.open("lists"), odd_names(2 * PAGE + 345)
    s3.access.fill([f"lists/{path}" for path in paths], b"x")

    s3.proxy.spoil(lambda request: fault if request.number == page else None)
    listed = [meta.path for meta in store.list("many")]
    pages = len(s3.proxy.requests)
    s3.proxy.spoil(first("GET", fault))
    folders = store.list_folders("many")

    assert listed == paths
    assert pages == 4, "what had come was asked for again"
    assert len(s3.proxy.spoilt) == 1
    assert folders == [f"é %2F+&={number}" for number in range(5)]


def test_each_page_of_a_listing_may_break(s3):
    store, paths = s3.seen.open("lists"), odd_names(3 * PAGE)
    s3.access.fill([f"lists/{path}" for path in paths], b"x")
    s3.proxy.spoil(every(2, Fault(cut=True)))

    assert [meta.path for meta in store.list("many")] == paths
    assert len(s3.proxy.spoilt) >= 2


def test_what_never_gets_an_answer_is_given_up(s3):
    store = s3.seen.open("plain", max_retries=1)
    store.put("a/b", b"x")
    for use in (
        lambda: store.delete("a/b"),
        lambda: list(store.list("a")),
        lambda: store.list_folders("a"),
        lambda: store.create("a/c", b"x"),
        lambda: store.replace("a/b", b"y", etag=store.head("a/b").etag),
    ):
        s3.proxy.spoil(lambda request: Fault(reset=True) if request.method != "HEAD" else None)
        with pytest.raises(UnansweredError, match="cannot be reached") as caught:
            use()
        assert "s3://" in str(caught.value)
        assert "X-Amz" not in str(caught.value)
        asked = len(s3.proxy.spoilt)
        s3.proxy.spoil(None)
        assert 1 <= asked <= 4
    assert s3.access.keys("plain/") == ["plain/a/b"]


@pytest.mark.parametrize("fault", BROKEN)
def test_a_conditional_write_is_not_repeated(s3, fault):
    store = s3.seen.open("plain")
    etag = store.put("a", b"x").etag
    for write in (lambda: store.create("b", b"y"), lambda: store.replace("a", b"y", etag=etag)):
        s3.proxy.spoil(first("PUT", fault))
        with pytest.raises(UnansweredError):
            write()
        assert len(s3.proxy.requests) == 1
    written = {"b": b"y", "a": b"y"} if fault.lost else {"a": b"x"}
    assert {meta.path: store.get(meta.path).data for meta in store.list()} == written


def test_a_lease_is_not_held_where_the_store_stays_away(s3):
    seen, proxy = s3.seen, s3.proxy
    store = seen.open("leases", max_retries=1)
    proxy.spoil(lambda _: Fault(status=503))

    with (
        pytest.raises(StoreError, match="the server answered 503"),
        hold_lease(store, "site.json", ttl_s=5),
    ):
        pytest.fail("the lease was held although the store took nothing")


def test_the_proxy_does_what_it_is_told(s3):
    seen, proxy = s3.seen, s3.proxy
    store = seen.open("plain", max_retries=0)
    store.put("a", b"first")

    proxy.spoil(lambda request: Fault(status=503) if request.method == "PUT" else None)
    with pytest.raises(StoreError, match="503"):
        store.put("a", b"refused")
    assert store.get("a").data == b"first"

    proxy.spoil(lambda request: Fault(reset=True) if request.method == "PUT" else None)
    with pytest.raises(StoreError, match="cannot be reached"):
        store.put("a", b"reset")
    assert store.get("a").data == b"first"

    proxy.spoil(lambda request: Fault(lost=True) if request.method == "PUT" else None)
    with pytest.raises(StoreError, match="cannot be reached"):
        store.put("a", b"lost")
    assert store.get("a").data == b"lost"

    proxy.spoil(lambda _: Fault(cut=True))
    with pytest.raises(StoreError):
        store.get("a")
    assert [request.number for request in proxy.spoilt] == [1]
