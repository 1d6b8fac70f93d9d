"""The asset graph: what every asset declares, and who may know Dagster."""

import ast
import re

import dagster as dg
import pytest

from estinel_assets.ard.reasons import ArdReason
from estinel_assets.build import build_definitions
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.pids.reasons import PidReason
from estinel_assets.publishing.reasons import PublishingReason
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
        ("user_ratings", "image_ratings"),
        ("web_catalog", "image_ratings"),
        ("views", "imagery_by_reason"),
        ("nasa_cmr", "cmr_collections"),
        ("cmr_collections", "compatibility_results"),
        ("compatibility_results", "compatibility_table"),
        ("compatibility_results", "compatibility_by_reason"),
        ("job_inbox", "publication_requests"),
        ("publication_requests", "publications"),
        ("publications", "publication_failures"),
        ("updated_markers", "published_images"),
        ("publications", "publishing_by_reason"),
        ("pid_messages", "pid_registrations"),
        ("pid_registrations", "pid_statistics"),
        ("pid_registrations", "pids_by_reason"),
        ("tile_request_inbox", "tile_requests"),
        ("tile_requests", "dem_ard"),
        ("tile_requests", "sentinel1_ard"),
        ("tile_requests", "sentinel2_ard"),
        ("cop_dem_glo_30", "dem_ard"),
        ("sentinel_1_rtc", "sentinel1_ard"),
        ("sentinel_2_c1_l2a", "sentinel2_ard"),
        ("sentinel_2_l2a", "sentinel2_ard"),
        ("dem_ard", "ard_tiles"),
        ("sentinel1_ard", "ard_tiles"),
        ("sentinel2_ard", "ard_tiles"),
        ("dem_ard", "tree_cover"),
        ("sentinel1_ard", "tree_cover"),
        ("sentinel2_ard", "tree_cover"),
        ("dem_ard", "ard_run_report"),
        ("sentinel1_ard", "ard_run_report"),
        ("sentinel2_ard", "ard_run_report"),
        ("dem_ard", "ard_by_reason"),
        ("sentinel1_ard", "ard_by_reason"),
        ("sentinel2_ard", "ard_by_reason"),
    }


def test_jobs_and_sensors(repository):
    assert {job.name for job in repository.get_all_jobs()} >= {
        "refresh_sites",
        "update_site",
        "build_web_catalog",
        "build_image_ratings",
        "refresh_collections",
        "build_compatibility_table",
        "check_collections",
        "compatibility_checks",
        "reprocess_compatibility",
        "publish_folders",
        "recover_publications",
        "publishing_checks",
        "reprocess_publishing",
        "register_pids",
        "build_pid_statistics",
        "pid_checks",
        "reprocess_pids",
        "refresh_tile_requests",
        "make_tiles",
        "build_ard_tiles",
        "build_ard_run_report",
        "ard_checks",
        "reprocess_ard",
    }
    assert {sensor.name for sensor in repository.sensor_defs} >= {
        "sites_sensor",
        "web_catalog_sensor",
        "new_imagery_sensor",
        "new_collections_sensor",
        "retry_collections_sensor",
        "inbox_sensor",
        "pid_messages_sensor",
        "tile_requests_sensor",
    }
    assert {schedule.name for schedule in repository.schedule_defs} >= {
        "daily_update",
        "daily_collections",
        "daily_compatibility_table",
        "daily_compatibility_checks",
        "hourly_recovery",
        "daily_publication_failures",
        "daily_publishing_checks",
        "daily_pid_statistics",
        "hourly_pid_checks",
        "daily_tile_requests",
        "daily_ard_tiles",
        "daily_ard_run_report",
        "daily_ard_checks",
    }


def test_no_run_is_asked_for_before_somebody_says_so(repository):
    asking = [sensor for sensor in repository.sensor_defs if sensor.targets]

    assert len(asking) >= 5
    for instigator in (*asking, *repository.schedule_defs):
        assert instigator.default_status.value == "STOPPED", instigator.name


def test_the_day_of_compatibility_is_in_order(repository):
    schedules = {one.name: one for one in repository.schedule_defs}
    names = ("daily_collections", "daily_compatibility_table", "daily_compatibility_checks")
    crons = [schedules[name].cron_schedule.split() for name in names]
    times = [(int(hour), int(minute)) for minute, hour, *_ in crons]

    assert {schedules[name].execution_timezone for name in names} == {"UTC"}
    assert times == sorted(set(times)), "collections, their table, and then the checks of it"


def test_a_site_is_a_run(repository):
    for key in ("stac_query_tables", "views", "updated_markers"):
        policy = repository.asset_graph.get(dg.AssetKey(key)).backfill_policy
        assert policy is None or policy.max_partitions_per_run == 1


def test_where_the_unit_is_the_partition_many_share_a_run(repository):
    for asset, partitions in (
        ("compatibility_results", "collections"),
        ("publications", "publications"),
        ("dem_ard", "tile_years"),
        ("sentinel1_ard", "tile_years"),
        ("sentinel2_ard", "tile_years"),
        ("tree_cover", "tile_years"),
    ):
        node = repository.asset_graph.get(dg.AssetKey(asset))
        assert node.backfill_policy.max_partitions_per_run is None
        assert node.partitions_def.name == partitions


def test_a_by_reason_asset_has_a_partition_for_each_reason(repository):
    for name, reasons in (
        ("imagery_by_reason", ImageryReason),
        ("compatibility_by_reason", CompatibilityReason),
        ("publishing_by_reason", PublishingReason),
        ("pids_by_reason", PidReason),
        ("ard_by_reason", ArdReason),
    ):
        keys = repository.asset_graph.get(dg.AssetKey(name)).partitions_def.get_partition_keys()
        assert keys == [
            "true:none" if reason == "none" else f"false:{reason}" for reason in reasons
        ]


def test_tables_run_on_their_own(repository):
    for job, asset in (
        ("refresh_collections", "cmr_collections"),
        ("build_compatibility_table", "compatibility_table"),
        ("refresh_publication_requests", "publication_requests"),
        ("build_publication_failures", "publication_failures"),
        ("build_pid_statistics", "pid_statistics"),
        ("build_web_catalog", "web_catalog"),
        ("build_image_ratings", "image_ratings"),
        ("refresh_tile_requests", "tile_requests"),
        ("build_ard_tiles", "ard_tiles"),
        ("build_ard_run_report", "ard_run_report"),
    ):
        selected = repository.get_job(job).asset_layer.selected_asset_keys
        assert selected == {dg.AssetKey(asset)}


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
