"""The old layout, read back with hickle."""

import sys
from pathlib import Path
from typing import Any

import h5py
import hickle
import numpy as np
import pytest

from estinel_assets.ard.ard_zarr import read_group, remove_group
from estinel_assets.ard.export_ttc import COMPLETE, export_tile_year, old_paths
from estinel_assets.errors import BadInputError, MissingDependencyError, StoreError
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.ard_groups import DAYS, PATH, TILE_YEAR, backscatter, store_of
from tests.support.watched_store import refusing

pytestmark = pytest.mark.filterwarnings("ignore:Use `@`:PendingDeprecationWarning")

ABOVE = "2023/raw/1035/727/raw"
DAYS_OF_YEAR = [day.timetuple().tm_yday for day in DAYS]


@pytest.fixture(scope="module")
def store() -> ObjectStore:
    return store_of(s1=backscatter(np.random.default_rng(0)))


@pytest.fixture(scope="module")
def files(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("old")
    written = export_tile_year(store, TILE_YEAR, open_store(f"file://{folder}"))
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.hkl")}
    assert found == set(written)
    return {path.removeprefix(f"{ABOVE}/"): hickle.load(folder / path) for path in written}


def test_nine_files_of_the_old_dtypes_and_shapes(files: dict[str, Any]):
    assert {name: (str(array.dtype), array.shape) for name, array in files.items()} == {
        "misc/dem_1035X727Y.hkl": ("float32", (24, 36)),
        "s1/1035X727Y.hkl": ("uint16", (12, 6, 9, 2)),
        "s2_10/1035X727Y.hkl": ("uint16", (3, 24, 36, 4)),
        "s2_20/1035X727Y.hkl": ("uint16", (3, 12, 18, 6)),
        "misc/s2_dates_1035X727Y.hkl": ("int64", (3,)),
        "clouds/clouds_1035X727Y.hkl": ("float32", (4, 8, 9)),
        "misc/s1_dates_1035X727Y.hkl": ("int64", (12,)),
        "clouds/cloudmask_1035X727Y.hkl": ("uint8", (3, 2, 3)),
        "clouds/clean_steps_1035X727Y.hkl": ("int64", (3,)),
    }


def test_reflectance_is_stretched_to_65535(files: dict[str, Any], store: ObjectStore):
    for group in ("s2_10", "s2_20"):
        stored = read_group(store, PATH, group)["reflectance"].values
        expected = np.rint(np.clip(stored / 10_000, 0, 1) * 65_535).transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(files[f"{group}/1035X727Y.hkl"], expected)
        assert files[f"{group}/1035X727Y.hkl"].max() == 65_535
        assert (files[f"{group}/1035X727Y.hkl"][stored.transpose(0, 2, 3, 1) == 0] == 0).all()


def test_radar_and_slope_are_as_they_are_stored(files: dict[str, Any], store: ObjectStore):
    stored = read_group(store, PATH, "s1")["backscatter"].values
    for band in range(2):
        np.testing.assert_array_equal(files["s1/1035X727Y.hkl"][..., band], stored[:, band])
    slope = read_group(store, PATH, "dem")["slope"].values
    np.testing.assert_array_equal(files["misc/dem_1035X727Y.hkl"], slope)


def test_dates_and_clouds(files: dict[str, Any], store: ObjectStore):
    days = [45] * 3 + [135] * 3 + [225] * 3 + [315] * 3
    assert files["misc/s1_dates_1035X727Y.hkl"].tolist() == days
    assert files["misc/s2_dates_1035X727Y.hkl"].tolist() == DAYS_OF_YEAR
    assert files["clouds/clean_steps_1035X727Y.hkl"].tolist() == DAYS_OF_YEAR
    clouds = files["clouds/clouds_1035X727Y.hkl"]
    cloudy = read_group(store, PATH, "clouds")["cloudy"].values == 1
    np.testing.assert_array_equal(np.isnan(clouds), cloudy)
    assert (clouds[~cloudy] == 0).all()
    cirrus = read_group(store, PATH, "clouds")["cirrus"].values
    np.testing.assert_array_equal(files["clouds/cloudmask_1035X727Y.hkl"], cirrus)


def test_files_are_packed_with_gzip_and_the_same_again(store: ObjectStore, tmp_path: Path):
    target = open_store(f"file://{tmp_path}")
    paths = export_tile_year(store, TILE_YEAR, target, "archive/ttc")
    assert paths[-1] == f"archive/ttc/{ABOVE}/clouds/clouds_1035X727Y.hkl"
    with h5py.File(tmp_path / paths[-5]) as file:
        assert (file["data"].compression, file["data"].dtype) == ("gzip", np.uint16)
    before = {path: target.get(path).data for path in paths}
    export_tile_year(store, TILE_YEAR, target, "archive/ttc")
    assert {path: target.get(path).data for path in paths} == before


def test_what_readers_know_completeness_by_is_written_last(store: ObjectStore):
    assert tuple(old_paths(TILE_YEAR))[-len(COMPLETE) :] == COMPLETE
    target = open_store("memory://")
    with pytest.raises(StoreError, match="refuses"):
        export_tile_year(store, TILE_YEAR, refusing(target, 3))
    written = [found.path.removeprefix(f"{ABOVE}/") for found in target.list()]
    assert sorted(written) == [
        "clouds/clean_steps_1035X727Y.hkl",
        "clouds/cloudmask_1035X727Y.hkl",
        "misc/s1_dates_1035X727Y.hkl",
    ]


def test_what_does_not_stand_is_not_exported():
    store, target = store_of(), open_store("memory://")
    remove_group(store, PATH, "s2_10")
    remove_group(store, PATH, "clouds")
    with pytest.raises(BadInputError, match=r"2023_1035X727Y cannot .*: s2_10, clouds do not"):
        export_tile_year(store, TILE_YEAR, target)
    assert list(target.list()) == []


def test_a_gap_is_exported_only_if_that_is_allowed():
    store, target = (
        store_of(s1=backscatter(np.random.default_rng(0), without="Q2")),
        open_store("memory://"),
    )
    with pytest.raises(BadInputError, match="Sentinel-1 has nothing for Q2"):
        export_tile_year(store, TILE_YEAR, target)
    assert list(target.list()) == []
    assert len(export_tile_year(store, TILE_YEAR, target, gaps_allowed=True)) == 9


def test_without_hickle_the_extra_is_named(store: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "hickle", None)
    with pytest.raises(MissingDependencyError, match=r"hickle.*extra `ttc`"):
        export_tile_year(store, TILE_YEAR, open_store("memory://"))
