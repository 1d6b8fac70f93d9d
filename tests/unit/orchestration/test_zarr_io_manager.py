"""Arrays as Zarr: they come back with their CRS, and a reader never sees half a group."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import rioxarray  # noqa: F401 - gives datasets their `rio`
import xarray as xr
import zarr

from estinel_assets.errors import BadInputError, NotFoundError, StoreError
from estinel_assets.orchestration.zarr_groups import (
    Entry,
    GroupStore,
    group_folder,
    open_group,
    publish,
)
from estinel_assets.orchestration.zarr_io_manager import ZarrIOManager
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectMeta, ObjectStore
from tests.support.dagster_store import on_folder, on_s3, quiet_dagster
from tests.support.s3 import S3Access, s3_server

pytestmark = quiet_dagster

TILES = dg.StaticPartitionsDefinition(["2024_55GEN", "2025_55GEN"])
PATH = "assets/tile.zarr.json"


def tile(offset: int = 0) -> xr.Dataset:
    """Two bands on a grid of 10 m in UTM 55 south, nothing valid in one corner."""
    pixels = np.arange(2 * 30 * 40, dtype=np.float32).reshape(2, 30, 40) + offset
    pixels[:, :3, :3] = np.nan
    return xr.Dataset(
        {"reflectance": (("band", "y", "x"), pixels, {"units": "1"})},
        coords={
            "band": ["B04", "B8A"],
            "y": 5_250_000.0 - 10 * np.arange(30),
            "x": 520_000.0 + 10 * np.arange(40),
            "time": np.datetime64("2024-12-04T00:10:31", "ns"),
        },
        attrs={"attribution": "Contains modified Copernicus Sentinel data [2024]"},
    ).rio.write_crs(32755)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


@pytest.fixture(params=["file", "s3"])
def form(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Access
) -> ZarrIOManager:
    if request.param == "file":
        return ZarrIOManager(store=on_folder(tmp_path / "store", monkeypatch))
    return ZarrIOManager(store=on_s3(s3, tmp_path.name, monkeypatch))


@pytest.fixture
def zarr_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ZarrIOManager:
    return ZarrIOManager(store=on_folder(tmp_path / "store", monkeypatch))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(f"file://{tmp_path}/store")


def versions(store: ObjectStore) -> list[str]:
    return store.list_folders(PATH.removesuffix(".json"))


class Failing:
    """A store whose writes fail after a number of them; all else is the real one's."""

    def __init__(self, store: ObjectStore, after: int) -> None:
        self._store = store
        self.left = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        if self.left == 0:
            raise StoreError("the store is full")
        self.left -= 1
        return self._store.put(path, data, content_type=content_type)


# --- through Dagster ---------------------------------------------------------------------------


def test_a_dataset_comes_back_as_it_was_with_its_crs(form: ZarrIOManager, tmp_path: Path) -> None:
    taken: list[xr.Dataset] = []

    @dg.asset(io_manager_key="zarr", partitions_def=TILES)
    def tiles(context: dg.AssetExecutionContext) -> xr.Dataset:
        return tile(int(context.partition_key[:4]))

    @dg.asset(partitions_def=TILES)
    def reader(tiles: xr.Dataset) -> None:
        taken.append(tiles.load())

    @dg.asset
    def merged(tiles: dict[str, xr.Dataset]) -> None:
        taken.extend(tiles[key].load() for key in sorted(tiles))

    instance = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path))
    given: dict[str, Any] = {"instance": instance, "resources": {"zarr": form}}
    dg.materialize([tiles], partition_key="2024_55GEN", **given)
    dg.materialize([tiles, reader], partition_key="2025_55GEN", **given)
    dg.materialize([tiles, merged], selection=[merged], **given)

    for loaded, year in zip(taken, (2025, 2024, 2025), strict=True):
        xr.testing.assert_equal(loaded, tile(year))
        assert loaded.attrs == tile().attrs
        assert loaded.rio.crs.to_epsg() == 32755
        assert loaded["reflectance"].rio.crs.to_epsg() == 32755
    event = instance.get_latest_materialization_event(dg.AssetKey("tiles"))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    opened = form.store.open()
    pointer = json.loads(opened.get("assets/tiles/partition=2025_55GEN.zarr.json").data)
    stored = [meta.size for meta in opened.list(pointer["group"])]
    assert metadata["stored_bytes"].value == sum(stored)
    assert metadata["stored_sha256"].value == pointer["sha256"]
    assert metadata["stored_uri"].value == opened.uri(pointer["group"])


def test_a_missing_dataset_is_named(zarr_form: ZarrIOManager, tmp_path: Path) -> None:
    @dg.asset(io_manager_key="zarr")
    def tiles() -> xr.Dataset:
        return tile()

    defs = dg.Definitions(assets=[tiles], resources={"zarr": zarr_form})
    with (
        dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance,
        defs.get_asset_value_loader(instance) as loader,
        pytest.raises(BadInputError, match="tiles was never made"),
    ):
        loader.load_asset_value(dg.AssetKey("tiles"))


# --- the form ----------------------------------------------------------------------------------


def test_other_tools_open_the_group(zarr_form: ZarrIOManager, store: ObjectStore) -> None:
    kept = zarr_form.save(store, PATH, tile())

    group = zarr.open_group(kept.uri.removeprefix("file://"), mode="r")

    assert group.metadata.zarr_format == 3
    np.testing.assert_array_equal(group["reflectance"][:], tile()["reflectance"].values)


def test_equal_datasets_have_equal_checksums(zarr_form: ZarrIOManager, store: ObjectStore) -> None:
    first = zarr_form.save(store, PATH, tile())
    again = zarr_form.save(store, PATH, tile())
    other = zarr_form.save(store, PATH, tile(offset=1))

    assert first.sha256 == again.sha256 != other.sha256
    assert first.n_bytes == again.n_bytes > 1000


def test_loading_reads_no_chunk_until_its_values_are_used(
    zarr_form: ZarrIOManager, store: ObjectStore
) -> None:
    zarr_form.save(store, PATH, tile())
    for meta in list(store.list(open_group(store, PATH).folder)):
        if "reflectance/c/" in meta.path:
            store.delete(meta.path)

    loaded = zarr_form.load(store, PATH, None)

    assert loaded["reflectance"].shape == (2, 30, 40)
    assert loaded["band"].values.tolist() == ["B04", "B8A"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros(3), "not a ndarray"),
        (tile()["reflectance"], "to_dataset"),
        (tile().assign_attrs(made=object()), "cannot be stored as Zarr"),
    ],
    ids=["array", "data array", "attribute"],
)
def test_what_zarr_cannot_hold_is_refused_and_the_former_stays(
    zarr_form: ZarrIOManager, store: ObjectStore, value: Any, said: str
) -> None:
    zarr_form.save(store, PATH, tile())

    with pytest.raises(BadInputError, match=said):
        zarr_form.save(store, PATH, value)

    xr.testing.assert_equal(zarr_form.load(store, PATH, None).load(), tile())


def test_partial_reads_are_those_of_the_object(store: ObjectStore) -> None:
    body = bytes(range(100))
    store.put("g/a", body)
    group = GroupStore(store, "g", {"a": Entry(100, "")}, read_only=True)
    prototype = zarr.core.buffer.default_buffer_prototype()
    requests = {
        zarr.abc.store.RangeByteRequest(10, 30): body[10:30],
        zarr.abc.store.OffsetByteRequest(90): body[90:],
        zarr.abc.store.SuffixByteRequest(7): body[-7:],
        zarr.abc.store.SuffixByteRequest(700): body,
        None: body,
    }

    async def read() -> list[Any]:
        return await group.get_partial_values(prototype, [("a", part) for part in requests])

    found = zarr.core.sync.sync(read())
    assert [one.to_bytes() for one in found] == list(requests.values())


# --- all or nothing ----------------------------------------------------------------------------


def test_only_the_newest_version_is_left(zarr_form: ZarrIOManager, store: ObjectStore) -> None:
    zarr_form.save(store, PATH, tile())
    (first,) = versions(store)
    zarr_form.save(store, PATH, tile(offset=1))

    (second,) = versions(store)
    assert second != first
    xr.testing.assert_equal(zarr_form.load(store, PATH, None).load(), tile(offset=1))


def test_a_crash_at_any_write_leaves_the_former_whole(
    zarr_form: ZarrIOManager, store: ObjectStore
) -> None:
    counting = Failing(store, after=1000)
    zarr_form.save(counting, PATH, tile())
    n_writes = 1000 - counting.left

    for after in range(n_writes):
        with pytest.raises(StoreError, match="full"):
            zarr_form.save(Failing(store, after), PATH, tile(offset=1))
        xr.testing.assert_equal(zarr_form.load(store, PATH, None).load(), tile())
    zarr_form.save(Failing(store, n_writes), PATH, tile(offset=1))

    xr.testing.assert_equal(zarr_form.load(store, PATH, None).load(), tile(offset=1))


def test_a_crash_before_anything_was_published_leaves_nothing_to_load(
    zarr_form: ZarrIOManager, store: ObjectStore
) -> None:
    with pytest.raises(StoreError, match="full"):
        zarr_form.save(Failing(store, 4), PATH, tile())

    with pytest.raises(NotFoundError):
        zarr_form.load(store, PATH, None)


def test_a_dataset_that_is_replaced_while_it_is_read_is_an_error_not_a_fill_value(
    zarr_form: ZarrIOManager, store: ObjectStore
) -> None:
    zarr_form.save(store, PATH, tile())
    reading = zarr_form.load(store, PATH, None)
    zarr_form.save(store, PATH, tile(offset=1))

    with pytest.raises(StoreError, match="replaced while it was being read; load it again"):
        reading["reflectance"].load()


def test_what_crashed_runs_left_is_removed_but_not_what_is_being_written(
    zarr_form: ZarrIOManager, store: ObjectStore, tmp_path: Path
) -> None:
    for name in ("abandoned", "in_the_works"):
        store.put(f"{group_folder(PATH, name)}/zarr.json", b"{}")
    old = tmp_path / "store" / group_folder(PATH, "abandoned") / "zarr.json"
    os.utime(old, (1_700_000_000, 1_700_000_000))

    zarr_form.save(store, PATH, tile())

    assert "abandoned" not in versions(store)
    assert "in_the_works" in versions(store)
    assert len(versions(store)) == 2


def test_a_pointer_to_nothing_is_named(store: ObjectStore, zarr_form: ZarrIOManager) -> None:
    store.put(PATH, b'{"version": "gone"}')
    with pytest.raises(StoreError, match="names a dataset that is not there"):
        zarr_form.load(store, PATH, None)

    store.put(PATH, b'["no", "pointer"]')
    with pytest.raises(StoreError, match="does not name a dataset"):
        zarr_form.load(store, PATH, None)


def test_removing_takes_the_group_with_it(zarr_form: ZarrIOManager, store: ObjectStore) -> None:
    zarr_form.save(store, PATH, tile())
    zarr_form.remove(store, PATH)

    assert list(store.list()) == []
    zarr_form.remove(store, PATH)


def test_publishing_the_same_version_again_keeps_it(store: ObjectStore) -> None:
    folder = group_folder(PATH, "v1")
    store.put(f"{folder}/zarr.json", b"{}")
    written = GroupStore(store, folder, {"zarr.json": Entry(2, "")}, read_only=False)

    assert publish(store, PATH, written, "v1") == publish(store, PATH, written, "v1")
    assert versions(store) == ["v1"]
