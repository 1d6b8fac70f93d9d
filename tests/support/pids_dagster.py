"""A world for tests of the PID line under Dagster: Kafka, a Handle server, an instance.

Kafka is the stand-in of the demo, the Handle server that of the demo behind a proxy that goes wrong
on request; the store is a folder. Servers last for a module, and each test has a topic, a group, a
store and an instance without runs.
"""

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from estinel_assets.build import build_definitions
from estinel_assets.demo.handle_app import LocalHandleApp
from estinel_assets.demo.kafka_broker import KafkaCluster, Produced, produce
from estinel_assets.orchestration.in_process import JobRun, open_instance, run_job
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.claims import claim_path
from estinel_assets.pids.configuration import kafka_options, load_configuration
from estinel_assets.pids.identifiers import dataset_suffix
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.jobs import range_config
from estinel_assets.pids.kafka_lag import lag
from estinel_assets.pids.opening import CODE_VERSION, open_book
from estinel_assets.pids.ranges import OffsetRange
from estinel_assets.pids.reasons import PIDS
from estinel_assets.settings import Settings, load_settings
from estinel_assets.storage.lease import hold_lease
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.asgi import serve_asgi
from tests.support.cmip6_messages import DATASET, full_message, item
from tests.support.handles import PASSWORD, PREFIX, USER, handle_app
from tests.support.imagery import quiet_dagster as quiet_dagster
from tests.support.imagery import toml
from tests.support.kafka import Faults, group_options
from tests.support.outcomes import outcome
from tests.support.proxy import Fault, FaultProxy, Passed
from tests.support.real import ROOT

ASSET = dg.AssetKey("pid_registrations")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Servers:
    """What runs for all tests of a module."""

    folder: Path
    cluster: KafkaCluster
    handles: LocalHandleApp
    proxy: FaultProxy
    instance: dg.DagsterInstance

    @property
    def faults(self) -> Faults:
        """What may go wrong with Kafka."""
        return Faults(self.cluster)

    @contextmanager
    def world(self, *, partitions: int) -> Iterator["PidsWorld"]:
        """A topic, a group and a store of their own, and an instance without runs.

        Args:
            partitions: of the topic.
        """
        number = next(_NUMBERS)
        self.proxy.spoil(None)
        self.instance.wipe()
        topic = f"CMIP6-{number}"
        self.cluster.create(topic, partitions)
        folder = self.folder / topic
        folder.mkdir()
        world = PidsWorld(folder, topic, self)
        known: dict[str, Mapping[str, object]] = {
            "consumer": {"topic": topic, "output_dir": str(folder / "outputs"), "in_flight": 4},
            "consumer.transient": {"retries": 0},
            "kafka": group_options(self.cluster.address, f"group-{number}"),
            "handle": {
                "server_url": self.proxy.url,
                "prefix": PREFIX,
                "username": USER,
                "password": PASSWORD,
            },
            "lookup": {"enabled": False},
        }
        world.configure_pids(**known)
        world.configure(
            store={"url": f"file://{folder}/store"},
            pids={"config": str(world.pids_config)},
            outcomes={"backoff_s": 3600, "backoff_max_s": 86400},
        )
        yield world


@dataclass(frozen=True)
class PidsWorld:
    """One topic, one group, one store."""

    folder: Path
    topic: str
    servers: Servers
    former: dict[str, dict[str, object]] = field(default_factory=dict)
    tables: dict[str, dict[str, object]] = field(default_factory=dict)

    # --- settings ----------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        return self.folder / "estinel.toml"

    @property
    def pids_config(self) -> Path:
        return self.folder / "pids.toml"

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    @property
    def store(self) -> ObjectStore:
        return open_store(self.settings.store.url)

    @property
    def instance(self) -> dg.DagsterInstance:
        return self.servers.instance

    def configure(self, **groups: Mapping[str, object]) -> None:
        """Change settings: keys by group."""
        for group, values in groups.items():
            self.former.setdefault(group, {}).update(values)
        self.config.write_text(toml(self.former), encoding="utf-8")

    def configure_pids(self, **tables: Mapping[str, object]) -> None:
        """Change the configuration of the PID line: keys by table."""
        for table, values in tables.items():
            self.tables.setdefault(table, {}).update(values)
        lines = []
        for table, known in self.tables.items():
            lines.append(f"[{table}]")
            lines += [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in known.items()]
        self.pids_config.write_text("\n".join(lines), encoding="utf-8")

    # --- messages ----------------------------------------------------------------------------

    def item_id(self, number: int) -> str:
        """The id of an item that no other test has."""
        variable = f"v{number}{self.topic.removeprefix('CMIP6-')}"
        return f"{DATASET.replace('.pr.', f'.{variable}x.')}.v20190119"

    def handle(self, number: int) -> str:
        """The handle of its dataset, in lower case."""
        return f"{PREFIX}/{dataset_suffix(self.item_id(number))}".lower()

    def body(self, number: int) -> bytes:
        """A message that registers it, with two files."""
        return json.dumps(full_message(item(item_id=self.item_id(number)))).encode()

    def registered(self) -> set[int]:
        """The items (up to 50) whose datasets have a record on the server."""
        records = {name.lower() for name in self.servers.handles.records()}
        return {number for number in range(50) if self.handle(number) in records}

    # --- Kafka -------------------------------------------------------------------------------

    def at(self, partition: int = 0) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    def produce(self, *contents: int | bytes, partition: int = 0) -> None:
        """Write messages to a partition, each with a key of its own.

        Args:
            contents: numbers of items, or what a message says.
            partition: of the topic.
        """
        messages = [
            Produced(
                self.body(one) if isinstance(one, int) else one,
                key=str(next(_NUMBERS)).encode(),
                partition=partition,
            )
            for one in contents
        ]
        produce(self.servers.cluster.address, self.topic, messages)

    def behind(self) -> dict[int, int]:
        """How many messages wait, by partition."""
        options = kafka_options(load_configuration(self.settings.pids))
        return {one.at.partition: one.behind for one in lag(options, self.topic)}

    # --- the Handle server -------------------------------------------------------------------

    def fail_handle_service(self, *numbers: int, delay_s: float = 0.0) -> None:
        """Let the Handle server fail whatever is written to the datasets of these items."""
        wanted = list(map(self.handle, numbers))

        def choose(request: Passed) -> Fault | None:
            hit = any(request.path.lower().endswith(one) for one in wanted)
            return Fault(status=503, delay_s=delay_s) if hit and request.method == "PUT" else None

        self.servers.proxy.spoil(choose)

    def repair_handle_service(self) -> None:
        """Let all requests through again."""
        self.servers.proxy.spoil(None)

    # --- runs --------------------------------------------------------------------------------

    def definitions(self) -> dg.Definitions:
        return self._own_definitions

    @cached_property
    def _own_definitions(self) -> dg.Definitions:
        """Made once: their resources read the settings whenever they start."""
        return build_definitions(config_file=str(self.config))

    def run(self, job: str, *, config: Mapping[str, Any] | None = None) -> JobRun:
        return run_job(self.definitions(), self.instance, job, config=config)

    def register(self, first: int, last: int, *, partition: int = 0) -> JobRun:
        """Register a range of offsets, as the sensor asks for it."""
        part = OffsetRange(self.at(partition), first, last)
        return self.run("register_pids", config=range_config(part))

    def by_reason(self, partition: str) -> dg.ExecuteInProcessResult:
        """Materialize a partition of the by-reason asset."""
        job = self.definitions().resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey("pids_by_reason")],
            partition_key=partition,
            raise_on_error=False,
            run_config=QUIET,
        )

    def said(self, run_id: str, asset: str = "pid_registrations") -> dict[str, Any]:
        """What a run said of an asset: of its materialization, else of its observation."""
        kinds = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION
        for kind in kinds:
            for entry in self.instance.all_logs(run_id, of_type=kind):
                assert entry.dagster_event is not None
                specific: Any = entry.dagster_event.event_specific_data
                event = getattr(specific, "materialization", None) or specific.asset_observation
                if event.asset_key == dg.AssetKey(asset):
                    return {name: value.value for name, value in event.metadata.items()}
        raise AssertionError(f"run {run_id} said nothing of {asset}")

    def failure(self, run_id: str) -> dict[str, Any]:
        """The metadata of a run's failed step."""
        (entry,) = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        told: Any = entry.dagster_event
        metadata = told.step_failure_data.user_failure_data.metadata
        return {name: value.value for name, value in metadata.items()}

    # --- what stands -------------------------------------------------------------------------

    def outcomes(self) -> dict[str, Outcome]:
        """All outcomes by partition and offset, as in `0/41`."""
        ledger = open_book(self.settings, self.store).ledger
        return {"/".join(one.key[1:]): one for one in ledger.read(ledger.entries())}

    def reasons(self) -> dict[str, str]:
        """How each message ended."""
        return {name: one.reason for name, one in self.outcomes().items()}

    def put(self, *outcomes: Outcome) -> None:
        """Store outcomes."""
        open_book(self.settings, self.store).ledger.put(outcomes)

    @contextmanager
    def claimed(self, owner: str, partition: int = 0) -> Iterator[None]:
        """Somebody works on a partition."""
        group = load_configuration(self.settings.pids).kafka.group_id
        path = claim_path(group, self.at(partition))
        with hold_lease(self.store, path, ttl_s=60, owner=owner):
            yield


@contextmanager
def pid_servers(folder: Path) -> Iterator[Servers]:
    """Run what the tests of a module need.

    Args:
        folder: a new one.
    """
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copy(ROOT / "dagster.yaml", home)
    app = handle_app()
    with (
        KafkaCluster({}) as cluster,
        serve_asgi(app) as url,
        FaultProxy(url) as proxy,
        open_instance(home) as instance,
    ):
        yield Servers(folder, cluster, app, proxy, instance)


def message_outcome(topic: str, offset: int, reason: str = "none", **more: Any) -> Outcome:
    """A made-up outcome of a moment ago."""
    at = datetime.now(UTC) - timedelta(seconds=1)
    fields = {
        "product": PIDS.product,
        "started_at": at,
        "finished_at": at,
        "duration_s": 0.0,
        "inputs": "",
        "run_id": "long-ago",
        "code_version": CODE_VERSION,
        "detail": {},
    }
    return outcome(topic, "0", str(offset), reason=reason, **{**fields, **more})
