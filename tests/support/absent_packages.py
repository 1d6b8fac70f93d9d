"""Builds the definitions as if some packages were not installed, and tells what came of it.

Run as a script in a process of its own (`python -P`), with the packages' names as arguments; prints
one JSON document.
"""

import importlib.abc
import json
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


if __name__ == "__main__":
    print(json.dumps(build(sys.argv[1:])))
