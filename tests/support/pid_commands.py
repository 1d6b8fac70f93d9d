"""The commands of the PID line with real parts: Kafka's stand-in, a Handle server, a store."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from estinel_assets.demo.handle_outage import FailingHandleApp, serving_handles
from estinel_assets.demo.kafka_broker import KafkaCluster, Produced, produce
from estinel_assets.pids import consuming, retrying  # noqa: F401 - so that processes have them
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_lag import lag
from tests.support.cli import Outcome, estinel
from tests.support.cmip6_messages import PREFIX, full_message, item
from tests.support.kafka import group_options
from tests.support.running import Running, running_estinel

GROUP = "pids-of-a-test"
_TOPICS = count()


def item_id(number: int) -> str:
    """The id of one of many datasets."""
    return f"CMIP6.CMIP.MADE.MADE-CM{number}.historical.r1i1p1f1.Amon.tas.gn.v20240115"


def good(number: int, *, partition: int = 0, **properties: Any) -> Produced:
    """A message that brings a dataset with two files."""
    of = item(item_id=item_id(number), **properties)
    body = json.dumps(full_message(of)).encode()
    return Produced(body, key=of["id"].encode(), partition=partition)


def bad(partition: int = 0) -> Produced:
    """A message that is none."""
    return Produced(b"no message", key=b"bad", partition=partition)


class HangingHandleApp(FailingHandleApp):
    """May also take its time over every request, from one moment to another."""

    def __init__(self, *, latency_s: float = 0.0) -> None:
        super().__init__(latency_s=latency_s)
        self.hang_s = 0.0
        self.waiting = 0
        """Requests that hang."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.hang_s:
            self.waiting += 1
            ends = time.monotonic() + self.hang_s
            while self.hang_s and time.monotonic() < ends:
                await asyncio.sleep(0.05)
            self.waiting -= 1
        await super().__call__(scope, receive, send)


@dataclass
class Desk:
    """A topic, a Handle server, and a folder from which commands are given."""

    folder: Path
    kafka: str
    topic: str
    app: HangingHandleApp
    handle_url: str
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tables = {
            "consumer": {
                "topic": self.topic,
                "output_dir": str(self.folder / "outputs"),
                "max_errors": -1,
                "in_flight": 4,
                "flush_seconds": 0.05,
            },
            "consumer.transient": {"retries": 0},
            "kafka": group_options(self.kafka, GROUP),
            "handle": {"server_url": self.handle_url, "prefix": PREFIX},
            "lookup": {"enabled": False},
            "stats": {"interval_seconds": 0.2},
        }

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def variables(self) -> dict[str, str]:
        """Of a command, with the configuration as the tables say now."""
        file = self.folder / "pids.toml"
        file.write_text(_toml(self.tables), encoding="utf-8")
        return {
            "ESTINEL_STORE_URL": f"file://{self.folder}/store",
            "ESTINEL_PIDS_CONFIG": str(file),
        }

    def pids(self, *arguments: object, **variables: str) -> Outcome:
        """Give a command, and wait for its end."""
        return estinel("pids", *arguments, **{**self.variables, **variables})

    def produce(self, *messages: Produced) -> None:
        produce(self.kafka, self.topic, messages)

    def behind(self) -> int:
        """Messages that the group has not committed."""
        return sum(one.behind for one in lag(self.tables["kafka"], self.topic))

    def handles(self) -> dict[str, list[tuple[int, str, Any]]]:
        """What the Handle server has, without times."""
        return {
            handle: [(one["index"], one["type"], one["data"]) for one in values]
            for handle, values in self.app.records().items()
        }

    def at(self, partition: int = 0) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    @contextmanager
    def running(self, *arguments: object) -> Iterator[Running]:
        """Give a command in a process of its own, which is gone at the end."""
        with running_estinel(arguments, self.folder / "process", **self.variables) as command:
            yield command


@contextmanager
def desk(
    folder: Path, cluster: KafkaCluster, *, partitions: int = 1, latency_s: float = 0.0
) -> Iterator[Desk]:
    """A desk with a topic and a Handle server of its own.

    Args:
        folder: for everything.
        cluster: gets a topic.
        partitions: of the topic.
        latency_s: of the Handle server, in seconds.
    """
    topic = f"pids-{next(_TOPICS)}"
    cluster.create(topic, partitions)
    app = HangingHandleApp(latency_s=latency_s)
    with serving_handles(app) as url:
        yield Desk(folder, cluster.address, topic, app, url)


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"
