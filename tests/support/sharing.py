"""What is expensive to make and what no test changes is made once for all processes of a run."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared_folder(base: Path, name: str) -> Iterator[Path]:
    """A folder that all test processes of this run see; one at a time is in the block.

    Args:
        base: `tmp_path_factory.getbasetemp()`; with xdist each process has one of its own, in the
            folder of the run.
        name: of the folder, which is made where it is absent.
    """
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = run / name
    with (run / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        yield folder
