"""Dagster's web server, and other programs that run until they are told to stop."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.support.cli import process_environment
from tests.support.real import ROOT


class Program:
    """A program in a session of its own, as a terminal would start it."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], said: Path) -> None:
        self._mark = uuid4().hex
        self.said = said
        with said.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**process_environment(variables), "TEST_MARK": self._mark},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, url: str, deadline_s: float = 100.0) -> None:
        """Wait until it answers."""
        ends = time.monotonic() + deadline_s
        while time.monotonic() < ends:
            assert self.process.poll() is None, self.said.read_text(errors="replace")
            try:
                with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - ours
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise TimeoutError(f"{url} does not answer: {self.said.read_text(errors='replace')}")

    def family(self) -> list[str]:
        """The commands of all processes that descend from it and still run."""
        return [command for _, command in self._family()]

    def wait_until_gone(self, deadline_s: float) -> list[str]:
        """Wait until no process of it is left; what is left then."""
        ends = time.monotonic() + deadline_s
        while (left := self.family()) and time.monotonic() < ends:
            time.sleep(0.2)
        return left

    def kill(self) -> None:
        """End everything that is left of it, at once."""
        for pid, _ in self._family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def _family(self) -> Iterator[tuple[int, str]]:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = f"TEST_MARK={self._mark}".encode() in (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, UnicodeDecodeError):
                continue
            if marked and command:
                yield int(folder.name), command


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dagster_web_server(home: Path, config: Path) -> Iterator[str]:
    """Serve Dagster's UI over a Dagster home, without the daemon; yields its address."""
    port = free_port()
    command = ["-m", "dagster_webserver", "--host", "127.0.0.1", "--port", str(port)]
    variables = {"DAGSTER_HOME": str(home), "ESTINEL_CONFIG": str(config)}
    program = Program(
        [sys.executable, *command, "--workspace", "workspace.yaml"], variables, home / "said.txt"
    )
    try:
        address = f"http://127.0.0.1:{port}"
        program.wait_for(f"{address}/server_info")
        yield address
        program.process.send_signal(signal.SIGTERM)
        program.wait_until_gone(10.0)
    finally:
        program.kill()
