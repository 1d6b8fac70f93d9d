"""The installed `estinel` command as a process: streams, exit codes, signals, pipes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from estinel_assets.storage import open_store
from tests.support.cli import (
    COMMAND,
    command_line,
    estinel,
    estinel_process,
    process_environment,
)
from tests.support.cmr import page
from tests.support.replay import ScriptedServer
from tests.support.stac_api import running_stac_api, stac_collection, stac_item

HEAVY = {
    "boto3",
    "dagster",
    "numpy",
    "obstore",
    "pandas",
    "pyarrow",
    "pydantic_settings",
    "rasterio",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A Dagster home."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("concurrency:\n  runs:\n    max_concurrent_runs: 2\n")
    return folder


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom estinel_assets.cli import main\n"
        "sys.argv = ['estinel', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Usage: estinel" in done.stdout
    assert set(re.findall(r"'(\w+)'", done.stderr)) & HEAVY == set()


def test_streams_and_exit_codes(tmp_path: Path) -> None:
    good = estinel_process("sites", "list", "--json", cwd=tmp_path)
    assert (good.code, good.stderr) == (0, "")
    assert good.document[0]["SITE_ID"] == "site_af38900f"
    bad = estinel_process("sites", "list", "--table", "absent.csv", "--json", cwd=tmp_path)
    assert bad.code == 3
    assert bad.document["error"]["type"] == "BadInputError"
    assert bad.stderr.startswith("estinel: ")
    assert "absent.csv" in bad.stderr
    usage = estinel_process("sites", "lst", cwd=tmp_path)
    assert (usage.code, usage.stdout) == (3, "")


def test_a_wide_table_is_not_cut_in_a_pipe(tmp_path: Path) -> None:
    name = "A very long name " * 20
    (tmp_path / "sites.csv").write_text(f"location,lon,lat\n{name.strip()},147,-42\n")
    result = estinel_process("sites", "list", "--table", "sites.csv", cwd=tmp_path, COLUMNS="40")
    assert name.strip() in result.stdout
    assert len(result.stdout.splitlines()) == 2
    assert "\x1b" not in result.stdout


def test_sites_from_the_settings_and_the_store(tmp_path: Path) -> None:
    table = b"location,lon,lat\nHobart,147.33,-42.88\n"
    open_store((tmp_path / "store").as_uri()).put("tables/sites.csv", table)
    (tmp_path / "estinel.toml").write_text(
        f'[store]\nurl = "{(tmp_path / "store").as_uri()}"\n'
        '[imagery]\nsites = "tables/sites.csv"\nmax_window_pixels = 400000\n'
    )
    options = ["--config", tmp_path / "estinel.toml", "sites", "list"]
    (site,) = estinel(*options, "--json").document
    assert (site["location"], site["crs"]) == ("Hobart", "EPSG:32755")
    assert set(site) == {"location", "SITE_ID", "crs", "transform", "width", "height", "bboxes"}
    too_large = estinel(*options, ESTINEL_IMAGERY_MAX_WINDOW_PIXELS="1000")
    assert too_large.code == 3
    assert "1000" in too_large.stderr


def test_the_shipped_sites_need_no_store(tmp_path: Path) -> None:
    result = estinel_process("sites", "list", cwd=tmp_path)
    assert result.code == 0
    assert list(tmp_path.iterdir()) == []


def test_doctor(tmp_path: Path, home: Path) -> None:
    variables = {"DAGSTER_HOME": str(home), "ESTINEL_STORE_URL": (tmp_path / "store").as_uri()}
    with ScriptedServer(page([], hits=3)) as cmr:
        variables["ESTINEL_COMPATIBILITY_CMR_URL"] = f"{cmr.url}/search"
        with running_stac_api(tmp_path, [stac_collection("scenes")]) as url:
            variables |= {"ESTINEL_STAC_URL": url, "ESTINEL_STAC_COLLECTION": "scenes"}
            good = estinel("doctor", "--json", **variables)
            misspelt = estinel("doctor", "--json", **variables, ESTINEL_STORRE_URL="memory://")
        gone = estinel("doctor", "--json", **variables)
    assert good.code == 0, good.stdout
    assert good.document["failed"] == 0
    assert {check["verdict"] for check in good.document["checks"]} == {"ok"}
    found = {check["name"]: check["found"] for check in good.document["checks"]}
    assert found["cmr"] == f"{cmr.url}/search answers, 3 collections"
    assert misspelt.code == 0
    warned = [one for one in misspelt.document["checks"] if one["verdict"] == "warn"]
    assert [one["name"] for one in warned] == ["environment"]
    assert gone.code == 1
    assert gone.document["failed"] == 1
    text = estinel("doctor", **variables).stdout
    assert re.search(r"^stac api +fail +GET .*; correct ESTINEL_STAC_URL", text, re.MULTILINE)


def test_doctor_works_where_the_settings_do_not(tmp_path: Path, home: Path) -> None:
    result = estinel("doctor", "--json", DAGSTER_HOME=str(home), ESTINEL_COMPUTE_WORKERS="many")
    assert result.code == 1
    checks = {check["name"]: check["verdict"] for check in result.document["checks"]}
    assert checks["settings"] == "fail"
    assert checks["dagster home"] == "ok"
    assert "store" not in checks


@contextmanager
def serving(cwd: Path, *options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`estinel stac serve` as a process, and the document that it printed."""
    process = subprocess.Popen(
        command_line(["stac", "serve", "--database", "stac.sqlite", "--port", 0, *options]),
        cwd=cwd,
        env=process_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = ""
        for line in process.stdout:
            lines += line
            if line == "}\n":
                break
        yield process, lines
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)]
)
def test_serve_answers_and_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    items = {"type": "FeatureCollection", "features": [stac_item("a"), stac_item("b")]}
    (tmp_path / "items.json").write_text(json.dumps(items))
    (tmp_path / "rasters").mkdir()
    (tmp_path / "rasters" / "x.tif").write_bytes(b"0123456789")
    options = ["--load", "items.json", "--scenes", "rasters", "--json"]
    with serving(tmp_path, *options) as (process, printed):
        document = json.loads(printed)
        url = document["url"]
        assert document["loaded"] == 2
        found = requests.post(f"{url}/search", json={"collections": ["scenes"]}, timeout=10).json()
        assert sorted(item["id"] for item in found["features"]) == ["a", "b"]
        part = requests.get(f"{url}/scenes/x.tif", headers={"Range": "bytes=2-3"}, timeout=10)
        assert (part.status_code, part.content) == (206, b"23")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
        assert (process.returncode, rest, errors) == (0, "", "")


def test_serve_refuses_what_it_cannot_load(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"type": "Point"}')
    (tmp_path / "b.json").write_text("no json")
    (tmp_path / "c.parquet").write_bytes(b"no parquet")
    (tmp_path / "d.json").write_text(json.dumps([stac_item("ok"), {**stac_item("x"), "id": ""}]))
    for name in ("a.json", "b.json", "c.parquet", "d.json", "absent.json"):
        result = estinel(
            "stac", "serve", "--database", tmp_path / "s.sqlite", "--load", tmp_path / name
        )
        assert result.code == 3, name
        assert name in result.stderr or name == "d.json"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_aborts(tmp_path: Path, number: signal.Signals) -> None:
    # A named pipe that nobody writes to: the command waits in the middle of its work.
    os.mkfifo(tmp_path / "items.json")
    process = subprocess.Popen(
        command_line(["stac", "serve", "--database", "x", "--load", "items.json", "--json"]),
        cwd=tmp_path,
        env=process_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Opening for writing waits until the command reads.
    with (tmp_path / "items.json").open("w"):
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 5
    assert errors == "estinel: aborted by the user\n"
    assert json.loads(out)["error"] == {
        "type": "AbortedError",
        "message": "aborted by the user",
        "exit_code": 5,
    }


@pytest.mark.parametrize("arguments", ["--help", "config show", "config show --json"])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, arguments: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} {arguments} | true; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=process_environment({}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_completion_scripts_are_offered(tmp_path: Path) -> None:
    result = estinel_process("--show-completion", "bash", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert "_ESTINEL_COMPLETE" in result.stdout
