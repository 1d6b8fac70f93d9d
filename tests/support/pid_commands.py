"""The commands of the PID line with real parts: Kafka's stand-in, a Handle server, a store."""

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from estinel_assets.demo.handle_outage import FailingHandleApp, serving_handles
from estinel_assets.demo.kafka_broker import KafkaCluster, Produced, produce
from estinel_assets.pids import consuming, retrying  # noqa: F401 - so that processes have them
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_lag import lag
from tests.support.cli import Outcome, estinel, process_environment
from tests.support.cmip6_messages import PREFIX, full_message, item
from tests.support.kafka import group_options
from tests.support.pid_world import wait_for
from tests.support.real import ROOT

EXIT_S = 60.0
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
    def running(self, *arguments: object) -> Iterator["Running"]:
        """Give a command in a process of its own, which is gone at the end."""
        folder = self.folder / "process"
        folder.mkdir(exist_ok=True)
        words = [str(one) for one in arguments]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        process = context.Process(
            target=run_command, args=(words, process_environment(self.variables), folder)
        )
        process.start()
        try:
            yield Running(process, folder)
        finally:
            process.kill()
            process.join()


@dataclass
class Running:
    """A command in a process of its own."""

    process: BaseProcess
    folder: Path

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def said(self) -> str:
        """Its standard error so far."""
        file = self.folder / "stderr"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def wait_for(self, words: str) -> None:
        """Wait until it has said something."""
        wait_for(lambda: words in self.said() or not self.process.is_alive(), EXIT_S)
        assert words in self.said(), self.said()

    def ended(self) -> Outcome:
        """How it ended, once it has."""
        self.process.join(EXIT_S)
        assert self.process.exitcode is not None, self.said()
        stdout = (self.folder / "stdout").read_text(encoding="utf-8")
        return Outcome(self.process.exitcode, stdout, self.said())


def run_command(words: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    """Be the command, with its output in files: what `Desk.running` starts."""
    from estinel_assets.cli.app import main

    os.environ.clear()
    os.environ.update(environment)
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        with (folder / name).open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    # The fork server ignores what its children must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(ROOT)
    sys.argv = ["estinel", *words]
    main()


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
