"""Captures what steps write to stdout and stderr, without further processes.

Dagster's own way starts four processes a run, two of them a Python, to show on the terminal what
goes into the files. For `estinel update`, which makes a run a site, that is a tenth of a second
each. Here a thread does it, and what was written last is shown as well. Files and places are the
same, so that the web server shows them.

It is a plug-in as `dagster.yaml` knows them (`compute_logs`).
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import UnsupportedOperation
from pathlib import Path
from shutil import copyfileobj
from threading import Event, Thread
from typing import Any, TextIO

from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import (
    IO_TYPE_EXTENSION,
    LocalComputeLogManager,
)
from dagster._serdes import ConfigurableClassData

SHOWN_EVERY_S = 0.2
"""How far what is shown may lag behind what is written."""


class ThreadComputeLogManager(LocalComputeLogManager):
    """Dagster's capture into local files; a thread shows on the terminal what goes there."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "ThreadComputeLogManager":
        """Make one from its config, which is that of Dagster's own."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Capture until the context ends; the file `complete` then says so."""
        with (
            captured(sys.stdout, self._file(log_key, ComputeIOType.STDOUT)),
            captured(sys.stderr, self._file(log_key, ComputeIOType.STDERR)),
        ):
            yield CapturedLogContext(log_key)
        complete: str = self.complete_artifact_path(log_key)  # type: ignore[no-untyped-call]
        Path(complete).touch()

    def _file(self, log_key: Sequence[str], kind: ComputeIOType) -> Path:
        return Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind]))


@contextmanager
def captured(stream: TextIO, path: Path) -> Iterator[None]:
    """Let everything that goes to a stream's descriptor go to the end of a file, and show it.

    What other libraries and child processes write there is captured, too. The file gets it at
    once, also where the process dies right after. A stream without descriptor, as some tests put
    into place, is left alone.

    Args:
        stream: stdout or stderr.
        path: the file; folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        descriptor = stream.fileno()
    except UnsupportedOperation:
        yield
        return
    stream.flush()
    terminal = os.dup(descriptor)
    try:
        with _shown(path, terminal):
            with path.open("ab") as file:
                os.dup2(file.fileno(), descriptor)
            try:
                yield
            finally:
                stream.flush()
                os.dup2(terminal, descriptor)
    finally:
        os.close(terminal)


@contextmanager
def _shown(path: Path, descriptor: int) -> Iterator[None]:
    """Copy whatever is added to a file to a descriptor, up to the end of the context."""
    ended = Event()
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)

        def show() -> None:
            # It may be that nobody reads there any more; the file has it all.
            with suppress(OSError), open(descriptor, "wb", closefd=False) as terminal:
                last = False
                while not last:
                    last = ended.wait(SHOWN_EVERY_S)
                    copyfileobj(file, terminal)
                    terminal.flush()

        thread = Thread(target=show, name=f"show {path.name}")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
