"""The fork server that the processes of tests come from: one for each test process."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, get_context

FORKED = (
    "obstore.auth.boto3",
    "tests.support.compatibility_process",
    "tests.support.document_index",
    "tests.support.imagery_crash",
    "tests.support.increment_process",
    "tests.support.pid_commands",
    "tests.support.pid_process",
    "tests.support.publishing_process",
    "tests.support.racing",
)
"""What the processes of tests import, beside the readers for those that check collections."""

LAST = "tests.support.forked"

_complete: set[int] = set()
"""The server that has imported all of this, once it runs."""


def start_complete() -> None:
    """Start the fork server with everything that any test's processes import.

    It keeps the modules that it was started with; each process would import what is missing by
    itself.
    """
    # Not at the top: what is imported before the measuring of coverage begins counts as not run.
    from estinel_assets.compatibility.opening_checks import PRELOADED

    get_context("forkserver").set_forkserver_preload([*FORKED, *PRELOADED, LAST])
    forkserver.ensure_running()
    if (pid := _running()) is not None:
        _complete.add(pid)


@contextmanager
def own_fork_server() -> Iterator[None]:
    """For a module of tests: its fork server has imported the readers, as in the product.

    Where the one that runs has not, it is stopped, before and after; whoever needs one next starts
    it anew.
    """
    if _running() in _complete:
        yield
        return
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _running() -> int | None:
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)  # type: ignore[attr-defined]
    return pid
