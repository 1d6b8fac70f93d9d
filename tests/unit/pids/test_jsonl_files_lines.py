"""Reading files of kept messages, of ours and of the original, and taking lines out."""

import json
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.pids import jsonl_lines
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.jsonl_files import JsonlFiles
from estinel_assets.pids.jsonl_lines import (
    BadLine,
    KeptMessage,
    Latest,
    Place,
    find_files,
    latest,
    read_lines,
    remove_lines,
)
from estinel_assets.pids.line_forms import dump_line, kept_line, read_line
from estinel_assets.pids.message_records import describe_message, unit_of_body
from estinel_assets.pids.messages import FullItemMessage, parse_message
from tests.support.outcomes import outcome
from tests.support.pid_messages import json_objects, messages
from tests.support.real import real_data
from tests.support.unprivileged import as_nobody

UNIT = ("cmip6", "0", "17")
BODY = b'{"data":{"payload":{}},"metadata":{}}'
ORIGINALS = {"failure_timestamp": "2026-01-16T10:30:15Z", "retries": 0, "reason": "Network error"}


def ended(message: IncomingMessage, **more):
    detail = {"message": describe_message(message), "retries": message.retries}
    return outcome(*message.unit, reason="oven_cold", detail=detail, **more)


def read(*paths: Path | str) -> list[KeptMessage | BadLine]:
    return list(read_lines(paths))


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@given(messages(), st.booleans())
def test_every_message_comes_back_from_its_line(message: IncomingMessage, skipped: bool) -> None:
    line = kept_line(ended(message), message, skipped=skipped)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line)["__infos__"], dict)
    content = read_line(line)
    assert content.message == message
    assert content.reason == "oven_cold"


@given(messages())
def test_a_message_that_only_a_file_knows_keeps_its_unit(message: IncomingMessage) -> None:
    message = IncomingMessage(unit_of_body(message.body), message.body, message.key)
    assert read_line(kept_line(ended(message), message, skipped=False)).message == message


@given(messages())
def test_a_dump_is_one_line_that_says_the_same(message: IncomingMessage) -> None:
    line = dump_line(message)
    assert line.count(b"\n") == 1
    read_back = read_line(line).message.body
    try:
        same = json.loads(message.body or b"") == json.loads(read_back or b"")
    except ValueError:
        same = False
    assert same or read_back == message.body


@given(json_objects, st.sampled_from([{}, {"indent": None, "separators": (",", ":")}]))
def test_a_line_that_another_program_wrote_anew_says_the_same(document, form) -> None:
    document = {"data": 1, **{name: one for name, one in document.items() if name != "__infos__"}}
    message = IncomingMessage(UNIT, json.dumps(document).encode())
    line = json.loads(kept_line(ended(message), message, skipped=False))
    infos = {"__infos__": line.pop("__infos__")}

    for rewritten in (infos | line, line | infos):
        content = read_line(json.dumps(rewritten, **form).encode())
        assert content.message.unit == UNIT
        assert json.loads(content.message.body or b"") == document


def test_a_line_repaired_by_hand_counts() -> None:
    message = IncomingMessage(UNIT, b'{\n"data": "wrong"\n}')
    line = kept_line(ended(message), message, skipped=False)
    assert read_line(line).message == message

    repaired = read_line(line.replace(b'"wrong"', b'"right"')).message

    assert repaired.unit == UNIT
    assert json.loads(repaired.body or b"") == {"data": "right"}


def test_lines_of_the_original(tmp_path: Path) -> None:
    document = {"data": {"payload": {}}, "metadata": {}}
    path = write(
        tmp_path / "failed.jsonl",
        {**document, "key": "an item", "__infos__": {**ORIGINALS, "retries": 3}},
        {**document, "__infos__": ORIGINALS},
        {**document, "__infos__": {}},
        document,
    )

    keyed, plain, bare, dumped = read(path)

    unit = ("files", sha256(BODY).hexdigest())
    assert keyed == KeptMessage(
        keyed.place, IncomingMessage(unit, BODY, key=b"an item", retries=3), "Network error"
    )
    assert (keyed.retries, keyed.again.retries) == (3, 4)
    assert plain.message == IncomingMessage(unit, BODY)
    assert (bare.message, bare.reason) == (IncomingMessage(unit, BODY), None)
    assert dumped.message.body == json.dumps(document).encode()
    assert [line.place.number for line in (keyed, plain, bare, dumped)] == [1, 2, 3, 4]
    assert dumped.reason is None


def test_the_original_s_real_failures_are_read() -> None:
    path = real_data("cmip6/sample_failures.jsonl")
    found = read(path)

    assert [line.reason for line in found] == [
        "Handle Service timeout",
        "Network error",
        "Validation error",
    ]
    for line, text in zip(found, path.read_text().splitlines(), strict=True):
        written = json.loads(text)
        assert line.message.key == written.pop("key").encode()
        del written["__infos__"]
        assert json.loads(line.message.body) == written
        assert isinstance(parse_message(line.message.body), FullItemMessage)
    assert len(latest(found)) == 3


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{torn", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[1]", "it is not a JSON object"),
        (b'{"__infos__": 5}', "`__infos__` is not a JSON object"),
        (b'{"__infos__": {"retries": "2"}}', "`retries` is no number"),
        (b'{"__infos__": {"retries": -1}}', "`retries` is no number"),
        (b'{"__infos__": {"retries": true}}', "`retries` is no number"),
        (b'{"__infos__": {"topic": "t", "partition": 0}}', "KeyError('offset')"),
        (b'{"__infos__": {"topic": 1, "partition": 0, "offset": 1}}', "`topic` is no text"),
        (b'{"__infos__": {"files": ""}}', "`files` is no text"),
        (b'{"__infos__": {"files": "a", "body_base64": "%"}}', "is damaged"),
        (b'{"__infos__": {"files": "a", "body_base64": 1}}', "is damaged"),
        (b'{"__infos__": {"files": "a", "headers": [1]}}', "is damaged"),
        (b'{"__infos__": {"files": "a", "key": 1}}', "is damaged"),
        (b'{"__infos__": {"files": "a", "time": "noon"}}', "is damaged"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "failed.jsonl"
    path.write_bytes(BODY + b"\n\n" + line + b"\n" + BODY)

    first, bad, last = read(path)

    assert isinstance(bad, BadLine)
    assert str(bad).startswith(f"{path}, line 3 cannot be read: ")
    assert problem in str(bad)
    assert first.message.body == last.message.body == BODY
    assert len(latest([first, bad, last])) == 1


@given(
    st.binary(max_size=60)
    | st.builds(lambda one: json.dumps({"__infos__": one}).encode(), json_objects)
)
def test_no_line_crashes_the_reader(line: bytes) -> None:
    try:
        content = read_line(line)
    except BadInputError:
        return
    assert content.message.unit


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(jsonl_lines, "MAX_LINE_BYTES", 50)
    path = tmp_path / "failed.jsonl"
    path.write_bytes(BODY + b"\n" + b"x" * 175 + b"\n" + BODY + b"\n" + b"y" * 60)

    first, long, last, end = read(path)

    assert "longer than 50 bytes" in str(long)
    assert (long.place.number, last.place.number, end.place.number) == (2, 3, 4)
    assert first.message == last.message
    assert remove_lines([long.place, end.place]) == 2
    assert path.read_bytes() == (BODY + b"\n") * 2


def test_files_folders_and_patterns(tmp_path: Path, monkeypatch) -> None:
    one = write(tmp_path / "failures/r0/failed_items_2026-01-16.jsonl", {"data": 1})
    two = write(tmp_path / "failures/r1/failed_items_2026-01-16.jsonl", {"data": 2})
    other = write(tmp_path / "dump/other.txt", {"data": 3})
    write(tmp_path / "handles/handles_2026-01-16.jsonl", {"handle": "21.T/1"})
    (tmp_path / "empty").mkdir()

    assert find_files([tmp_path]) == [one, two]
    assert find_files([two, tmp_path / "failures"]) == [two, one]
    assert find_files([other, str(tmp_path / "failures/r*/*.jsonl")]) == [other, one, two]
    assert find_files([f"{tmp_path}/**/r1"]) == [two]
    monkeypatch.chdir(tmp_path)
    assert find_files(["failures/*", one]) == [
        Path("failures/r0/failed_items_2026-01-16.jsonl"),
        Path("failures/r1/failed_items_2026-01-16.jsonl"),
    ]
    with pytest.raises(BadInputError) as raised:
        read_lines(["absent.jsonl", one, "empty", "failures/x*"])
    assert str(raised.value) == (
        "absent.jsonl does not exist; empty has no *.jsonl of messages below it; "
        "failures/x* matches nothing"
    )


def test_a_name_with_a_bracket_is_a_name_where_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "failed[1].jsonl", {"data": 1})
    assert find_files([path]) == [path]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "failed.jsonl", {"data": 1})
    path.chmod(0)
    lines = read_lines([path])
    with as_nobody(), pytest.raises(BadInputError, match=r"failed.jsonl cannot be read"):
        next(lines)


def test_of_one_message_the_line_of_most_retries_counts_and_of_those_the_last(
    tmp_path: Path,
) -> None:
    files = JsonlFiles(tmp_path)
    message, other = IncomingMessage(UNIT, BODY), IncomingMessage(("cmip6", "0", "18"), BODY)
    again = IncomingMessage(UNIT, BODY, retries=1)
    for one in (message, again, message, other):
        files.write([ended(one)])
    files.write([ended(again, minutes=24 * 60)])

    found = latest(read_lines([tmp_path]))

    r0, r1 = tmp_path / "failures/r0", tmp_path / "failures/r1"
    assert {unit: shown(one) for unit, one in found.items()} == {
        UNIT: [
            f"{r1}/failed_items_2024-12-05.jsonl, line 1",
            f"{r1}/failed_items_2024-12-04.jsonl, line 1",
            f"{r0}/failed_items_2024-12-04.jsonl, line 2",
            f"{r0}/failed_items_2024-12-04.jsonl, line 1",
        ],
        other.unit: [f"{r0}/failed_items_2024-12-04.jsonl, line 3"],
    }
    reverse = latest(read_lines([r1, r0]))
    assert str(reverse[UNIT].place) == f"{r1}/failed_items_2024-12-05.jsonl, line 1"
    assert set(reverse[UNIT].places) == set(found[UNIT].places)


def shown(one: Latest) -> list[str]:
    first, *older = map(str, one.places)
    return [first, *older]


def test_lines_are_taken_out_and_an_empty_file_is_deleted(tmp_path: Path) -> None:
    path = write(tmp_path / "failed.jsonl", {"data": 1}, {"data": 2}, {"data": 3})
    other = write(tmp_path / "other.jsonl", {"data": 4})
    path.chmod(0o640)
    one, two, three, four = [line.place for line in read(path, other)]

    assert remove_lines([one, four, three]) == 3

    assert path.read_text() == '{"data": 2}\n'
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["failed.jsonl"]
    assert remove_lines([two, four]) == 0
    assert [line.message.body for line in read(path)] == [b'{"data": 2}']
    assert remove_lines([line.place for line in read(path)]) == 1
    assert list(tmp_path.iterdir()) == []


def test_lines_that_were_added_or_changed_meanwhile_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "failed.jsonl", {"data": 1}, {"data": 2}, {"data": 3})
    places = [line.place for line in read(path)]
    write(path, {"data": 1}, {"data": 3}, {"data": 3}, {"data": 4})

    assert remove_lines(places) == 2

    assert path.read_text() == '{"data": 3}\n{"data": 4}\n'


def test_a_last_line_without_an_end_is_taken_out_even_if_it_got_one(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    path.write_bytes(BODY)
    (line,) = read(path)
    with path.open("ab") as file:
        file.write(b"\n" + BODY + b" \n")

    assert remove_lines([line.place]) == 1
    assert path.read_bytes() == BODY + b" \n"


def test_what_a_writer_adds_while_lines_are_taken_out_is_not_lost(
    tmp_path: Path, monkeypatch
) -> None:
    files = JsonlFiles(tmp_path)
    files.write([ended(IncomingMessage(UNIT, BODY))])
    (line,) = read(tmp_path)
    late = IncomingMessage(("cmip6", "0", "18"), BODY)
    writer = threading.Thread(target=files.write, args=[[ended(late)]])
    digest_of = jsonl_lines._digest_of

    def digest_late(one: bytes) -> str:
        if not writer.ident:
            writer.start()
            writer.join(0.05)
        return digest_of(one)

    monkeypatch.setattr(jsonl_lines, "_digest_of", digest_late)
    assert remove_lines([line.place]) == 1
    writer.join()

    assert [one.message for one in read(tmp_path)] == [late]


def test_a_file_in_a_folder_that_may_not_change_is_named(tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path / "failed.jsonl", {"data": 1}, {"data": 2})
    place = read(path)[0].place

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(BadInputError, match=r"cannot be written anew \(Permission denied\)"):
        remove_lines([place])
    assert len(read(path)) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["failed.jsonl"]


def test_a_place_is_shown_by_file_and_line() -> None:
    assert str(Place(Path("a/b.jsonl"), 3, "x")) == "a/b.jsonl, line 3"


def test_what_fails_again_lands_among_those_of_one_more_retry(tmp_path: Path) -> None:
    path = write(tmp_path / "sample.jsonl", {"data": 1, "__infos__": ORIGINALS})
    for retries in range(3):
        (kept,) = read(path)
        assert kept.retries == retries
        JsonlFiles(tmp_path).write([ended(kept.again)])
        path = tmp_path / f"failures/r{retries + 1}/failed_items_2024-12-04.jsonl"
        assert [line.message for line in read(path)] == [kept.again]
