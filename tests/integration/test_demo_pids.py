"""`estinel demo pids`, and the commands that it names at its end."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.demo.pid_messages import PATCHED, VERSIONED, first_messages, later_messages
from tests.support.cli import Outcome, estinel

FIRST, LATER = len(first_messages()), len(later_messages())
BAD = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo-pids")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Outcome:
    made = estinel("demo", "pids", "--folder", folder, "--json")
    assert made.code == 0, made.stderr
    return made


@pytest.fixture(scope="module")
def acts(demo: Outcome) -> dict[str, dict[str, Any]]:
    return {act["act"]: act for act in demo.document["acts"]}


@pytest.fixture(scope="module")
def variables(demo: Outcome) -> dict[str, str]:
    return {"ESTINEL_CONFIG": demo.document["config"]}


def test_all_messages_end_and_nothing_waits(acts: dict[str, dict[str, Any]]) -> None:
    first = acts["consume"]
    assert (first["messages"], first["behind"]) == (FIRST, 0)
    assert first["by_reason"]["none"] == FIRST - BAD
    assert set(first["by_reason"]) == {
        "none",
        "invalid_checksum",
        "invalid_item",
        "invalid_message",
        "item_not_found",
        "missing_file_size",
    }


def test_an_outage_stops_it_and_it_goes_on(acts: dict[str, dict[str, Any]]) -> None:
    down, back = acts["handle service down"], acts["handle service back"]

    assert down["ended"] == "service_down"
    assert 0 < down["behind"] <= LATER
    assert down["messages"] + back["messages"] == LATER
    assert (back["by_reason"], back["behind"]) == ({"none": back["messages"]}, 0)


def test_what_was_repaired_succeeds(acts: dict[str, dict[str, Any]]) -> None:
    retry = acts["repair and retry"]

    assert (retry["messages"], retry["by_reason"]["none"]) == (BAD, 2)
    assert [one.partition("/")[0] for one in retry["files"]] == ["r0", "r1"]


def test_the_records_that_are_left(demo: Outcome, acts: dict[str, dict[str, Any]]) -> None:
    records = json.loads(Path(demo.document["handles"]).read_text(encoding="utf-8"))
    datasets: dict[str, dict[str, str]] = {}
    parts: dict[str, str] = {}
    for handle, values in records.items():
        texts = {one["type"]: one["data"]["value"] for one in values if one["type"] != "HS_ADMIN"}
        if texts.get("AGGREGATION_LEVEL") == "DATASET":
            datasets[handle] = texts
        elif "IS_PART_OF" in texts:
            parts[handle] = texts["IS_PART_OF"]

    named = {
        part.removeprefix("hdl:"): f"hdl:{handle}"
        for handle, texts in datasets.items()
        for part in json.loads(texts["HAS_PARTS"])
    }
    assert named == parts
    assert (len(datasets), len(parts)) == (acts["read all"]["datasets"], acts["read all"]["files"])
    by_item = {f"{one['DATASET_ID']}.{one['DATASET_VERSION']}": one for one in datasets.values()}
    assert by_item[VERSIONED] == acts["read back"]["values"]
    assert by_item[VERSIONED]["PREVIOUS_VERSION"].rpartition(".")[0] == VERSIONED.rpartition(".")[0]
    assert len(json.loads(by_item[PATCHED]["HAS_PARTS"])) == 3
    assert sum("RETRACTED_ON" in one for one in datasets.values()) == 1
    assert sum("REPLICA_NODES" in one for one in datasets.values()) == 3


def test_its_outcomes_can_be_looked_at(variables: dict[str, str], folder: Path) -> None:
    listed = estinel("outcomes", "list", "-p", "pids", "--status", "false", "--json", **variables)
    assert {one["reason"] for one in listed.document} == {
        "invalid_item",
        "invalid_message",
        "item_not_found",
    }
    shown = estinel("outcomes", "show", "-p", "pids", "--key", "CMIP6/0/0", "--json", **variables)
    assert shown.code == 0, shown.stderr


def test_its_messages_can_be_tried_without_services(
    variables: dict[str, str], folder: Path
) -> None:
    dry = estinel("pids", "retry", "--dry-run", folder / "outputs/dump", "--json", **variables)

    assert dry.code == 1, "the bad ones, and patches, which need the STAC API"
    different = FIRST + LATER - 1  # one is there twice
    assert dry.document["total"] == different
    assert dry.document["succeeded"] == different - BAD - 1
    assert list((folder / "outputs" / "handles").glob("handles_*.jsonl"))


def test_without_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)

    ended = estinel("demo", "pids", "--folder", tmp_path / "demo")

    assert ended.code == 4
    assert "estinel-assets[demo]" in ended.stderr
    assert not (tmp_path / "demo").exists()


def test_it_tells_what_it_does(tmp_path: Path) -> None:
    told = estinel("demo", "pids", "--folder", tmp_path / "demo")

    assert told.code == 0, told.stderr
    assert f"Kafka has {FIRST} messages" in told.stdout
    assert "stopped by the message at offset" in told.stdout
    assert re.search(r"PREVIOUS_VERSION +CMIP6\.\S+\.v20230301", told.stdout)
    assert "all links are closed both ways" in told.stdout
    assert f"export ESTINEL_CONFIG={tmp_path}/demo/estinel.toml" in told.stdout
    assert "Traceback" not in told.stderr
