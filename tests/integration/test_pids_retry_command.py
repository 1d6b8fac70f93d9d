"""`estinel pids retry`, on files that `consume` wrote and on those of piddiplatsch."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.demo.kafka_broker import KafkaCluster
from tests.support.cmip6_messages import file_asset, full_message, item
from tests.support.pid_commands import Desk, desk, item_id
from tests.support.real import real_data

HANDLES = 3
"""Of one good message."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as started:
        yield started


@pytest.fixture
def at(tmp_path: Path, cluster: KafkaCluster) -> Iterator[Desk]:
    with desk(tmp_path, cluster) as opened:
        yield opened


def line(number: int, *, retries: int = 0, **changes: Any) -> dict[str, Any]:
    """A message as piddiplatsch keeps it; changes are those of its first file."""
    assets = {"data0000": file_asset("a.nc", **changes), "data0001": file_asset("b.nc", **changes)}
    infos = {
        "failure_timestamp": "2026-01-16T10:30:15Z",
        "retries": retries,
        "reason": "Handle Service timeout",
    }
    return {**full_message(item(assets, item_id=item_id(number))), "__infos__": infos}


def write(file: Path, *lines: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    texts = (one if isinstance(one, str) else json.dumps(one) for one in lines)
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return file


def test_all_succeed_and_their_lines_go(at: Desk) -> None:
    file = write(at.folder / "kept" / "failed_items.jsonl", line(1), line(2))

    ended = at.pids("retry", "--delete-after", file, "--json")

    assert ended.code == 0, ended.stderr
    assert ended.document == {
        "total": 2,
        "succeeded": 2,
        "failed": 0,
        "left": 0,
        "success_rate": 1.0,
        "by_reason": {"none": 2},
        "unreadable": [],
        "removed_lines": 2,
        "stopped_by": None,
    }
    assert len(at.handles()) == 2 * HANDLES
    assert not file.exists()


def test_what_fails_again_stays_and_is_counted_on(at: Desk) -> None:
    lasting = line(2, retries=1, file__size=None)
    file = write(at.folder / "kept" / "failed_items.jsonl", line(1), lasting)

    ended = at.pids("retry", "--delete-after", file.parent)

    assert ended.code == 1, ended.stderr
    assert "2 messages: 1 succeeded, 1 failed, 0 not tried; success rate 50%" in ended.stdout
    assert "missing_file_size" in ended.stdout
    assert json.loads(file.read_text(encoding="utf-8")) == lasting
    (again,) = (at.outputs / "failures" / "r2").glob("*.jsonl")
    assert json.loads(again.read_text(encoding="utf-8"))["__infos__"]["retries"] == 2
    outcomes = at.pids("status", "--json").document["by_reason"]
    assert outcomes == {"none": 1, "missing_file_size": 1}


def test_none_succeeds(at: Desk) -> None:
    file = write(at.folder / "failed_items.jsonl", line(1, file__size=None))

    assert at.pids("retry", file).code == 2


def test_lines_that_cannot_be_read_are_named(at: Desk) -> None:
    file = write(at.folder / "failed_items.jsonl", line(1), "{half", "[]")

    ended = at.pids("retry", "--delete-after", file)

    assert ended.code == 1
    assert "Lines that cannot be read: 2" in ended.stdout
    for number in (2, 3):
        assert f"{file}, line {number}" in ended.stdout
        assert f"{file}, line {number}" in ended.stderr
    assert file.read_text(encoding="utf-8") == "{half\n[]\n"
    alone = at.pids("retry", file, "--json")
    assert alone.code == 2
    assert (alone.document["total"], len(alone.document["unreadable"])) == (0, 2)


def test_patterns_folders_and_what_is_not_there(at: Desk) -> None:
    write(at.folder / "r0" / "failed_items_a.jsonl", line(1))
    write(at.folder / "r1" / "failed_items_b.jsonl", line(2))

    assert at.pids("retry", at.folder / "r*" / "*.jsonl", "--json").document["total"] == 2
    absent = at.pids("retry", at.folder / "r0", at.folder / "none")
    assert absent.code == 3
    assert "none" in absent.stderr
    empty = at.pids("retry", write(at.folder / "r2" / "failed_items_c.jsonl"))
    assert empty.code == 6


def test_where_a_service_is_down_nothing_is_lost(at: Desk) -> None:
    file = write(at.folder / "failed_items.jsonl", *(line(number) for number in range(20)))
    at.app.fail_after(0)

    ended = at.pids("retry", "--delete-after", file, "--json")

    assert ended.code == 2, ended.stderr
    document = ended.document
    assert document["stopped_by"]["reason"] == "handle_unavailable"
    assert document["left"] > 0
    assert len(file.read_text(encoding="utf-8").splitlines()) == 20
    assert "handle_unavailable" in at.pids("retry", file).stdout
    at.app.recover()
    assert at.pids("retry", "--delete-after", file).code == 0
    assert len(at.handles()) == 20 * HANDLES


def test_a_dry_run_changes_nothing(at: Desk) -> None:
    file = write(at.folder / "failed_items.jsonl", line(1), line(2, file__size=None))

    dry = at.pids("retry", "--dry-run", "--delete-after", file)

    assert dry.code == 1, dry.stderr
    assert f"Nothing was registered; the records are in {at.outputs}/handles" in dry.stdout
    assert at.handles() == {}
    assert len(file.read_text(encoding="utf-8").splitlines()) == 2
    assert [one.name for one in at.outputs.iterdir()] == ["handles"]
    at.tables["handle"]["backend"] = "jsonl"
    assert at.pids("retry", "--delete-after", file).code == 1
    assert len(file.read_text(encoding="utf-8").splitlines()) == 2, "a dry run by configuration"
    assert at.pids("status", "--json").document["messages"] == 0


def test_failures_of_piddiplatsch_itself(at: Desk) -> None:
    ended = at.pids("retry", real_data("cmip6/sample_failures.jsonl"), "--json")

    assert ended.code == 0, ended.stderr
    assert (ended.document["total"], ended.document["success_rate"]) == (3, 1.0)
    assert len(at.handles()) == 6, "three datasets of one file each"
