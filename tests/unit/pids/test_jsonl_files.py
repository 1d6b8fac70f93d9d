"""The original's files, written from outcomes."""

import json
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.pids import jsonl_files
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.jsonl_files import JsonlFiles
from estinel_assets.pids.message_records import describe_message
from tests.support.outcomes import outcome

UNIT = ("cmip6", "0", "17")
BODY = b'{"data": {"payload": {}}, "metadata": {"time": null}}'
FAILED = "failures/r0/failed_items_2024-12-04.jsonl"


def ended(
    message: IncomingMessage | None = None, *, reason: str = "oven_cold", skipped=False, **more
):
    message = message or IncomingMessage(UNIT, BODY)
    detail = {"message": describe_message(message), "retries": message.retries}
    if skipped:
        detail["skipped"] = True
    return outcome(*message.unit, reason=reason, detail=detail, **more)


def lines(folder: Path) -> dict[str, list[dict]]:
    """All lines by file."""
    return {
        str(path.relative_to(folder)): [
            json.loads(line) for line in path.read_text("utf-8").splitlines()
        ]
        for path in sorted(folder.rglob("*.jsonl"))
    }


def test_a_failed_message_keeps_all_that_is_known_of_it(tmp_path: Path) -> None:
    time = datetime(2024, 12, 4, 11, 59, tzinfo=UTC)
    message = IncomingMessage(UNIT, BODY, b"key", (("h", b"\xff"),), time)

    JsonlFiles(tmp_path).write([ended(message)])

    infos = {
        "failure_timestamp": "2024-12-04T12:00:00Z",
        "retries": 0,
        "reason": "oven_cold",
        "error": "it was oven_cold",
        "topic": "cmip6",
        "partition": 0,
        "offset": 17,
        "key": "key",
        "headers": [["h", {"base64": "/w=="}]],
        "time": "2024-12-04T11:59:00+00:00",
    }
    assert lines(tmp_path) == {FAILED: [{**json.loads(BODY), "__infos__": infos}]}


def test_files_by_what_happened_retries_and_date(tmp_path: Path) -> None:
    JsonlFiles(tmp_path).write(
        [
            ended(),
            ended(IncomingMessage(UNIT, BODY, retries=2)),
            ended(skipped=True, minutes=60 * 12),
            ended(reason="none"),
            ended(minutes=60 * 12 - 1),
        ]
    )

    found = lines(tmp_path)
    assert {name: len(rows) for name, rows in found.items()} == {
        FAILED: 2,
        "failures/r2/failed_items_2024-12-04.jsonl": 1,
        "skipped/skipped_items_2024-12-05.jsonl": 1,
    }
    (skipped,) = found["skipped/skipped_items_2024-12-05.jsonl"]
    assert skipped["__infos__"]["skip_timestamp"] == "2024-12-05T00:00:00Z"
    assert "failure_timestamp" not in skipped["__infos__"]


def test_dates_are_those_of_utc(tmp_path: Path) -> None:
    hobart = timezone(timedelta(hours=11))
    time = datetime(2024, 12, 5, 1, tzinfo=hobart)
    JsonlFiles(tmp_path).write([ended(started_at=time, finished_at=time)])
    assert list(lines(tmp_path)) == [FAILED]


def test_a_dump_holds_every_message_as_it_came(tmp_path: Path) -> None:
    pretty = json.dumps(json.loads(BODY), indent=1).encode()
    good = ended(IncomingMessage(UNIT, pretty), reason="none")
    poison = ended(IncomingMessage(UNIT, b"\xff{"))

    JsonlFiles(tmp_path, dump=True).write([good, poison])

    found = lines(tmp_path)
    dumped = found["dump/dump_messages_2024-12-04.jsonl"]
    assert dumped[0] == json.loads(BODY)
    assert dumped[1]["__infos__"]["body_base64"] == "/3s="
    assert dumped[1]["__infos__"]["offset"] == 17
    assert len(found[FAILED]) == 1


@pytest.mark.parametrize("body", [None, b"", b"{}", b"[1]", b"5", b"\xff", b'{"a": NaN}', b"{"])
def test_a_message_that_is_no_object_stands_in_base64(tmp_path: Path, body) -> None:
    JsonlFiles(tmp_path).write([ended(IncomingMessage(UNIT, body))])
    ((line,),) = lines(tmp_path).values()
    assert list(line) == ["__infos__"]
    assert (line["__infos__"]["body_base64"] is None) is (body is None)


def test_a_message_without_its_place_is_known_by_its_digest(tmp_path: Path) -> None:
    JsonlFiles(tmp_path).write([ended(IncomingMessage(("files", "abc"), BODY, retries=1))])
    ((line,),) = lines(tmp_path).values()
    assert line["__infos__"]["files"] == "abc"
    assert "topic" not in line["__infos__"]


def test_nothing_to_write_makes_no_file(tmp_path: Path) -> None:
    JsonlFiles(tmp_path / "outputs").write([ended(reason="none")])
    assert list(tmp_path.iterdir()) == []


def test_an_outcome_without_its_message_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cmip6/0/17 does not keep its message"):
        JsonlFiles(tmp_path).write([outcome(*UNIT, reason="oven_cold")])
    with pytest.raises(ValueError, match="does not keep"):
        JsonlFiles(tmp_path, dump=True).write([outcome(*UNIT)])


def test_a_torn_line_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / FAILED
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"data": 1}\n{"data": tor')

    JsonlFiles(tmp_path).write([ended()])

    rows = path.read_bytes().split(b"\n")
    assert rows[:2] == [b'{"data": 1}', b'{"data": tor']
    assert json.loads(rows[2])["__infos__"]["offset"] == 17
    assert rows[3:] == [b""]


def test_many_bytes_are_written_in_parts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(jsonl_files, "_MOST_BYTES", 1000)
    units = [("cmip6", "0", str(offset)) for offset in range(20)]
    JsonlFiles(tmp_path).write([ended(IncomingMessage(unit, BODY)) for unit in units])
    offsets = [row["__infos__"]["offset"] for row in lines(tmp_path)[FAILED]]
    assert offsets == list(range(20))


def test_writers_do_not_disturb_one_another(tmp_path: Path) -> None:
    def write(partition: int) -> None:
        files = JsonlFiles(tmp_path)
        for offset in range(20):
            unit = ("cmip6", str(partition), str(offset))
            files.write([ended(IncomingMessage(unit, BODY))] * 2)

    writers = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    found = [
        (row["__infos__"]["partition"], row["__infos__"]["offset"])
        for row in lines(tmp_path)[FAILED]
    ]
    assert sorted(found) == sorted((p, o) for p in range(4) for o in range(20) for _ in range(2))


def test_a_folder_that_takes_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "failures").write_text("a file in the way")
    with pytest.raises(BadInputError, match=r"failed_items_2024-12-04.jsonl cannot take lines"):
        JsonlFiles(tmp_path).write([ended()])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / FAILED
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    with pytest.raises(BadInputError, match="No space left on device"):
        JsonlFiles(tmp_path).write([ended()])


def test_a_file_that_was_replaced_meanwhile_gets_the_line(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / FAILED
    JsonlFiles(tmp_path).write([ended()])
    flock, replaced = jsonl_files.fcntl.flock, []

    def flock_late(file: int, how: int) -> None:
        if not replaced:
            replaced.append(path)
            path.rename(tmp_path / "gone")
            path.write_bytes(b'{"data": 1}\n')
        flock(file, how)

    monkeypatch.setattr(jsonl_files.fcntl, "flock", flock_late)
    JsonlFiles(tmp_path).write([ended()])

    assert len(path.read_text().splitlines()) == 2
    assert len((tmp_path / "gone").read_text().splitlines()) == 1
    assert list(path.parent.iterdir()) == [path]
