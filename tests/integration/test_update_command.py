"""`estinel update`, `estinel reprocess` and `estinel outcomes count` on a small world."""

import copy
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.imagery.site_id import site_id
from tests.support.cli import Outcome, estinel
from tests.support.daemon import write_instance_file
from tests.support.http import Misbehaviour, RangeServer
from tests.support.imagery import (
    HOBART,
    ImageryWorld,
    Item,
    demo_scenes,
    imagery_world,
    plain_scenes,
    quiet_dagster,
    stamped,
)
from tests.support.pid_world import wait_for
from tests.support.running import running_estinel

pytestmark = quiet_dagster

SEA = "At sea,100,-50,10,400,300,"
"""A site with one scene, which has no pixel there."""
DAYS = [f"2024-12-0{number}" for number in range(1, 6)]
SITE = site_id("Hobart")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> list[Item]:
    return plain_scenes(tmp_path_factory.getbasetemp())


def at_sea(item: Item) -> Item:
    """An item that says to cover the site at sea, and does not."""
    moved = {**copy.deepcopy(item), "id": "at-sea", "bbox": [99.9, -50.1, 100.1, -49.9]}
    ring = [[99.9, -50.1], [100.1, -50.1], [100.1, -49.9], [99.9, -49.9], [99.9, -50.1]]
    moved["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    return moved


@pytest.fixture
def world(tmp_path, scenes) -> Iterator[ImageryWorld]:
    items = [*scenes, at_sea(scenes[0])]
    with imagery_world(tmp_path / "world", items, sites=[HOBART, SEA]) as made:
        yield made


@pytest.fixture
def home(tmp_path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    write_instance_file(folder)
    return folder


def call(world: ImageryWorld, home: Path | None, *arguments: object) -> Outcome:
    variables = {} if home is None else {"DAGSTER_HOME": str(home)}
    return estinel("--config", world.config, *arguments, **variables)


def update(world: ImageryWorld, home: Path, *arguments: object) -> Outcome:
    return call(world, home, "update", "--json", *arguments)


def runs(home: Path) -> list[tuple[str, str | None, str]]:
    """Job, partition and status of every run, the oldest first."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        records = instance.get_run_records()
    return [
        (
            record.dagster_run.job_name,
            record.dagster_run.tags.get("dagster/partition"),
            record.dagster_run.status.value,
        )
        for record in reversed(records)
    ]


def listing(*folders: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything that stands in folders: time, size and content by path."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size, path.read_bytes())
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def broken(item: Item) -> Item:
    """A newer version of an item, whose files do not exist."""
    changed = stamped(item)
    for asset in changed["assets"].values():
        asset["href"] += ".absent"
    return changed


def test_an_update_makes_what_is_new_and_then_nothing(world, home):
    first = update(world, home)

    assert first.code == 0, first.stdout
    document = first.document

    assert (document["days"], document["images"], document["failed_sites"]) == (6, 5, 0)
    assert document["catalog_error"] is None
    hobart, sea = document["sites"]
    assert (hobart["SITE_ID"], hobart["reasons"]) == (SITE, {"none": 5})
    assert (sea["location"], sea["reasons"], sea["success"]) == (
        "At sea",
        {"no_valid_pixels": 1},
        True,
    )
    assert runs(home) == [
        ("refresh_sites", None, "SUCCESS"),
        ("update_site", SITE, "SUCCESS"),
        ("update_site", site_id("At sea"), "SUCCESS"),
        ("build_web_catalog", None, "SUCCESS"),
    ]
    outcome = world.outcomes()[DAYS[0]]
    assert outcome.run_id == hobart["run_id"]
    assert sum(len(location["images"]) for location in world.catalog()["locations"]) == 5

    products = world.versions()
    again = update(world, home)

    assert again.code == 6
    assert (again.document["days"], again.document["images"]) == (0, 0)
    assert "no site had anything to make" in again.stderr
    assert world.versions() == products
    assert len(runs(home)) == 8


def test_a_site_with_a_fault_is_reported_and_the_other_stands(world, home, scenes):
    world.publish(broken(scenes[-1]))

    both = update(world, home)

    assert both.code == 1
    hobart, sea = both.document["sites"]
    assert (hobart["success"], sea["success"]) == (False, True)
    assert hobart["reasons"] == {"none": 4, "source_not_found": 1}
    assert "source_not_found" in hobart["error"]
    assert world.fragment()["images"]

    world.publish(stamped(broken(scenes[-1]), "2025-07-01T00:00:00Z"))
    one = call(world, home, "update", "--site", "Hobart")
    assert one.code == 2
    assert "1 source_not_found" in one.stdout


def test_a_site_without_scenes_is_no_fault(tmp_path, home):
    with imagery_world(tmp_path / "world", []) as world:
        result = update(world, home)

        assert result.code == 6
        assert result.document["sites"][0]["success"]


def test_a_source_that_is_down_fails_every_site(world, home):
    world.configure(stac={"url": "http://127.0.0.1:9/"})

    down = update(world, home)

    assert down.code == 2
    assert [row["success"] for row in down.document["sites"]] == [False, False]
    assert "Connection refused" in down.document["sites"][0]["error"]
    assert world.outcomes()["search"].reason == "source_unavailable"


def test_a_catalogue_that_cannot_be_merged_is_a_failure(world, home):
    (world.folder / "store" / "catalog" / "image-catalog.json" / "in the way").mkdir(parents=True)

    result = update(world, home)

    assert result.code == 1
    assert result.document["failed_sites"] == 0
    assert "image-catalog.json" in result.document["catalog_error"]
    assert "the web catalogue was not merged" in result.stderr
    assert set(world.reasons().values()) == {"none"}


@pytest.mark.parametrize("before", [False, True], ids=["never run", "run before"])
def test_a_dry_run_prints_the_plan_and_writes_nothing(world, home, scenes, before):
    if before:
        world.withdraw(scenes[-1])
        assert update(world, home).code == 0
        world.publish(scenes[-1], stamped(scenes[2]))
    standing = listing(world.folder / "store", home)

    plan = update(world, home, "--dry-run")

    assert plan.code == 0
    assert listing(world.folder / "store", home) == standing
    expected = [(DAYS[1], "changed"), (DAYS[4], "new")] if before else [(d, "new") for d in DAYS]
    of_hobart = [row for row in plan.document if row["SITE_ID"] == SITE]
    assert [(row["solarday"], row["cause"]) for row in of_hobart] == expected
    assert len(plan.document) - len(of_hobart) == (0 if before else 1)
    text = call(world, None, "update", "--dry-run", "--site", "Hobart")
    assert text.code == 0
    assert [line.split()[1:3] for line in text.stdout.splitlines()[1:]] == [*map(list, expected)]


def test_a_dry_run_of_a_source_that_is_down_says_so(world, home):
    world.configure(stac={"url": "http://127.0.0.1:9/"})
    result = update(world, home, "--dry-run")
    assert result.code == 2
    assert result.document == []
    assert "no plan for Hobart" in result.stderr
    assert "no plan for At sea" in result.stderr


def test_since_asks_from_a_day_on(world, home):
    result = update(world, home, "--site", SITE, "--since", DAYS[2])

    assert result.code == 0
    assert list(world.reasons()) == DAYS[2:]
    marker = world.store.list("markers")
    assert list(marker) == [], "days before are not known, so that no marker may pass them"
    rest = update(world, home)
    assert rest.code == 0
    assert list(world.reasons()) == DAYS
    assert rest.document["sites"][0]["days"] == 2


def test_bad_input_is_refused(world, home):
    unknown = update(world, home, "--site", "Hobbart")
    assert unknown.code == 3
    assert "Hobart" in unknown.stderr
    assert "At sea" in unknown.stderr
    assert update(world, home, "--since", "yesterday").code == 3
    homeless = call(world, None, "update", "--json")
    assert homeless.code == 3
    assert homeless.document["error"]["type"] == "BadInputError"
    assert "DAGSTER_HOME is not set; name the folder" in homeless.stderr
    nowhere = call(world, home / "absent", "update")
    assert nowhere.code == 3
    assert "make it and put dagster.yaml there" in nowhere.stderr
    assert world.outcomes() == {}
    assert not (home / "history").exists()


def test_an_interrupted_update_says_what_stands_and_is_finished_by_the_next(
    tmp_path, tmp_path_factory, home
):
    base = tmp_path_factory.getbasetemp()
    with RangeServer(demo_scenes(base)[0]) as server:
        items = plain_scenes(base, server.url())
        settings = {"compute": {"workers": 1}, "transport": {"timeout_s": 100}}
        sites = [SEA, HOBART]
        given = [*items, at_sea(items[0])]
        with imagery_world(tmp_path / "world", given, sites=sites, settings=settings) as world:
            path = items[3]["assets"]["scl"]["href"].removeprefix(server.url())
            server.misbehave(path, Misbehaviour(delay_s=60))
            words = ["--config", world.config, "update", "--json"]
            with running_estinel(words, tmp_path / "said", DAGSTER_HOME=str(home)) as command:
                wait_for(lambda: server.count(path) or not command.process.is_alive(), 60.0)
                command.send(signal.SIGINT)
                time.sleep(0.3)  # until it knows; then what is in work is ended
                server.behave(path)
                ended = command.ended()

            assert ended.code == 5, ended.stderr
            assert ended.document["error"]["exit_code"] == 5
            assert "stopped after 1 of 2 sites (At sea)" in ended.stderr
            standing = world.reasons(SITE)

            assert 0 < len(standing) < 5
            assert set(standing.values()) == {"none"}
            assert runs(home)[-1] == ("update_site", SITE, "FAILURE")
            before = world.versions()
            finished = update(world, home)

            assert finished.code == 0, finished.stderr
            assert finished.document["days"] == 5 - len(standing)
            assert world.reasons(SITE) == dict.fromkeys(DAYS, "none")
            after = world.versions()
            kept = {path for path in before if any(day in path for day in standing)}
            assert {path: after[path] for path in kept} == {path: before[path] for path in kept}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory) -> Iterator[tuple[ImageryWorld, dict[str, Path]]]:
    """A world with a corrupt and an absent file, and these files by day."""
    base, folder = tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("spoilt")
    shutil.copytree(demo_scenes(base)[0] / "scenes", folder / "scenes")
    items = plain_scenes(base, f"file://{folder}")
    files = {}
    for day in (DAYS[2], DAYS[4]):
        item = next(item for item in items if day.replace("-", "") in item["id"])
        files[day] = Path(item["assets"]["red"]["href"].removeprefix("file://"))
        shutil.copy(files[day], files[day].with_suffix(".whole"))
    files[DAYS[2]].write_bytes(files[DAYS[2]].read_bytes()[:3000])
    files[DAYS[4]].unlink()
    with imagery_world(folder / "world", items) as world:
        world.update()
        yield world, files


@pytest.fixture
def faulty(spoilt) -> Iterator[tuple[ImageryWorld, dict[str, Path]]]:
    """The same; what a test makes of store, files and table of sites is undone."""
    made, files = spoilt
    corrupt, table = files[DAYS[2]].read_bytes(), (made.folder / "sites.csv").read_bytes()
    with made.put_back([]) as world:
        yield world, files
    files[DAYS[2]].write_bytes(corrupt)
    files[DAYS[4]].unlink(missing_ok=True)
    (made.folder / "sites.csv").write_bytes(table)


def reprocess(world: ImageryWorld, home: Path, *arguments: object) -> Outcome:
    return call(world, home, "reprocess", "--product", "imagery", "--json", *arguments)


def run_ids(world: ImageryWorld) -> dict[str, str]:
    return {last: outcome.run_id for last, outcome in world.outcomes().items()}


def test_reprocess_by_reason_key_status_and_time(faulty, home):
    world, files = faulty
    before = run_ids(world)
    counted = call(world, home, "outcomes", "count", "--product", "imagery", "--json")
    assert counted.code == 0
    assert counted.document == {
        "product": "imagery",
        "total": 6,
        "by_status": {"true": 4, "false": 2},
        "by_reason": {"none": 4, "source_corrupt": 1, "source_not_found": 1},
    }

    standing = listing(world.folder / "store", home)
    plan = reprocess(world, home, "--status", "false", "--dry-run")
    assert plan.code == 0
    assert [row["key"] for row in plan.document] == [f"{SITE}/{DAYS[2]}", f"{SITE}/{DAYS[4]}"]
    assert listing(world.folder / "store", home) == standing

    red = reprocess(world, home, "--reason", "source_corrupt")
    assert red.code == 2
    (row,) = red.document["reprocessed"]
    assert (row["key"], row["now"], row["made"]) == (f"{SITE}/{DAYS[2]}", "source_corrupt", True)
    after = run_ids(world)
    assert {last for last in before if before[last] != after[last]} == {DAYS[2]}
    assert runs(home) == [("reprocess_imagery", None, "FAILURE")]

    shutil.copy(files[DAYS[2]].with_suffix(".whole"), files[DAYS[2]])
    partly = reprocess(world, home, "--status", "false")
    assert partly.code == 1
    assert partly.document["by_reason"] == {"none": 1, "source_not_found": 1}

    shutil.copy(files[DAYS[4]].with_suffix(".whole"), files[DAYS[4]])
    green = reprocess(world, home, "--key", f"{SITE}/{DAYS[4]}")
    assert green.code == 0
    assert set(world.reasons().values()) == {"none"}
    assert len(world.fragment()["images"]) == 5

    since = world.outcomes()[DAYS[4]].finished_at.isoformat()
    newest = reprocess(world, home, "--since", since, "--dry-run")
    assert [row["key"] for row in newest.document] == [f"{SITE}/{DAYS[4]}"]


def test_reprocess_refuses_and_finds_nothing(faulty, home):
    world, _ = faulty
    unknown = reprocess(world, home, "--reason", "cloudy")
    assert unknown.code == 3
    assert all(str(reason) in unknown.stderr for reason in ImageryReason)
    nothing = reprocess(world, home, "--reason", "source_timeout")
    assert nothing.code == 6
    homeless = call(world, None, "reprocess", "--product", "imagery", "--reason", "none")
    assert homeless.code == 3
    assert "DAGSTER_HOME" in homeless.stderr
    assert reprocess(world, home, "--since", "noon").code == 3
    assert call(world, home, "reprocess", "--product", "images").code == 3


def test_reprocess_of_a_site_that_is_gone_is_no_success(faulty, home):
    world, _ = faulty
    before = run_ids(world)
    (world.folder / "sites.csv").write_text("location,lon,lat\nAt sea,100,-50\n")

    result = reprocess(world, home, "--reason", "none")

    assert result.code == 2
    assert [row["made"] for row in result.document["reprocessed"]] == [False] * 4
    assert len(result.document["errors"]) == 1
    assert SITE in result.stderr
    assert run_ids(world) == before
