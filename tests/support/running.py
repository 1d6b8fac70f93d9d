"""The `estinel` command in a process of its own that comes from the tests' fork server.

That has imported what the command would import anew; and a test can send it signals.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.support.cli import Outcome, process_environment
from tests.support.pid_world import wait_for
from tests.support.real import ROOT

EXIT_S = 60.0


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


@contextmanager
def running_estinel(words: Sequence[object], folder: Path, **variables: str) -> Iterator[Running]:
    """Give a command, whose process is gone at the end.

    Args:
        words: of the command, after its name.
        folder: for its output; made where it is absent.
        variables: those of the environment that matter to it.
    """
    folder.mkdir(exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    # Ignored once the fork server runs; then the process imports what is missing.
    context.set_forkserver_preload([__name__])
    process = context.Process(
        target=run_command, args=([*map(str, words)], process_environment(variables), folder)
    )
    process.start()
    try:
        yield Running(process, folder)
    finally:
        process.kill()
        process.join()


def run_command(words: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    """Be the command, with its output in files: what `running_estinel` starts."""
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
