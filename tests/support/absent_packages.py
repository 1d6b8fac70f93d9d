"""Builds the definitions as if some packages were not installed, and tells what came of it.

Run as a script in a process of its own (`python -P`). It reads the packages' names of each case,
imports what every case needs, and forks a process for each; prints one JSON document.
"""

import importlib.abc
import json
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Absent(importlib.abc.MetaPathFinder):
    """Finds nothing of some packages, and lets nobody else look for them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = set(names)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the signature of a finder
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def build(absent: Sequence[str]) -> dict[str, object]:
    """What the definitions hold; or the error that there were none."""
    sys.meta_path.insert(0, _Absent(absent))
    import dagster as dg

    # The two that are left out everywhere.
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", dg.BetaWarning)
    warnings.simplefilter("ignore", dg.PreviewWarning)
    from estinel_assets.build import build_definitions
    from estinel_assets.errors import MissingDependencyError

    try:
        defs = build_definitions()
    except MissingDependencyError as error:
        return {"error": str(error)}
    dg.Definitions.validate_loadable(defs)
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    return {
        "groups": sorted({str(graph.get(key).group_name) for key in graph.get_all_asset_keys()}),
        "assets": sorted(key.to_user_string() for key in graph.get_all_asset_keys()),
        "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
        "imported": sorted({name.partition(".")[0] for name in sys.modules}),
    }


def _forked(absent: Sequence[str]) -> object:
    """What `build` says in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as out:
            json.dump(build(absent), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    os.waitpid(child, 0)
    return json.loads(text)


def _main() -> None:
    # What Dagster and every line need, and imports nothing that a line may lack; also what the
    # building of any definitions imports when it is first used.
    import dagster as dg
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import estinel_assets.build  # noqa: F401

    dg.Definitions.validate_loadable(dg.Definitions())

    print(json.dumps({name: _forked(absent) for name, absent in json.load(sys.stdin).items()}))


if __name__ == "__main__":
    _main()
