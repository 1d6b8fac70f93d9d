"""One demo for all tests that look at it, made by the command as a user would run it."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import command_line, process_environment

_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class MadeDemo:
    """What `estinel demo imagery --json` did."""

    folder: str
    code: int
    stdout: str
    stderr: str

    @property
    def root(self) -> Path:
        """The demo's folder."""
        return Path(self.folder)

    @property
    def summary(self) -> Any:
        """The one JSON document on stdout; text around it is an error."""
        return json.loads(self.stdout)


def made_demo(factory: pytest.TempPathFactory) -> MadeDemo:
    """Make the demo, or take the one that another test process of this run has made.

    Do not change anything in its folder: other tests look at it.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    said = shared / "demo.json"
    with _locked(shared / "demo.lock"):
        if not said.exists():
            said.write_text(json.dumps(asdict(_make(shared))), encoding="utf-8")
    return MadeDemo(**json.loads(said.read_text(encoding="utf-8")))


def _make(beside: Path) -> MadeDemo:
    done = subprocess.run(
        command_line(["demo", "imagery", "--folder", "demo", "--port", "0", "--json"]),
        cwd=beside,
        env=process_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    return MadeDemo(str(beside / "demo"), done.returncode, done.stdout, done.stderr)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
