"""The benchmark of the tiles runs, and both ways make the same arrays."""

import json
import subprocess
import sys

import pytest

from tests.support.cli import process_environment
from tests.support.real import ROOT


@pytest.mark.soak
def test_tiles_are_made_beside_odc_stac(tmp_path):
    output = tmp_path / "ard.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.ard", "--quick"),
            *("--output", str(output), "--scenes", str(tmp_path / "scenes")),
        ],
        cwd=ROOT,
        env=process_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text(encoding="utf-8"))

    assert (found["quick"], found["tiles"], found["days_used"]) == (True, 4, 4)
    ways = found["ways"]
    assert set(ways) == {"threads", "dask", "odc"}
    for way in ("threads", "dask"):
        assert ways[way]["requests"] < ways["odc"]["requests"]
        assert ways[way]["bytes"] < ways["odc"]["bytes"]
        assert found["times_as_fast"][way] == pytest.approx(
            ways["odc"]["seconds"] / ways[way]["seconds"], rel=0.01
        )
    for name in ("s1/backscatter", "s2_10/reflectance", "s2_20/reflectance", "clouds/scl"):
        assert found["values"][name]["differing_share"] == 0
    assert found["values"]["dem/slope"]["largest_difference"] < 0.05
    assert found["goal_peak_mib_met"] == (found["peak_mib"] <= found["goal_peak_mib"])
    assert found["workers"]["times_as_fast"] > 0
    assert set(found["costs"]["worker_seconds_a_tile"]) == {"4", "16"}
