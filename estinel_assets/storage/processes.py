"""Who a process is, so that another one on the same host can tell that it is gone.

Linux says it all in `/proc`: the boot, the PID namespace, and the moment at which the holder of a
PID started. Elsewhere only host and PID are known, and nothing is ever concluded from them.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

# Places of fields in /proc/PID/stat, counted after the command's closing parenthesis; proc(5)
# numbers them 3, 20 and 22.
_STATE, _THREADS, _START = 0, 17, 19
_ENDED_STATES = "ZXx"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, told apart from every other, earlier and later ones included."""

    host: str
    """For people; two containers of one host have two."""
    pid: int
    """As the process itself sees it, in its own PID namespace."""
    boot_id: str | None = None
    """The host's run since it was booted; None where unknown."""
    pid_namespace: int | None = None
    """Inode of the PID namespace; None where unknown."""
    start_ticks: int | None = None
    """When the process started, in clock ticks since boot; None where unknown."""


def current_process(proc: Path = PROC) -> ProcessIdentity:
    """The identity of this process.

    Args:
        proc: where Linux' process file system is mounted.
    """
    host, pid = socket.gethostname(), os.getpid()
    try:
        boot_id = (proc / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (proc / "self/ns/pid").stat().st_ino
        number, fields = _read_stat(proc / "self/stat")
        start_ticks = int(fields[_START])
    except (OSError, ValueError, IndexError):
        return ProcessIdentity(host, pid)
    if number != pid:
        # /proc belongs to another PID namespace: what it says of our PID is not about us.
        return ProcessIdentity(host, pid)
    return ProcessIdentity(host, pid, boot_id, namespace, start_ticks)


def is_gone(other: ProcessIdentity, here: ProcessIdentity, proc: Path = PROC) -> bool:
    """Whether a process is known to have ended.

    Args:
        other: the process in question.
        here: the process that asks.
        proc: where Linux' process file system is mounted.

    Returns:
        True only where it is certain: the host is in the same boot, both share a PID namespace,
        and the PID is free, ended but not reaped, or taken by a process that started at another
        moment. False whenever in doubt.
    """
    if other.start_ticks is None or None in (here.boot_id, here.pid_namespace):
        return False
    if (other.boot_id, other.pid_namespace) != (here.boot_id, here.pid_namespace):
        return False
    try:
        _, fields = _read_stat(proc / str(other.pid) / "stat")
        start_ticks, threads = int(fields[_START]), int(fields[_THREADS])
    except FileNotFoundError:
        # A /proc mounted with hidepid shows only one's own processes.
        return not _answers(other.pid)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, IndexError):
        return False
    if start_ticks != other.start_ticks:
        return True
    # The first thread of a process may end before the others do.
    return fields[_STATE] in _ENDED_STATES and threads <= 1


def _read_stat(path: Path) -> tuple[int, list[str]]:
    text = path.read_text(errors="replace")
    number = int(text.split(" ", 1)[0])
    # The command stands in parentheses and may hold spaces and parentheses itself.
    return number, text.rpartition(")")[2].split()


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
