"""IO managers: what they keep, where, as which partitions, and what they say of what is absent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.orchestration.io_managers import (
    AssetIOManager,
    JsonIOManager,
    ParquetIOManager,
    asset_path,
)
from estinel_assets.orchestration.resources import StoreResource
from estinel_assets.storage.port import ObjectStore
from tests.support.dagster_store import on_folder, on_s3, quiet_dagster
from tests.support.hostile import HOSTILE_NAMES
from tests.support.s3 import S3Access, s3_server

pytestmark = quiet_dagster

SITES = dg.DynamicPartitionsDefinition(name="sites")
LETTERS = dg.StaticPartitionsDefinition(["a", "b", "c"])
FRAME = pd.DataFrame({"scene": ["S2A", "S2B"], "cloud": [0.25, None]})


class Window(BaseModel):
    """A model, as an asset may hand it on."""

    crs: str
    width: int


@dataclass(frozen=True)
class Marker:
    """A dataclass, as an asset may hand it on."""

    site: str
    days: list[str]


class Workbench:
    """A store, an instance, and both IO managers."""

    def __init__(self, resource: StoreResource, folder: Path) -> None:
        self.resources: dict[str, Any] = {
            "json": JsonIOManager(store=resource),
            "parquet": ParquetIOManager(store=resource),
        }
        self.store: ObjectStore = resource.open()
        self.instance = dg.DagsterInstance.ephemeral(tempdir=str(folder))

    def add_sites(self, *keys: str) -> None:
        self.instance.add_dynamic_partitions("sites", list(keys))

    def run(
        self, *assets: dg.AssetsDefinition, partition: str | None = None, **options: Any
    ) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            assets,
            instance=self.instance,
            resources=self.resources,
            partition_key=partition,
            **options,
        )

    def run_range(self, asset: dg.AssetsDefinition, first: str, last: str, **options: Any) -> Any:
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        return self.run(asset, tags=tags, **options)

    def failure_of(self, *assets: dg.AssetsDefinition, **options: Any) -> str:
        result = self.run(*assets, raise_on_error=False, **options)
        assert not result.success
        (failed,) = [event for event in result.all_events if event.is_step_failure]
        described = failed.step_failure_data.user_failure_data
        assert described is not None, failed.step_failure_data.error
        assert described.description is not None
        return str(described.description)

    def load(self, *assets: dg.AssetsDefinition, key: str, **options: Any) -> Any:
        defs = dg.Definitions(assets=assets, resources=self.resources)
        with defs.get_asset_value_loader(self.instance) as loader:
            return loader.load_asset_value(dg.AssetKey(key), **options)

    def paths(self) -> list[str]:
        return sorted(meta.path for meta in self.store.list())

    def metadata(self, key: str, partition: str | None = None) -> dict[str, Any]:
        event = self.instance.get_latest_materialization_event(dg.AssetKey(key))
        if partition is not None:
            events = self.instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey(key), asset_partitions=[partition]), limit=1
            )
            event = events.records[0].event_log_entry
        assert event is not None
        assert event.asset_materialization is not None
        return {name: held.value for name, held in event.asset_materialization.metadata.items()}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    return Workbench(on_folder(tmp_path / "store", monkeypatch), tmp_path)


# A table and records by partition, that is: all else is the same for any store.
@pytest.fixture(params=["file", "s3"])
def any_bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Access
) -> Workbench:
    if request.param == "file":
        return Workbench(on_folder(tmp_path / "store", monkeypatch), tmp_path)
    return Workbench(on_s3(s3, tmp_path.name, monkeypatch), tmp_path)


@dg.asset(io_manager_key="parquet")
def scenes() -> pd.DataFrame:
    return FRAME


@dg.asset(io_manager_key="json", partitions_def=SITES)
def fragment(context: dg.AssetExecutionContext) -> dict[str, object]:
    return {"site": context.partition_key}


# --- one value ---------------------------------------------------------------------------------


def test_a_table_is_parquet_and_loads_on_arrow(any_bench: Workbench) -> None:
    any_bench.run(scenes)

    assert any_bench.paths() == ["assets/scenes.parquet"]
    stored = any_bench.store.get("assets/scenes.parquet").data
    assert pq.read_table(pa.BufferReader(stored)).to_pydict() == {
        "scene": ["S2A", "S2B"],
        "cloud": [0.25, None],
    }
    loaded = any_bench.load(scenes, key="scenes")
    assert all(isinstance(kind, pd.ArrowDtype) for kind in loaded.dtypes)
    assert loaded["cloud"].isna().tolist() == [False, True]


def test_bytes_checksum_and_address_are_in_the_metadata(bench: Workbench) -> None:
    bench.run(scenes)

    stored = bench.store.get("assets/scenes.parquet").data
    metadata = bench.metadata("scenes")
    assert metadata["stored_bytes"] == len(stored)
    assert metadata["stored_sha256"] == sha256(stored).hexdigest()
    assert metadata["stored_uri"] == bench.store.uri("assets/scenes.parquet")


def test_the_same_value_twice_is_the_same_object(bench: Workbench) -> None:
    bench.run(scenes)
    first = bench.store.get("assets/scenes.parquet").data
    bench.run(scenes)

    assert bench.store.get("assets/scenes.parquet").data == first
    assert bench.paths() == ["assets/scenes.parquet"]


def test_an_asset_takes_the_stored_value_of_another_run(bench: Workbench) -> None:
    taken: list[pd.DataFrame] = []

    @dg.asset
    def counted(scenes: pd.DataFrame) -> None:
        taken.append(scenes)

    bench.run(scenes)
    bench.run(scenes, counted, selection=[counted])

    assert taken[0]["scene"].tolist() == ["S2A", "S2B"]


def test_a_reader_may_ask_for_arrow(bench: Workbench) -> None:
    bench.run(scenes)

    assert bench.load(scenes, key="scenes", python_type=pa.Table).num_rows == 2


def test_an_arrow_table_may_be_handed_on(bench: Workbench) -> None:
    @dg.asset(io_manager_key="parquet")
    def table() -> pa.Table:
        return pa.table({"n": [1, 2]})

    bench.run(table)

    assert bench.load(table, key="table")["n"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (["not", "a", "table"], "list"),
        (FRAME.set_index("scene"), "index scene"),
        (pd.DataFrame({"mixed": [1, "a"]}), "mixed"),
    ],
    ids=["list", "named index", "mixed column"],
)
def test_what_parquet_cannot_hold_is_refused(bench: Workbench, value: Any, named: str) -> None:
    @dg.asset(io_manager_key="parquet")
    def odd():
        return value

    assert named in bench.failure_of(odd)
    assert bench.paths() == []


def test_json_refuses_what_it_has_no_word_for(bench: Workbench) -> None:
    @dg.asset(io_manager_key="json")
    def odd():
        return {"cloud": float("nan")}

    assert "$.cloud" in bench.failure_of(odd)
    assert bench.paths() == []


def test_records_are_json_for_people(bench: Workbench) -> None:
    @dg.asset(io_manager_key="json")
    def counts() -> dict[str, int]:
        return {"sites": 5, "images": 0}

    bench.run(counts)

    assert bench.store.get("assets/counts.json").data == b'{\n  "sites": 5,\n  "images": 0\n}\n'
    assert bench.load(counts, key="counts") == {"sites": 5, "images": 0}


def test_models_and_dataclasses_come_back_as_such(bench: Workbench) -> None:
    taken: list[object] = []

    @dg.asset(io_manager_key="json")
    def window() -> Window:
        return Window(crs="EPSG:32755", width=600)

    @dg.asset(io_manager_key="json", partitions_def=LETTERS)
    def marker(context: dg.AssetExecutionContext) -> Marker:
        return Marker(context.partition_key, ["2024-12-04"])

    @dg.asset
    def taker(window: Window, marker: dict[str, Marker]) -> None:
        taken.extend([window, marker["b"]])

    bench.run(window)
    for letter in "abc":
        bench.run(marker, partition=letter)
    bench.run(window, marker, taker, selection=[taker])

    assert taken == [Window(crs="EPSG:32755", width=600), Marker("b", ["2024-12-04"])]
    assert bench.load(window, key="window") == {"crs": "EPSG:32755", "width": 600}


def test_a_record_of_another_shape_is_named(bench: Workbench) -> None:
    @dg.asset(io_manager_key="json")
    def window() -> dict[str, str]:
        return {"crs": "EPSG:32755", "width": "wide"}

    bench.run(window)

    with pytest.raises(StoreError, match=r"window\.json is no Window \(width: .*integer"):
        bench.load(window, key="window", python_type=Window)


def test_a_broken_object_is_named(bench: Workbench) -> None:
    bench.store.put("assets/scenes.parquet", b"PAR1 but no more")

    with pytest.raises(StoreError, match=r"assets/scenes\.parquet is not Parquet"):
        bench.load(scenes, key="scenes")


def test_stored_objects_hold_no_pickle(bench: Workbench) -> None:
    bench.add_sites("site_1")
    bench.run(scenes)
    bench.run(fragment, partition="site_1")

    for path in bench.paths():
        body = bench.store.get(path).data
        assert path.endswith((".parquet", ".json"))
        assert body[:4] == b"PAR1" if path.endswith(".parquet") else json.loads(body)


def test_what_is_no_asset_is_refused(bench: Workbench) -> None:
    @dg.op(out=dg.Out(io_manager_key="json"))
    def number() -> int:
        return 1

    @dg.job(resource_defs=bench.resources)
    def numbers() -> None:
        number()

    result = numbers.execute_in_process(instance=bench.instance, raise_on_error=False)

    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "is no asset" in failed.step_failure_data.user_failure_data.description
    assert bench.paths() == []


# --- partitions --------------------------------------------------------------------------------


def test_each_partition_is_an_object(bench: Workbench) -> None:
    bench.add_sites("site_1", "site_2")
    bench.run(fragment, partition="site_1")
    bench.run(fragment, partition="site_2")

    assert bench.paths() == [
        "assets/fragment/partition=site_1.json",
        "assets/fragment/partition=site_2.json",
    ]
    assert bench.load(fragment, key="fragment", partition_key="site_2") == {"site": "site_2"}


def test_one_to_one_hands_on_the_value_even_where_it_is_a_dict(bench: Workbench) -> None:
    taken: list[object] = []

    @dg.asset(partitions_def=SITES)
    def reader(fragment: dict[str, object]) -> None:
        taken.append(fragment)

    bench.add_sites("site_1", "site_2")
    bench.run(fragment, reader, partition="site_2")

    assert taken == [{"site": "site_2"}]


@pytest.mark.parametrize("sites", [[], ["one"], ["one", "two", "three"]], ids=len)
def test_an_asset_that_may_see_several_partitions_takes_a_dict(
    bench: Workbench, sites: list[str]
) -> None:
    taken: list[object] = []

    @dg.asset
    def merged(fragment: dict[str, object]) -> None:
        taken.append(fragment)

    bench.add_sites(*sites)
    for site in sites:
        bench.run(fragment, partition=site)
    bench.run(fragment, merged, selection=[merged])

    assert taken == [{site: {"site": site} for site in sites}]


def test_a_mapping_from_several_partitions_gives_a_dict_for_one_too(bench: Workbench) -> None:
    taken: list[object] = []

    @dg.asset(
        partitions_def=LETTERS,
        ins={"fragment": dg.AssetIn(partition_mapping=dg.AllPartitionMapping())},
    )
    def lettered(fragment: dict[str, object]) -> None:
        taken.append(fragment)

    bench.add_sites("only")
    bench.run(fragment, partition="only")
    bench.run(fragment, lettered, selection=[lettered], partition="b")

    assert taken == [{"only": {"site": "only"}}]


def test_the_same_day_is_one_to_one_and_a_window_of_days_is_not(bench: Workbench) -> None:
    taken: dict[str, object] = {}
    days = dg.DailyPartitionsDefinition("2024-12-01", end_date="2024-12-10")
    window = dg.TimeWindowPartitionMapping(start_offset=-1)

    @dg.asset(io_manager_key="json", partitions_def=days)
    def day(context: dg.AssetExecutionContext) -> str:
        return context.partition_key

    @dg.asset(partitions_def=days)
    def same(day: str) -> None:
        taken["same"] = day

    @dg.asset(partitions_def=days, ins={"day": dg.AssetIn(partition_mapping=window)})
    def pair(day: dict[str, str]) -> None:
        taken["pair"] = day

    for date in ("2024-12-03", "2024-12-04"):
        bench.run(day, partition=date)
    bench.run(day, same, pair, selection=[same, pair], partition="2024-12-04")

    assert taken == {
        "same": "2024-12-04",
        "pair": {"2024-12-03": "2024-12-03", "2024-12-04": "2024-12-04"},
    }


def test_a_range_run_hands_on_a_dict_and_each_partition_has_its_metadata(
    any_bench: Workbench,
) -> None:
    @dg.asset(
        io_manager_key="json",
        partitions_def=LETTERS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def letters(context: dg.AssetExecutionContext) -> dict[str, str]:
        return {key: key * (n + 1) for n, key in enumerate(context.partition_keys)}

    taken: list[object] = []

    @dg.asset(partitions_def=LETTERS, backfill_policy=dg.BackfillPolicy.single_run())
    def reader(letters: dict[str, str]) -> None:
        taken.append(letters)

    any_bench.run_range(letters, "a", "b")
    any_bench.run(letters, partition="c")
    any_bench.run(letters, reader, selection=[reader], partition="c")

    assert any_bench.load(letters, key="letters", partition_key="b") == "bb"
    assert any_bench.load(letters, key="letters", partition_key="c") == "c"
    whole = dg.PartitionKeyRange("a", "c")
    assert any_bench.load(letters, key="letters", partition_key_range=whole) == {
        "a": "a",
        "b": "bb",
        "c": "c",
    }
    assert taken == [{"c": "c"}]
    for letter, length in (("a", 4), ("b", 5)):
        assert any_bench.metadata("letters", letter)["stored_bytes"] == length
        assert any_bench.metadata("letters", letter)["stored_uri"].endswith(f"={letter}.json")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": 1}, "lacks b"),
        ({"a": 1, "b": 2, "z": 3}, "has the unknown z"),
        ({"a": 1, "z": 3}, "lacks b and has the unknown z"),
        ([1, 2], "returned a list"),
    ],
    ids=["lacks", "unknown", "both", "no dict"],
)
def test_a_range_run_must_answer_for_each_partition(
    bench: Workbench, value: Any, said: str
) -> None:
    @dg.asset(
        io_manager_key="json",
        partitions_def=LETTERS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def letters():
        return value

    tags = {
        "dagster/asset_partition_range_start": "a",
        "dagster/asset_partition_range_end": "b",
    }
    assert said in bench.failure_of(letters, tags=tags)
    assert bench.paths() == []


@pytest.mark.parametrize("manager", [JsonIOManager, ParquetIOManager])
def test_an_asset_inside_another_ones_name_is_not_its_partition(
    manager: type[AssetIOManager],
) -> None:
    assert asset_path(dg.AssetKey(["a"]), "b", ".json") != asset_path(
        dg.AssetKey(["a", "b"]), None, ".json"
    )


def test_hostile_partition_keys_stay_in_their_folder(bench: Workbench) -> None:
    keys = [name for name in HOSTILE_NAMES if len(name) < 60]

    @dg.asset(
        io_manager_key="json",
        partitions_def=SITES,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def hostile(context: dg.AssetExecutionContext) -> dict[str, str]:
        return {key: key for key in context.partition_keys}

    bench.add_sites(*keys)
    bench.run_range(hostile, keys[0], keys[-1])

    assert len(bench.paths()) == len(keys) > 15
    assert all(
        path.startswith("assets/hostile/partition=") and path.count("/") == 2
        for path in bench.paths()
    )
    whole = dg.PartitionKeyRange(keys[0], keys[-1])
    loaded = bench.load(hostile, key="hostile", partition_key_range=whole)
    assert loaded == {key: key for key in keys}


def test_a_key_that_no_path_can_hold_is_refused(bench: Workbench) -> None:
    bench.add_sites("x" * 300)

    assert "at most 200" in bench.failure_of(fragment, partition="x" * 300)
    assert bench.paths() == []


@given(
    one=st.tuples(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3), st.none())
    | st.tuples(
        st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3),
        st.text(min_size=1, max_size=8),
    ),
    other=st.tuples(
        st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3),
        st.none() | st.text(min_size=1, max_size=8),
    ),
)
def test_different_values_have_different_paths(one: Any, other: Any) -> None:
    try:
        paths = [asset_path(dg.AssetKey(key), part, ".json") for key, part in (one, other)]
    except BadInputError:  # lone surrogates
        return

    assert (paths[0] == paths[1]) == (one == other)


# --- what is absent ----------------------------------------------------------------------------


def test_a_missing_upstream_is_named_with_the_remedy(bench: Workbench) -> None:
    @dg.asset
    def counted(scenes: pd.DataFrame) -> None: ...

    message = bench.failure_of(scenes, counted, selection=[counted])

    assert message == "scenes was never made, or holds no value; materialize it first"


def test_a_missing_partition_is_named(bench: Workbench) -> None:
    @dg.asset(partitions_def=SITES)
    def reader(fragment: dict[str, object]) -> None: ...

    bench.add_sites("site_1")
    message = bench.failure_of(fragment, reader, selection=[reader], partition="site_1")

    assert "fragment was never made" in message
    assert "for partition site_1; materialize it first" in message


def test_missing_partitions_of_several_are_all_named(bench: Workbench) -> None:
    @dg.asset
    def merged(fragment: dict[str, object]) -> None: ...

    bench.add_sites("one", "two", "three")
    bench.run(fragment, partition="two")
    message = bench.failure_of(fragment, merged, selection=[merged])

    assert "for partitions one, three; materialize them first" in message
    assert 'AssetIn(metadata={"allow_missing_partitions": True})' in message


def test_an_input_may_go_without_missing_partitions(bench: Workbench) -> None:
    taken: list[object] = []

    @dg.asset(ins={"fragment": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def merged(fragment: dict[str, object]) -> None:
        taken.append(fragment)

    bench.add_sites("one", "two", "three")
    bench.run(fragment, partition="two")
    bench.run(fragment, merged, selection=[merged])

    assert taken == [{"two": {"site": "two"}}]


def test_outside_of_a_run_the_error_is_our_own(bench: Workbench) -> None:
    with pytest.raises(BadInputError, match="scenes was never made"):
        bench.load(scenes, key="scenes")


def test_loading_a_partitioned_asset_without_a_partition_says_so(bench: Workbench) -> None:
    bench.add_sites("site_1")
    bench.run(fragment, partition="site_1")

    with pytest.raises(BadInputError, match=r"has partitions \(sites\); name one with partition"):
        bench.load(fragment, key="fragment")


def test_none_stores_nothing_and_removes_what_stood_there(bench: Workbench) -> None:
    answers = iter([{"days": 3}, None])

    @dg.asset(io_manager_key="json")
    def marker():
        return next(answers)

    bench.run(marker)
    assert bench.load(marker, key="marker") == {"days": 3}
    bench.run(marker)

    assert bench.paths() == []
    assert "stored_bytes" not in bench.metadata("marker")
    with pytest.raises(BadInputError, match="holds no value"):
        bench.load(marker, key="marker")


def test_none_for_one_partition_of_a_range_leaves_the_others(bench: Workbench) -> None:
    answers = iter([{"a": 1, "b": 2}, {"a": None, "b": 3}])

    @dg.asset(
        io_manager_key="json",
        partitions_def=LETTERS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def letters():
        return next(answers)

    bench.run_range(letters, "a", "b")
    bench.run_range(letters, "a", "b")

    assert bench.paths() == ["assets/letters/partition=b.json"]
    assert bench.load(letters, key="letters", partition_key="b") == 3


def test_a_refused_value_leaves_the_former_one(bench: Workbench) -> None:
    answers = iter([FRAME, pd.DataFrame({"mixed": [1, "a"]})])

    @dg.asset(io_manager_key="parquet")
    def table():
        return next(answers)

    bench.run(table)
    bench.failure_of(table)

    assert bench.load(table, key="table")["scene"].tolist() == ["S2A", "S2B"]
