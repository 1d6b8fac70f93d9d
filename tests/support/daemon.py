"""A Dagster home with real processes on it: code server, daemon and web server.

The daemon is Dagster's own, only quicker: it looks at sensors and backfills once a second. The
sensors are the product's own with a shorter interval, and those that a test names are on.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import requests
import yaml

from tests.support.cli import process_environment
from tests.support.dagster_process import dagster_process
from tests.support.real import ROOT

T = TypeVar("T")
LOCATION = "estinel_assets"
PATIENCE_S = 120.0
"""A hung test should fail; nothing is asserted about how long anything takes."""

_DEFINITIONS = """\
import dagster as dg

from estinel_assets.build import build_definitions

ON = {on!r}
defs = build_definitions()
for sensor in defs.sensors:
    sensor._min_interval = 1
    running = sensor.name in ON
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
    sensor._default_status = status
"""
_WORKSPACE = """\
load_from:
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {location}}}
"""


@dataclass
class RunningDagster:
    """What runs on a home."""

    home: Path
    environment: Mapping[str, str]
    instance: dg.DagsterInstance
    web_port: int | None
    processes: dict[str, BaseProcess] = field(default_factory=dict)

    def graphql(self, document: str, **variables: object) -> dict[str, Any]:
        """What the UI would get for a query or mutation."""
        answer = requests.post(
            f"http://127.0.0.1:{self.web_port}/graphql",
            json={"query": document, "variables": variables},
            timeout=PATIENCE_S,
        )
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        assert "errors" not in body, body["errors"]
        found: dict[str, Any] = body["data"]
        return found

    def runs(self, job: str, **tags: str) -> list[dg.RunRecord]:
        """Runs of a job, the oldest first."""
        filters = dg.RunsFilter(job_name=job, tags=tags)
        return list(reversed(self.instance.get_run_records(filters)))

    def ended_runs(self, job: str, count: int, **tags: str) -> list[dg.RunRecord]:
        """The runs of a job, the oldest first, once so many have ended."""

        def ended() -> list[dg.RunRecord] | None:
            runs = self.runs(job, **tags)
            finished = [record for record in runs if record.dagster_run.is_finished]
            return runs if len(finished) >= count else None

        return self.until(ended, f"{count} ended runs of {job}")

    def ticks(self, sensor: str, count: int, *, after: float = 0.0) -> list[Any]:
        """Ticks of a sensor that ended, the oldest first, once there are so many.

        Args:
            sensor: its name.
            count: how many to wait for.
            after: only those that began after this time, seconds since the epoch.
        """

        def ended() -> list[Any] | None:
            for state in self.instance.all_instigator_state():
                if state.instigator_name == sensor:
                    ticks = self.instance.get_ticks(
                        state.instigator_origin_id, state.selector_id, after=after
                    )
                    done = [tick for tick in ticks if tick.status.value != "STARTED"]
                    if len(done) >= count:
                        return list(reversed(done))
            return None

        return self.until(ended, f"{count} ticks of {sensor}")

    def kill_worker(self, run_id: str) -> None:
        """SIGKILL the process of a run."""
        logs = self.instance.all_logs(run_id)
        pids = {
            int(str(data.metadata["pid"].value))
            for entry in logs
            if entry.dagster_event is not None
            and entry.dagster_event.is_engine_event
            and (data := entry.dagster_event.engine_event_data) is not None
            and "pid" in data.metadata
        }
        assert len(pids) == 1, [entry.message for entry in logs]
        os.kill(pids.pop(), signal.SIGKILL)

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """Look until something is there.

        Raises:
            AssertionError: a process ended meanwhile, or patience is at its end.
        """
        ends_at = time.monotonic() + PATIENCE_S
        while True:
            if found := look():
                return found
            for name, process in self.processes.items():
                assert process.exitcode is None, f"the {name} ended: {self.log(name)}"
            assert time.monotonic() < ends_at, f"waited in vain for {what}: {self.logs()}"
            time.sleep(0.1)

    def log(self, name: str) -> str:
        """The end of what a process said."""
        return (self.home / f"{name}.log").read_text(errors="replace")[-3000:]

    def logs(self) -> str:
        """The ends of what all processes said."""
        return "\n".join(f"--- {name}\n{self.log(name)}" for name in self.processes)


@contextmanager
def running_dagster(
    home: Path,
    config: Path,
    *,
    sensors: Sequence[str] = (),
    web: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Iterator[RunningDagster]:
    """Make a home and run Dagster on it.

    Args:
        home: a folder to make.
        config: the product's settings.
        sensors: those that are on.
        web: with a web server.
        changes: over the repository's dagster.yaml.
    """
    home.mkdir(parents=True)
    write_instance_file(home, changes)
    definitions = home / "quick_definitions.py"
    definitions.write_text(_DEFINITIONS.format(on=sorted(sensors)), encoding="utf-8")
    port, web_port = free_port(), free_port() if web else None
    workspace = home / "workspace.yaml"
    workspace.write_text(_WORKSPACE.format(port=port, location=LOCATION), encoding="utf-8")
    environment = process_environment({"DAGSTER_HOME": str(home), "ESTINEL_CONFIG": str(config)})
    code = ["api", "grpc", "--python-file", str(definitions)]
    code += ["--port", str(port), "--host", "127.0.0.1", "--location-name", LOCATION]
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        running = RunningDagster(home, environment, instance, web_port)

        def start(name: str, arguments: Sequence[str]) -> None:
            running.processes[name] = stack.enter_context(
                dagster_process(name, arguments, home / f"{name}.log", environment)
            )

        start("code", code)
        running.until(lambda: _answers(port), "the code server")
        start("daemon", ["run", "-w", str(workspace)])
        if web_port is not None:
            start("web", ["-w", str(workspace), "-p", str(web_port)])
            running.until(lambda: _answers(web_port), "the web server")
        yield running


def write_instance_file(home: Path, changes: Mapping[str, Any] | None = None) -> None:
    """Write the repository's dagster.yaml into a home, quicker, and with changes."""
    content = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    content["run_coordinator"] = {
        "module": "dagster._core.run_coordinator.queued_run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"dequeue_interval_seconds": 1},
    }
    content["run_monitoring"]["poll_interval_seconds"] = 1
    content.update(changes or {})
    (home / "dagster.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
