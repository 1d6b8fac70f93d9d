"""The increment of a site: what a run does from whatever the run before has left."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from estinel_assets.errors import RetryableError, StoreError
from estinel_assets.imagery.catalog import CATALOG
from estinel_assets.imagery.markers import marker_path, read_marker
from estinel_assets.imagery.opening import open_site
from estinel_assets.imagery.scene_reading import SceneReader
from estinel_assets.stac.signing import Unsigned
from tests.support.increment import (
    CASEY,
    HOBART,
    MAWSON,
    PALMER,
    Clock,
    InOrder,
    MadeScene,
    MadeWorld,
    corrupt,
    day_number,
    made_settings,
    product_paths,
)
from tests.support.watched_store import WatchedStore, bury

DAYS = [day_number(number) for number in range(1, 6)]
START = date(2024, 11, 1)


def five_days(site=HOBART):
    return [MadeScene(site, day) for day in DAYS]


@pytest.fixture
def world():
    made = MadeWorld()
    made.source.add(*five_days())
    return made


def marker_of(world):
    stored = read_marker(world.store, world.site.site_id)
    return stored.marker.last_solarday if stored.marker else None


def versions(world):
    return {
        path: world.store.head(path).etag for day in DAYS for path in product_paths(day, world.site)
    }


def catalogued(world):
    locations = json.loads(world.store.get(CATALOG).data)["locations"]
    images = next(one for one in locations if one["id"] == world.site.site_id)["images"]
    return [date.fromisoformat(image["date"]) for image in images]


# -- bootstrap, increment, partial loss, recovery ---------------------------------------------


def test_without_marker_every_day_is_made_and_the_marker_is_created(world):
    ran = world.update()

    assert ran.planned == dict.fromkeys(DAYS, "new")
    assert world.reasons() == dict.fromkeys(DAYS, "none")
    assert catalogued(world) == DAYS
    document = json.loads(world.store.get(marker_path(HOBART.site_id)).data)
    assert document.pop("last_updated").startswith("2024-12-09T12:00:00")
    assert document == {
        "SITE_ID": HOBART.site_id,
        "location": "Hobart",
        "last_solarday": "2024-12-05",
        "n_images": 5,
        "n_images_total": 5,
    }
    (query,) = world.source.queries
    assert query.start == datetime(2024, 10, 31, 2, 10, 41, 832000, UTC)


def test_with_a_marker_only_new_days_are_made_and_it_goes_on(world):
    world.update()
    before = versions(world)
    world.source.add(MadeScene(HOBART, day_number(6)), MadeScene(HOBART, day_number(7)))
    world.reader.reads.clear()

    ran = world.update()

    assert ran.planned == {day_number(6): "new", day_number(7): "new"}
    assert versions(world) == before
    assert not [read for read in world.reader.reads if read < MadeScene(HOBART, day_number(6)).id]
    marker = read_marker(world.store, HOBART.site_id).marker
    assert (marker.last_solarday, marker.n_images, marker.n_images_total) == (day_number(7), 2, 7)
    # From the day after the marker 30 days back, widened by 147.3257 / 15 + 12 hours, to today.
    query = world.source.queries[-1]
    assert query.start == datetime(2024, 11, 5, 2, 10, 41, 832000, UTC)
    assert query.end == datetime(2024, 12, 10, 21, 49, 18, 168000, UTC)


def test_the_day_right_after_the_marker_is_made_also_when_nothing_is_looked_at_again():
    world = MadeWorld(settings=made_settings(imagery={"rescan_days": 0}))
    made = []
    for number in range(1, 6):
        world.source.add(MadeScene(HOBART, day_number(number)))
        made.append(world.update().days)
    assert made == [[day] for day in DAYS]


def test_one_missing_marker_costs_that_site_alone_a_long_search(world):
    other = MadeWorld(site=CASEY, store=world.store)
    other.source.add(*five_days(CASEY))
    for one in (world, other):
        one.update()
    world.store.delete(marker_path(HOBART.site_id))

    for one in (world, other):
        one.source.add(MadeScene(one.site, day_number(6)))
        assert one.update().days == [day_number(6)]
        assert marker_of(one) == day_number(6)
    assert world.source.queries[-1].start.date() == START - timedelta(days=1)
    assert other.source.queries[-1].start.date() == date(2024, 11, 5)


@pytest.mark.parametrize("body", [None, b"{", b"[]", b'{"SITE_ID": "site_af38900f"}'])
def test_a_lost_or_corrupt_marker_comes_back_and_nothing_is_made_again(world, body, caplog):
    world.update()
    before, marker = versions(world), marker_of(world)
    world.reader.reads.clear()
    path = marker_path(HOBART.site_id)
    world.store.delete(path)
    if body is not None:
        world.store.put(path, body)

    ran = world.update()

    assert (ran.plan, world.reader.reads, versions(world)) == ((), [], before)
    assert ran.finished.written
    assert marker_of(world) == marker == DAYS[-1]
    assert world.source.queries[-1].start.date() == START - timedelta(days=1)


def test_without_anything_new_nothing_is_written_but_the_record_of_the_search(world):
    world.update()
    store = WatchedStore(world.store)
    ran = world.update(store=store)

    assert ran.plan == ()
    assert not ran.finished.written
    folders = {write.path.split("/")[0] for write in store.writes}
    assert folders == {"leases", "outcomes", "outcome-index"}
    records = {write.path for write in store.writes if write.path.startswith("outcomes/")}
    assert all("/search/" in path for path in records)


def test_a_catalogue_that_is_down_moves_nothing(world):
    world.update()
    world.source.add(MadeScene(HOBART, day_number(6)))
    world.source.down = True
    with pytest.raises(RetryableError, match="down"):
        world.update()
    assert marker_of(world) == DAYS[-1]

    world.source.down = False
    assert world.update().days == [day_number(6)]


# -- failures ---------------------------------------------------------------------------------


def test_day_3_of_5_fails_and_the_rerun_does_only_that(world):
    world.reader.broken = corrupt(MadeScene(HOBART, DAYS[2]))
    ran = world.update()
    assert ran.faults == {"2024-12-03": "source_corrupt"}
    assert marker_of(world) == DAYS[1]
    assert catalogued(world) == [*DAYS[:2], *DAYS[3:]]

    world.reader.broken.clear()
    world.clock.advance(minutes=59)
    assert world.update().plan == ()  # its pause is not over
    assert marker_of(world) == DAYS[1]
    world.clock.advance(minutes=2)
    world.reader.reads.clear()
    ran = world.update()

    assert ran.planned == {DAYS[2]: "due"}
    assert ran.plan[0].attempt == 2
    assert set(world.reader.reads) == {MadeScene(HOBART, DAYS[2]).id}
    assert ran.faults == {}
    assert marker_of(world) == DAYS[-1]
    assert catalogued(world) == DAYS


def test_a_day_that_keeps_failing_is_given_up_and_no_longer_holds_the_marker(world):
    world.reader.broken = corrupt(MadeScene(HOBART, DAYS[2]))
    markers = []
    for _ in range(4):
        ran = world.update()
        markers.append((len(ran.days), marker_of(world)))
        world.clock.advance(hours=30)
    assert markers == [(5, DAYS[1]), (1, DAYS[1]), (1, DAYS[4]), (0, DAYS[4])]

    # Other scenes start the attempts anew; the marker does not go back for that.
    world.source.add(MadeScene(HOBART, DAYS[2], version=2))
    ran = world.update()
    assert (ran.planned, ran.plan[0].attempt) == ({DAYS[2]: "changed"}, 1)
    assert marker_of(world) == DAYS[4]


def test_a_failed_day_is_tried_again_long_after_the_window_has_moved_on(world):
    world.settings = made_settings(imagery={"rescan_days": 1}, outcomes={"backoff_s": 0})
    world.update()
    world.source.add(MadeScene(HOBART, DAYS[4], "b"))
    world.reader.broken = corrupt(MadeScene(HOBART, DAYS[4], "b"))
    assert world.update().faults
    world.clock.advance(days=60)
    world.source.add(MadeScene(HOBART, date(2025, 2, 1)))
    world.reader.broken.clear()

    assert world.update().planned == {DAYS[4]: "due", date(2025, 2, 1): "new"}
    assert marker_of(world) == date(2025, 2, 1)


@pytest.mark.parametrize(
    "late",
    [
        MadeScene(HOBART, DAYS[1], "b"),
        MadeScene(HOBART, DAYS[1], version=2),
        MadeScene(HOBART, DAYS[1], baseline=6),
    ],
    ids=["late", "renewed", "reprocessed"],
)
def test_a_late_or_changed_scene_of_day_2_rebuilds_day_2_only(world, late):
    world.update()
    before, marker = versions(world), world.store.head(marker_path(HOBART.site_id)).etag
    world.source.add(late)

    ran = world.update()

    assert ran.planned == {DAYS[1]: "changed"}
    touched = {path for path, etag in versions(world).items() if before[path] != etag}
    assert touched == set(product_paths(DAYS[1]))
    assert world.store.head(marker_path(HOBART.site_id)).etag == marker


def test_a_withdrawn_day_leaves_the_catalogue_and_the_marker_where_it_is(world):
    world.update()
    del world.source.scenes[MadeScene(HOBART, DAYS[4]).id]

    ran = world.update()

    assert ran.planned == {DAYS[4]: "changed"}
    assert world.reasons()[DAYS[4]] == "withdrawn"
    assert catalogued(world) == DAYS[:4]
    assert marker_of(world) == DAYS[4]
    world.source.add(MadeScene(HOBART, DAYS[4]))
    assert world.update().planned == {DAYS[4]: "changed"}
    assert catalogued(world) == DAYS


def test_a_record_whose_predecessor_could_not_be_deleted_still_counts(world):
    world.update()
    world.source.add(MadeScene(HOBART, DAYS[1], "b"))

    def refuse(write):
        if write.operation == "delete" and "reason=interrupted" in write.path:
            raise StoreError(f"the store refuses to delete {write.path}")

    with pytest.raises(StoreError, match="refuses to delete"):
        world.update(store=WatchedStore(world.store, before=refuse))
    bury(world.store)
    done = {day for day, outcome in world.outcomes().items() if outcome.status}

    assert DAYS[1] in done
    assert done.isdisjoint(world.update().days)


# -- what must not hold the marker up, nor let it run ahead -------------------------------------


def test_a_late_scene_before_the_window_does_not_hold_the_marker_up():
    world = MadeWorld(settings=made_settings(imagery={"rescan_days": 2}))
    world.source.add(*five_days())
    world.update()
    # The search looks at days 4 and 5 again; of day 3 it sees a part.
    afternoon = datetime(2024, 12, 3, 5, tzinfo=UTC)
    late = MadeScene(HOBART, DAYS[2], "b", instant=afternoon)
    world.source.add(late, MadeScene(HOBART, day_number(6)))

    assert world.update().planned == {day_number(6): "new"}
    assert world.source.queries[-1].covers(afternoon)
    assert marker_of(world) == day_number(6)
    assert world.update(since=DAYS[2]).planned == {DAYS[2]: "changed"}


def test_another_window_is_made_for_the_days_that_are_looked_at_again():
    world = MadeWorld(settings=made_settings(imagery={"rescan_days": 2}))
    world.source.add(*five_days())
    world.update()
    world.site = replace(HOBART, radiusx=70)
    world.source.add(MadeScene(HOBART, day_number(6)))

    ran = world.update()

    assert ran.planned == {DAYS[3]: "changed", DAYS[4]: "changed", day_number(6): "new"}
    assert marker_of(world) == day_number(6)
    assert list(world.update(since=START).planned) == DAYS[:3]


def test_a_search_that_began_later_never_moves_the_marker_over_days_nobody_asked_for(world):
    for number in (1, 2):
        world.source.scenes.pop(MadeScene(HOBART, day_number(number)).id)
    world.update(since=DAYS[3])
    assert marker_of(world) is None  # day 3 is unknown still

    assert world.update().days == [DAYS[2]]
    assert marker_of(world) == DAYS[4]
    # From the day after the marker on there is no gap.
    world.source.add(MadeScene(HOBART, day_number(6)))
    world.update(since=day_number(6))
    assert marker_of(world) == day_number(6)


def test_an_archive_of_the_original_is_done_up_to_its_marker(world):
    document = {
        "SITE_ID": HOBART.site_id,
        "location": "Hobart",
        "last_solarday": DAYS[2].isoformat(),
        "last_updated": "2024-12-04T00:00:00Z",
        "n_images": 99,
    }
    world.store.put(marker_path(HOBART.site_id), json.dumps(document).encode())

    assert world.update().days == DAYS[3:]
    assert marker_of(world) == DAYS[4]
    world.store.delete(marker_path(HOBART.site_id))
    assert world.update().days == []
    assert marker_of(world) == DAYS[4]


# -- the marker cannot be written ---------------------------------------------------------------


def test_a_marker_that_could_not_be_written_is_written_by_the_next_run(world):
    def refuse(write):
        if write.path.startswith("markers/"):
            raise StoreError("the disk is full")

    ran = world.update(store=WatchedStore(world.store, before=refuse))
    assert (ran.finished.written, ran.finished.problem) == (False, "the disk is full")
    assert marker_of(world) is None
    assert catalogued(world) == DAYS

    again = world.update()
    assert again.plan == ()
    assert (again.finished.written, again.finished.problem) == (True, None)
    assert marker_of(world) == DAYS[4]


def test_a_marker_that_somebody_else_wrote_meanwhile_stands_until_the_next_run(world):
    def interfere(write):
        if write.path.startswith("markers/"):
            world.store.put(write.path, b"{}")

    ran = world.update(store=WatchedStore(world.store, before=interfere))
    assert "somebody else" in ran.finished.problem
    assert world.store.get(marker_path(HOBART.site_id)).data == b"{}"
    assert world.update().finished.written


# -- two runs at once ---------------------------------------------------------------------------


def test_a_run_that_waited_for_another_works_with_what_that_one_found(world):
    """Scenes that were read before the site was held would undo what came meanwhile."""
    other = MadeWorld(store=world.store, source=world.source, reader=world.reader, runs=100)
    other.clock.advance(minutes=10)
    waited = False

    def let_the_other_go_first(write):
        nonlocal waited
        if write.path.startswith("leases/imagery/") and not waited:
            waited = True
            world.source.add(MadeScene(HOBART, DAYS[1], version=2))
            other.update()

    world.update()
    world.source.add(MadeScene(HOBART, DAYS[1], "b"))
    store = WatchedStore(world.store)
    imagery = open_site(HOBART, world.settings, store, "run-a", world.clock)
    imagery.search(world.source, START)
    plan = imagery.plan(imagery.solar_days(), START)
    store.before = let_the_other_go_first
    made = imagery.make(
        [planned.day for planned in plan], SceneReader(world.reader, Unsigned()), InOrder()
    )

    assert waited
    assert [planned.day for planned in plan] == [DAYS[1]]
    assert made.outcomes == ()  # the other made it, of newer scenes
    assert world.outcomes()[DAYS[1]].run_id == "run-0101"
    assert world.update().plan == ()


# -- solar days ---------------------------------------------------------------------------------

SOAK = pytest.mark.soak
SITES = pytest.mark.parametrize("site", [HOBART, CASEY, MAWSON, PALMER], ids=lambda at: at.location)


def local_midnight_utc(site, day):
    """By plain arithmetic: four minutes a degree."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight - timedelta(microseconds=round(site.lon * 240_000_000))


def scenes_at_the_edges(site):
    """Two a solar day: at its very first and its very last microsecond."""
    for day in DAYS:
        first = local_midnight_utc(site, day)
        last = local_midnight_utc(site, day + timedelta(days=1)) - timedelta(microseconds=1)
        yield MadeScene(site, day, "a", instant=first)
        yield MadeScene(site, day, "b", instant=last)


@pytest.mark.parametrize(
    ("site", "rescan_days"),
    # Every day, one site on each side of Greenwich, and one that looks again at former days.
    [
        pytest.param(
            site,
            days,
            id=f"{days}-{site.location}",
            marks=[] if (site, days) in {(HOBART, 0), (PALMER, 0), (PALMER, 30)} else SOAK,
        )
        for site in (HOBART, CASEY, MAWSON, PALMER)
        for days in (0, 30)
    ],
)
def test_scenes_at_both_edges_of_a_solar_day_are_captured_day_by_day(site, rescan_days):
    settings = made_settings(imagery={"rescan_days": rescan_days})
    daily = MadeWorld(site=site, settings=settings)
    for day in DAYS:
        # At the site's midnight, when the day's last scene was sensed and no other yet.
        daily.clock = Clock(local_midnight_utc(site, day + timedelta(days=1)))
        daily.source.add(
            *(one for one in scenes_at_the_edges(site) if one.sensed < daily.clock.now)
        )
        daily.update()
        assert marker_of(daily) == day
    daily.clock.advance(days=1)
    daily.update()

    for day, outcome in daily.outcomes().items():
        assert outcome.detail["scenes"] == [
            MadeScene(site, day, "a").id,
            MadeScene(site, day, "b").id,
        ]
    assert list(daily.outcomes()) == DAYS

    once = MadeWorld(site=site)
    once.source.add(*scenes_at_the_edges(site))
    assert once.update().days == DAYS
    assert once.products() == daily.products()


@SITES
def test_the_search_reaches_every_scene_of_the_days_it_asks_for(site):
    world = MadeWorld(site=site, settings=made_settings(imagery={"start": DAYS[1]}))
    world.clock = Clock(local_midnight_utc(site, DAYS[4]) - timedelta(hours=1))  # still day 4
    world.source.add(*scenes_at_the_edges(site))

    days = world.update().days

    assert days[:3] == DAYS[1:4]
    assert all(
        outcome.detail["scenes"] == [MadeScene(site, day, name).id for name in "ab"]
        for day, outcome in world.outcomes().items()
        if day in DAYS[1:4]
    )
    assert DAYS[0] not in world.reasons()


def test_the_documents_example_is_a_day_earlier_than_it_says():
    """Hobart at 14:00 UTC on 4 December is ten to midnight of the same day."""
    world = MadeWorld()
    at = datetime(2024, 12, 4, 14, tzinfo=UTC)
    world.source.add(MadeScene(HOBART, day_number(4), instant=at))
    world.source.add(MadeScene(HOBART, day_number(5), instant=at + timedelta(minutes=20)))
    assert world.update().days == [day_number(4), day_number(5)]
