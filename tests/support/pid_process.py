"""Consumers in processes of their own, which may kill themselves at a chosen call.

Processes come from a fork server that has imported what they need. What they call is wrapped here,
in the test's own process: the services, the recorder's parts and the source.
"""

import itertools
import json
import logging
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from estinel_assets.clock import utc_now
from estinel_assets.demo.handle_app import LocalHandleApp
from estinel_assets.demo.kafka_broker import KafkaCluster, Produced, produce
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids import consuming
from estinel_assets.pids.batches import OutcomeBatches
from estinel_assets.pids.claims import CONSUMER
from estinel_assets.pids.configuration import PidConfiguration, kafka_options, load_configuration
from estinel_assets.pids.consumer import Consumed
from estinel_assets.pids.consuming import Consuming
from estinel_assets.pids.figures import Figures
from estinel_assets.pids.incoming import IncomingMessage, TopicPartition
from estinel_assets.pids.jsonl_files import JsonlFiles
from estinel_assets.pids.jsonl_lines import BadLine, KeptMessage, read_lines
from estinel_assets.pids.kafka_lag import lag
from estinel_assets.pids.kafka_source import GroupSource
from estinel_assets.pids.opening import Services, open_book, opened_services
from estinel_assets.pids.ports import (
    ADMIN_TYPE,
    HandleRecord,
    HandleService,
    HandleValue,
    Registered,
)
from estinel_assets.pids.stamps import Stamp
from estinel_assets.pids.watching import ConsumerWatch
from estinel_assets.settings import PidSettings, Settings, StoreSettings
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.handles import PASSWORD, PREFIX, USER
from tests.support.kafka import group_options
from tests.support.pid_world import wait_for

PATIENCE_S = 60.0
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Death:
    """A process kills itself before or after the nth call of something."""

    where: str
    """`register`, `outcomes`, `files` or `commit`."""
    after: bool = False
    number: int = 1

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.where} {self.number}"


class _Fate:
    def __init__(self, death: Death | None) -> None:
        self._death = death
        self._calls = 0
        self._lock = threading.Lock()

    @contextmanager
    def around(self, where: str) -> Iterator[None]:
        death = self._death
        meets = False
        if death is not None and death.where == where:
            with self._lock:
                self._calls += 1
                meets = self._calls >= death.number  # a call that fails is none
        if meets and death is not None and not death.after:
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if meets:
            os.kill(os.getpid(), signal.SIGKILL)


class _Handles:
    def __init__(self, handles: HandleService, fate: _Fate) -> None:
        self._handles, self._fate = handles, fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handles, name)

    def register(self, record: HandleRecord, stamp: Stamp) -> Registered:
        with self._fate.around("register"):
            return self._handles.register(record, stamp)


class _Source:
    def __init__(self, source: GroupSource, fate: _Fate) -> None:
        self._source, self._fate = source, fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def commit(self, following: Mapping[TopicPartition, int]) -> None:
        with self._fate.around("commit"):
            self._source.commit(following)


@dataclass(frozen=True)
class Place:
    """What processes share: a topic, a group, a store, a folder and a Handle server."""

    folder: Path
    kafka: str
    topic: str
    partitions: int
    handles: str
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Keys of the configuration that are to differ, by table."""

    @property
    def settings(self) -> Settings:
        return Settings(
            store=StoreSettings(url=f"file://{self.folder / 'store'}"),
            pids=PidSettings(config=self.folder / "pids.toml"),
        )

    @property
    def configuration(self) -> PidConfiguration:
        return load_configuration(self.settings.pids)

    @property
    def store(self) -> ObjectStore:
        return open_store(f"file://{self.folder / 'store'}")

    def write(self) -> None:
        """Write the configuration."""
        tables: dict[str, Mapping[str, Any]] = {
            "consumer": {
                "topic": self.topic,
                "output_dir": str(self.folder / "outputs"),
                "max_errors": -1,
                "in_flight": 4,
                "flush_messages": 2,
                "flush_seconds": 0.1,
            },
            "consumer.transient": {"retries": 9, "backoff_initial": 0.01, "backoff_max": 0.05},
            "kafka": group_options(self.kafka, self.topic, session_timeout_ms=700),
            "handle": {
                "server_url": self.handles,
                "prefix": PREFIX,
                "username": USER,
                "password": PASSWORD,
            },
            "lookup": {"enabled": False},
        }
        lines = []
        for table in {**tables, **self.tables}:
            values = {**tables.get(table, {}), **self.tables.get(table, {})}
            lines.append(f"[{table}]")
            lines += [f'"{name}" = {json.dumps(value)}' for name, value in values.items()]
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "pids.toml").write_text("\n".join(lines))

    def produce(self, messages: Sequence[Produced]) -> list[IncomingMessage]:
        """Write messages, as they will come in."""
        return [
            IncomingMessage(position.unit, one.body, one.key, one.headers, received_at=one.sent_at)
            for position, one in zip(
                produce(self.kafka, self.topic, messages), messages, strict=True
            )
        ]

    def behind(self) -> int:
        """Messages that are not committed."""
        options = kafka_options(self.configuration)
        return sum(one.behind for one in lag(options, self.topic))

    def outcomes(self) -> dict[Key, Outcome]:
        """The newest of each message."""
        packed = open_book(self.settings, self.store).packed
        return {one.key: one for one in packed.read(packed.entries())}

    def kept(self) -> list[KeptMessage]:
        """What the files of failures and skipped messages keep."""
        return [line for line in self._lines() if isinstance(line, KeptMessage)]

    def bad_lines(self) -> list[BadLine]:
        """Lines that cannot be read."""
        return [line for line in self._lines() if isinstance(line, BadLine)]

    def _lines(self) -> Iterable[KeptMessage | BadLine]:
        outputs = self.folder / "outputs"
        return read_lines([outputs]) if any(outputs.rglob("*.jsonl")) else []

    def start(self, death: Death | None = None, *, force: bool = False) -> BaseProcess:
        """Start a consumer; it ends at its death, or drains when it is terminated."""
        context = multiprocessing.get_context("forkserver")
        # Ignored once the fork server runs; then each process imports for itself.
        context.set_forkserver_preload([__name__])
        process = context.Process(target=_consume, args=(dict(os.environ), self, death, force))
        process.start()
        return process


def place_of(
    folder: Path,
    cluster: KafkaCluster,
    handles: str,
    *,
    partitions: int = 3,
    **tables: Mapping[str, Any],
) -> Place:
    """A place with a topic and a group of its own."""
    topic = f"CMIP6-{next(_NUMBERS)}"
    cluster.create(topic, partitions)
    place = Place(folder / topic, cluster.address, topic, partitions, handles, tables)
    place.write()
    return place


def end(process: BaseProcess) -> int | None:
    """Ask a consumer to stop, and wait for its end."""
    if process.is_alive():
        process.terminate()
    return ended(process)


def ended(process: BaseProcess) -> int | None:
    """Wait for the end of a process: its exit code, `-signal.SIGKILL` where it was killed."""
    process.join(PATIENCE_S)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    return code


def finish(*places: Place, consumers: int = 1, force: bool = False) -> None:
    """Let clean consumers do all that is left, and end them."""
    processes = [place.start(force=force) for place in places for _ in range(consumers)]
    try:
        wait_for(
            lambda: (
                any(one.exitcode is not None for one in processes)
                or not any(place.behind() for place in places)
            ),
            PATIENCE_S,
        )
    finally:
        codes = [end(one) for one in processes]
    assert codes == [0] * len(codes)


def check_links(stands: dict[str, dict[str, str]], handles: Iterable[str]) -> None:
    """Datasets and files of a server name each other."""
    for handle in handles:
        record = stands[handle]
        if record["AGGREGATION_LEVEL"] == "DATASET":
            for part in json.loads(record["HAS_PARTS"]):
                of = stands[part.removeprefix("hdl:").lower()]["IS_PART_OF"]
                assert of.removeprefix("hdl:").lower() == handle
        else:
            dataset = stands[record["IS_PART_OF"].removeprefix("hdl:").lower()]
            assert handle in dataset["HAS_PARTS"].lower()


def records_of(app: LocalHandleApp) -> dict[str, dict[str, str]]:
    """What a server has, by handle in lower case and by type, without who may change it."""
    return {
        handle.lower(): {
            value["type"]: value["data"]["value"] for value in values if value["type"] != ADMIN_TYPE
        }
        for handle, values in app.records().items()
        if handle.lower() != USER.partition(":")[2].lower()
    }


def texts(values: Iterable[HandleValue]) -> dict[str, str]:
    """The same of a record."""
    return {one.type: one.data for one in values if one.type != ADMIN_TYPE}


def _consume(environment: dict[str, str], place: Place, death: Death | None, force: bool) -> None:
    # A fork server keeps the variables of its own start.
    os.environ.clear()
    os.environ.update(environment)
    logging.disable(logging.CRITICAL)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    fate = _Fate(death)

    class Batches(OutcomeBatches):
        def add(self, at: TopicPartition, outcomes: Sequence[Outcome]) -> None:
            with fate.around("outcomes"):
                super().add(at, outcomes)

    class Files(JsonlFiles):
        def write(self, outcomes: Iterable[Outcome]) -> None:
            with fate.around("files"):
                super().write(outcomes)

    @contextmanager
    def services(configuration: PidConfiguration, *, dry_run: bool) -> Iterator[Services]:
        with opened_services(configuration, dry_run=dry_run) as opened:
            handles: HandleService = _Handles(opened.handles, fate)  # type: ignore[assignment]
            yield replace(opened, handles=handles)

    run = Consuming(
        place.settings,
        place.configuration,
        place.store,
        owner=f"{CONSUMER} {os.getpid()}",
        run_id=f"consumer-{os.getpid()}",
        force=force,
    )
    watch = ConsumerWatch(
        Figures(started_at=utc_now()), clock=utc_now, interval_s=3600.0, every_messages=10**9
    )
    source: Any = _Source(GroupSource(run.options(), place.topic), fate)
    with (
        patch.object(consuming, "OutcomeBatches", Batches),
        patch.object(consuming, "JsonlFiles", Files),
        patch.object(consuming, "opened_services", services),
    ):
        consumed: Consumed = run.run(source, watch, stop)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (place.folder / f"peak-{os.getpid()}").write_text(f"{peak_mib:.1f} {consumed.messages}")
