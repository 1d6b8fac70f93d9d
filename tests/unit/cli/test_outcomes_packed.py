"""`estinel outcomes` and `estinel reprocess --dry-run` over packed outcomes, those of PIDs."""

import json
from pathlib import Path

import pytest

from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.pids.batches import OutcomeBatches
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.reasons import PIDS
from estinel_assets.storage import open_store
from tests.support.cli import Outcome as Ended
from tests.support.cli import estinel
from tests.support.outcomes import NOON, outcome

AT = TopicPartition("cmip6.esgf", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with the outcomes of four messages, one of which was tried again."""
    url = (tmp_path / "store").as_uri()
    book = OutcomeBook(open_store(url), PIDS, prefix="outcomes", lease_ttl_s=60)
    batches = OutcomeBatches(book.packed)
    batches.add(AT, [unit("0"), unit("1", reason="invalid_message", minutes=10)])
    batches.add(AT, [unit("2", reason="handle_unavailable", minutes=20)])
    batches.add_retried([unit("2", minutes=30)], "again")
    batches.add_retried([outcome("files", "ab12", product="pids", minutes=40)], "again")
    return tmp_path / "store"


def unit(offset: str, **more):
    return outcome(AT.topic, "0", offset, product="pids", **more)


def outcomes(folder: Path, command: str, *options: object) -> Ended:
    arguments = ("outcomes", command, "--product", "pids", *options)
    return estinel(*arguments, ESTINEL_STORE_URL=folder.as_uri())


TOPIC = "cmip6%2Eesgf/0"
ALL = [f"{TOPIC}/0", f"{TOPIC}/1", f"{TOPIC}/2", "files/ab12"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ALL),
        (["--key", TOPIC], ALL[:3]),
        (["--key", "files", "--key", f"{TOPIC}/2"], ALL[2:]),
        (["--status", "false"], ALL[1:2]),
        (["--reason", "handle_unavailable"], []),
        (["--reason", "none", "--since", "2024-12-04T12:30"], ALL[2:]),
        (["--since", NOON.isoformat()], ALL),
        (["--since", "2024-12-05"], []),
    ],
)
def test_list_and_count_select_the_same(
    folder: Path, options: list[str], expected: list[str]
) -> None:
    listed = outcomes(folder, "list", *options, "--json")
    counted = outcomes(folder, "count", *options, "--json")

    assert [row["key"] for row in listed.document] == expected
    assert counted.document["total"] == len(expected)


def test_count(folder: Path) -> None:
    assert outcomes(folder, "count", "--json").document == {
        "product": "pids",
        "total": 4,
        "by_status": {"true": 3, "false": 1},
        "by_reason": {"none": 3, "invalid_message": 1},
    }


def test_show_and_export(folder: Path, tmp_path: Path) -> None:
    shown = outcomes(folder, "show", "--key", f"{TOPIC}/2", "--json")
    assert (shown.document["status"], shown.document["reason"]) == (True, "none")
    absent = outcomes(folder, "show", "--key", f"{TOPIC}/7")
    assert absent.code == 3
    assert f"pids has no outcome '{TOPIC}/7'" in absent.stderr

    file = tmp_path / "outcomes.jsonl"
    assert outcomes(folder, "export", "--output", file, "--json").document["outcomes"] == 4
    assert [json.loads(line)["key"] for line in file.read_text().splitlines()] == ALL


def test_reindex_says_that_there_is_no_index(folder: Path) -> None:
    result = outcomes(folder, "reindex")
    assert result.code == 3
    assert "pids packs its outcomes in batches and has no index" in result.stderr


def test_a_reprocessing_is_planned(folder: Path) -> None:
    arguments = ("reprocess", "--product", "pids", "--status", "false", "--dry-run", "--json")
    result = estinel(*arguments, ESTINEL_STORE_URL=folder.as_uri())
    assert [(row["key"], row["reason"]) for row in result.document] == [(ALL[1], "invalid_message")]
