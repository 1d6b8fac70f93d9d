"""`estinel ard` over a store and sources that list nothing, so that no pixel is read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.cli.ard_progress import Going, duration_text
from tests.support.ard_dagster import (
    HEADER,
    ArdDagsterWorld,
    ard_dagster_world,
    quiet_dagster,
)
from tests.support.cli import Outcome, estinel
from tests.support.tile_tables import BAMENDA

pytestmark = quiet_dagster

TILE, OTHER = "11X7Y", "12X7Y"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArdDagsterWorld]:
    with ard_dagster_world(tmp_path_factory.mktemp("ard") / "world") as made:
        yield made


@pytest.fixture
def world(shared: ArdDagsterWorld) -> ArdDagsterWorld:
    """The world without outcomes and arrays."""
    for folder in ("outcomes", "outcome-index", "ard"):
        shared.store.delete_many([meta.path for meta in shared.store.list(folder)])
    for source in ("dem", "s1", "s2"):
        shared.repair_source(source)
    shared.configure(ard={"sources": ["s1", "s2"]})
    return shared


def ard(world: ArdDagsterWorld, *arguments: object, **variables: str) -> Outcome:
    """Call a command of the group with the world's settings."""
    return estinel("ard", *arguments, ESTINEL_CONFIG=str(world.config), **variables)


def run(world: ArdDagsterWorld, folder: Path, *arguments: object, **variables: str) -> Outcome:
    return ard(world, "run", *arguments, "--report-dir", folder, "--json", **variables)


# --- requests ----------------------------------------------------------------------------------


def test_every_form_of_a_request_becomes_the_same_table(
    world: ArdDagsterWorld, tmp_path: Path
) -> None:
    lon, lat = BAMENDA
    ring = [[lon + dx, lat + dy] for dx, dy in ((0, 0), (1e-4, 0), (1e-4, 1e-4), (0, 0))]
    forms = {
        "tiles.csv": f"{HEADER}2023,9,13\n",
        "missing.json": json.dumps({"p": {"2023": {"missing_tiles": ["13X9Y"]}}}),
        "area.geojson": json.dumps({"type": "Polygon", "coordinates": [ring]}),
        "ids.txt": "2023_13X9Y\n",
    }
    printed = set()
    for name, body in forms.items():
        (tmp_path / name).write_text(body)
        year = ("--year", "2023") if name == "area.geojson" else ()
        resolved = ard(world, "resolve", tmp_path / name, *year)
        assert (name, resolved.code) == (name, 0), resolved.stderr
        printed.add(resolved.stdout)
    printed.add(ard(world, "resolve", "13X9Y", "--year", "2023").stdout)

    (text,) = printed
    assert text.splitlines()[0] == "Year,X,Y,Y_tile,X_tile"
    assert text.splitlines()[1].startswith("2023,")
    assert text.endswith(",9,13\n")


def test_the_table_is_written_once(world: ArdDagsterWorld, tmp_path: Path) -> None:
    out = tmp_path / "tiles.csv"
    told = ard(world, "resolve", f"2023_{TILE}", f"2022_{OTHER}", "-o", out, "--json")

    assert told.document == {
        "file": str(out),
        "tile_years": 2,
        "tiles": 2,
        "years": [2022, 2023],
    }
    again = ard(world, "resolve", f"2023_{TILE}", "-o", out)
    assert again.code == 3
    assert "--force" in again.stderr
    assert ard(world, "resolve", out, "-o", out, "--force").code == 0
    assert out.read_text().count("\n") == 3


@pytest.mark.parametrize("command", ["resolve", "run"])
def test_whatever_is_wrong_is_listed_and_nothing_starts(
    world: ArdDagsterWorld, tmp_path: Path, command: str
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(f"{HEADER}1999,7,11\n2023,700,11\n")

    told = ard(world, command, bad)

    assert told.code == 3
    for word in ("bad.csv: 2 problems", "1999", "11X700Y"):
        assert word in told.stderr
    assert world.reasons() == {}


def test_without_a_table_of_tiles_the_message_says_what_to_set(world: ArdDagsterWorld) -> None:
    world.configure(ard={"tile_table": "grid/absent.parquet"})
    told = ard(world, "resolve", f"2023_{TILE}")
    world.configure(ard={"tile_table": "grid/tiles.parquet"})

    assert told.code == 3
    assert "table of tiles" in told.stderr


# --- cost --------------------------------------------------------------------------------------


def test_the_cost_is_that_of_what_is_missing(world: ArdDagsterWorld) -> None:
    world.stand(TILE, "s2")
    keys = (f"2023_{TILE}", f"2023_{OTHER}")

    told = ard(world, "cost", *keys, "--sources", "s2,dem", "--mem", "2048", "--json").document
    everything = ard(world, "cost", *keys, "--overwrite", "--json").document

    assert (told["asked"], told["make"], told["complete"]) == (4, 3, 1)
    assert told["cost"]["usd"] == pytest.approx((62 + 2 * 9) * 2 * 0.00001667, rel=1e-3)
    assert everything["cost"]["usd"] == pytest.approx(2 * (14 + 62) * 4 * 0.00001667, rel=1e-3)
    table = ard(world, "cost", *keys).stdout
    assert [line.split()[0] for line in table.splitlines()] == ["source", "s1", "s2", "total"]


# --- run ---------------------------------------------------------------------------------------


def test_without_a_terminal_and_yes_nothing_begins(world: ArdDagsterWorld, tmp_path: Path) -> None:
    told = run(world, tmp_path, f"2023_{TILE}")

    assert told.code == 5
    assert "--yes" in told.stderr
    assert "Estimated cost" in told.stderr
    assert world.reasons() == {}
    assert not list(tmp_path.iterdir())


def test_a_run_makes_what_is_missing_and_a_second_one_nothing(
    world: ArdDagsterWorld, tmp_path: Path
) -> None:
    world.stand(TILE, "s2")

    first = run(world, tmp_path, f"2023_{TILE}", f"2023_{OTHER}", "--yes")
    second = run(world, tmp_path, f"2023_{TILE}", f"2023_{OTHER}", "--yes")

    assert first.code == 0, first.stderr
    told = first.document
    assert (told["make"], told["complete"], told["left"]) == (3, 1, 0)
    assert told["by_source"] == {"s1": {"no_scenes": 2}, "s2": {"no_scenes": 1}}
    assert (told["failed"], told["estimated"]["n"]) == ([], 3)
    assert {Path(one).suffix for one in told["reports"]} == {".json", ".txt", ".csv"}
    assert all(Path(one).stat().st_size for one in told["reports"])
    (report,) = [one for one in told["reports"] if "job_report" in one and one.endswith(".json")]
    assert json.loads(Path(report).read_text())["n_standing_before"] == 1
    assert "3/3 (s1 2/2, s2 1/1), 0 s left" in first.stderr
    assert second.code == 6
    assert "1 complete, 3 with an honest no" in second.stderr
    assert world.outcomes()[f"2023/{TILE}/s2"].run_id == "long-ago"


def test_one_bad_source_leaves_the_other_complete(world: ArdDagsterWorld, tmp_path: Path) -> None:
    world.break_source("s2")
    told = run(world, tmp_path, f"2023_{TILE}", "--yes", "--retries", "0")

    assert told.code == 1
    (failed,) = told.document["failed"]
    assert (failed["key"], failed["reason"]) == (f"2023/{TILE}/s2", "source_unavailable")
    world.repair_source("s2")
    again = run(world, tmp_path, f"2023_{TILE}", "--yes")
    assert again.code == 0, again.stderr
    assert again.document["by_source"] == {"s2": {"no_scenes": 1}}, "at once, without its pause"

    world.break_source("s2")
    everything = run(world, tmp_path, f"2023_{TILE}", "--yes", "--overwrite", "--sources", "s2")
    assert everything.code == 2
    failed_jobs = [one for one in everything.document["reports"] if "failed_jobs" in one]
    world.repair_source("s2")
    redone = run(world, tmp_path, failed_jobs[0], "--yes", "--sources", "s2")
    assert redone.code == 0, redone.stderr


def test_another_store_and_dagster(world: ArdDagsterWorld, tmp_path: Path) -> None:
    dest = tmp_path / "elsewhere"
    home = world.instance.root_directory

    told = run(
        world,
        tmp_path,
        f"2023_{OTHER}",
        "--sources",
        "s1",
        "--dest",
        f"file://{dest}",
        "--yes",
        DAGSTER_HOME=home,
    )

    assert told.code == 0, told.stderr
    assert world.reasons() == {}
    assert [path.name for path in (dest / "outcomes/ard/2023/12X7Y").iterdir()] == ["s1"]
    assert world.colours("sentinel1_ard") == {f"2023_{OTHER}": "green"}
    elsewhere = ard(
        world, "check", f"2023_{OTHER}", "--sources", "s1", "--dest", f"file://{dest}", "--json"
    )
    assert elsewhere.document["by_source"] == {"s1": {"honest_no": 1}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sources", "s3"), "s3 is no source"),
        (("--sources", ","), "is no source"),
        (("--engine", "ships"), "ships"),
        (("--mem", "1"), "256"),
    ],
)
def test_options_that_cannot_be_used(
    world: ArdDagsterWorld, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    told = run(world, tmp_path, f"2023_{TILE}", "--yes", *options)

    assert told.code == 3
    assert said in told.stderr
    assert world.reasons() == {}


def test_stopped_by_the_user_what_is_finished_stands(
    world: ArdDagsterWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def stop(self: Going, key: tuple[str, ...], *, fault: bool) -> None:
        seen.append(key)
        raise KeyboardInterrupt

    monkeypatch.setattr(Going, "see", stop)
    world.configure(ard={"tiles_together": 1, "workers": 1})
    told = run(world, tmp_path, *(f"2023_{x}X{y}Y" for x in (11, 12, 13) for y in (7, 8)), "--yes")
    world.configure(ard={"tiles_together": 4, "workers": 2})

    assert told.code == 5
    assert len(seen) == 1
    stands = len(world.reasons())
    assert 1 <= stands < 12
    assert f"stopped after {stands} of 12" in told.stderr
    assert len(list(tmp_path.iterdir())) == 4, "the report tells of what is finished"


# --- what stands -------------------------------------------------------------------------------


def test_check_tells_missing_damaged_and_unknown_apart(
    world: ArdDagsterWorld, tmp_path: Path
) -> None:
    world.stand(TILE, "s1")
    world.stand(TILE, "s2")
    world.stand(OTHER, "s2")
    world.put(world.ended(OTHER, "s1", "no_scenes"))
    store = Path(world.settings.store.url.removeprefix("file://")) / "ard/2023"
    folder = store / f"{TILE}.zarr/clouds"
    chunk = next(path for path in folder.rglob("*") if path.is_file() and "c" in path.parts)
    body = chunk.read_bytes()
    chunk.unlink()
    out = tmp_path / "again.csv"

    told = ard(world, "check", f"2023_{TILE}", f"2023_{OTHER}", "2023_13X7Y", "-o", out, "--json")

    assert told.code == 1
    states = {(one["tile_year"], one["source"]): one["state"] for one in told.document["tiles"]}
    assert states == {
        (f"2023_{TILE}", "s1"): "complete",
        (f"2023_{TILE}", "s2"): "damaged",
        (f"2023_{OTHER}", "s1"): "honest_no",
        (f"2023_{OTHER}", "s2"): "complete",
        ("2023_13X7Y", "s1"): "missing",
        ("2023_13X7Y", "s2"): "missing",
    }
    assert [line.split(",")[-1] for line in out.read_text().splitlines()[1:]] == ["11", "13"]
    chunk.write_bytes(body)
    assert ard(world, "check", f"2023_{TILE}").code == 0
    assert ard(world, "check", "2023_13X7Y").code == 2


def test_what_check_calls_damaged_is_made_by_run(world: ArdDagsterWorld, tmp_path: Path) -> None:
    for tile in (TILE, OTHER):
        world.stand(tile, "s2")
    out = tmp_path / "again.csv"
    world.store.delete(f"ard/2023/{TILE}.zarr/s2_10/zarr.json")
    only = ("--sources", "s2")

    checked = ard(world, "check", f"2023_{TILE}", f"2023_{OTHER}", "-o", out, *only)
    cost = ard(world, "cost", out, *only, "--json").document
    told = run(world, tmp_path / "reports", out, *only, "--yes")

    assert checked.code == 1
    assert (cost["asked"], cost["make"], cost["complete"]) == (1, 1, 0)
    assert told.code == 0, told.stderr
    assert "1 to make, 1 of them damaged" in told.stderr
    assert world.reasons() == {f"2023/{TILE}/s2": "no_scenes", f"2023/{OTHER}/s2": "none"}
    both = run(world, tmp_path / "reports", f"2023_{TILE}", f"2023_{OTHER}", *only, "--yes")
    assert both.code == 6


def test_quality_measures_and_says_what_passes_a_limit(
    world: ArdDagsterWorld, tmp_path: Path
) -> None:
    world.stand(TILE, "dem")
    out = tmp_path / "quality.parquet"

    told = ard(world, "quality", f"2023_{TILE}", "-o", out, "--json")

    assert told.code == 1
    arrays = {row["group"]: row["state"] for row in told.document["arrays"]}
    assert arrays["dem"] == "present"
    assert {arrays[group] for group in ("s1", "s2_10", "s2_20", "clouds")} == {"missing"}
    assert any("s1" in one for one in told.document["findings"])
    assert out.stat().st_size > 0
    assert "slope" in ard(world, "quality", f"2023_{TILE}").stdout


def test_the_report_of_a_run_can_be_written_again(world: ArdDagsterWorld, tmp_path: Path) -> None:
    assert ard(world, "report", "--report-dir", tmp_path).code == 3
    world.put(world.ended(TILE, "s1", "none", run_id="mine"))

    told = ard(world, "report", "--run-id", "mine", "--report-dir", tmp_path, "--json")

    assert told.code == 0, told.stderr
    assert (told.document["run_id"], told.document["n_success"]) == ("mine", 1)
    assert len(list(tmp_path.iterdir())) == 4
    assert ard(world, "report", "--run-id", "other", "--report-dir", tmp_path).code == 3


def test_the_old_layout_is_not_written_of_what_is_not_complete(
    world: ArdDagsterWorld, tmp_path: Path
) -> None:
    world.stand(TILE, "dem")

    told = ard(world, "export-ttc", f"2023_{TILE}", "--to", tmp_path / "old", "--json")

    assert told.code == 2
    (refused,) = told.document["not_written"]
    assert refused["tile_year"] == f"2023_{TILE}"
    assert not [path for path in (tmp_path / "old").rglob("*") if path.is_file()]


def test_outcomes_and_reprocess_know_the_product_line(world: ArdDagsterWorld) -> None:
    world.put(world.ended(TILE, "s1", "source_timeout"), world.ended(OTHER, "s2", "no_scenes"))
    with_settings = {"ESTINEL_CONFIG": str(world.config)}

    counted = estinel("outcomes", "count", "--product", "ard", "--json", **with_settings)
    chosen = ("--product", "ard", "--reason", "source_timeout", "--json")
    planned = estinel("reprocess", *chosen, "--dry-run", **with_settings)
    made = estinel(
        "reprocess", *chosen, DAGSTER_HOME=world.instance.root_directory, **with_settings
    )

    assert counted.code == 0
    assert "source_timeout" in counted.stdout
    assert [one["key"] for one in planned.document] == [f"2023/{TILE}/s1"]
    assert made.code == 0, made.stderr
    (row,) = made.document["reprocessed"]
    assert (row["reason"], row["now"], row["made"]) == ("source_timeout", "no_scenes", True)


# --- progress ----------------------------------------------------------------------------------


def test_the_time_left_is_that_of_what_is_left() -> None:
    now = [0.0]
    going = Going({"s1": 2, "s2": 4}, clock=lambda: now[0])
    assert going.left_s() is None

    now[0] = 10.0
    going.see(("2023", "a", "s1"), fault=True)
    going.see(("2023", "a", "s2"), fault=False)
    going.see(("2023", "a", "s1"), fault=False)

    assert going.left_s() == pytest.approx(20.0)
    assert going.text() == "2/6 (s1 1/2, s2 1/4), 20 s left"
    assert [duration_text(seconds) for seconds in (59.6, 119, 150, 7500)] == [
        "60 s",
        "119 s",
        "2 min",
        "2 h 5 min",
    ]
