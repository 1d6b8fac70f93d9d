"""The `estinel` command for tests: in this process, or in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from estinel_assets.cli.app import app

_CLEARED = ("ESTINEL_", "DAGSTER_", "AWS_", "FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR")
COMMAND = Path(sys.executable).with_name("estinel")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; text around it is an error."""
        return json.loads(self.stdout)


def estinel(*arguments: object, **variables: str) -> Outcome:
    """Call the command in this process, with these variables and none of the surroundings'."""
    cleared = {name: None for name in os.environ if name.startswith(_CLEARED)}
    environment: dict[str, str | None] = {**cleared, **variables}
    result = CliRunner().invoke(app, [str(one) for one in arguments], env=environment)
    return Outcome(result.exit_code, result.stdout, result.stderr)


def process_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The surroundings' variables without those that matter to the command, and these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CLEARED)}
    return {**kept, **variables}


def estinel_process(*arguments: object, cwd: Path, **variables: str) -> Outcome:
    """Call the installed command in a process of its own, and wait for it."""
    done = subprocess.run(
        command_line(arguments),
        cwd=cwd,
        env=process_environment(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def command_line(arguments: Sequence[object]) -> list[str]:
    """The words of a call of the installed command."""
    return [str(COMMAND), *(str(one) for one in arguments)]
