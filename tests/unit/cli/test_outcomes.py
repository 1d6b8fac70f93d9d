"""`estinel outcomes`, over a store with a few records of imagery."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.cli import outcome_files
from estinel_assets.cli.outcome_files import write_outcomes
from estinel_assets.cli.outcome_query import OutcomeQuery, parse_key, parse_time
from estinel_assets.errors import BadInputError
from estinel_assets.imagery.reasons import IMAGERY, ImageryReason
from estinel_assets.outcomes.book import INDEX_FOLDER, LEASE_FOLDER, OutcomeBook
from estinel_assets.outcomes.index import write_index
from estinel_assets.outcomes.paths import encode_key
from estinel_assets.storage import open_store
from estinel_assets.storage.lease import hold_lease
from tests.support.cli import Outcome as Ended
from tests.support.cli import estinel
from tests.support.outcomes import NOON, outcome

HOBART, CASEY = "site_af38900f", "site_00000001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with four outcomes of two sites."""
    book = open_book(tmp_path / "store")
    records = [
        outcome(HOBART, "2024-12-04", product="imagery", minutes=0),
        outcome(HOBART, "2024-12-05", product="imagery", reason="no_valid_pixels", minutes=10),
        outcome(HOBART, "search", product="imagery", reason="source_timeout", minutes=20),
        outcome(CASEY, "2024-12-04", product="imagery", minutes=30, outputs=("a", "b")),
    ]
    for partition in {record.key[:1] for record in records}:
        with book.open(partition) as held:
            for record in records:
                if record.key[:1] == partition:
                    held.put(record)
    return tmp_path / "store"


def open_book(folder: Path) -> OutcomeBook:
    return OutcomeBook(
        open_store(folder.as_uri()), IMAGERY, prefix="outcomes", lease_ttl_s=60, lease_wait_s=0
    )


def outcomes(folder: Path, command: str, *options: object, **variables: str) -> Ended:
    arguments = ("outcomes", command, "--product", "imagery", *options)
    return estinel(*arguments, ESTINEL_STORE_URL=folder.as_uri(), **variables)


def listed(folder: Path, *options: object) -> list[str]:
    result = outcomes(folder, "list", *options, "--json")
    assert result.code == 0, result.stderr
    return [row["key"] for row in result.document]


ALL = [f"{CASEY}/2024-12-04", f"{HOBART}/2024-12-04", f"{HOBART}/2024-12-05", f"{HOBART}/search"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ALL),
        (["--key", HOBART], ALL[1:]),
        (["--key", f"{HOBART}/search"], ALL[3:]),
        (["-k", f"{HOBART}/search", "-k", CASEY], [ALL[0], ALL[3]]),
        (["-k", HOBART, "-k", f"{HOBART}/search"], ALL[1:]),
        (["--key", "site_af"], []),
        (["--status", "true"], ALL[:2]),
        (["--status", "false"], ALL[2:]),
        (["--reason", "source_timeout"], ALL[3:]),
        (["-r", "source_timeout", "-r", "none"], [ALL[0], ALL[1], ALL[3]]),
        (["--status", "true", "--reason", "source_timeout"], []),
        (["--since", "2024-12-04T12:10:00Z"], [ALL[0], ALL[2], ALL[3]]),
        (["--since", "2024-12-04T23:10:00+11:00"], [ALL[0], ALL[2], ALL[3]]),
        (["--since", "2024-12-05"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_list_selects(folder: Path, options: list[str], expected: list[str]) -> None:
    assert listed(folder, *options) == expected
    count = outcomes(folder, "count", *options, "--json").document
    assert count["total"] == len(expected)


def test_list_shows(folder: Path) -> None:
    (row,) = outcomes(folder, "list", "--key", f"{HOBART}/search", "--json").document
    assert row == {
        "key": f"{HOBART}/search",
        "status": False,
        "reason": "source_timeout",
        "attempts": 1,
        "finished_at": "2024-12-04T12:20:00+00:00",
        "error": "it was source_timeout",
    }
    header, *lines = outcomes(folder, "list").stdout.splitlines()
    assert header.split() == ["key", "status", "reason", "attempts", "finished", "error"]
    assert len(lines) == 4
    assert lines[3].endswith("2024-12-04T12:20:00+00:00  it was source_timeout")


def test_count(folder: Path) -> None:
    assert outcomes(folder, "count", "--json").document == {
        "product": "imagery",
        "total": 4,
        "by_status": {"true": 2, "false": 2},
        "by_reason": {"none": 2, "no_valid_pixels": 1, "source_timeout": 1},
    }
    lines = outcomes(folder, "count").stdout.splitlines()
    assert lines[1].split(maxsplit=3) == ["true", "none", "2", ImageryReason.NONE.meaning]


def test_nothing_found_is_an_answer(tmp_path: Path) -> None:
    assert listed(tmp_path / "new") == []
    count = outcomes(tmp_path / "new", "count", "--json")
    assert (count.code, count.document["total"]) == (0, 0)


def test_show(folder: Path) -> None:
    result = outcomes(folder, "show", "--key", f"{HOBART}/search", "--json")
    assert result.document["detail"] == {"n": 1}
    assert result.document["finished_at"] == "2024-12-04T12:20:00Z"
    lines = outcomes(folder, "show", "--key", f"{CASEY}/2024-12-04").stdout.splitlines()
    fields = dict(line.split(maxsplit=1) for line in lines if len(line.split()) > 1)
    assert fields["key"] == f"{CASEY}/2024-12-04"
    assert fields["outputs"] == "a, b"
    assert fields["detail.n"] == "1"


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        (["show", "--key", HOBART], "no outcome"),
        (["show", "--key", "a//b"], "--key"),
        (["list", "--key", ""], "--key"),
        (["list", "--key", "Terre Adélie"], "--key"),
        (["list", "--since", "yesterday"], "2024-01-31"),
        (["list", "--reason", "timeout"], "source_timeout, "),
        (["reindex", "--key", "site_unknown"], "site_unknown"),
        (["export", "-o", "/no/such/folder/x.jsonl"], "/no/such/folder"),
        (["export", "-o", "x.csv"], ".parquet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_names_what_is_wrong(folder: Path, arguments: list[str], mentions: str) -> None:
    result = outcomes(folder, *arguments)
    assert result.code == 3
    assert mentions in result.stderr
    assert result.stdout == ""


def test_an_unknown_product_lists_the_known_ones() -> None:
    result = estinel("outcomes", "count", "--product", "images", ESTINEL_STORE_URL="memory://")
    assert result.code == 3
    assert "'images'" in result.stderr
    assert "choose one of: ard, compatibility, imagery" in result.stderr


def test_a_broken_record_is_an_error(folder: Path) -> None:
    (record,) = folder.glob(f"outcomes/imagery/{CASEY}/2024-12-04/status=true/*/*/result.json")
    record.write_text("{}")
    result = outcomes(folder, "list", "--json")
    assert result.code == 2
    assert result.document["error"]["type"] == "StoreError"
    assert "result.json" in result.stderr


def test_export_to_json_lines_and_parquet(folder: Path, tmp_path: Path) -> None:
    lines, table = tmp_path / "x.jsonl", tmp_path / "x.parquet"
    result = outcomes(folder, "export", "-o", lines, "--key", HOBART, "--json")
    assert result.document == {"product": "imagery", "file": str(lines), "outcomes": 3}
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["key"] for record in records] == ALL[1:]
    assert set(records[0]) == set(outcome("a").model_dump())
    assert outcomes(folder, "export", "-o", table).code == 0
    rows = pq.read_table(table).to_pylist()
    assert [row["key"] for row in rows] == ALL
    assert rows[0]["finished_at"] == datetime(2024, 12, 4, 12, 30, tzinfo=UTC)
    assert rows[0]["outputs"] == ["a", "b"]
    assert json.loads(rows[0]["detail"]) == {"n": 1}
    assert set(rows[0]) == set(records[0])


def test_export_replaces_only_by_force(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("mine")
    refused = outcomes(folder, "export", "-o", file)
    assert refused.code == 3
    assert "--force" in refused.stderr
    assert file.read_text() == "mine"
    assert outcomes(folder, "export", "-o", file, "--force").code == 0
    assert len(file.read_text().splitlines()) == 4
    assert {path.name for path in tmp_path.iterdir()} == {"x.jsonl", "store"}


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield outcome("a")
        raise OSError("disk gone")

    for name in ("x.jsonl", "x.parquet"):
        with pytest.raises(OSError, match="disk gone"):
            write_outcomes(tmp_path / name, broken(), force=False)
    assert list(tmp_path.iterdir()) == []


def test_an_export_does_not_run_over_a_file_that_appears(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"

    def slow():  # type: ignore[no-untyped-def]
        file.write_text("theirs")
        yield outcome("a")

    with pytest.raises(BadInputError, match="exists already"):
        write_outcomes(file, slow(), force=False)
    assert file.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_of_many_chunks_keeps_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_files, "_CHUNK", 3)
    records = [outcome("a", str(number)) for number in range(10)]
    assert write_outcomes(tmp_path / "x.parquet", records, force=False) == 10
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert [row["key"] for row in rows] == [encode_key(record.key) for record in records]


def test_reindex_rebuilds_what_is_gone_or_wrong(folder: Path) -> None:
    store = open_store(folder.as_uri())
    before = open_book(folder).index((HOBART,))
    store.delete(f"{INDEX_FOLDER}/imagery/{CASEY}.parquet")
    write_index(store, f"{INDEX_FOLDER}/imagery/{HOBART}.parquet", [])
    assert open_book(folder).index((HOBART,)) == {}
    result = outcomes(folder, "reindex", "--json")
    assert result.code == 0, result.stderr
    assert result.document == [
        {"partition": CASEY, "outcomes": 1, "error": None},
        {"partition": HOBART, "outcomes": 3, "error": None},
    ]
    assert open_book(folder).index((HOBART,)) == before
    assert "Partitions 2/2" in result.stderr


def test_reindex_of_one_key_means_its_partition(folder: Path) -> None:
    result = outcomes(folder, "reindex", "--key", f"{HOBART}/search", "--json")
    assert result.document == [{"partition": HOBART, "outcomes": 3, "error": None}]


def test_reindex_of_a_partition_that_is_held_fails(folder: Path) -> None:
    path = f"{LEASE_FOLDER}/imagery/{HOBART}.json"
    with hold_lease(open_store(folder.as_uri()), path, ttl_s=60):
        no_wait = {"ESTINEL_OUTCOMES_LEASE_WAIT_S": "0"}
        some = outcomes(folder, "reindex", "--json", **no_wait)
        every = outcomes(folder, "reindex", "--key", HOBART, "--json", **no_wait)
    assert some.code == 1
    assert [row["outcomes"] for row in some.document] == [1, None]
    assert path in some.document[1]["error"]
    assert every.code == 2


def test_reindex_of_nothing_is_nothing_to_do(tmp_path: Path) -> None:
    result = outcomes(tmp_path / "new", "reindex", "--json")
    assert result.code == 6
    assert result.document["error"]["exit_code"] == 6


_PART = st.text(min_size=1, max_size=5)


@given(st.lists(st.lists(_PART, min_size=1, max_size=3).map(tuple), max_size=6))
def test_selections_never_overlap_and_cover_all_keys(keys: list[tuple[str, ...]]) -> None:
    query = OutcomeQuery.parse(
        ImageryReason,
        keys=[encode_key(key) for key in keys],
        status=None,
        words=None,
        since=None,
    )
    chosen = [selection.under for selection in query.selections]
    for key in keys:
        assert sum(key[: len(one)] == one for one in chosen) == 1
    assert chosen == sorted(chosen)
    assert set(chosen) <= {*keys, ()}


@given(st.lists(_PART, min_size=1, max_size=4).map(tuple))
def test_keys_are_read_as_they_are_shown(key: tuple[str, ...]) -> None:
    assert parse_key(encode_key(key)) == key


def test_times_without_a_zone_are_utc() -> None:
    assert parse_time("2024-12-04T12:00:00") == NOON
    assert parse_time("2024-12-04") == datetime(2024, 12, 4, tzinfo=UTC)
