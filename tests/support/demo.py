"""One demo for all tests that look at it, made by the command as a user would run it."""

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import command_line, process_environment
from tests.support.sharing import shared_folder

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
    with shared_folder(factory.getbasetemp(), "made-demo") as folder:
        said = folder / "demo.json"
        if not said.exists():
            said.write_text(json.dumps(asdict(_make(folder))), encoding="utf-8")
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
