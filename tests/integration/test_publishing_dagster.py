"""Publishing under Dagster: what waits, publications, the table of failures, and repairs.

Its asset checks are in `tests/graph`, its sensor in `test_publishing_sensors`.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.chart import markdown_bars
from estinel_assets.outcomes.record import Outcome
from estinel_assets.publishing.layout import lease_path
from estinel_assets.publishing.requests_table import SCHEMA
from estinel_assets.storage.lease import hold_lease
from tests.support.cli import estinel
from tests.support.daemon import free_port
from tests.support.publishing_dagster import (
    ASSET,
    PublishingWorld,
    publication,
    publishing_world,
    quiet_dagster,
)

pytestmark = quiet_dagster

GREEN, RED = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION
REASONS = {
    "job-1": "none",
    "job-2": "none",
    "job-3": "missing_asset",
    "job-4": "none",
    "job-5": "nothing_found",
    "job-6": "not_enabled",
}


def said(world: PublishingWorld, asset: str) -> dict[str, Any]:
    """What the latest materialization of an asset said of itself."""
    event = world.instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: entry.value for name, entry in event.asset_materialization.metadata.items()}


def table(world: PublishingWorld, asset: str) -> pd.DataFrame:
    frame = world.definitions().load_asset_value(asset, instance=world.instance)
    assert isinstance(frame, pd.DataFrame)
    assert all(isinstance(kind, pd.ArrowDtype) for kind in frame.dtypes)
    return frame


# --- what waits --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishingWorld]:
    """A world in which two folders wait, and one publication's folder is gone."""
    with publishing_world(tmp_path_factory.mktemp("listed") / "world") as world:
        world.dataset("job-1", b"0123456789")
        world.catalog("job-2")
        world.job("empty")
        world.job(".hidden").write("a", b"a")
        world.job("a...b").write("a", b"a")
        world.put(publication("gone"))
        assert world.run("refresh_publication_requests").success
        yield world


def test_what_waits_becomes_a_table_and_partitions(listed: PublishingWorld) -> None:
    frame = table(listed, "publication_requests")

    assert frame.columns.tolist() == SCHEMA.names
    assert frame["publication"].tolist() == ["job-1", "job-2"]
    assert frame["folder"].tolist() == [str(listed.inbox / one) for one in ("job-1", "job-2")]
    assert frame["why"].tolist() == ["new", "new"]
    assert frame["files"].tolist() == [2, 6]
    files = (listed.inbox / "job-1").rglob("*.*")
    assert frame.loc[0, "bytes"] == sum(one.stat().st_size for one in files)
    assert datetime.now(UTC) - frame.loc[0, "changed_at"] < timedelta(minutes=5)
    assert listed.partitions() == {"job-1", "job-2", "gone"}
    told = said(listed, "publication_requests")
    assert (told["waiting"], told["waiting_new"], told["partitions_added"]) == (2, 2, 3)
    assert told["unusable_names"] == ["'a...b'"]


def test_a_folder_that_is_gone_keeps_its_partition(listed: PublishingWorld) -> None:
    listed.take_away("job-2")

    assert listed.run("refresh_publication_requests").success

    assert table(listed, "publication_requests")["publication"].tolist() == ["job-1"]
    assert listed.partitions() == {"job-1", "job-2", "gone"}
    assert said(listed, "publication_requests")["partitions_added"] == 0


@pytest.mark.parametrize(
    ("inbox", "mentions"), [("nowhere", "is no folder"), (None, "no inbox is named")]
)
def test_without_an_inbox_nothing_is_forgotten(
    listed: PublishingWorld, inbox: str | None, mentions: str
) -> None:
    before = listed.partitions()
    kept = listed.former["publishing"].pop("inbox")
    listed.configure(publishing={} if inbox is None else {"inbox": inbox})

    ran = listed.run("refresh_publication_requests")

    listed.configure(publishing={"inbox": kept})
    assert not ran.success
    assert ran.error is not None
    assert mentions in ran.error
    assert listed.partitions() == before


# --- publications ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishingWorld]:
    """A world whose first three folders were published by keys, the others by a range."""
    with publishing_world(tmp_path_factory.mktemp("published") / "world") as world:
        world.catalog("job-1")
        world.dataset("job-1", b"12345")
        world.dataset("job-2")
        world.without_asset("job-3")
        world.catalog("job-4", {"only": b"asset"})
        world.job("job-5").write("notes.txt", "nothing to publish")
        by_keys = world.publish("job-2", "job-3", "job-1")
        world.catalog("job-6")
        assert world.run("refresh_publication_requests").success
        by_range = world.materialize("job-4", "job-5")
        world.configure(publishing={"types": ["area_of_interest"]})
        by_type = world.publish("job-6")
        world.configure(publishing={"types": []})
        world.runs.update(by_keys=by_keys.run_id, by_range=by_range.run_id, by_type=by_type.run_id)
        yield world


def test_every_folder_ends_with_a_reason(published: PublishingWorld) -> None:
    assert published.reasons() == REASONS
    for name, one in published.outcomes().items():
        assert one.detail["folder"] == str(published.inbox / name)
        assert one.attempts == 1


def test_what_is_published_stands_in_all_three(published: PublishingWorld) -> None:
    stands = published.standing()

    assert stands["objects"]["products/aoi/v1.0/AOI_job-1/image.tif"] == b"12345"
    assert stands["objects"]["catalogs/stac_catalog_job-4/c/only.tif"] == b"asset"
    assert stands["items"] == {
        "collection-stac_catalog_job-1": ["a-job-1", "b-job-1"],
        "collection-stac_catalog_job-4": ["only"],
    }
    assert {"AOI_job-1", "AOI_job-2"} <= set(stands["documents"])
    assert not any("job-3" in path or "job-6" in path for path in stands["objects"])
    told = json.loads((published.inbox / "job-1" / "_datasets.json").read_text())
    assert "AOI_job-1" in json.dumps(told)
    assert published.open_journals() == []


def test_a_publication_shows_what_it_took(published: PublishingWorld) -> None:
    shown = published.events(published.runs["by_keys"], GREEN)["job-1"]

    assert shown["status"] is True
    assert (shown["reason"], shown["action"], shown["publication"]) == (
        "none",
        "published",
        "job-1",
    )
    stands = published.standing()["objects"]
    own = {path: body for path, body in stands.items() if "job-1" in path}
    assert (shown["objects"], shown["bytes"]) == (len(own), sum(map(len, own.values())))
    assert (shown["collections"], shown["items"]) == (1, 2)
    assert shown["documents"] >= 1
    for phase in ("claims", "objects", "documents", "collections", "items"):
        assert 0 <= shown[f"phase_{phase}_s"] <= shown["duration_s"]
    assert shown["peak_mib"] > 1
    assert "error_category" not in shown


@pytest.mark.parametrize(
    ("run", "green", "red"),
    [
        ("by_keys", {"job-1", "job-2"}, {"job-3": "missing_asset"}),
        ("by_range", {"job-4"}, {"job-5": "nothing_found"}),
        ("by_type", {"job-6"}, {}),
    ],
)
def test_a_run_shows_each_publication_on_its_partition_and_fails_at_its_end(
    published: PublishingWorld, run: str, green: set[str], red: dict[str, str]
) -> None:
    run_id = published.runs[run]
    record = published.instance.get_run_by_id(run_id)

    assert set(published.events(run_id, GREEN)) == green
    faults = published.events(run_id, RED)
    assert {name: shown["error_category"] for name, shown in faults.items()} == red
    assert all(shown["error"] for shown in faults.values())
    assert record is not None
    assert record.is_failure == bool(red)
    for entry in published.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failed: Any = entry.dagster_event
        told = failed.step_failure_data.user_failure_data
        assert told.metadata["faults"].value == red


def test_only_faults_are_red(published: PublishingWorld) -> None:
    faults = {"job-3", "job-5"}
    assert published.colours() == {name: "red" if name in faults else "green" for name in REASONS}


def test_an_outcome_loads_as_what_it_is(published: PublishingWorld) -> None:
    defs = published.definitions()

    good = defs.load_asset_value(ASSET, partition_key="job-1", instance=published.instance)
    bad = defs.load_asset_value(
        ASSET, partition_key="job-3", instance=published.instance, python_type=Outcome
    )

    assert (good.status, good.detail["items"]) == (True, 2)
    assert (bad.reason, bad.detail["faults"][0]["reason"]) == ("missing_asset", "missing_asset")
    published.instance.add_dynamic_partitions("publications", ["job-7"])
    with pytest.raises(BadInputError, match="no outcome of job-7; materialize it first"):
        defs.load_asset_value(ASSET, partition_key="job-7", instance=published.instance)
    published.instance.delete_dynamic_partition("publications", "job-7")


def test_failures_are_a_table_by_day_and_reason(published: PublishingWorld) -> None:
    published.put(
        publication("old-1", "stac_failed"),
        publication("old-2", "stac_failed"),
        publication("old-3", "stac_failed", minutes=24 * 60),
    )
    assert published.run("build_publication_failures").success

    frame = table(published, "publication_failures")

    today = datetime.now(UTC).date()
    rows = [tuple(row.values()) for row in frame.to_dict("records")]
    assert [row for row in rows if str(row[0]) < "2025"] == [
        (datetime(2024, 12, 4).date(), "stac_failed", True, True, 2),  # noqa: DTZ001 - a date
        (datetime(2024, 12, 5).date(), "stac_failed", True, True, 1),  # noqa: DTZ001
    ]
    recent = {row[1]: row[2:] for row in rows if str(row[0]) >= "2025"}
    assert recent == {
        "missing_asset": (False, True, 1),
        "not_enabled": (False, False, 1),
        "nothing_found": (False, True, 1),
    }
    assert max(row[0] for row in rows) in (today, today - timedelta(days=1))
    told = said(published, "publication_failures")
    counts = {"missing_asset": 1, "not_enabled": 1, "nothing_found": 1, "stac_failed": 3}
    assert (told["publications"], told["failed"]) == (9, 6)
    assert told["totals_by_status"] == {"true": 3, "false": 6}
    assert told["counts"] == counts
    assert told["chart"] == markdown_bars(counts)


def test_a_backfill_by_reason_makes_what_stands_there(published: PublishingWorld) -> None:
    """What came from no folder and what has lost its own are named; the others are made."""
    (published.inbox / "job-5" / "notes.txt").unlink()
    published.dataset("job-5")
    published.put(publication("never-a-folder", "nothing_found"))

    ran = published.by_reason("false:nothing_found")

    assert not ran.success
    assert published.reasons()["job-5"] == "none"
    assert published.reasons()["never-a-folder"] == "nothing_found"
    assert published.colours()["job-5"] == "green"
    shown = published.events(ran.run_id, RED, dg.AssetKey("publishing_by_reason"))
    assert shown["false:nothing_found"]["reprocessed"] == 2
    assert shown["false:nothing_found"]["now_none"] == 1
    failed = next(event for event in ran.all_events if event.is_step_failure)
    told = failed.step_failure_data.user_failure_data
    assert told is not None
    assert told.description is not None
    assert "never-a-folder has no job folder" in told.description
    assert "it was not published from a folder" in told.description


def test_what_is_mended_turns_green_and_what_breaks_turns_red(
    published: PublishingWorld, tmp_path: Path
) -> None:
    absent = published.inbox / "job-3" / "stac_catalog_job-3" / "c" / "b-job-3.tif"
    absent.write_bytes(b"asset b")
    published.job("job-2").write("AOI_job-2/image.tif", b"other content")
    before = published.standing()

    ran = published.publish("job-3", "job-2", job="reprocess_publishing")

    assert not ran.success
    assert ran.error is not None
    assert "1 with a fault (job-2: already_published)" in ran.error
    assert published.colours()["job-3"] == "green"
    assert published.colours()["job-2"] == "red"
    after = published.standing()
    changed = {
        path for path, body in after["objects"].items() if before["objects"].get(path) != body
    }
    assert changed
    assert all("job-3" in path for path in changed)

    # The policy is that of the settings, whatever it was before.
    published.configure(publishing={"policy": "replace"})
    again = published.publish("job-2", job="reprocess_publishing")
    published.configure(publishing={"policy": "fail"})

    assert again.success
    assert published.events(again.run_id, GREEN)["job-2"]["action"] == "replaced"
    assert published.colours()["job-2"] == "green"


@pytest.mark.parametrize(
    ("key", "mentions"),
    [
        ("nobody", "nobody has no job folder"),
        ("%2E%2E", ".. has no job folder"),
        ("%2E%2E%2Finbox%2Fjob-1", "has no job folder"),
        ("job-1/more", "job-1/more is no key of publishing"),
        ("a%2E%2E%2Eb", "is no key of publishing"),
    ],
)
def test_a_key_without_a_folder_is_named_and_the_others_are_published(
    published: PublishingWorld, key: str, mentions: str
) -> None:
    before = published.partitions(), set(published.reasons())

    config = {"ops": {"work_on_keys": {"config": {"keys": [key, "job-4"]}}}}
    ran = published.run("publish_folders", config=config)

    assert not ran.success
    assert ran.error is not None
    assert "1 were not published" in ran.error
    assert mentions in ran.error
    assert "The others ended: none: 1" in ran.error
    assert published.outcomes()["job-4"].run_id == ran.run_id
    assert published.outcomes()["job-4"].detail["action"] == "unchanged"
    assert (published.partitions(), set(published.reasons())) == before


def test_a_folder_outside_the_inbox_is_found_again(
    published: PublishingWorld, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (published.inbox / "job-4").rename(elsewhere)
    former = published.outcomes()["job-4"]
    published.put(
        former.model_copy(
            update={
                "detail": {**former.detail, "folder": str(elsewhere)},
                "finished_at": datetime.now(UTC),
            }
        )
    )

    ran = published.publish("job-4", job="reprocess_publishing")

    elsewhere.rename(published.inbox / "job-4")
    assert ran.success
    assert published.outcomes()["job-4"].run_id == ran.run_id
    assert published.outcomes()["job-4"].detail["folder"] == str(elsewhere)


def test_the_command_line_knows_publications(published: PublishingWorld) -> None:
    variables = {
        "ESTINEL_CONFIG": str(published.config),
        "DAGSTER_HOME": str(published.folder / "home"),
    }
    listed = estinel("outcomes", "list", "-p", "publishing", "-k", "job-1", "--json", **variables)
    assert [one["key"] for one in listed.document] == ["job-1"]

    made = estinel("reprocess", "-p", "publishing", "-k", "job-1", "--json", **variables)

    assert made.code == 0
    assert made.document["by_reason"] == {"none": 1}
    assert [one["made"] for one in made.document["reprocessed"]] == [True]


# --- faults and repairs ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishingWorld]:
    """A world in which every test has folders of its own, and leaves no journal open."""
    with publishing_world(tmp_path_factory.mktemp("faults") / "world") as made:
        yield made


def test_without_the_stac_api_nothing_stands_and_it_is_due_again(world: PublishingWorld) -> None:
    world.catalog("away-1")
    world.dataset("away-2")
    world.configure(publishing={"stac_url": f"http://127.0.0.1:{free_port()}"})

    ran = world.publish("away-1", "away-2")

    world.configure(publishing={"stac_url": world.stac_url})
    assert not ran.success
    assert world.reasons() == {"away-1": "stac_failed", "away-2": "none"}
    assert not any("away-1" in path for path in world.standing()["objects"])
    assert world.open_journals() == []
    assert world.publish("away-1").success
    assert world.outcomes()["away-1"].attempts == 2


def test_what_was_broken_off_is_undone(world: PublishingWorld) -> None:
    world.catalog("broken", {"former": b"former"})
    assert world.publish("broken").success
    before = world.standing()
    world.catalog("broken", {"former": b"newer", "more": b"more"})
    world.break_off("broken", at=0, only="create_items")
    assert world.open_journals()
    assert world.standing() != before

    ran = world.run("recover_publications")

    assert ran.success
    assert world.standing() == before
    assert world.open_journals() == []
    shown = world.events(ran.run_id, RED)
    assert set(shown) == {"broken"}
    assert shown["broken"]["transaction"] == "undone"
    assert "was undone" in shown["broken"]["recovery"]
    again = world.run("recover_publications")
    assert again.success
    assert world.events(again.run_id, RED) == {}


def test_what_cannot_be_repaired_fails_the_run_and_is_named(world: PublishingWorld) -> None:
    for name in ("left-1", "left-2"):
        world.catalog(name)
        world.break_off(name, at=0, only="create_items")
    world.configure(publishing={"stac_url": f"http://127.0.0.1:{free_port()}"})

    ran = world.run("recover_publications")

    world.configure(publishing={"stac_url": world.stac_url})
    assert not ran.success
    assert ran.error is not None
    assert "2 transactions could not be repaired: left-1: " in ran.error
    assert "; left-2: " in ran.error
    assert world.open_journals()
    shown = world.events(ran.run_id, RED)
    assert {name: one["transaction"] for name, one in shown.items()} == {
        "left-1": "left",
        "left-2": "left",
    }
    assert world.run("recover_publications").success
    assert world.open_journals() == []


def test_a_transaction_that_goes_on_is_left_alone(world: PublishingWorld) -> None:
    world.catalog("in-use")
    world.break_off("in-use", at=0, only="create_items")
    before = world.open_journals()

    with hold_lease(world.store, lease_path("in-use"), ttl_s=60, owner="another worker"):
        ran = world.run("recover_publications")

    assert ran.success
    assert world.events(ran.run_id, RED)["in-use"]["transaction"] == "busy"
    assert world.open_journals() == before
    assert world.run("recover_publications").success
    assert world.open_journals() == []
