"""Imagery's sensors and its schedule: tick by tick here, and under a real daemon."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from estinel_assets.imagery import sensors
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.requests import BOOTSTRAP
from estinel_assets.imagery.sensors import (
    daily_update,
    new_imagery_sensor,
    sites_sensor,
    web_catalog_sensor,
)
from estinel_assets.imagery.site_id import site_id
from estinel_assets.imagery.sites import known_site, sites_of
from estinel_assets.orchestration.runs import CONTENT_TAG, PARTITION_TAG, SENSOR_TAG
from tests.support.daemon import RunningDagster, running_dagster
from tests.support.http import Misbehaviour, RangeServer
from tests.support.imagery import (
    HOBART,
    ImageryWorld,
    demo_scenes,
    imagery_world,
    plain_scenes,
    quiet_dagster,
    stamped,
)

pytestmark = quiet_dagster

TIME = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d|\d{10}")
AT_SEA = [f"Sea {n:02d},{100 + n},-50,10,400,300," for n in range(45)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return plain_scenes(tmp_path_factory.getbasetemp())


@pytest.fixture
def world(tmp_path, scenes):
    with imagery_world(tmp_path, scenes) as made:
        yield made


def place(world: ImageryWorld) -> dict[str, Any]:
    """What a context needs besides the instance."""
    defs = world.definitions()
    built = defs.resources
    assert built is not None
    return {
        "repository_def": defs.get_repository_def(),
        "resources": {name: built[name] for name in ("settings", "store")},
    }


def tick(world: ImageryWorld, sensor: dg.SensorDefinition, cursor: str | None = None) -> Any:
    """One evaluation of a sensor, as the daemon would make it."""
    with (
        dg.build_sensor_context(
            instance=world.instance,
            cursor=cursor,
            sensor_name=sensor.name,
            **place(world),
        ) as context,
        partition_loading_context(dynamic_partitions_store=world.instance),
    ):
        return sensor.evaluate_tick(context)


def keys(ticked: Any) -> list[str]:
    found = [request.run_key for request in ticked.run_requests]
    assert not [key for key in found if TIME.search(key)]
    return found


def carry_out(world: ImageryWorld, job: str, request: dg.RunRequest, sensor: str) -> bool:
    """Run what a sensor asked for, with the tags that the daemon would give."""
    ran = (
        world.definitions()
        .resolve_job_def(job)
        .execute_in_process(
            instance=world.instance,
            partition_key=request.partition_key,
            tags={**request.tags, SENSOR_TAG: sensor, "dagster/run_key": request.run_key},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    )
    return ran.success


def add_run(
    world: ImageryWorld,
    job: str,
    status: dg.DagsterRunStatus,
    *,
    hours_ago: float = 0,
    **tags: str,
) -> None:
    """A run as the instance may know it."""
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    run = dg.DagsterRun(job_name=job, run_id=str(uuid.uuid4()), status=status, tags=tags)
    stored = world.instance.add_run(run)
    event = {
        dg.DagsterRunStatus.STARTED: dg.DagsterEventType.PIPELINE_START,
        dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.PIPELINE_FAILURE,
    }.get(status)
    if event is not None:
        world.instance.run_storage.handle_run_event(
            stored.run_id,
            dg.DagsterEvent(event_type_value=event.value, job_name=job),
            update_timestamp=at,
        )


def test_what_is_new_is_asked_for_until_it_is_made(world, scenes):
    world.withdraw(scenes[-1])
    first = tick(world, new_imagery_sensor)

    assert keys(first) == [f"{world.site}-{BOOTSTRAP}-1"]
    (request,) = first.run_requests
    assert request.partition_key == world.site
    assert carry_out(world, "update_site", request, new_imagery_sensor.name)
    again = tick(world, new_imagery_sensor)
    assert keys(again) == []
    assert again.skip_message == "no site has anything to make"

    world.publish(scenes[-1])
    late = tick(world, new_imagery_sensor)
    assert keys(late) == keys(tick(world, new_imagery_sensor))
    (request,) = late.run_requests
    assert request.run_key.endswith("-1")
    assert carry_out(world, "update_site", request, new_imagery_sensor.name)
    assert set(world.reasons().values()) == {"none"}
    assert len(world.reasons()) == 5

    world.publish(stamped(scenes[-1]))
    changed = tick(world, new_imagery_sensor)
    assert len(keys(changed)) == 1
    assert keys(changed) != keys(late)


def test_a_tick_writes_nothing(world, scenes):
    world.update()
    world.publish(stamped(scenes[-1]))
    before = {meta.path: meta.etag for meta in world.store.list("")}

    assert len(keys(tick(world, new_imagery_sensor))) == 1

    assert {meta.path: meta.etag for meta in world.store.list("")} == before


def test_a_site_with_a_run_under_way_is_left_alone(world):
    tags = {PARTITION_TAG: world.site}
    add_run(world, "update_site", dg.DagsterRunStatus.NOT_STARTED, **tags)

    assert keys(tick(world, new_imagery_sensor)) == []


def test_a_run_that_lost_its_process_keeps_nobody_waiting(world):
    tags = {PARTITION_TAG: world.site}
    add_run(world, "update_site", dg.DagsterRunStatus.STARTED, hours_ago=1, **tags)
    imagery = open_site(
        known_site(sites_of(world.settings, world.store), world.site),
        world.settings,
        world.store,
        "another",
    )

    with imagery.book.open(imagery.partition):
        assert keys(tick(world, new_imagery_sensor)) == []
    assert len(keys(tick(world, new_imagery_sensor))) == 1

    add_run(world, "update_site", dg.DagsterRunStatus.STARTED, hours_ago=0.1, **tags)
    assert keys(tick(world, new_imagery_sensor)) == []


def test_a_crashed_run_is_asked_for_again_after_a_pause_and_not_for_ever(world):
    world.configure(outcomes={"backoff_s": 3600, "max_attempts": 2})
    tags = {PARTITION_TAG: world.site, CONTENT_TAG: BOOTSTRAP}
    add_run(world, "update_site", dg.DagsterRunStatus.FAILURE, hours_ago=0.5, **tags)
    assert keys(tick(world, new_imagery_sensor)) == []

    world.configure(outcomes={"backoff_s": 1000})
    assert keys(tick(world, new_imagery_sensor)) == [f"{world.site}-{BOOTSTRAP}-2"]

    add_run(world, "update_site", dg.DagsterRunStatus.FAILURE, hours_ago=0.4, **tags)
    world.configure(outcomes={"backoff_s": 0})
    assert keys(tick(world, new_imagery_sensor)) == []


def test_a_search_that_fails_is_a_warning_and_other_sites_go_on(tmp_path, scenes):
    with imagery_world(tmp_path, scenes, sites=[HOBART, *AT_SEA[:2]]) as world:
        world.update()  # so that the sensor has to search for it
        world.configure(stac={"url": "http://127.0.0.1:9/"})

        ticked = tick(world, new_imagery_sensor)

        others = sorted(site_id(f"Sea {n:02d}") for n in range(2))
        assert keys(ticked) == [f"{other}-{BOOTSTRAP}-1" for other in others]
        assert ticked.cursor == max(world.instance.get_dynamic_partitions("sites"))
        world.configure(imagery={"sites": str(world.folder / "one.csv")})
        (world.folder / "one.csv").write_text(f"location,lon,lat\n{HOBART.partition(',10')[0]}\n")
        assert tick(world, new_imagery_sensor).skip_message.startswith("Hobart: ")


def test_a_table_that_cannot_be_read_skips_the_tick(world):
    (world.folder / "sites.csv").write_text("location,lon\nHobart,147\n")

    for sensor in (new_imagery_sensor, sites_sensor):
        ticked = tick(world, sensor)

        assert ticked.run_requests == []
        assert "lat" in ticked.skip_message


def test_the_cursor_goes_through_all_sites_a_bounded_number_a_tick(tmp_path, monkeypatch):
    with imagery_world(tmp_path, [], sites=AT_SEA) as world:
        # One is in the table and has no partition yet: the last one, so that it ends no round.
        everyone = sorted(map(site_id, world.locations))
        world.instance.delete_dynamic_partition("sites", everyone[-1])
        asked, cursors, cursor = [], [], ""
        for _ in range(4):
            ticked = tick(world, new_imagery_sensor, cursor)
            asked.append([key.partition("-")[0] for key in keys(ticked)])
            cursor = ticked.cursor or ""
            cursors.append(cursor)

        assert [len(one) for one in asked] == [20, 20, 4, 20]
        assert list(chain(*asked)) == everyone[:-1] + everyone[:20]
        assert cursors == [everyone[n] for n in (19, 39, 43, 19)]

        monkeypatch.setattr(sensors, "TICK_S", -1.0)  # time is always up
        ticked = tick(world, new_imagery_sensor, everyone[19])
        assert len(keys(ticked)) == 1
        assert ticked.cursor == everyone[20]


def test_a_source_that_hangs_does_not_hold_a_tick_up(world, tmp_path, monkeypatch):
    world.update()
    (tmp_path / "api").write_text("{}")
    with RangeServer(tmp_path) as server:
        server.misbehave("api", Misbehaviour(delay_s=600))
        world.configure(
            stac={"url": server.url("api")},
            transport={"timeout_s": 600, "deadline_s": 3000, "attempts": 9},
        )
        monkeypatch.setattr(sensors, "SEARCH_S", 0.3)

        ticked = tick(world, new_imagery_sensor)

        assert ticked.run_requests == []
        assert "no answer within" in ticked.skip_message


def test_the_schedule_asks_for_every_site_once_unless_it_is_busy(tmp_path):
    with (
        imagery_world(tmp_path / "world", [], sites=AT_SEA[:4]) as made,
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
    ):
        world = replace(made, instance=instance)
        busy, *others = sorted(map(site_id, world.locations))
        instance.add_dynamic_partitions("sites", [busy, *others])
        tags = {PARTITION_TAG: busy}
        add_run(world, "update_site", dg.DagsterRunStatus.NOT_STARTED, **tags)
        with (
            dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=datetime(2024, 12, 4, 3, 15, tzinfo=UTC),
                **place(world),
            ) as context,
            partition_loading_context(dynamic_partitions_store=instance),
        ):
            ticked = daily_update.evaluate_tick(context)

        assert [request.partition_key for request in ticked.run_requests] == others
        assert keys(ticked) == others


def test_the_sites_are_read_again_when_their_table_changes_also_back(world):
    def asked() -> list[dg.RunRequest]:
        return list(tick(world, sites_sensor).run_requests)

    table = world.folder / "sites.csv"
    former = table.read_text()
    (request,) = asked()
    assert carry_out(world, "refresh_sites", request, sites_sensor.name)
    assert asked() == []
    table.write_text(former + "Sea,100,-50,10,400,300,\n")
    (other,) = asked()
    assert carry_out(world, "refresh_sites", other, sites_sensor.name)
    assert len(world.instance.get_dynamic_partitions("sites")) == 2
    table.write_text(former)
    (back,) = asked()
    assert len({request.run_key, other.run_key, back.run_key}) == 3
    assert carry_out(world, "refresh_sites", back, sites_sensor.name)

    assert world.instance.get_dynamic_partitions("sites") == [world.site]
    assert asked() == []


def test_the_catalogue_is_merged_when_a_part_of_it_changes(world, scenes):
    assert "no site" in tick(world, web_catalog_sensor).skip_message
    world.withdraw(scenes[-1])
    world.update()
    (request,) = tick(world, web_catalog_sensor).run_requests
    assert carry_out(world, "build_web_catalog", request, web_catalog_sensor.name)
    assert tick(world, web_catalog_sensor).run_requests == []
    world.update()  # changes nothing
    assert tick(world, web_catalog_sensor).run_requests == []
    world.publish(scenes[-1])
    world.update()

    (other,) = tick(world, web_catalog_sensor).run_requests

    assert other.run_key != request.run_key
    add_run(
        world,
        "build_web_catalog",
        dg.DagsterRunStatus.NOT_STARTED,
        **{SENSOR_TAG: web_catalog_sensor.name, CONTENT_TAG: "any"},
    )
    assert tick(world, web_catalog_sensor).run_requests == []


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[ImageryWorld, RangeServer, RunningDagster]]:
    """A world whose scenes are served, and a daemon with the sensor on.

    The server may run here: whoever reads the scenes is another process.
    """
    base = tmp_path_factory.getbasetemp()
    folder = tmp_path_factory.mktemp("daemon")
    with RangeServer(demo_scenes(base)[0]) as server:
        items = plain_scenes(base, server.url())
        on = [new_imagery_sensor.name]
        with (
            imagery_world(folder / "world", items[:6], settings=QUICK) as world,
            # Dagster would ask for a crashed run again by itself; here the sensor has to.
            running_dagster(
                folder / "home", world.config, sensors=on, changes={"run_retries": {}}
            ) as running,
        ):
            running.instance.add_dynamic_partitions("sites", [world.site])
            yield world, server, running


QUICK = {
    "outcomes": {"backoff_s": 1, "backoff_max_s": 1, "lease_ttl_s": 5},
    "transport": {"attempts": 1, "timeout_s": 100},
}


def run_keys(running: RunningDagster, job: str) -> list[str]:
    return [record.dagster_run.tags["dagster/run_key"] for record in running.runs(job)]


@pytest.mark.soak
def test_under_a_daemon_each_piece_of_news_makes_one_run(served, tmp_path_factory):
    world, server, running = served
    items = plain_scenes(tmp_path_factory.getbasetemp(), server.url())

    (first,) = running.ended_runs("update_site", 1)
    assert first.dagster_run.is_success
    assert run_keys(running, "update_site") == [f"{world.site}-{BOOTSTRAP}-1"]
    assert len(world.reasons()) == 4
    assert first.end_time is not None
    ticks = running.ticks(new_imagery_sensor.name, 2, after=first.end_time)
    assert {one.status.value for one in ticks} == {"SKIPPED"}
    assert len(running.runs("update_site")) == 1

    # A day comes late, and the process that makes it is killed while it reads.
    path = items[-1]["assets"]["scl"]["href"].removeprefix(server.url())
    server.misbehave(path, Misbehaviour(delay_s=600))
    world.publish(items[6])
    running.until(lambda: server.count(path) > 0, "the reading of the late scene")
    crashed = running.runs("update_site")[-1].dagster_run
    running.kill_worker(crashed.run_id)
    server.behave(path)

    _, dead, second = running.ended_runs("update_site", 3)
    assert (dead.dagster_run.run_id, dead.dagster_run.status.value) == (crashed.run_id, "FAILURE")
    assert second.dagster_run.is_success
    content = crashed.tags[CONTENT_TAG]
    assert run_keys(running, "update_site")[1] == f"{world.site}-{content}-1"
    assert run_keys(running, "update_site")[2] == f"{world.site}-{content}-2"
    assert len(world.reasons()) == 5
    assert set(world.reasons().values()) == {"none"}
    ticks = running.ticks(new_imagery_sensor.name, 2, after=second.end_time)
    assert {one.status.value for one in ticks} == {"SKIPPED"}
    assert len(running.runs("update_site")) == 3
    assert not [key for key in run_keys(running, "update_site") if TIME.search(key)]
