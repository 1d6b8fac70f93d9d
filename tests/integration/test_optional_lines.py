"""A product line whose packages are not installed is left out, and the others work."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from estinel_assets.build import LINES
from tests.support.cli import process_environment
from tests.support.real import ROOT
from tests.support.sharing import shared_folder

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
DAGSTERS = {"sqlalchemy"}
"""Modules that Dagster needs as well, so that they are never absent."""
KINDS = ("assets", "jobs", "sensors", "schedules")
CASES: dict[str, tuple[str, ...]] = {
    "everything": (),
    "without publishing": ("publishing",),
    "only ard": ("compatibility", "pids", "publishing"),  # it brings imagery's packages with it
    "only compatibility": ("ard", "imagery", "pids", "publishing"),
    "only imagery": ("ard", "compatibility", "pids", "publishing"),
    "only pids": ("ard", "compatibility", "imagery", "publishing"),
    "only publishing": ("ard", "compatibility", "imagery", "pids"),
    "nothing": tuple(LINES),
}
"""Which extras are not installed."""


def modules_of(extra: str) -> set[str]:
    """What an extra installs, those that it names itself included, as it is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(one) for one in project["optional-dependencies"][extra]]
    others = {name for one in wanted if one.name == project["name"] for name in one.extras}
    own = {one.name for one in wanted if one.name != project["name"]}
    modules = {MODULES.get(name, name.replace("-", "_")) for name in own}
    return modules.union(*map(modules_of, others))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the definitions hold in each case; built once for all test processes."""
    with shared_folder(tmp_path_factory.getbasetemp(), "optional-lines") as folder:
        said = folder / "built.json"
        if not said.exists():
            nowhere = folder / "nowhere"
            nowhere.mkdir(exist_ok=True)
            said.write_text(json.dumps(build_each(nowhere)), encoding="utf-8")
    found: dict[str, Any] = json.loads(said.read_text(encoding="utf-8"))
    return found


def build_each(nowhere: Path) -> dict[str, Any]:
    """Build the definitions of each case in a process of its own, in an empty folder."""

    def absent(extras: Sequence[str]) -> list[str]:
        here = set().union(*(modules_of(one) for one in LINES if one not in extras))
        return sorted(set().union(*map(modules_of, extras)) - here - DAGSTERS)

    done = subprocess.run(
        [sys.executable, "-P", str(ROOT / "tests/support/absent_packages.py")],
        input=json.dumps({name: absent(extras) for name, extras in CASES.items()}),
        cwd=nowhere,
        env=process_environment({"PYTHONPATH": str(ROOT), "HOME": str(nowhere)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    assert not list(nowhere.iterdir()), "building wrote files"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_with_everything_all_are_there_and_no_reader_is_imported(built: dict[str, Any]) -> None:
    found = built["everything"]

    assert found["groups"] == ["ard", "compatibility", "imagery", "pids", "publishing"]
    assert HEAVY.isdisjoint(found["imported"])
    assert {"httpx", "pebble", "multiformats"} <= set(found["imported"])


def test_without_its_own_packages_publishing_alone_is_left_out(built: dict[str, Any]) -> None:
    found = built["without publishing"]

    assert found["groups"] == ["ard", "compatibility", "imagery", "pids"]
    assert "jsonschema_rs" not in found["imported"]
    for kind in KINDS:
        gone = set(built["everything"][kind]) - set(found[kind])
        assert gone == set(built["only publishing"][kind]) - set(found[kind])
        assert gone


def test_ard_stands_with_the_packages_of_imagery(built: dict[str, Any]) -> None:
    found = built["only ard"]

    assert found["groups"] == ["ard", "imagery"]
    assert {"make_tiles", "reprocess_ard", "ard_checks"} <= set(found["jobs"])
    assert "tile_requests_sensor" in found["sensors"]
    assert "check_collections" not in found["jobs"]
    assert {"matplotlib", "onnxruntime", *HEAVY}.isdisjoint(found["imported"])


def test_imagery_stands_alone(built: dict[str, Any]) -> None:
    found = built["only imagery"]

    assert found["groups"] == ["imagery"]
    assert {"refresh_sites", "update_site", "imagery_checks"} <= set(found["jobs"])
    assert {"check_collections", "compatibility_checks"}.isdisjoint(found["jobs"])
    assert {"alert_on_failed_run", "new_imagery_sensor"} <= set(found["sensors"])
    assert {"new_collections_sensor", "inbox_sensor"}.isdisjoint(found["sensors"])
    assert "daily_collections" not in found["schedules"]
    assert {"httpx", "pebble", "multiformats", *HEAVY}.isdisjoint(found["imported"])


def test_compatibility_stands_alone(built: dict[str, Any]) -> None:
    found = built["only compatibility"]

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
    assert {"mmh3", "pystac", "rasterio", "multiformats"}.isdisjoint(found["imported"])
    assert HEAVY.isdisjoint(found["imported"])


def test_pids_stand_alone(built: dict[str, Any]) -> None:
    found = built["only pids"]

    assert found["groups"] == ["pids"]
    assert found["assets"] == [
        "pid_messages",
        "pid_registrations",
        "pid_statistics",
        "pids_by_reason",
    ]
    assert found["jobs"] == [
        "build_pid_statistics",
        "pid_checks",
        "register_pids",
        "reprocess_pids",
    ]
    assert found["sensors"] == [
        "alert_on_failed_check",
        "alert_on_failed_run",
        "pid_messages_sensor",
    ]
    assert found["schedules"] == ["daily_pid_statistics", "hourly_pid_checks"]
    assert {"mmh3", "pebble", "pystac", "rasterio", "shapely"}.isdisjoint(found["imported"])
    assert "prometheus_client" not in found["imported"], "only who asks for metrics needs it"
    assert HEAVY.isdisjoint(found["imported"])


def test_publishing_stands_alone(built: dict[str, Any]) -> None:
    found = built["only publishing"]

    # Imagery's last step stands there as somebody else's asset: images come after it.
    assert found["groups"] == ["default", "publishing"]
    assert found["assets"] == [
        "job_inbox",
        "publication_failures",
        "publication_requests",
        "publications",
        "published_images",
        "publishing_by_reason",
        "updated_markers",
    ]
    assert found["jobs"] == [
        "build_publication_failures",
        "publish_folders",
        "publish_images",
        "publishing_checks",
        "recover_publications",
        "refresh_publication_requests",
        "reprocess_publishing",
    ]
    assert found["sensors"] == [
        "alert_on_failed_check",
        "alert_on_failed_run",
        "images_sensor",
        "inbox_sensor",
    ]
    assert found["schedules"] == [
        "daily_publication_failures",
        "daily_publishing_checks",
        "hourly_publication_requests",
        "hourly_recovery",
    ]
    assert {"mmh3", "pebble", "pystac_client", "rasterio"}.isdisjoint(found["imported"])
    assert HEAVY.isdisjoint(found["imported"])


def test_together_they_are_what_each_is_alone(built: dict[str, Any]) -> None:
    for kind in KINDS:
        alone = [set(built[f"only {line}"][kind]) for line in LINES]
        assert set(built["everything"][kind]) == set().union(*alone)


def test_without_any_the_message_says_what_to_install(built: dict[str, Any]) -> None:
    assert built["nothing"] == {
        "error": "no product line is installed; install the extra of one, as in "
        "`pip install 'estinel-assets[imagery]'`"
    }
