"""A run is killed at a write, or meets another: the next run ends as a clean one would have."""

from datetime import UTC, datetime

import pytest

from estinel_assets.imagery.catalog import CATALOG
from estinel_assets.imagery.markers import read_marker
from tests.support.increment import (
    HOBART,
    MadeScene,
    day_number,
    made_settings,
    product_paths,
)
from tests.support.increment_process import (
    Orders,
    another_process_context,
    in_another_process,
    killed_at,
)
from tests.support.watched_store import WatchedStore

NOW = datetime(2024, 12, 9, 12, tzinfo=UTC)
DAYS = [day_number(number) for number in range(1, 4)]
BEFORE = (MadeScene(HOBART, DAYS[0]), MadeScene(HOBART, DAYS[1]))
"""What the first run of every test finds."""
LATER = (*BEFORE, MadeScene(HOBART, DAYS[0], "b"), MadeScene(HOBART, DAYS[2]))
"""What the run that is killed finds: day 1 is to be replaced, day 3 is new."""
VARIES = {"started_at", "finished_at", "duration_s", "run_id", "attempts"}

WRITES = {
    "lease": ("leases/imagery/", 0),
    "scene table": ("stac/", 0),
    "record of the search": ("outcomes/imagery/site_af38900f/search/", 0),
    "record that a day is replaced": ("outcomes/imagery/site_af38900f/2024-12-01/", 0),
    "image": (".tif", 1),
    "thumbnail": ("thumbs/", 1),
    "item": ("2024-12-01.json", 0),
    "record of a day": ("outcomes/imagery/site_af38900f/2024-12-03/", 0),
    "index": ("outcome-index/", 1),
    "fragment": ("catalog/fragments/", 0),
    "marker": ("markers/", 0),
    "catalogue": ("catalog/image-catalog.json", 1),  # after the compressed one
}
"""One write of each kind: what its path begins or ends with, and which of them."""


def orders(tmp_path, name, scenes=LATER, **more):
    return Orders(f"file://{tmp_path}/{name}", tuple(scenes), NOW, **more)


def first_run(tmp_path, name):
    world = orders(tmp_path, name, BEFORE).world()
    world.update()
    return world


def records(world):
    """What the records say but for times, run ids and attempts, and where they say it."""
    root = world.store.url
    found = {}
    for day, outcome in world.outcomes().items():
        said = outcome.model_dump(mode="json", exclude=VARIES)
        said["outputs"] = [uri.removeprefix(root) for uri in said["outputs"]]
        found[day] = said
    return found


def stands(world):
    """Everything that is published: products, fragment, catalogue and marker, but for addresses."""
    root = world.store.url.encode()
    marker = read_marker(world.store, HOBART.site_id).marker
    catalogue = world.store.get(CATALOG).data.replace(root, b"")
    return world.products(), catalogue, marker.last_solarday, marker.n_images_total


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The world after two runs that nobody disturbed."""
    tmp_path = tmp_path_factory.mktemp("clean")
    first_run(tmp_path, "store")
    world = orders(tmp_path, "store").world()
    world.update()
    return world


def check_after_kill(tmp_path, clean, kill):
    """Kill the second run at a write; then compare what the third leaves with a clean world."""
    first_run(tmp_path, "store")
    code = killed_at(orders(tmp_path, "store", kill=kill))
    assert code == -9, f"it ended with {code} before it came to {kill}"

    world = orders(tmp_path, "store", settings=made_settings(outcomes={"backoff_s": 0})).world()
    standing = world.outcomes()
    store = WatchedStore(world.store)
    ran = world.update(store=store)

    final = {
        day
        for day, outcome in standing.items()
        if outcome.status and outcome.inputs == clean.outcomes()[day].inputs
    }
    assert final.isdisjoint(ran.days)
    written = {write.path for write in store.writes}
    for day in final:
        assert written.isdisjoint(product_paths(day))
    assert DAYS[1] in final
    assert stands(world) == stands(clean)
    assert records(world) == records(clean)
    again = world.update()
    assert (again.plan, again.finished.written) == ((), False)


@pytest.mark.parametrize("kind", WRITES)
def test_killed_at_one_write_of_each_kind(tmp_path, clean, kind):
    check_after_kill(tmp_path, clean, WRITES[kind])


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_killed_at_every_write(tmp_path, clean, capsys):
    first_run(tmp_path, "count")
    world = orders(tmp_path, "count").world()
    store = WatchedStore(world.store)
    world.update(store=store)
    points, killed, passed = len(store.writes), 0, 0
    failed = []
    for number in range(points):
        try:
            check_after_kill(tmp_path / str(number), clean, ("", number))
        except AssertionError as error:
            failed.append((number, store.writes[number], str(error)))
            killed += "before it came to" not in str(error)
        else:
            killed, passed = killed + 1, passed + 1
    with capsys.disabled():
        print(f"\nincrement: points {points}, killed {killed}, passed {passed}")
    assert failed == []
    assert points == killed == passed > 30


def product_writes(paths):
    every = {path for day in DAYS for path in product_paths(day)}
    return sorted(path for path in paths if path in every)


def test_a_second_run_is_refused_while_the_first_works(tmp_path, clean):
    first_run(tmp_path, "store")
    context = another_process_context()
    started, go_on, answers = context.Event(), context.Event(), context.Queue()
    process = in_another_process(orders(tmp_path, "store", answers=answers, hold=(started, go_on)))
    assert started.wait(60)

    refused = in_another_process(orders(tmp_path, "store", answers=answers))
    assert answers.get(timeout=60) == "LeaseHeldError"
    go_on.set()
    days, paths = answers.get(timeout=60)
    for one in (process, refused):
        one.join(60)
        assert one.exitcode == 0

    world = orders(tmp_path, "store").world()
    assert days == [DAYS[0], DAYS[2]]
    assert product_writes(paths) == sorted(product_paths(DAYS[0]) + product_paths(DAYS[2]))
    assert stands(world) == stands(clean)
    assert records(world) == records(clean)
    assert world.update().plan == ()


def test_two_runs_that_wait_for_one_another_do_everything_once(tmp_path, clean):
    first_run(tmp_path, "store")
    context = another_process_context()
    answers = context.Queue()
    patient = made_settings(outcomes={"lease_wait_s": 60.0})
    both = [
        in_another_process(orders(tmp_path, "store", answers=answers, settings=patient))
        for _ in range(2)
    ]
    said = [answers.get(timeout=90) for _ in both]
    for process in both:
        process.join(60)
        assert process.exitcode == 0

    world = orders(tmp_path, "store").world()
    assert sorted(day for days, _ in said for day in days) == [DAYS[0], DAYS[2]]
    assert product_writes(path for _, paths in said for path in paths) == sorted(
        product_paths(DAYS[0]) + product_paths(DAYS[2])
    )
    assert stands(world) == stands(clean)
    assert records(world) == records(clean)
    assert world.update().plan == ()
