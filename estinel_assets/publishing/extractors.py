"""Extractors: commands of `datasets.json` that make a dataset's metadata.

An extractor is another's program. It is started without a shell, without our settings and
credentials, in a process group of its own that is gone when it has ended, and what it prints is
shown only in part and only where it fails.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from string import Template as Variables
from threading import Thread
from typing import IO, NoReturn

from estinel_assets.errors import PermanentError
from estinel_assets.logs import mask, mask_text
from estinel_assets.publishing.reasons import PublishingReason

TIME_LIMIT_S = 600.0
SEED = "met.json"
"""Metadata that a job gives beforehand; it overrules what an extractor finds."""

_TAIL_BYTES = 4096
_SHOWN = 300
_OUR_VARIABLES = "ESTINEL_"
_PATIENCE_S = 5.0
"""For the output of a process that is gone."""


def run_extractor(
    command: str,
    folder: Path,
    *,
    product_id: str,
    environment: Mapping[str, str],
    time_limit_s: float = TIME_LIMIT_S,
) -> None:
    """Run an extractor, which writes `<id>.met.json` into the dataset's folder.

    Args:
        command: its words as a shell would split them; variables are filled in, nothing else.
        folder: the dataset's folder, absolute; the command's last argument.
        product_id: the dataset's id.
        environment: variables for the command; credentials and our settings are left out.
        time_limit_s: longest time for it, in seconds.

    Raises:
        PermanentError: it cannot be run, fails, takes too long or leaves no metadata
            (`invalid_dataset`).
    """
    variables = _for_others(environment)
    words = [Variables(word).safe_substitute(variables) for word in shlex.split(command)]
    what = f"{product_id}: the extractor {Path(words[0]).name!r}"
    try:
        process = subprocess.Popen(
            [*words, str(folder)],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "a word of it is not usable"
        _refuse(f"{what} cannot be started ({problem}); correct its command in datasets.json")
    tail = _Tail(process.stdout)
    try:
        status = process.wait(time_limit_s)
    except subprocess.TimeoutExpired:
        _end(process)
        _refuse(
            f"{what} took longer than {time_limit_s:g} s and was ended; make it faster{tail.text()}"
        )
    finally:
        _end(process)
    if status != 0:
        how = f"was killed by signal {-status}" if status < 0 else f"failed with status {status}"
        _refuse(f"{what} {how}; run it by hand on the folder{tail.text()}")
    if not (folder / f"{product_id}.met.json").is_file():
        _refuse(f"{what} wrote no {product_id}.met.json; it must write it into the folder")


class _Tail:
    """Reads all that a process prints, and keeps the end."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._kept = b""
        self._is_cut = False
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        """The end of it, without what is secret or would break a line, as part of a message."""
        self._thread.join(_PATIENCE_S)
        text = self._kept.decode(errors="replace")
        if self._is_cut:
            # Half a word might be half a credential, which nobody would know for one.
            text = re.sub(r"\A.*?(?:\n|\Z)", "", text, flags=re.DOTALL)
        masked = mask_text(text)
        line = " ".join("".join(c if c.isprintable() else " " for c in masked).split())
        return f"; it printed …{line[-_SHOWN:]}" if line else ""

    def _read(self) -> None:
        if self._stream is None:
            return
        with self._stream as stream:
            while chunk := stream.read1(_TAIL_BYTES):  # type: ignore[attr-defined]
                self._is_cut = self._is_cut or len(self._kept) + len(chunk) > _TAIL_BYTES
                self._kept = (self._kept + chunk)[-_TAIL_BYTES:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def _for_others(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_OUR_VARIABLES) and mask(value, name=name) == value
    }


def _refuse(message: str) -> NoReturn:
    raise PermanentError(PublishingReason.INVALID_DATASET, message)
