"""The benchmarks run, do what they say they measure, and the page shows what they wrote."""

import json
import subprocess
import sys

import pytest

from tests.support.cli import process_environment
from tests.support.real import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def quick(name, output, *options):
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--output", str(output), *options],
        cwd=ROOT,
        env=process_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text(encoding="utf-8"))


@pytest.mark.soak
def test_the_increment_does_what_is_new_with_one_search_a_site(tmp_path):
    found = quick("increment", tmp_path / "increment.json")

    assert found["quick"] is True
    assert found["bootstrap"]["days"] == found["site_days"]
    for part in ("increment", "increment_without_dagster"):
        assert (found[part]["days"], found[part]["searches"]) == (found["sites"], found["sites"])
    assert (found["nothing_new"]["days"], found["nothing_new"]["searches"]) == (0, found["sites"])
    assert found["ratio_seconds"] > 0


@pytest.mark.soak
def test_planning_is_measured_on_both_stores(tmp_path):
    found = quick("plan", tmp_path / "plan.json")

    assert [case["store"] for case in found["cases"]] == ["local folder", "S3 (moto)"]
    for case in found["cases"]:
        assert [one["scenes_a_day"] for one in case["one_site"]] == [1, 2]
        assert case["all_sites"]["sites"] == 5
        for one in case["one_site"]:
            assert one["goal_met"] == (one["plan"]["median_s"] <= one["goal_s"])


@pytest.mark.soak
def test_compatibility_is_measured_beside_a_plain_pool(tmp_path):
    parts = ("--only", "results", "--only", "checks")
    found = quick("compatibility", tmp_path / "compatibility.json", *parts)

    local, remote = found["results"]["cases"]
    assert (local["store"], remote["store"]) == ("local folder", "S3 (moto)")
    assert "goal_met" in local["import"]
    assert "goal_met" not in remote["import"], "the goals are those of a local store"
    mix, tiled = found["checks"]["mix"], found["checks"]["tiled"]
    assert (set(mix["ways"]), set(tiled["ways"])) == ({"ours", "job", "peer"}, {"ours", "peer"})
    assert tiled["reasons"] == {"none": tiled["collections"]}
    for world in (mix, tiled):
        assert sum(world["reasons"].values()) == world["collections"]
        assert world["goal_met"] == (world["own_s"] <= world["goal_s"])
        each = world["ways"]["ours"]
        assert 0 < each["parent_cpu_s"] < each["cpu_s"]
        # What the workers do beside reading cannot take longer than they are there.
        assert 0 < world["own_s"] < each["wall_s"] * world["workers"]


@pytest.mark.soak
def test_publishing_is_measured_beside_the_plain_way(tmp_path):
    found = quick("publish", tmp_path / "publish.json")

    assert found["items"] == 60
    for way in ("ours", "peer"):
        assert 0 < found[way]["index_and_stac_s"] < found[way]["whole_s"]
    assert found["ratio_whole"] > 0
    assert found["undo_share"] > 0


@pytest.mark.soak
def test_pixels_are_measured_beside_the_usual_readers(tmp_path):
    scenes = ("--scenes", str(tmp_path / "scenes"))
    found = quick("pixels", tmp_path / "pixels.json", *scenes)

    names = ["day", "zones", "at60", "at100", "batch", "tiles", "outputs"]
    assert [(case["name"], case["delay_ms"]) for case in found["cases"]] == [
        (name, delay) for name in names for delay in (0, 30)
    ]
    for case in found["cases"]:
        ours = case["ways"]["ours"]
        assert ours["times_ours"] == 1
        assert 0.9 < ours["bytes_by_needed"] < 1.5, "headers weigh more where files are small"
        assert ours["absent"] == 0
        for way in case["ways"].values():
            assert way["differing_share"] < 0.02 or case["name"] in {"at60", "at100"}
            assert (way["uploaded_mib"] > 0) == (case["name"] == "outputs")
    for goal in found["goals"]:
        assert goal["met"] == (goal["reached"] >= goal["times"])


@pytest.mark.parametrize(
    "name", ["compatibility", "increment", "partitions", "pixels", "plan", "publish"]
)
def test_what_is_kept_is_whole(name):
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))

    assert (found["benchmark"], found["quick"]) == (name, False)
    assert {"cores", "python", "versions", "load_1min_before"} <= set(found["surroundings"])


def test_the_page_shows_what_is_kept():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "bench-tables", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
