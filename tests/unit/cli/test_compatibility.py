"""`estinel compatibility` where no CMR is asked: options, files in and out, listings."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from estinel_assets.cli import compatibility_files
from estinel_assets.cli.outcomes import MOST_CHARACTERS, short
from estinel_assets.compatibility.reasons import CompatibilityReason
from tests.support.cli import Outcome as Ended
from tests.support.cli import estinel
from tests.support.published_results import flat, parquet, result_path, row

LONG = "a message without an end " * 10_800
"""As long as the longest real one: 270 kB."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def ask(store: Path, *arguments: object, **variables: str) -> Ended:
    # Nobody answers at that address: whatever asked CMR would fail.
    nowhere = {"ESTINEL_COMPATIBILITY_CMR_URL": "http://127.0.0.1:9/search"}
    return estinel(*arguments, ESTINEL_STORE_URL=store.as_uri(), **nowhere, **variables)


def written(folder: Path, *rows: dict[str, object], name: str = "old.parquet") -> Path:
    (folder / name).write_bytes(parquet(rows))
    return folder / name


def records(store: Path) -> list[str]:
    return sorted(path.relative_to(store).as_posix() for path in store.rglob("result.json"))


def refused(ended: Ended) -> str:
    """The message of bad input; one JSON document, and the same on stderr."""
    error = ended.document["error"]
    assert ended.code == error["exit_code"] == 3
    assert error["message"].splitlines()[0] in ended.stderr
    return str(error["message"])


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "nonsense"], "'nonsense' is no concept id of a collection"),
        (["check", "C1-X", "G1-X"], "'G1-X' is no concept id of a collection"),
        (["check", "C1-X; rm -rf /"], "is no concept id of a collection"),
        (["check", "C1-X", "--granule", "C2-X"], "'C2-X' is no concept id of a granule"),
        (["check", "C1-X", "C2-X", "--granule", "G1-X"], "goes with exactly one collection"),
        (["check", "C1-X", "--endpoint", "ftp://x"], "--endpoint is no address"),
        (["check", "C1-X", "--access", "carrier-pigeon"], "carrier-pigeon"),
        (["check"], "Missing argument 'ID...'"),
        (["run", "--limit", "0"], "Invalid value for '--limit'"),
        (["run", "--engine", "steam"], "steam"),
        (["run"], "DAGSTER_HOME is not set"),
        (["sync"], "DAGSTER_HOME is not set"),
        (["export"], "Missing option '--output'"),
        (["import"], "Missing argument 'FILE_OR_PREFIX'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(
    store: Path, arguments: list[str], says: str
) -> None:
    assert says in refused(ask(store, "compatibility", *arguments, "--json"))
    assert records(store) == []


def test_a_dagster_home_that_is_none_is_refused_first(store: Path) -> None:
    for arguments in (["sync"], ["run"], ["check", "C1-X"]):
        ended = ask(
            store, "compatibility", *arguments, "--json", DAGSTER_HOME=str(store / "nowhere")
        )
        assert "is no folder; make it and put dagster.yaml there" in refused(ended)


@pytest.mark.parametrize("command", [["outcomes", "list"], ["outcomes", "count"], ["reprocess"]])
def test_an_unknown_reason_is_answered_with_those_there_are(
    store: Path, command: list[str]
) -> None:
    ended = ask(store, *command, "-p", "compatibility", "--reason", "cant_open_files", "--json")

    message = refused(ended)
    assert "'cant_open_files'" in message
    assert ", ".join(CompatibilityReason) in message


# --- status ------------------------------------------------------------------------------------


def test_status_says_how_many_there_are_also_where_nothing_is(store: Path, tmp_path: Path) -> None:
    nothing = ask(store, "compatibility", "status")
    assert (nothing.code, len(nothing.stdout.splitlines())) == (0, 1)
    assert nothing.stdout.startswith("0 collections: 0 done, 0 left; `estinel compatibility sync`")

    file = written(tmp_path, row("C1-X"), row("C2-X", "timeout"), row("C3-X", "timeout"))
    ask(store, "compatibility", "import", file)
    some = ask(store, "compatibility", "status").stdout.splitlines()
    assert some[0].startswith("3 collections: 3 done, 0 left; ")
    assert some[2:5] == [
        "reason   collections",
        "timeout            2",
        "none               1",
    ]
    assert [line.split()[:3] for line in some[6:]] == [
        ["timeout", "2", "66.7%"],
        ["none", "1", "33.3%"],
    ]
    assert "█" in some[6]


def test_the_chart_is_drawn_with_what_the_terminal_has(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(store, "compatibility", "import", written(tmp_path, row("C1-X")))

    monkeypatch.setattr("estinel_assets.cli.compatibility.encoding_of_stdout", lambda: "ascii")
    shown = ask(store, "compatibility", "status").stdout

    assert "####" in shown
    assert shown.isascii()


# --- import ------------------------------------------------------------------------------------


def test_import_says_what_it_did(store: Path, tmp_path: Path) -> None:
    file = written(tmp_path, row("C1-X"), row("C2-X", "forbidden"))

    first = ask(store, "compatibility", "import", file)
    again = ask(store, "compatibility", "import", file)

    assert first.code == again.code == 0
    said = "2 results: {} written, {} unchanged, 0 newer ones of ours kept"
    assert first.stdout.splitlines()[0] == said.format(2, 0)
    assert again.stdout.splitlines()[0] == said.format(0, 2)
    assert records(store) == [
        "collections/C1-X/status=true/reason=none/result.json",
        "collections/C2-X/status=false/reason=forbidden/result.json",
    ]


def test_import_tells_now_and_then_how_far_it_is(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compatibility_files, "TOLD_EACH", 2)
    file = written(tmp_path, *(row(f"C{number}-X") for number in range(5)))

    said = ask(store, "compatibility", "import", file).stderr

    told = [line for line in said.splitlines() if "Results " in line]
    assert [line.split("Results ")[1].split()[0] for line in told] == ["2/5", "4/5"]


def _garbage(folder: Path) -> Path:
    (folder / "garbage.parquet").write_bytes(b"PAR1 and nothing else")
    return folder / "garbage.parquet"


def _other_columns(folder: Path) -> Path:
    pq.write_table(pa.table({"a": [1]}), folder / "other.parquet")
    return folder / "other.parquet"


def _twice(folder: Path) -> Path:
    return written(folder, row("C1-X"), row("C2-X"), row("C1-X", "timeout"))


def _unknown_reason(folder: Path) -> Path:
    return written(folder, row("C1-X"), row("C2-X", "bad_hair_day"))


def _absent(folder: Path) -> Path:
    return folder / "absent.parquet"


def _without_results(folder: Path) -> Path:
    (folder / "tree").mkdir()
    (folder / "tree" / "readme.txt").write_text("nothing here")
    return folder / "tree"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_garbage, "is not Parquet"),
        (_other_columns, "it has no column collection_concept_id"),
        (_twice, "C1-X has 2 results: row 1, row 3"),
        (_unknown_reason, "bad_hair_day"),
        (_absent, "does not exist; name a Parquet file or a folder"),
        (_without_results, "no result stands under"),
    ],
)
def test_what_cannot_be_imported_changes_nothing(
    store: Path, tmp_path: Path, make: object, says: str
) -> None:
    assert callable(make)
    assert says in refused(ask(store, "compatibility", "import", make(tmp_path), "--json"))
    assert records(store) == []


def test_an_address_on_the_web_is_not_imported_and_its_secrets_not_shown(store: Path) -> None:
    address = "https://me:hush@example.org/results.parquet?token=hush"
    ended = ask(store, "compatibility", "import", address, "--json")

    assert "download it, and name the file" in refused(ended)
    assert "hush" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("seconds", [0, 5])
def test_of_two_results_of_one_collection_the_newer_counts(
    store: Path, tmp_path: Path, seconds: int
) -> None:
    """Where they are of one time nobody can tell, and that is an error."""
    tree = tmp_path / "bucket" / "collections"
    results = {result_path("C1-X"): row("C1-X")}
    results[result_path("C1-X", "timeout")] = row("C1-X", "timeout")
    for number, (path, columns) in enumerate(results.items()):
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_bytes(flat(columns))
        os.utime(tree / path, (1_700_000_000 + number * seconds,) * 2)

    ended = ask(store, "compatibility", "import", tmp_path / "bucket", "--json")

    if seconds:
        assert (ended.code, ended.document["by_reason"]) == (0, {"timeout": 1})
        assert "is newer than" in ended.stderr
    else:
        message = refused(ended)
        assert "C1-X has two results of one time" in message
        assert all(path in message for path in results)
        assert records(store) == []


# --- export ------------------------------------------------------------------------------------


def test_export_replaces_no_file_unless_told_to(store: Path, tmp_path: Path) -> None:
    ask(store, "compatibility", "import", written(tmp_path, row("C1-X")))
    file = tmp_path / "results.parquet"
    file.write_text("mine")

    kept = ask(store, "compatibility", "export", "-o", file, "--json")
    assert "exists already; name another file or give --force" in refused(kept)
    assert file.read_text() == "mine"
    forced = ask(store, "compatibility", "export", "-o", file, "--force", "--json")
    assert (forced.code, forced.document) == (0, {"file": str(file), "results": 1})
    assert pq.read_table(file).column("collection_concept_id").to_pylist() == ["C1-X"]
    assert [path.name for path in tmp_path.glob(".*part")] == []


def test_export_refuses_other_endings_and_folders_that_are_not_there(
    store: Path, tmp_path: Path
) -> None:
    for file, says in (
        (tmp_path / "results.csv", "does not end in .parquet"),
        (tmp_path / "nowhere" / "results.parquet", "name a file in a folder that exists"),
    ):
        assert says in refused(ask(store, "compatibility", "export", "-o", file, "--json"))


# --- messages ----------------------------------------------------------------------------------


def test_a_table_shows_the_first_part_of_a_message_and_json_all_of_it(
    store: Path, tmp_path: Path
) -> None:
    rows = [row("C1-X", "timeout", error_message=LONG), row("C2-X", "timeout")]
    ask(store, "compatibility", "import", written(tmp_path, *rows))

    for command in (["outcomes", "list"], ["reprocess", "--dry-run"]):
        asked = [*command, "-p", "compatibility", "--reason", "timeout"]
        shown = ask(store, *asked).stdout
        assert max(map(len, shown.splitlines())) < MOST_CHARACTERS + 100
        assert "a message without an end" in shown
        assert "…" in shown
        assert "it was timeout\n" in shown
        whole = ask(store, *asked, "--json").document
        assert [one["error"] for one in whole] == [LONG, "it was timeout"]


def test_short_messages_stay_as_they_are() -> None:
    assert short(None) is None
    assert short("a" * MOST_CHARACTERS) == "a" * MOST_CHARACTERS
    assert short("a" * (MOST_CHARACTERS + 1)) == "a" * (MOST_CHARACTERS - 1) + "…"
