"""A product line whose packages are not installed is left out, and the others work."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from packaging.requirements import Requirement

from estinel_assets.build import LINES
from tests.support.cli import process_environment
from tests.support.real import ROOT

HEAVY = {"h5netcdf", "h5py", "rio_tiler", "titiler", "xarray", "zarr", "earthaccess"}
"""The readers: they take seconds to import, and only the processes that check need them."""
MODULES = {
    "pystac": "pystac",
    "pillow": "PIL",
    "pystac-client": "pystac_client",
    "rio-tiler": "rio_tiler",
    "titiler.xarray": "titiler",
}
"""Names of modules where they differ from those of the packages."""
CASES: dict[str, tuple[str, ...]] = {
    "everything": (),
    "without compatibility": ("compatibility",),
    "without imagery": ("imagery",),
    "without both": tuple(LINES),
}
"""Which extras are not installed."""


def modules_of(extra: str) -> set[str]:
    """What an extra installs, as it is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [Requirement(one).name for one in project["optional-dependencies"][extra]]
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the definitions hold in each case, each from a process of its own."""
    nowhere = tmp_path_factory.mktemp("nowhere")

    def build(extras: Sequence[str]) -> Any:
        here = set().union(*(modules_of(one) for one in LINES if one not in extras))
        absent = sorted(set().union(*map(modules_of, extras)) - here)
        script = str(ROOT / "tests/support/absent_packages.py")
        done = subprocess.run(
            [sys.executable, "-P", script, *absent],
            cwd=nowhere,
            env=process_environment({"PYTHONPATH": str(ROOT), "HOME": str(nowhere)}),
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(CASES, pool.map(build, CASES.values()), strict=True))
    assert not list(nowhere.iterdir()), "building wrote files"
    return found


def test_with_everything_both_are_there_and_no_reader_is_imported(built: dict[str, Any]) -> None:
    found = built["everything"]

    assert found["groups"] == ["compatibility", "imagery"]
    assert HEAVY.isdisjoint(found["imported"])
    assert {"httpx", "pebble"} <= set(found["imported"])


def test_without_compatibility_imagery_stands_alone(built: dict[str, Any]) -> None:
    found = built["without compatibility"]

    assert found["groups"] == ["imagery"]
    assert {"refresh_sites", "update_site", "imagery_checks"} <= set(found["jobs"])
    assert {"check_collections", "compatibility_checks"}.isdisjoint(found["jobs"])
    assert {"alert_on_failed_run", "new_imagery_sensor"} <= set(found["sensors"])
    assert "new_collections_sensor" not in found["sensors"]
    assert "daily_collections" not in found["schedules"]
    assert {"httpx", "pebble", *HEAVY}.isdisjoint(found["imported"])


def test_without_imagery_compatibility_stands_alone(built: dict[str, Any]) -> None:
    found = built["without imagery"]

    assert found["groups"] == ["compatibility"]
    assert found["assets"] == [
        "cmr_collections",
        "compatibility_by_reason",
        "compatibility_results",
        "compatibility_table",
        "nasa_cmr",
    ]
    assert found["jobs"] == [
        "build_compatibility_table",
        "check_collections",
        "compatibility_checks",
        "refresh_collections",
        "reprocess_compatibility",
    ]
    assert found["sensors"] == [
        "alert_on_failed_check",
        "alert_on_failed_run",
        "new_collections_sensor",
        "retry_collections_sensor",
    ]
    assert found["schedules"] == [
        "daily_collections",
        "daily_compatibility_checks",
        "daily_compatibility_table",
    ]
    assert {"mmh3", "pystac", "rasterio"}.isdisjoint(found["imported"])
    assert HEAVY.isdisjoint(found["imported"])


def test_together_they_are_what_each_is_alone(built: dict[str, Any]) -> None:
    for kind in ("assets", "jobs", "sensors", "schedules"):
        alone = [set(built[case][kind]) for case in ("without compatibility", "without imagery")]
        assert set(built["everything"][kind]) == alone[0] | alone[1]


def test_without_both_the_message_says_what_to_install(built: dict[str, Any]) -> None:
    assert built["without both"] == {
        "error": "no product line is installed; install the extra of one, as in "
        "`pip install 'estinel-assets[imagery]'`"
    }
