"""What goes wrong with one day is told of that day, and the other days finish."""

import json
import logging
import shutil
from datetime import timedelta

import pytest
import requests

from tests.support.http import Misbehaviour
from tests.support.imagery import (
    FIRST_DAY,
    at_root,
    demo_scenes,
    imagery_world,
    on_day,
    plain_scenes,
    quiet_dagster,
    stamped,
)
from tests.support.raster_server import RasterServer

pytestmark = quiet_dagster

SECRET = "sig=SECRET-TOKEN"
FAULTS = {
    "corrupt": ("source_corrupt", True),
    "forbidden": ("source_forbidden", True),
    "missing": ("source_not_found", False),
    "slow": ("source_timeout", True),
    "failing": ("source_unavailable", True),
    "bandless": ("missing_band", False),
    "unknown": ("unknown_offset", False),
}
"""By the folder of the day's scene: the reason, and whether it is retryable."""
MISBEHAVIOURS = {
    "corrupt": ("B03.tif", Misbehaviour(file_ends_at=30_000)),
    "forbidden": ("B04.tif", Misbehaviour(status=403)),
    "missing": ("SCL.tif", Misbehaviour(status=404)),
    "slow": ("B02.tif", Misbehaviour(delay_s=20)),
    "failing": ("B04.tif", Misbehaviour(status=503)),
}
NAMES = ["good", *FAULTS, "fine"]
DAY = {name: (FIRST_DAY + timedelta(days=n)).isoformat() for n, name in enumerate(NAMES)}


def day_scene(base, name, root):
    """One clear scene, moved to the day of that name, with signed addresses."""
    found = next(item for item in json.loads(demo_scenes(base)[1]) if "20240624" in item["id"])
    item = at_root(on_day(found, FIRST_DAY + timedelta(days=NAMES.index(name))), root)
    for asset in item["assets"].values():
        asset["href"] = f"{root}/{name}/{asset['href'].rsplit('/', 1)[1]}?{SECRET}"
    if name == "bandless":
        del item["assets"]["green"]
    if name == "unknown":
        del item["assets"]["blue"]["raster:bands"]
    return item


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder a day, each with the same files, and their server."""
    base = tmp_path_factory.getbasetemp()
    folder = tmp_path_factory.mktemp("served")
    (source,) = demo_scenes(base)[0].glob("scenes/*20240624*")
    for name in NAMES:
        shutil.copytree(source, folder / name)
    with RasterServer(folder) as server:
        for name, (file, misbehaviour) in MISBEHAVIOURS.items():
            server.misbehave(f"{name}/{file}", misbehaviour)
        yield server


@pytest.fixture(scope="module")
def items(tmp_path_factory, served):
    base = tmp_path_factory.getbasetemp()
    return {name: day_scene(base, name, served.url().rstrip("/")) for name in NAMES}


@pytest.fixture(scope="module")
def ended(tmp_path_factory, items):
    """A world after one run, the run, and everything that was logged in it."""
    records = []
    listener = logging.Handler()
    listener.emit = lambda record: records.append(record.getMessage())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    settings = {"transport": {"timeout_s": 3, "attempts": 1}, "compute": {"workers": 9}}
    with imagery_world(
        tmp_path_factory.mktemp("faults"), items.values(), settings=settings
    ) as world:
        ran = world.update()
        yield world, ran, records
    root.setLevel(level)
    root.removeHandler(listener)


def test_each_fault_gives_its_own_reason(ended):
    world, _, _ = ended

    expected = {DAY[name]: reason for name, (reason, _) in FAULTS.items()}
    assert world.reasons() == {**expected, DAY["good"]: "none", DAY["fine"]: "none"}


def test_the_other_days_finish_and_are_listed(ended):
    world, _, _ = ended

    assert [image["date"] for image in world.fragment()["images"]] == [DAY["good"], DAY["fine"]]
    assert len(world.products()) == 2 * 9
    for name in FAULTS:
        assert not [path for path in world.products() if DAY[name] in path]
        assert world.outcomes()[DAY[name]].outputs == ()


def test_the_site_is_red_at_its_last_step_only(ended):
    world, ran, _ = ended
    failed = [
        record.step_key
        for record in world.instance.all_logs(ran.run_id)
        if record.is_dagster_event and record.get_dagster_event().is_step_failure
    ]
    succeeded = [
        record.step_key
        for record in world.instance.all_logs(ran.run_id)
        if record.is_dagster_event and record.get_dagster_event().is_step_success
    ]

    assert not ran.success
    assert len(failed) == 1
    assert set(succeeded) >= {"stac_query_tables", "filtered_solardays", "solar_day_images"}
    for name, (reason, _) in FAULTS.items():
        assert f"{DAY[name]}: {reason}" in ran.error
    assert "estinel outcomes list" in ran.error


def test_outcomes_say_why_and_no_secret(ended, served):
    world, ran, records = ended

    for name, (reason, _) in FAULTS.items():
        error = world.outcomes()[DAY[name]].error
        assert error, reason
        if name in MISBEHAVIOURS:
            assert f"{name}/{MISBEHAVIOURS[name][0]}" in error
    assert "green" in world.outcomes()[DAY["bandless"]].error
    assert served.queries() == {SECRET}  # the files were asked for with it
    for meta in world.store.list("outcomes"):
        assert b"SECRET" not in world.store.get(meta.path).data
    for path, body in world.products().items():
        assert b"SECRET" not in body, path
    events = "\n".join(
        record.to_json() if hasattr(record, "to_json") else str(record)
        for record in world.instance.all_logs(ran.run_id)
    )
    assert "SECRET" not in events
    assert "SECRET" not in (ran.error or "")
    assert len(records) > len(NAMES)
    assert not [text for text in records if "SECRET" in text]


def test_what_can_be_tried_again_is_and_what_cannot_waits_for_another_scene(
    tmp_path, items, served
):
    repaired = "failing"
    settings = {"outcomes": {"backoff_s": 0}}
    chosen = [items[name] for name in ("good", repaired, "unknown")]
    with imagery_world(tmp_path, chosen, settings=settings) as world:
        world.update()
        before = world.versions()
        served.behave(f"{repaired}/B04.tif")
        try:
            again = world.update()
        finally:
            served.misbehave(f"{repaired}/B04.tif", MISBEHAVIOURS[repaired][1])

        # The unknown offset was not tried again, so that this run had no fault.
        assert again.success, again.error
        outcomes = world.outcomes()
        assert (outcomes[DAY[repaired]].reason, outcomes[DAY[repaired]].attempts) == ("none", 2)
        assert outcomes[DAY["unknown"]].reason == "unknown_offset"
        assert outcomes[DAY["unknown"]].run_id != again.run_id
        after = world.versions()
        assert {path: after[path] for path in before} == before

        known = stamped(items["unknown"])
        known["assets"]["blue"]["raster:bands"] = known["assets"]["red"]["raster:bands"]
        world.publish(known)
        assert world.update().success
        outcome = world.outcomes()[DAY["unknown"]]
        assert (outcome.reason, outcome.attempts) == ("none", 1)


def test_attempts_are_used_up(tmp_path, items):
    settings = {"outcomes": {"backoff_s": 0, "max_attempts": 2}}
    with imagery_world(tmp_path, [items["corrupt"]], settings=settings) as world:
        assert not world.update().success
        assert not world.update().success
        third = world.update()

        assert third.success, third.error
        outcome = world.outcomes()[DAY["corrupt"]]
        assert (outcome.reason, outcome.attempts) == ("source_corrupt", 2)


def test_a_failed_rebuild_keeps_the_former_images(tmp_path, items, served):
    with imagery_world(tmp_path, [items["good"], items["fine"]]) as world:
        assert world.update().success
        versions, listed = world.versions(), world.fragment()
        former = world.outcomes()[DAY["fine"]]

        world.publish(stamped(items["fine"]))
        served.misbehave("fine/B04.tif", Misbehaviour(status=403))
        try:
            assert not world.update().success
        finally:
            served.behave("fine/B04.tif")

        failed = world.outcomes()[DAY["fine"]]
        assert (failed.status, failed.reason) == (False, "source_forbidden")
        assert failed.outputs == former.outputs
        assert failed.detail["standing"]["scenes"] == former.detail["scenes"]
        assert world.versions() == versions
        assert world.fragment() == listed


def test_a_search_that_fails_touches_nothing(tmp_path, tmp_path_factory):
    scenes = plain_scenes(tmp_path_factory.getbasetemp())
    with imagery_world(tmp_path, scenes) as world:
        assert world.update().success
        kept = ("sentinel-2-c1-l2a", "thumbs", "catalog", "stac")
        before, reasons = world.versions(*kept), world.reasons()
        url = world.settings.stac.url

        world.configure(stac={"url": f"{url}/nothing-here?{SECRET}"})
        ran = world.update()

        assert not ran.success
        search = world.outcomes()["search"]
        assert (search.status, search.reason) == (False, "source_not_found")
        assert url in search.error
        assert "SECRET" not in search.error + ran.error
        assert world.versions(*kept) == before
        assert world.reasons() == reasons

        world.configure(stac={"url": url})
        assert requests.get(url, timeout=10).ok
        assert world.update().success
        assert world.outcomes()["search"].status
        assert world.versions(*kept) == before


def test_a_store_that_refuses_an_output(tmp_path, tmp_path_factory):
    scenes = plain_scenes(tmp_path_factory.getbasetemp())[2:4]
    days = [(FIRST_DAY + timedelta(days=n)).isoformat() for n in (1, 2)]
    with imagery_world(tmp_path, scenes) as world:
        # A file where the second day needs a folder.
        world.store.put("sentinel-2-c1-l2a/2024/12/03", b"in the way")

        ran = world.update()

        assert not ran.success
        assert world.reasons() == {days[0]: "none", days[1]: "write_failed"}
        assert "2024/12/03" in world.outcomes()[days[1]].error


def test_a_product_made_alone_is_red_when_its_days_fail(ended, served):
    world, _, _ = ended
    served.misbehave("good/B04.tif", Misbehaviour(status=404))

    alone = world.materialize("rgb_composites")

    assert not alone.success
    assert world.reasons()[DAY["good"]] == "source_not_found"
    assert world.reasons()[DAY["fine"]] == "none"
    assert world.outcomes()[DAY["good"]].outputs != ()  # the former images stand
