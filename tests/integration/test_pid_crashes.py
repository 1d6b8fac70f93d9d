"""Consumers that are killed, and services that fail: no message is lost, every end is the same."""

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from estinel_assets.demo.handle_app import LocalHandleApp
from estinel_assets.demo.kafka_broker import KafkaCluster, Produced
from estinel_assets.pids.claims import holder
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.message_records import message_of
from estinel_assets.pids.retrying import retry_files
from tests.support.asgi import serve_asgi
from tests.support.cmip6_messages import (
    file_asset,
    full_message,
    item,
)
from tests.support.handles import handle_app
from tests.support.kafka import Api, Faults
from tests.support.memory_items import MemoryItems
from tests.support.pid_process import (
    Death,
    Place,
    check_links,
    ended,
    finish,
    place_of,
    records_of,
    texts,
)
from tests.support.pid_world import expected_records
from tests.support.proxy import Fault, FaultProxy, every

BEGIN = datetime(2026, 1, 16, 10, tzinfo=UTC)
PARTITIONS = 3
COUNT = 24


@pytest.fixture(scope="module")
def app() -> LocalHandleApp:
    return handle_app()


@pytest.fixture(scope="module")
def running_proxy(app: LocalHandleApp) -> Iterator[FaultProxy]:
    with serve_asgi(app) as url, FaultProxy(url) as proxy:
        yield proxy


@pytest.fixture
def proxy(running_proxy: FaultProxy) -> FaultProxy:
    running_proxy.spoil(None)
    return running_proxy


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, cluster: KafkaCluster, proxy: FaultProxy) -> Place:
    return place_of(tmp_path, cluster, proxy.url, partitions=PARTITIONS)


def messages(name: str, count: int) -> list[Produced]:
    """Of datasets of one test, some of them twice, changed, late or wrong."""
    made: list[Produced] = []
    for number in range(count):
        dataset = (
            f"CMIP6.CMIP.MADE.{name}.historical.r1i1p1f{number % (count * 2 // 3)}.Amon.tas.gn"
        )
        item_id = f"{dataset}.v20200101"
        assets: dict[str, Any] = {"data0000": file_asset(f"{number}.nc", file__size=number + 1)}
        if number % 7 == 3:
            assets["data0000"] = file_asset(file__size=0)
        body = json.dumps(full_message(item(assets, item_id=item_id), time=None)).encode()
        if number % 7 == 5:
            body = b"{not json \xff"
        made.append(
            Produced(
                body,
                item_id.encode(),
                (("number", str(number).encode()),),
                partition=number % PARTITIONS,
                # Every fourth one is older than those before.
                sent_at=BEGIN + timedelta(seconds=number - 40 * (number % 4 == 0)),
            )
        )
    return made


def check_all(place: Place, app: LocalHandleApp, written: list[IncomingMessage]) -> None:
    """All handles are right, all offsets committed, all outcomes and failures are kept."""
    assert place.behind() == 0
    wanted, refused = expected_records(written, MemoryItems())
    assert wanted
    assert refused
    stands = records_of(app)
    assert {name: stands.get(name) for name in wanted} == {
        name: texts(record.values) for name, record in wanted.items()
    }
    check_links(stands, set(wanted))
    outcomes = place.outcomes()
    assert outcomes.keys() == {one.unit for one in written}
    assert {key for key, one in outcomes.items() if not one.status} == refused
    failed = {one.unit: one for one in written if one.unit in refused}
    for unit, message in failed.items():
        assert message_of(outcomes[unit]) == message
    kept = {one.message.unit: one.message for one in place.kept()}
    assert {unit: kept.get(unit) for unit in failed} == failed
    for number in range(place.partitions):
        at = written[0].position
        assert at is not None
        assert holder(place.store, place.topic, at.at._replace(partition=number)) is None


POINTS = [
    Death(where, after=after, number=number)
    for number in (2, 1, 3, 5, 8)
    for where in ("register", "outcomes", "files", "commit")
    for after in (False, True)
]
KINDS = 8
"""Of points: the first of them are one of each kind."""


@pytest.mark.parametrize(
    "deaths",
    [
        pytest.param(
            POINTS[first : first + KINDS],
            id=f"call {POINTS[first].number}",
            marks=[pytest.mark.soak] if first else [],
        )
        for first in range(0, len(POINTS), KINDS)
    ],
)
def test_consumers_are_killed_before_and_after_each_kind_of_effect(
    tmp_path: Path,
    cluster: KafkaCluster,
    proxy: FaultProxy,
    app: LocalHandleApp,
    deaths: list[Death],
) -> None:
    # Each in a group of its own, all at once: most of the time they wait for Kafka.
    places = [place_of(tmp_path, cluster, proxy.url, partitions=PARTITIONS) for _ in deaths]
    written = [place.produce(messages(place.topic, COUNT)) for place in places]
    victims = [place.start(death) for place, death in zip(places, deaths, strict=True)]
    codes = [ended(victim) for victim in victims]
    assert codes == [-signal.SIGKILL] * len(deaths)
    assert all(place.behind() for place in places)
    finish(*places)
    for place, its in zip(places, written, strict=True):
        check_all(place, app, its)
        assert not place.bad_lines()


def test_of_several_consumers_in_a_group_some_are_killed(place: Place, app: LocalHandleApp) -> None:
    written = place.produce(messages(place.topic, 2 * COUNT))
    # Whoever comes late gets all that is left when the other one has died.
    victims = [place.start(Death("register", number=4)), place.start(Death("commit", after=True))]
    assert [ended(victim) for victim in victims] == [-signal.SIGKILL] * 2
    finish(place, consumers=2)
    check_all(place, app, written)


def test_the_handle_service_fails_now_and_then(
    place: Place, app: LocalHandleApp, proxy: FaultProxy
) -> None:
    written = place.produce(messages(place.topic, COUNT))
    proxy.spoil(every(4, Fault(status=503), Fault(reset=True), Fault(lost=True), Fault(cut=True)))
    finish(place)
    check_all(place, app, written)
    assert not any(one.message.retries for one in place.kept())


# Every day so by the command, in `test_pids_consume_command`.
@pytest.mark.soak
def test_the_handle_service_is_down_and_comes_back(
    place: Place, app: LocalHandleApp, proxy: FaultProxy
) -> None:
    written = place.produce(messages(place.topic, COUNT))
    calls = iter(range(1000))
    proxy.spoil(lambda _: Fault(lost=True) if next(calls) > COUNT // 2 else None)
    assert ended(place.start()) == 0
    assert place.behind() > 0
    reasons = {one.reason for one in place.outcomes().values()}
    assert "handle_unavailable" in reasons
    assert not any(one.reason == "handle_unavailable" for one in place.kept())
    proxy.spoil(None)
    finish(place)
    check_all(place, app, written)


@pytest.mark.soak
def test_by_force_messages_are_skipped_while_the_handle_service_is_down(
    place: Place, app: LocalHandleApp, proxy: FaultProxy
) -> None:
    written = place.produce(messages(place.topic, COUNT))
    calls = iter(range(1000))
    proxy.spoil(lambda _: Fault(reset=True) if next(calls) > COUNT // 2 else None)
    finish(place, force=True)
    proxy.spoil(None)
    outcomes = place.outcomes()
    assert outcomes.keys() == {one.unit for one in written}
    skipped = {key for key, one in outcomes.items() if one.detail.get("skipped")}
    assert len(skipped) > 1
    assert {key for key, one in outcomes.items() if one.reason == "handle_unavailable"} == skipped
    kept = {one.message.unit for one in place.kept() if one.place.path.parent.name == "skipped"}
    assert kept == skipped
    retried = retry_files(
        [place.folder / "outputs" / "skipped"], place.settings, store=place.store, delete_after=True
    )
    assert retried.succeeded == retried.removed == len(skipped)
    check_all(place, app, written)


CODES = {
    Api.OFFSET_COMMIT: [
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
    ],
    Api.HEARTBEAT: [KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS],
    Api.FETCH: [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART],
    Api.JOIN_GROUP: [KafkaError.COORDINATOR_LOAD_IN_PROGRESS],
    Api.FIND_COORDINATOR: [KafkaError.COORDINATOR_NOT_AVAILABLE],
}


def test_kafka_fails_now_and_then(place: Place, app: LocalHandleApp, cluster: KafkaCluster) -> None:
    written = place.produce(messages(place.topic, COUNT))
    faults = Faults(cluster)
    for request, codes in CODES.items():
        faults.fail(request, *codes)
    try:
        finish(place, consumers=2)
    finally:
        for request in CODES:
            faults.clear(request)
    check_all(place, app, written)
