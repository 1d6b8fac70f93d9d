"""Opens an engine by its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args

from estinel_assets.compute import extras
from estinel_assets.compute.engine import Engine
from estinel_assets.compute.threads import Threads
from estinel_assets.errors import BadInputError

EngineName = Literal["threads", "processes", "dask", "lithops"]
TIME_LIMIT_S: Final = 900.0
_OPTIONS: Final = {
    "threads": frozenset[str](),
    "processes": frozenset({"memory_limit_mib"}),
    "dask": frozenset({"memory_limit_mib", "dask_address"}),
    "lithops": frozenset({"lithops_config"}),
}
"""Which options that are not for all an engine has."""


def open_engine(
    name: str,
    workers: int,
    *,
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_mib: int | None = None,
    preload: Sequence[str] = (),
    dask_address: str | None = None,
    lithops_config: Path | Mapping[str, object] | None = None,
) -> Engine:
    """Open an engine; nothing starts before its first item. Close it at the end.

    Args:
        name: one of `EngineName`.
        workers: how many items are under way at once, at least 1.
        time_limit_s: seconds that one item may take; `threads` cannot stop anything.
        memory_limit_mib: MiB that a process may hold.
        preload: names of heavy modules that processes import once; of no use to other engines.
        dask_address: of a Dask scheduler; None for a cluster of this machine.
        lithops_config: of Lithops, or its YAML file; None for this machine.

    Raises:
        BadInputError: there is no engine of that name, or it lacks an option that was given, or a
            number makes no sense; the message names everything that is wrong with it.
        MissingDependencyError: the extra that the engine needs is not installed.
    """
    options = {
        "memory_limit_mib": memory_limit_mib,
        "dask_address": dask_address,
        "lithops_config": lithops_config,
    }
    if name not in _OPTIONS:
        known = ", ".join(get_args(EngineName))
        raise BadInputError(f"there is no engine `{name}`; take one of: {known}")
    given = {option for option, value in options.items() if value is not None}
    problems = [
        f"the engine `{name}` has no option {option}" for option in sorted(given - _OPTIONS[name])
    ]
    if workers < 1:
        problems.append(f"workers is {workers}, but has to be at least 1")
    if problems:
        raise BadInputError("; ".join(problems))
    if name == "threads":
        return Threads(workers)
    if name == "dask":
        from estinel_assets.compute.dask_engine import DaskEngine

        return DaskEngine(
            workers,
            address=dask_address,
            time_limit_s=time_limit_s,
            memory_limit_mib=memory_limit_mib,
        )
    if name == "lithops":
        from estinel_assets.compute.lithops_engine import LithopsEngine

        return LithopsEngine(workers, time_limit_s=time_limit_s, config=lithops_config)
    extras.require("compatibility", "pebble")
    from estinel_assets.compute.processes import Processes

    return Processes(
        workers, time_limit_s=time_limit_s, memory_limit_mib=memory_limit_mib, preload=preload
    )
