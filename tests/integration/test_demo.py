"""The demo from end to end, by its command, as a user would run it."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg
import pandas as pd
import pytest
import rasterio
import yaml
from PIL import Image

from estinel_assets.build import build_definitions
from estinel_assets.demo.collections import COLLECTIONS
from tests.support.cli import Outcome, estinel, estinel_process
from tests.support.dagster_store import quiet_dagster
from tests.support.demo import MadeDemo, made_demo
from tests.support.real import ROOT

# The demo itself is made within the first test's time.
pytestmark = [quiet_dagster, pytest.mark.timeout(400)]

LOCATIONS = {
    "Hobart",
    "Casey Station",
    "Mawson Station",
    "Macquarie Island Station",
    "Scott Island",
}
HOBART = "site_af38900f"
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[(debug|info) +\] ")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> MadeDemo:
    made = made_demo(tmp_path_factory)
    assert made.code == 0, made.stderr
    return made


@pytest.fixture(scope="module")
def first_update(demo: MadeDemo) -> dict[str, dict[str, Any]]:
    return {site["location"]: site for site in demo.summary["first_update"]["sites"]}


@pytest.fixture(scope="module")
def instance(demo: MadeDemo, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with dg.DagsterInstance.from_config(str(demo.root / "dagster")) as opened:
        yield opened


def images(demo: MadeDemo) -> dict[str, list[dict[str, Any]]]:
    catalogue = json.loads(Path(demo.summary["catalog"]).read_text(encoding="utf-8"))
    return {site["name"]: site["images"] for site in catalogue["locations"]}


def image_of(demo: MadeDemo, location: str, date: str) -> dict[str, Any]:
    (found,) = [image for image in images(demo)[location] if image["date"] == date]
    return found


def local(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def tags_of(image: dict[str, Any]) -> dict[str, str]:
    with rasterio.open(local(image["download"])) as opened:
        return dict(opened.tags())


# --- what the command says ---------------------------------------------------------------------


def test_stderr_has_log_lines_and_nothing_else(demo: MadeDemo) -> None:
    lines = demo.stderr.splitlines()

    assert [line for line in lines if not LOG_LINE.match(line)] == []
    assert "Warning" not in demo.stderr
    assert "Traceback" not in demo.stderr
    assert any("site=Hobart" in line and "solar_day=" in line for line in lines)


def test_each_site_is_made(first_update: dict[str, dict[str, Any]]) -> None:
    assert set(first_update) == LOCATIONS
    for site in first_update.values():
        assert site["images"] >= 4
        assert site["days"] == (
            site["images"] + sum(site["honest"].values()) + sum(site["faults"].values())
        )


def test_one_file_is_corrupt_and_one_day_is_empty(first_update: dict[str, dict[str, Any]]) -> None:
    faults = {name: site["faults"] for name, site in first_update.items() if site["faults"]}
    honest = {name: site["honest"] for name, site in first_update.items() if site["honest"]}

    assert faults == {"Hobart": {"source_corrupt": 1}}
    assert honest == {"Casey Station": {"no_valid_pixels": 1}}


def test_the_next_day_makes_only_what_changed(demo: MadeDemo) -> None:
    first, second = demo.summary["first_update"], demo.summary["next_day"]
    hobart = next(site for site in second["sites"] if site["location"] == "Hobart")

    assert 0 < second["days"] < first["days"] / 2
    assert hobart["faults"] == {}, "the repaired file is still a fault"
    assert hobart["images"] >= 1


# --- what was made -----------------------------------------------------------------------------


def test_the_catalogue_lists_images_that_are_there(demo: MadeDemo) -> None:
    listed = images(demo)

    assert set(listed) == LOCATIONS
    updates = (demo.summary["first_update"], demo.summary["next_day"])
    made = sum(update["images"] for update in updates)
    assert 20 <= sum(map(len, listed.values())) <= made
    for image in (image for of_site in listed.values() for image in of_site):
        views = [*image["url"].values(), *image["thumbnail"].values()]
        assert len(views) == 6
        for url in [*views, image["download"], image["stac-item"]]:
            assert local(url).is_file(), url
            assert local(url).is_relative_to(demo.root / "store")
        assert image["attribution"].startswith("Contains modified Copernicus Sentinel data")


def test_the_page_and_its_index_stand_beside_the_catalogue(demo: MadeDemo) -> None:
    folder = demo.root / "store" / "catalog"
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    of_site = {location["name"]: location for location in index["locations"]}
    listed = images(demo)

    assert (folder / "index.html").is_file()
    assert {name: one["n_images"] for name, one in of_site.items()} == {
        name: len(entries) for name, entries in listed.items()
    }
    assert sum(one["faults"] for one in of_site.values()) == 0, "the repaired file is a fault"
    for name, one in of_site.items():
        assert one["newest_image"] == max(listed[name], key=lambda image: image["date"])
        part = json.loads((folder / one["file"]).read_text(encoding="utf-8"))
        assert sum(reason == "none" for reason in part["days"].values()) == one["n_images"]


def test_pictures_have_contrast_and_the_size_of_the_window(demo: MadeDemo) -> None:
    for of_site in images(demo).values():
        image = max(of_site, key=lambda one: one["clear_fraction"])
        with (
            Image.open(local(image["url"]["view_q128"])) as view,
            rasterio.open(local(image["download"])) as composite,
        ):
            assert view.size == (composite.width, composite.height)
            darkest, brightest = view.convert("L").getextrema()
            assert brightest - darkest > 100


def test_of_a_reprocessed_scene_the_newest_is_kept(demo: MadeDemo) -> None:
    known = pd.read_parquet(demo.root / "store" / "stac" / f"{HOBART}.parquet")
    pair = known[known["datetime"].dt.strftime("%Y-%m-%d") == "2024-02-10"]
    newest = pair.loc[pair["s2:processing_baseline"].astype(float).idxmax(), "id"]

    assert len(pair) == 2
    assert tags_of(image_of(demo, "Hobart", "2024-02-10"))["SCENES"] == newest


def test_both_halves_of_a_tile_are_used(demo: MadeDemo) -> None:
    image = image_of(demo, "Hobart", "2024-12-05")
    tags = tags_of(image)
    item = json.loads(local(image["stac-item"]).read_text(encoding="utf-8"))
    derived = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]

    assert len(tags["SCENES"].split(",")) == 2
    assert sorted(url.rsplit("/", 1)[1] for url in derived) == sorted(tags["SCENES"].split(","))
    assert float(tags["VALID_FRACTION"]) == 1.0


def test_a_site_on_the_antimeridian_is_whole(demo: MadeDemo) -> None:
    table = demo.root / "world" / "sites.csv"
    listed = estinel_process("sites", "list", "--table", table, "--json", cwd=demo.root).document
    (site,) = [site for site in listed if site["location"] == "Scott Island"]
    west, east = site["bboxes"]
    whole = [image for image in images(demo)["Scott Island"] if image["valid_fraction"] == 1.0]

    assert {west[0], west[2], east[0], east[2]} >= {-180.0, 180.0}
    assert len(whole) >= 3


def test_a_reader_in_a_notebook_loads_any_asset(
    demo: MadeDemo, instance: dg.DagsterInstance
) -> None:
    defs = build_definitions(config_file=str(demo.root / "estinel.toml"))
    views = defs.load_asset_value("views", partition_key=HOBART, instance=instance)

    assert isinstance(views, pd.DataFrame)
    assert "2024-12-05" in set(views["solarday"].astype(str))


# --- what Dagster knows ------------------------------------------------------------------------


def test_the_dagster_home_is_that_of_the_repository(
    demo: MadeDemo, instance: dg.DagsterInstance
) -> None:
    root = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    queue = instance.get_concurrency_config().run_queue_config

    assert Path(demo.summary["dagster_home"]) == demo.root / "dagster"
    assert queue is not None
    assert queue.max_concurrent_runs == root["concurrency"]["runs"]["max_concurrent_runs"]


def test_runs_are_recorded_and_only_that_with_a_fault_is_red(instance: dg.DagsterInstance) -> None:
    runs = [record.dagster_run for record in reversed(instance.get_run_records())]
    of_sites = [run for run in runs if run.job_name == "update_site"]
    failed = [run for run in runs if run.status != dg.DagsterRunStatus.SUCCESS]

    assert {run.tags["dagster/partition"] for run in of_sites[:5]} == set(
        instance.get_dynamic_partitions("sites")
    )
    assert len(instance.get_dynamic_partitions("sites")) == 5
    assert [(run.job_name, run.tags["dagster/partition"]) for run in failed] == [
        ("update_site", HOBART)
    ]
    assert failed[0] == of_sites[0], "Hobart's first run is the one with the corrupt file"
    assert failed[0].tags["dagster/will_retry"] == "false"


def test_a_red_run_stored_its_good_days_and_says_what_failed(instance: dg.DagsterInstance) -> None:
    (failed,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    events = [
        record.event_log_entry for record in instance.get_records_for_run(failed.run_id).records
    ]
    made = {
        event.dagster_event.asset_key.to_user_string()
        for event in events
        if event.dagster_event and event.dagster_event.is_step_materialization
    }
    said = [
        event.dagster_event.step_failure_data.user_failure_data.description
        for event in events
        if event.dagster_event and event.dagster_event.is_step_failure
    ]

    assert {"scene_classification", "rgb_composites", "views"} <= made
    assert len(said) == 1
    assert "2024-04-30: source_corrupt" in said[0]


# --- the compatibility demo --------------------------------------------------------------------


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """Where `estinel demo compatibility` was called, and how it ended."""
    folder = tmp_path_factory.mktemp("compatibility")
    return folder, estinel_process("demo", "compatibility", "--port", "0", cwd=folder)


def test_the_compatibility_demo_shows_how_each_collection_ends(
    checked: tuple[Path, Outcome],
) -> None:
    folder, ended = checked
    assert ended.code == 0, ended.stderr
    shown = {line.split()[0]: line for line in ended.stdout.splitlines()[1:] if line.strip()}

    for made in COLLECTIONS:
        assert shown[made.short_name].split()[1] == made.reason
    assert "open group /science/ocean" in shown["OCEAN_COLOUR"]
    assert [line for line in ended.stderr.splitlines() if not LOG_LINE.match(line)] == []
    assert "Warning" not in ended.stderr
    assert sorted(path.name for path in folder.iterdir()) == [".demo"]


def test_what_the_compatibility_demo_says_to_do_works(checked: tuple[Path, Outcome]) -> None:
    """Without its CMR, which has ended with it."""
    folder, ended = checked
    said = [line.strip() for line in ended.stdout.splitlines()]
    variables = dict(line[7:].split("=", 1) for line in said if line.startswith("export "))
    commands = [line.split()[1:] for line in said if line.startswith("estinel ")]

    assert set(variables) == {"ESTINEL_CONFIG", "DAGSTER_HOME"}
    assert commands.pop() == ["demo", "ui", "--folder", str(folder / ".demo/compatibility")]
    answers = [estinel(*words, **variables) for words in commands]
    assert [one.code for one in answers] == [0, 0, 0], [one.stderr for one in answers]
    status, listed, shown = (one.stdout for one in answers)
    assert status.startswith(f"{len(COLLECTIONS)} collections: {len(COLLECTIONS)} done, 0 left\n")
    assert len(listed.splitlines()) == 1 + sum(made.reason != "none" for made in COLLECTIONS)
    assert "group_structure" in shown


def test_the_compatibility_demo_is_recorded_in_dagster(checked: tuple[Path, Outcome]) -> None:
    folder, _ = checked
    home = folder / ".demo" / "compatibility" / "dagster"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert len(instance.get_dynamic_partitions("collections")) == len(COLLECTIONS)
        runs = {run.job_name: run.status.value for run in instance.get_runs()}
        table = instance.get_latest_materialization_event(dg.AssetKey("compatibility_table"))
    assert runs == {
        "refresh_collections": "SUCCESS",
        "check_collections": "FAILURE",  # some are made to end with a fault
        "build_compatibility_table": "SUCCESS",
    }
    assert table is not None
    assert table.asset_materialization is not None
    assert table.asset_materialization.metadata["collections"].value == len(COLLECTIONS)
