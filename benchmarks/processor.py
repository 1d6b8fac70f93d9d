"""What a program costs the processors, with all the processes that it starts; Linux only."""

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor time, so far or between two looks."""

    ours_s: float
    """Of this process and of all below it but the server: those that ended count, too."""
    parent_s: float
    """Of that, this process's own."""
    server_s: float
    idle_s: float
    """In which processors had nothing to do, or waited for a disk."""
    all_s: float
    """Of all processors, whoever used it."""

    @property
    def idle(self) -> float:
        """The part of the processors' time in which they did nothing for anybody."""
        return self.idle_s / self.all_s

    def __sub__(self, former: "Spent") -> "Spent":
        return Spent(
            self.ours_s - former.ours_s,
            self.parent_s - former.parent_s,
            self.server_s - former.server_s,
            self.idle_s - former.idle_s,
            self.all_s - former.all_s,
        )


def spent(server: int) -> Spent:
    """Look.

    Args:
        server: a process below this one, which counts by itself.
    """
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended just now
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        # utime, stime, and the same of its children that ended
        seconds[pid] = sum(map(int, fields[11:15])) * tick_s
    here = os.getpid()

    def is_below(pid: int) -> bool:
        while pid != here and pid in parents:
            pid = parents[pid]
        return pid == here

    whole = (_PROC / "stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    ticks = list(map(int, whole))
    own = os.times()
    return Spent(
        ours_s=sum(of for pid, of in seconds.items() if is_below(pid)) - seconds[server],
        parent_s=own.user + own.system,
        server_s=seconds[server],
        idle_s=(ticks[3] + ticks[4]) * tick_s,
        all_s=sum(ticks) * tick_s,
    )
