"""A site's update on an S3 server that is slow, refuses, loses answers or stays away.

The server is moto behind a proxy that spoils some of the requests.
"""

import threading
from dataclasses import dataclass, replace

import pytest

from estinel_assets.errors import LeaseHeldError, StoreError
from estinel_assets.storage.lease import hold_lease
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


@pytest.fixture
def s3(monkeypatch):
    with s3_server() as access, FaultProxy(access.endpoint_url) as proxy:
        seen = replace(access, endpoint_url=proxy.url)
        for name, value in seen.environment().items():
            monkeypatch.setenv(name, value)
        yield SpoiltS3(access, seen, proxy)


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
        pytest.param((Fault(delay_s=0.5), Fault(delay_s=0.1, status=503)), id="slow"),
    ],
)
def test_refusals_and_slow_answers_change_nothing(s3, clean, world, faults):
    proxy, products = s3.proxy, published(clean)
    proxy.spoil(every(4, *faults))
    ran = world.update()
    spoilt = proxy.spoilt
    proxy.spoil(None)

    assert ran.success, ran.error
    assert len(spoilt) >= 20
    assert {request.method for request in spoilt} >= {"GET", "PUT"}
    assert published(world) == products
    assert world.reasons() == dict.fromkeys(DAYS, "none")
    assert {outcome.attempts for outcome in world.outcomes().values()} == {1}
    assert world.fragment() == clean.fragment()


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
    refused = 0
    with hold_lease(store, "site.json", ttl_s=1.5) as lease:
        former = lease.record.renewed_at
        for _ in range(6):
            threading.Event().wait(0.4)
            lease.check()
            with pytest.raises(LeaseHeldError), hold_lease(rival, "site.json", ttl_s=1.5):
                pass
            refused += 1
        renewed = lease.record.renewed_at
    proxy.spoil(None)

    assert refused == 6
    assert renewed > former
    assert not lease.took_over
    with hold_lease(rival, "site.json", ttl_s=1.5) as taken:
        assert not taken.took_over, "it was not released"


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
