"""What stands is looked at anew, and a store that refuses is no loss."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import xarray as xr

from estinel_assets.ard.ard_zarr import write_group
from estinel_assets.ard.availability import State, availability, honestly_absent, with_damaged
from estinel_assets.ard.plan import ArdPlan, Cause, PlannedUnit, Unit
from estinel_assets.ard.tiles import Source, Tile, TileYear
from estinel_assets.errors import StoreError
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.paths import Key
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore, StoredObject

ONE = TileYear(Tile(11, 7, 10.0833, 5.9167), 2023)
UNIT = Unit(ONE, Source.DEM)


def standing(reason: str = "none") -> dict[Key, IndexRow]:
    at = datetime(2024, 5, 1, tzinfo=UTC)
    row = IndexRow(UNIT.key, reason == "none", reason, 1, "", at, at, "run", "p", "e")
    return {row.key: row}


@pytest.fixture
def store() -> ObjectStore:
    """A store in which the group stands."""
    opened = open_store("memory://")
    dataset = xr.Dataset({"slope": (("y", "x"), np.ones((2, 2), dtype=np.float32))})
    write_group(opened, ONE.store_path, "dem", dataset, root={})
    return opened


class Refusing:
    """A store that refuses every reading below a path, as one without the rights for it does."""

    def __init__(self, store: ObjectStore, below: str) -> None:
        self._store = store
        self._below = below

    def get(self, path: str) -> StoredObject:
        if path.startswith(self._below):
            raise StoreError(f"{path}: 403 Forbidden")
        return self._store.get(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def state(store: Any, rows: dict[Key, IndexRow]) -> State:
    (found,) = availability([UNIT], rows, store)
    return found.state


def test_what_stands_is_complete(store: ObjectStore) -> None:
    assert state(store, standing()) is State.COMPLETE


def test_what_was_never_made_is_missing_though_arrays_lie_there(store: ObjectStore) -> None:
    assert state(store, {}) is State.MISSING


def test_a_refusal_is_neither_missing_nor_damaged(store: ObjectStore) -> None:
    (found,) = availability([UNIT], standing(), Refusing(store, "ard/"))  # type: ignore[arg-type]

    assert found.state is State.UNKNOWN
    assert found.problem is not None
    assert "403" in found.problem


@pytest.mark.parametrize("lost", ["dem/zarr.json", "dem/slope/c/0/0"])
def test_what_lost_an_object_is_damaged(store: ObjectStore, lost: str) -> None:
    assert store.head(f"{ONE.store_path}/{lost}")
    store.delete(f"{ONE.store_path}/{lost}")

    assert state(store, standing()) is State.DAMAGED


def test_what_is_damaged_is_planned_and_what_nobody_can_see_is_not(store: ObjectStore) -> None:
    plan = ArdPlan(complete=(UNIT,))
    refusing: Any = Refusing(store, "ard/")

    assert with_damaged(plan, standing(), store) == plan
    assert with_damaged(plan, standing(), refusing) == plan
    store.delete(f"{ONE.store_path}/dem/slope/c/0/0")
    assert with_damaged(plan, standing(), refusing) == plan
    assert with_damaged(plan, standing(), store).make == (PlannedUnit(UNIT, 1, Cause.DAMAGED),)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("no_dem", State.HONEST_NO), ("source_timeout", State.FAILED), ("interrupted", State.FAILED)],
)
def test_a_fault_and_an_honest_no_are_told_apart(
    store: ObjectStore, reason: str, expected: State
) -> None:
    assert state(store, standing(reason)) is expected
    absent = honestly_absent([ONE], standing(reason))
    assert absent == ({(ONE.key, "dem")} if expected is State.HONEST_NO else set())
