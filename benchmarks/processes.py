"""Servers of the benchmarks in processes of their own.

Such a process says its address in its first line, as JSON, answers each line that it gets with what
it has counted, and ends when its standard input does.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]


class Process:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], ask: IO[str], said: IO[str]) -> None:
        """Made by `started`."""
        self._process, self._ask, self._said = process, ask, said
        self.address: Any = json.loads(said.readline())

    def counts(self) -> dict[str, int]:
        """What it has counted, in its own words."""
        print("counts", file=self._ask, flush=True)
        found: dict[str, int] = json.loads(self._said.readline())
        return found

    @property
    def pid(self) -> int:
        """The process, for those who look at what it costs."""
        return self._process.pid


@contextmanager
def started(module: str, *arguments: str) -> Iterator[Process]:
    """Run a module as a server.

    Args:
        module: of the benchmarks, such as `benchmarks.servers`.
        arguments: for it.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the server was started without pipes")
    try:
        yield Process(process, process.stdin, process.stdout)
    finally:
        process.stdin.close()  # its order to stop
        process.wait(30)
        process.stdout.close()
