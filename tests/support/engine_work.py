"""Functions for the workers of any engine, and the script that is interrupted among them.

As a script: `engine_work.py ENGINE`, which tells what it finishes, a line each, and how it ends.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from estinel_assets.errors import PermanentError, RetryableError, SourceFault


def lock(_):
    """What cannot be pickled."""
    return threading.Lock()


def refuse(how):
    """Raise what a product line would, with what led to it."""
    try:
        return {}["B04"]
    except KeyError as error:
        kind = RetryableError if how == "retryable" else PermanentError
        raise kind(SourceFault.TIMEOUT, f"no answer for {how}") from error


def log_and_double(n):
    logging.getLogger("estinel_assets.of_a_worker").info(
        "doubling %s", n, extra={"site": "Hobart", "days": [n]}
    )
    logging.getLogger("estinel_assets.of_a_worker").debug("too fine")
    logging.getLogger("a_library").warning("slow down")
    return 2 * n


def reverse(nested):
    """Large and nested, in and out."""
    return {"blocks": [block[::-1] for block in nested["blocks"]], "of": {"depth": nested}}


def fail_at_first(item):
    """Fail so many times, counted in a folder, as attempts may be in several processes."""
    folder, failures = item
    attempt = len(list(Path(folder).iterdir())) + 1
    (Path(folder) / f"{attempt}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if attempt <= failures:
        raise RetryableError(SourceFault.UNAVAILABLE, f"attempt {attempt}")
    return attempt


def slow_at_first(item):
    """Hang where nobody has been before."""
    folder, seconds = item
    try:
        (Path(folder) / "been here").touch(exist_ok=False)
    except FileExistsError:
        return "backup"
    time.sleep(seconds)
    return "first"


def hold(path):
    """Hang in native code, the process id left where the test finds it; without a path, do not."""
    if path is None:
        return
    part = Path(f"{path}.part")
    part.write_text(str(os.getpid()), encoding="ascii")
    part.rename(path)
    ctypes.PyDLL(None).sleep(600)  # PyDLL, other than CDLL, keeps the lock


def vanish(how):
    """Take along the process that would tell of the end."""
    if how == "vanish":
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return how


SLOW_S = 50.0
"""How long a slow one takes."""


@dataclass(frozen=True)
class Turning:
    """One object of a store that is to be stored again, reversed."""

    environment: Mapping[str, str]
    """Variables that lead to the store's credentials; workers may be older than the store."""
    url: str
    endpoint_url: str
    name: str
    trouble: str = ""
    """What befalls the first who does it, when half of it is done: `killed`, `slow` or nothing."""


def turn(item):
    """Read an object below `in/`, and store it reversed below `out/`; how many bytes it has."""
    from estinel_assets.errors import AlreadyExistsError
    from estinel_assets.storage import open_store

    os.environ.update(item.environment)
    store = open_store(item.url, endpoint_url=item.endpoint_url, max_retries=0)
    body = store.get(f"in/{item.name}").data
    if item.trouble:
        try:
            store.create(f"begun/{item.name}", b"")
        except AlreadyExistsError:
            pass
        else:
            if item.trouble == "killed":
                store.put(f"out/{item.name}", b"half")
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(SLOW_S)
    store.put(f"out/{item.name}", body[::-1])
    return len(body)


def wait(seconds):
    time.sleep(seconds)
    return seconds


def _until_interrupted(name):
    from estinel_assets.compute import open_engine

    engine = open_engine(name, 2, time_limit_s=120)
    with closing(engine) if hasattr(engine, "close") else nullcontext():
        try:
            with closing(engine.map(wait, [0.0, 0.1, 100.0, 101.0])) as results:
                for completed in results:
                    print(f"finished {completed.result()}", flush=True)
        except KeyboardInterrupt:
            print("stopped", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("error")
    _until_interrupted(sys.argv[1])
