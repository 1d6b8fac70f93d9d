"""Compatibility under Dagster: collections, results, their table, and outages.

Its asset checks are in `tests/graph`, crashes in `test_compatibility_crashes`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from estinel_assets.compatibility.collections_table import PATH, SCHEMA
from estinel_assets.compatibility.record import PUBLISHED
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.chart import markdown_bars
from estinel_assets.outcomes.record import Outcome
from tests.support.compatibility import (
    FILES,
    HTML,
    NO_COLLECTIONS,
    RESULTS,
    SEARCH,
    CompatibilityWorld,
    Trouble,
    compatibility_world,
    quiet_dagster,
    result,
)
from tests.support.daemon import free_port
from tests.support.fork_server import own_fork_server

pytestmark = quiet_dagster

KINDS = {
    "C1-DEMO": "good",
    "C2-DEMO": "swath",
    "C3-DEMO": "lost",
    "C4-DEMO": "good",
    "C5-DEMO": "broken",
    "C6-DEMO": "table",
}
REASONS = {
    "C1-DEMO": "none",
    "C2-DEMO": "no_xy_dimensions",
    "C3-DEMO": "cant_open_file",
    "C4-DEMO": "none",
    "C5-DEMO": "cant_open_file",
    "C6-DEMO": "unsupported_format",
}


@pytest.fixture(scope="module", autouse=True)
def _fork_server() -> Iterator[None]:
    with own_fork_server():
        yield


# --- collections -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompatibilityWorld]:
    """A world whose collections are known, and none of them checked."""
    with compatibility_world(tmp_path_factory.mktemp("listed"), KINDS) as world:
        assert world.run("refresh_collections").success
        yield world


def table(world: CompatibilityWorld) -> pd.DataFrame:
    value = world.definitions().load_asset_value("cmr_collections", instance=world.instance)
    assert isinstance(value, pd.DataFrame)
    return value


def refreshed(world: CompatibilityWorld) -> dict[str, object]:
    """What the latest refresh said of itself."""
    event = world.instance.get_latest_materialization_event(dg.AssetKey("cmr_collections"))
    assert event is not None
    assert event.asset_materialization is not None
    said = event.asset_materialization.metadata
    return {
        name: said[name].value for name in ("collections", "partitions_added", "partitions_deleted")
    }


def test_the_collections_become_a_table_and_partitions(listed: CompatibilityWorld) -> None:
    frame = table(listed)

    assert list(frame["concept_id"]) == list(KINDS)
    assert frame.columns.tolist() == SCHEMA.names
    assert all(isinstance(kind, pd.ArrowDtype) for kind in frame.dtypes)
    assert frame.loc[0, "short_name"] == "NAME_C1-DEMO"
    assert list(frame.loc[5, "formats"]) == ["CSV"]
    assert listed.partitions() == set(KINDS)
    assert refreshed(listed) == {
        "collections": 6,
        "partitions_added": 6,
        "partitions_deleted": 0,
    }


def test_a_second_time_nothing_changes(listed: CompatibilityWorld) -> None:
    before = listed.store.get(PATH).data

    assert listed.run("refresh_collections").success

    assert refreshed(listed) == {
        "collections": 6,
        "partitions_added": 0,
        "partitions_deleted": 0,
    }
    assert listed.store.get(PATH).data == before
    assert listed.partitions() == set(KINDS)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (NO_COLLECTIONS, "lists no collection"),
        (Trouble(500), "500"),
        (HTML, "JSON"),
        (Trouble(200, b'{"hits":6,"took":1,"items":[', b"application/json"), "JSON"),
        (
            Trouble(200, b'{"hits":6,"items":[]}', b"application/json", [(b"cmr-hits", b"6")]),
            "6",
        ),
    ],
    ids=["no collection", "500", "HTML", "half a page", "less than counted"],
)
def test_without_an_answer_nothing_is_forgotten(
    listed: CompatibilityWorld, trouble: Trouble, said: str
) -> None:
    before = listed.store.get(PATH)
    listed.cmr.troubles[SEARCH] = trouble

    ran = listed.run("refresh_collections")

    listed.cmr.troubles.clear()
    assert not ran.success
    assert ran.error is not None
    assert said in ran.error
    assert listed.store.get(PATH) == before
    assert listed.partitions() == set(KINDS)


def test_a_collection_that_is_gone_loses_its_partition_and_keeps_its_result(
    listed: CompatibilityWorld,
) -> None:
    listed.put(result("C6-DEMO", "unsupported_format"))
    records = listed.records()
    listed.publish({key: kind for key, kind in KINDS.items() if key != "C6-DEMO"})

    assert listed.run("refresh_collections").success

    assert refreshed(listed) == {
        "collections": 5,
        "partitions_added": 0,
        "partitions_deleted": 1,
    }
    assert listed.partitions() == set(KINDS) - {"C6-DEMO"}
    assert "C6-DEMO" not in set(table(listed)["concept_id"])
    assert listed.records() == records
    assert set(records) == {"C6-DEMO"}


# --- results -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompatibilityWorld]:
    """A world whose first three collections were checked by keys, the others by a range."""
    with compatibility_world(tmp_path_factory.mktemp("checked"), KINDS) as world:
        assert world.run("refresh_collections").success
        by_keys = world.check("C2-DEMO", "C3-DEMO", "C1-DEMO")
        by_range = world.materialize("C4-DEMO", "C6-DEMO")
        world.runs.update(by_keys=by_keys.run_id, by_range=by_range.run_id)
        yield world


def events(world: CompatibilityWorld, run: str, kind: dg.DagsterEventType) -> dict[str, Any]:
    """The metadata of a run's events of the results, by partition."""
    found = {}
    for entry in world.instance.all_logs(world.runs[run], of_type=kind):
        assert entry.dagster_event is not None
        specific: Any = entry.dagster_event.event_specific_data
        event = getattr(specific, "materialization", None) or specific.asset_observation
        assert event.asset_key == RESULTS
        assert event.partition not in found
        found[event.partition] = {name: value.value for name, value in event.metadata.items()}
    return found


def failure(world: CompatibilityWorld, run: str) -> Any:
    """What the failed step of a run said."""
    record = world.instance.get_run_by_id(world.runs[run])
    assert record is not None
    assert record.status is dg.DagsterRunStatus.FAILURE
    (entry,) = world.instance.all_logs(world.runs[run], of_type=dg.DagsterEventType.STEP_FAILURE)
    assert entry.dagster_event is not None
    return entry.dagster_event.step_failure_data.user_failure_data


@pytest.mark.parametrize(
    ("run", "keys"),
    [
        ("by_keys", ["C1-DEMO", "C2-DEMO", "C3-DEMO"]),
        ("by_range", ["C4-DEMO", "C5-DEMO", "C6-DEMO"]),
    ],
)
def test_a_run_shows_each_result_on_its_partition(
    checked: CompatibilityWorld, run: str, keys: list[str]
) -> None:
    green = events(checked, run, dg.DagsterEventType.ASSET_MATERIALIZATION)
    red = events(checked, run, dg.DagsterEventType.ASSET_OBSERVATION)
    outcomes = checked.outcomes()

    assert {key: shown["reason"] for key, shown in (green | red).items()} == {
        key: REASONS[key] for key in keys
    }
    assert {shown["reason"] for shown in red.values()} == {"cant_open_file"}
    for key, shown in (green | red).items():
        assert outcomes[key].run_id == checked.runs[run]
        assert shown["status"] == (REASONS[key] == "none")
        assert shown["attempts"] == 1
        assert shown["duration_s"] == outcomes[key].duration_s > 0
        assert shown.get("error") == outcomes[key].error
        assert shown.get("hint") == outcomes[key].detail["hint"]
    assert "404" in (green | red).get("C3-DEMO", {"error": "404"})["error"]
    assert green.get("C6-DEMO", {"format": "CSV"})["format"] == "CSV"


def test_only_faults_are_red(checked: CompatibilityWorld) -> None:
    assert checked.colours() == {
        key: "red" if reason == "cant_open_file" else "green" for key, reason in REASONS.items()
    }


def test_the_step_fails_at_its_end_and_names_the_faults(checked: CompatibilityWorld) -> None:
    for run, fault in (("by_keys", "C3-DEMO"), ("by_range", "C5-DEMO")):
        said = failure(checked, run)
        assert f"1 with a fault ({fault}: cant_open_file)" in said.description
        assert said.metadata["faults"].value == {fault: "cant_open_file"}
        *_, last = checked.instance.all_logs(
            checked.runs[run],
            of_type={
                dg.DagsterEventType.ASSET_MATERIALIZATION,
                dg.DagsterEventType.ASSET_OBSERVATION,
                dg.DagsterEventType.STEP_FAILURE,
            },
        )
        assert last.dagster_event is not None
        assert last.dagster_event.is_step_failure


def test_a_result_loads_as_what_it_is(checked: CompatibilityWorld) -> None:
    defs = checked.definitions()
    checked.instance.add_dynamic_partitions("collections", ["C7-DEMO"])

    good = defs.load_asset_value(
        "compatibility_results", partition_key="C1-DEMO", instance=checked.instance
    )
    bad = defs.load_asset_value(
        RESULTS, partition_key="C3-DEMO", instance=checked.instance, python_type=Outcome
    )

    assert (good.status, good.reason, good.key) == (True, "none", ("C1-DEMO",))
    assert (bad.status, bad.reason) == (False, "cant_open_file")
    with pytest.raises(BadInputError, match="no outcome of C7-DEMO; materialize it first"):
        defs.load_asset_value(RESULTS, partition_key="C7-DEMO", instance=checked.instance)
    with pytest.raises(BadInputError, match="name one with partition_key"):
        defs.load_asset_value(RESULTS, instance=checked.instance)


def test_the_table_is_all_results(checked: CompatibilityWorld) -> None:
    assert checked.run("build_compatibility_table").success

    frame = checked.definitions().load_asset_value("compatibility_table", instance=checked.instance)

    outcomes = checked.outcomes()
    assert frame.columns.tolist()[: len(PUBLISHED)] == list(PUBLISHED)
    assert all(isinstance(kind, pd.ArrowDtype) for kind in frame.dtypes)
    assert frame["collection_concept_id"].tolist() == sorted(KINDS)
    for row in frame.to_dict("records"):
        outcome = outcomes[row["collection_concept_id"]]
        assert row["tiling_compatible"] == outcome.status
        for name in ("incompatible_reason", "error_message", "variable", "format", "data_url"):
            said = outcome.detail[name]
            assert pd.isna(row[name]) if said is None else row[name] == said
    event = checked.instance.get_latest_materialization_event(dg.AssetKey("compatibility_table"))
    assert event is not None
    assert event.asset_materialization is not None
    shown = {name: entry.value for name, entry in event.asset_materialization.metadata.items()}
    counts = dict(Counter(REASONS.values()))
    assert shown["counts"] == counts
    assert (shown["collections"], shown["compatible"]) == (6, 2)
    assert shown["chart"] == markdown_bars(counts)
    assert "no\\_xy\\_dimensions" in str(shown["chart"])


def test_a_fault_that_is_repaired_turns_green_and_one_that_comes_turns_red(
    checked: CompatibilityWorld,
) -> None:
    checked.repair("C5-DEMO", "broken")
    moved = checked.file_of("C4-DEMO", "good")
    moved.rename(moved.with_suffix(".away"))
    before = checked.records()

    ran = checked.check("C5-DEMO", "C4-DEMO", job="reprocess_compatibility")

    assert not ran.success
    colours = checked.colours()
    assert (colours["C5-DEMO"], colours["C4-DEMO"]) == ("green", "red")
    assert (checked.reasons()["C5-DEMO"], checked.reasons()["C4-DEMO"]) == (
        "none",
        "cant_open_file",
    )
    after = checked.records()
    assert {key for key in before if before[key] != after[key]} == {"C4-DEMO", "C5-DEMO"}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("C99-DEMO", "C99-DEMO"),
        ("nonsense", "nonsense"),
        ("C1-DEMO/2024", "C1-DEMO/2024 is no key of compatibility"),
    ],
)
def test_a_collection_that_nobody_knows_gets_neither_result_nor_partition(
    checked: CompatibilityWorld, key: str, said: str
) -> None:
    before = checked.records(), checked.partitions()

    ran = checked.run(
        "check_collections", config={"ops": {"work_on_keys": {"config": {"keys": [key]}}}}
    )

    assert not ran.success
    assert ran.error is not None
    assert said in ran.error
    assert (checked.records(), checked.partitions()) == before


# --- outages -----------------------------------------------------------------------------------

MANY = {f"C{number}-DEMO": "good" for number in range(1001, 1061)}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompatibilityWorld]:
    """Sixty collections that were fine."""
    folder = tmp_path_factory.mktemp("standing")
    settings = {
        "transport": {"attempts": 1},
        # A reader waits between its tries, so more of them at once take less time.
        "compatibility": {"outage_window": 16, "workers": 4},
    }
    with compatibility_world(folder, MANY, settings=settings) as world:
        world.put(*map(result, MANY))
        world.instance.add_dynamic_partitions("collections", list(MANY))
        yield world


@pytest.mark.parametrize("outage", ["503", pytest.param("refused", marks=pytest.mark.soak)])
def test_an_outage_of_the_files_stops_the_run_and_good_results_stand(
    standing: CompatibilityWorld, outage: str
) -> None:
    before = standing.records()
    if outage == "503":
        standing.cmr.troubles[FILES] = Trouble(503)
    else:
        standing.publish(MANY, files=f"http://127.0.0.1:{free_port()}")

    ran = standing.check(*MANY)

    standing.cmr.troubles.clear()
    standing.publish(MANY)
    assert not ran.success
    assert ran.error is not None
    assert "cant_open_file: this looks like an outage, so the run stops" in ran.error
    assert standing.records() == before
    assert set(standing.reasons().values()) == {"none"}


@pytest.mark.parametrize("outage", ["503", "HTML", "refused"])
def test_without_cmr_nothing_is_recorded(standing: CompatibilityWorld, outage: str) -> None:
    before = standing.records()
    if outage == "refused":
        standing.configure(compatibility={"cmr_url": f"http://127.0.0.1:{free_port()}/search"})
    else:
        standing.cmr.troubles[SEARCH] = Trouble(503) if outage == "503" else HTML
    standing.cmr.forget()

    ran = standing.check(*MANY, "C1-NEW")

    standing.cmr.troubles.clear()
    standing.configure(compatibility={"cmr_url": f"{standing.root}/search"})
    assert not ran.success
    assert ran.error is not None
    assert "5 checks in a row had no answer of CMR, so the run stops" in ran.error
    assert standing.records() == before
    assert standing.cmr.described.total() < 10
    assert standing.partitions() == set(MANY)
