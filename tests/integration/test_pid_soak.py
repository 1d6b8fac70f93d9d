"""Very many messages with a fault now and then: every handle right, every offset committed."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from estinel_assets.demo.handle_app import LocalHandleApp
from estinel_assets.demo.kafka_broker import KafkaCluster, Produced
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.message_records import message_of
from tests.support.asgi import serve_asgi
from tests.support.cmip6_messages import file_asset, full_message, item
from tests.support.handles import handle_app
from tests.support.memory_items import MemoryItems
from tests.support.pid_process import (
    Place,
    check_links,
    end,
    ended,
    place_of,
    records_of,
    texts,
)
from tests.support.pid_world import expected_records
from tests.support.proxy import Fault, FaultProxy, Passed

BEGIN = datetime(2026, 1, 16, 10, tzinfo=UTC)
PARTITIONS = 4
MIB = 1024


@dataclass(frozen=True)
class Soak:
    """How much, and how often something goes wrong."""

    messages: int
    portion: int
    """Messages that are written at once; Kafka's stand-in forgets what is beyond some MB."""
    fault_every: int
    kill_every: int
    measure_at: int
    patience_s: float


@dataclass
class Seen:
    """What happened."""

    kills: int = 0
    faults: int = 0
    bad_messages: int = 0
    took_s: float = 0.0
    peaks_mib: list[float] = field(default_factory=list)


@pytest.fixture
def app() -> LocalHandleApp:
    return handle_app()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def url(app: LocalHandleApp) -> Iterator[str]:
    with serve_asgi(app) as root:
        yield root


def message(number: int, bad_every: int) -> Produced:
    """A dataset of one file; every tenth one is an older or newer version of another's record."""
    of = number - 5 if number % 10 == 9 else number
    item_id = f"CMIP6.CMIP.MADE.SOAK.historical.r1i1p1f{of}.Amon.tas.gn.v20200101"
    size = 0 if number % (2 * bad_every) == bad_every else number + 1
    assets = {"data0000": file_asset(f"{number}.nc", file__size=size)}
    body = json.dumps(full_message(item(assets, item_id=item_id), time=None)).encode()
    if number % (2 * bad_every) == 2 * bad_every - 1:
        body = b"{not json " + str(number).encode()
    late = 60 if number % 20 == 19 else 0
    return Produced(
        body,
        item_id.encode(),
        partition=of % PARTITIONS,
        sent_at=BEGIN + timedelta(seconds=number - late),
    )


def peak_mib(process: BaseProcess) -> float:
    """The most memory that a process had, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / MIB


def soak(place: Place, how: Soak, seen: Seen) -> list[IncomingMessage]:
    """Let two consumers work while messages are written; one of them is killed now and then."""
    written: list[IncomingMessage] = []
    started = time.monotonic()
    lasting, mortal = place.start(), place.start()
    try:
        while len(written) < how.messages:
            last = min(len(written) + how.portion, how.messages)
            numbers = range(len(written), last)
            written += place.produce([message(number, how.fault_every) for number in numbers])
            seen.bad_messages += sum(number % how.fault_every == 0 for number in numbers)
            wait_until_behind(place, how.portion // 2, [lasting, mortal], how)
            if len(written) // how.kill_every > seen.kills:
                assert mortal.pid is not None
                os.kill(mortal.pid, signal.SIGKILL)
                assert ended(mortal) == -signal.SIGKILL
                seen.kills += 1
                mortal = place.start()
            if len(written) >= how.measure_at and not seen.peaks_mib:
                seen.peaks_mib.append(peak_mib(lasting))
        wait_until_behind(place, 0, [lasting, mortal], how)
        seen.took_s = time.monotonic() - started
        seen.peaks_mib.append(peak_mib(lasting))
    finally:
        codes = [end(lasting), end(mortal)]
    assert codes == [0, 0]
    return written


def wait_until_behind(place: Place, most: int, consumers: list[BaseProcess], how: Soak) -> None:
    ends = time.monotonic() + how.patience_s
    while (behind := place.behind()) > most:
        assert time.monotonic() < ends, f"{behind} messages are left"
        assert all(one.exitcode is None for one in consumers), "a consumer has ended"
        time.sleep(0.1)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(Soak(240, 120, 40, 120, 120, 60), id="short"),
        pytest.param(Soak(50_000, 2_000, 500, 4_000, 10_000, 600), id="long"),
    ],
)
def test_with_a_fault_now_and_then_every_handle_ends_right(
    tmp_path: Path, url: str, app: LocalHandleApp, how: Soak, seen: Seen
) -> None:
    kinds = (Fault(status=503), Fault(lost=True), Fault(reset=True))

    def choose(request: Passed) -> Fault | None:
        turn, left = divmod(request.number, how.fault_every)
        if left:
            return None
        seen.faults += 1
        return kinds[turn % len(kinds)]

    with KafkaCluster({}) as cluster, FaultProxy(url) as proxy:
        place = place_of(
            tmp_path,
            cluster,
            proxy.url,
            partitions=PARTITIONS,
            consumer={"in_flight": 16, "flush_messages": 200, "flush_seconds": 0.5},
            kafka={"session.timeout.ms": 1500},
        )
        proxy.spoil(choose)
        written = soak(place, how, seen)

    wanted, refused = expected_records(written, MemoryItems())
    stands = records_of(app)
    right = {name: texts(record.values) for name, record in wanted.items()}
    assert stands.keys() == right.keys()
    wrong = {name: (stands[name], right[name]) for name in right if stands[name] != right[name]}
    assert not wrong, json.dumps(wrong, indent=1)
    check_links(stands, stands)
    outcomes = place.outcomes()
    assert outcomes.keys() == {one.unit for one in written}
    assert {key for key, one in outcomes.items() if not one.status} == refused
    kept = {one.message.unit: one.message for one in place.kept()}
    failed = {one.unit: one for one in written if one.unit in refused}
    assert kept == failed
    assert {unit: message_of(outcomes[unit]) for unit in failed} == failed
    assert seen.kills >= how.messages // how.kill_every - 1
    assert seen.faults >= how.messages // how.fault_every
    first, last = seen.peaks_mib
    sys.stdout.write(
        f"\n{how.messages} messages, {len(stands)} handles in {seen.took_s:.0f} s, "
        f"{how.messages / seen.took_s:.0f} messages/s; {len(refused)} bad messages, "
        f"{seen.faults} faults of the service, {seen.kills} kills; peak of a consumer "
        f"{first:.0f} MiB at {how.measure_at} messages and {last:.0f} MiB at the end\n"
    )
    assert last < 1.15 * first + 16
