"""The asset graph: what every asset declares, and who may know Dagster."""

import ast
import re

import dagster as dg
import pytest

from estinel_assets.build import build_definitions
from tests.support.real import ROOT

PACKAGE = ROOT / "estinel_assets"


@pytest.fixture(scope="module")
def graph():
    return build_definitions().resolve_asset_graph()


@pytest.fixture(scope="module")
def repository():
    return build_definitions().get_repository_def()


def test_every_asset_declares_what_the_design_asks(graph):
    problems = []
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        name = key.to_user_string()
        if not node.group_name or node.group_name == "default":
            problems.append(f"{name}: no group")
        if not node.kinds:
            problems.append(f"{name}: no kinds")
        if not node.owners:
            problems.append(f"{name}: no owners")
        if not node.code_version:
            problems.append(f"{name}: no code version")
        if not node.description or not re.search(r"\w{3,}", node.description):
            problems.append(f"{name}: no description")

    assert problems == []


def test_lineage_begins_at_external_assets(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        if not node.is_external:
            assert node.parent_keys, f"{key.to_user_string()} comes from nowhere"


def test_the_graph_is_the_one_in_the_readme(graph):
    edges = {
        (parent.to_user_string(), key.to_user_string())
        for key in graph.get_all_asset_keys()
        for parent in graph.get(key).parent_keys
    }

    assert edges == {
        ("sites_table", "site_windows"),
        ("sentinel_2_c1_l2a", "stac_query_tables"),
        ("sentinel_2_l2a", "stac_query_tables"),
        ("site_windows", "markers"),
        ("site_windows", "stac_query_tables"),
        ("markers", "stac_query_tables"),
        ("markers", "filtered_solardays"),
        ("site_windows", "filtered_solardays"),
        ("stac_query_tables", "filtered_solardays"),
        ("site_windows", "scene_classification"),
        ("filtered_solardays", "scene_classification"),
        ("site_windows", "rgb_composites"),
        ("filtered_solardays", "rgb_composites"),
        ("scene_classification", "rgb_composites"),
        ("site_windows", "views"),
        ("rgb_composites", "views"),
        ("site_windows", "updated_markers"),
        ("views", "updated_markers"),
        ("updated_markers", "web_catalog"),
        ("views", "imagery_by_reason"),
    }


def test_jobs_and_sensors(repository):
    assert {"refresh_sites", "update_site", "build_web_catalog"} <= {
        job.name for job in repository.get_all_jobs()
    }
    assert {sensor.name for sensor in repository.sensor_defs} >= {
        "sites_sensor",
        "web_catalog_sensor",
        "new_imagery_sensor",
    }
    assert {schedule.name for schedule in repository.schedule_defs} >= {"daily_update"}


def test_a_site_is_a_run(repository):
    for key in ("stac_query_tables", "views", "updated_markers"):
        policy = repository.asset_graph.get(dg.AssetKey(key)).backfill_policy
        assert policy is None or policy.max_partitions_per_run == 1


def modules_with(name):
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if any(module.split(".")[0] == name for module in modules):
                yield path.relative_to(PACKAGE)
                break


def test_dagster_is_known_at_the_edges_only():
    allowed = {"assets.py", "sensors.py", "checks.py", "jobs.py"}
    for name in ("dagster", "dagster_aws"):
        strays = [
            str(path)
            for path in modules_with(name)
            if path.parts[0] not in {"orchestration", "build.py", "cli"}
            and path.name not in allowed
        ]
        assert strays == []


def test_modules_with_assets_have_real_annotations():
    modules = sorted(PACKAGE.rglob("assets.py"))

    assert modules
    for path in modules:
        assert "\nfrom __future__ import annotations" not in path.read_text(encoding="utf-8")


def test_the_run_limit_comes_from_the_root_dagster_yaml(tmp_path):
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    said = re.search(r"max_concurrent_runs: (\d+)", (ROOT / "dagster.yaml").read_text("utf-8"))

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        limit = instance.get_concurrency_config().run_queue_config.max_concurrent_runs

    assert said is not None
    assert limit == int(said[1])
