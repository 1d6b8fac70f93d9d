"""Dynamic partitions follow what they stand for."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.partitions import (
    ADD_AT_ONCE,
    COLLECTIONS,
    SITES,
    add_partitions,
    is_partition_key,
    partition_changes,
    sync_partitions,
)
from tests.support.hostile import HOSTILE_NAMES

KEYS = st.sets(st.text(min_size=1, max_size=3), max_size=8)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on SQLite."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


class Counting:
    """An instance that remembers how many keys each call added."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.added: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.instance, name)

    def add_dynamic_partitions(self, name: str, keys: Sequence[str]) -> None:
        self.added.append(len(keys))
        self.instance.add_dynamic_partitions(name, keys)


def test_two_thousand_keys_come_in_chunks(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    keys = [f"site_{number:08x}" for number in range(2000)]
    counting = Counting(instance)

    assert sync_partitions(counting, SITES, keys) == (2000, 0)  # type: ignore[arg-type]

    assert counting.added == [500, 500, 500, 500]
    assert max(counting.added) <= ADD_AT_ONCE
    assert sorted(instance.get_dynamic_partitions("sites")) == keys
    databases = list(tmp_path.rglob("*.db"))
    assert databases, "the instance is not on SQLite"
    with sqlite3.connect(tmp_path / "history" / "runs" / "index.db") as database:
        (count,) = database.execute("select count(*) from dynamic_partitions").fetchone()
    database.close()
    assert count == 2000


def test_the_same_again_changes_nothing(instance: dg.DagsterInstance) -> None:
    assert sync_partitions(instance, SITES, ["b", "a"]) == (2, 0)
    assert sync_partitions(instance, SITES, ["a", "b"]) == (0, 0)


def test_what_is_gone_is_deleted(instance: dg.DagsterInstance) -> None:
    sync_partitions(instance, SITES, ["a", "b", "c"])

    assert sync_partitions(instance, SITES, ["b", "d"]) == (1, 2)
    assert sorted(instance.get_dynamic_partitions("sites")) == ["b", "d"]


def test_an_empty_answer_deletes_nothing(instance: dg.DagsterInstance) -> None:
    sync_partitions(instance, SITES, ["a", "b"])

    assert sync_partitions(instance, SITES, []) == (0, 0)
    assert sorted(instance.get_dynamic_partitions("sites")) == ["a", "b"]


def test_unusable_keys_are_all_named_and_nothing_is_changed(instance: dg.DagsterInstance) -> None:
    sync_partitions(instance, SITES, ["a"])

    with pytest.raises(BadInputError, match=r"partitions of sites: '', 'x\.\.\.y', 'z\\n'"):
        sync_partitions(instance, SITES, ["fine", "x...y", "", "z\n"])

    assert list(instance.get_dynamic_partitions("sites")) == ["a"]


def test_whatever_counts_as_usable_dagster_takes(instance: dg.DagsterInstance) -> None:
    names = {*HOSTILE_NAMES, *map(chr, range(0x180))}
    keys = [name for name in names if is_partition_key(name)]

    assert sync_partitions(instance, SITES, keys) == (len(keys), 0)
    assert set(instance.get_dynamic_partitions("sites")) == set(keys)
    assert len(keys) > 300


def test_partitions_that_are_missing_are_added_and_none_is_deleted(
    instance: dg.DagsterInstance,
) -> None:
    sync_partitions(instance, COLLECTIONS, ["C1-X", "C2-X"])

    add_partitions(instance, COLLECTIONS, ["C3-X", "C2-X", "C3-X"])
    add_partitions(instance, COLLECTIONS, [])

    assert sorted(instance.get_dynamic_partitions("collections")) == ["C1-X", "C2-X", "C3-X"]
    assert list(instance.get_dynamic_partitions("sites")) == [], "each kind has its own"


@given(wanted=KEYS, present=KEYS)
def test_changes_lead_from_what_is_to_what_is_wanted(wanted: set[str], present: set[str]) -> None:
    add, delete = partition_changes(wanted, present)

    assert (present | set(add)) - set(delete) == (wanted or present)
    assert not set(add) & present
    assert set(delete) <= present
    assert (add, delete) == (sorted(add), sorted(delete))
