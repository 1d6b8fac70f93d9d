"""Whatever happens on the way, the end is that of one clean run, and nothing final is redone.

A history is a list of events: scenes arrive late, are processed again, are withdrawn; files and
the catalogue fail and recover; runs are made, refused by the store, or die at any write. Only the
source, the reader, the clock and the death are made; everything else is the product's own.
"""

import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from estinel_assets.errors import LeaseHeldError, StoreError, UnitError
from estinel_assets.imagery.catalog import CATALOG
from estinel_assets.imagery.markers import marker_path
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.storage.opening import open_store
from tests.support.examples import examples
from tests.support.increment import (
    FIRST,
    HOBART,
    Clock,
    MadeScene,
    MadeWorld,
    corrupt,
    day_number,
    made_settings,
    product_paths,
)
from tests.support.watched_store import Crash, WatchedStore, bury, crashing, refusing

MAX_ATTEMPTS = 50
"""More than any history can use up."""
NOW = datetime(2024, 12, 9, 12, tzinfo=UTC)
ANCHOR = MadeScene(HOBART, day_number(1))
"""Never withdrawn: an empty answer would withdraw nothing."""
ADOPTED = date(2024, 11, 28)
START = date(2024, 11, 1)
"""Of the made settings. The last runs ask from here on, so that what came late for the window that
is looked at again is found too."""

DAYS = st.integers(1, 5)
NAMES = st.sampled_from(["a", "b", "void"])
RUNS = st.one_of(
    st.just(("run",)),
    st.tuples(st.just("die"), st.integers(0, 70), st.booleans()),
    st.tuples(st.just("refuse"), st.integers(0, 70)),
)
CHANGES = st.one_of(
    st.tuples(st.just("arrive"), DAYS, NAMES),
    st.tuples(st.just("renew"), DAYS, NAMES),
    st.tuples(st.just("reprocess"), DAYS, NAMES),
    st.tuples(st.just("withdraw"), DAYS, NAMES),
    st.tuples(st.just("break"), DAYS, NAMES),
    st.tuples(st.just("repair"), DAYS, NAMES),
    st.sampled_from([("outage",), ("recovery",), ("lose marker",), ("spoil marker",)]),
    st.tuples(st.just("wait"), st.sampled_from([1, 6, 30])),
)
HISTORIES = st.lists(st.one_of(CHANGES, CHANGES, RUNS), min_size=4, max_size=16)


@dataclass
class History:
    """A world with what has to be remembered of it to judge the next run."""

    rescan_days: int
    adopted: bool
    world: MadeWorld = field(init=False)
    final_with: dict[date, object] = field(default_factory=dict)
    """What was offered of a day when it became final."""
    withdrawn: dict[str, MadeScene] = field(default_factory=dict)
    marker: date | None = None

    def __post_init__(self):
        self.world = fresh_world(self.rescan_days, adopted=self.adopted)
        if self.adopted:
            self.world.update()  # first sight
        self.world.source.add(ANCHOR)

    def obey(self, event):
        world, kind, *more = self.world, *event
        match kind:
            case "arrive":
                scene = MadeScene(HOBART, day_number(more[0]), more[1])
                if scene.id not in world.source.scenes:
                    # As it was when it was withdrawn: sources do not go back to older versions.
                    world.source.add(self.withdrawn.get(scene.id, scene))
            case "renew":
                for scene in self.listed(*more):
                    world.source.add(replace(scene, version=scene.version + 1))
            case "reprocess":
                for scene in self.listed(*more)[-1:]:
                    again = replace(scene, baseline=scene.baseline + 1, version=1)
                    world.source.add(self.withdrawn.get(again.id, again))
            case "withdraw":
                for scene in self.listed(*more):
                    if scene.id != ANCHOR.id:
                        self.withdrawn[scene.id] = world.source.scenes.pop(scene.id)
            case "break":
                for scene in self.listed(*more):
                    world.reader.broken |= corrupt(scene)
            case "repair":
                for scene in self.listed(*more):
                    world.reader.broken.pop(scene.id, None)
            case "outage" | "recovery":
                world.source.down = kind == "outage"
            case "lose marker" | "spoil marker":
                self.marker = None
                world.store.delete(marker_path(HOBART.site_id))
                if kind == "spoil marker":
                    world.store.put(marker_path(HOBART.site_id), b"{")
            case "wait":
                world.clock.advance(hours=more[0])
            case _:
                self.run(kind, *more)

    def listed(self, number, name):
        return sorted(
            (
                scene
                for scene in self.world.source.scenes.values()
                if (scene.day, scene.name) == (day_number(number), name)
            ),
            key=lambda scene: scene.baseline,
        )

    def offered(self, day):
        return frozenset(
            (scene.id, scene.version)
            for scene in self.world.source.scenes.values()
            if scene.day == day
        )

    def run(self, kind, at=0, after=False, *, since=None):
        world = self.world
        untouchable = {
            day for day, scenes in self.final_with.items() if scenes == self.offered(day)
        }
        match kind:
            case "die":
                store = crashing(world.store, at, after=after)
            case "refuse":
                store = refusing(world.store, at)
            case _:
                store = WatchedStore(world.store)
        world.reader.reads.clear()
        ran = None
        # A lease whose release was refused is still held in the run's next step.
        with suppress(Crash, UnitError, StoreError, LeaseHeldError):
            ran = world.update(store=store, since=since)
        bury(world.store)

        read = {date.fromisoformat(scene_id.split("_")[1]) for scene_id in world.reader.reads}
        written = {write.path for write in store.writes}
        for day in untouchable:
            assert day not in read, f"{day} was final and unchanged, and read again"
            assert written.isdisjoint(product_paths(day)), f"{day} was written again"
        self.remember()
        if ran is not None:
            self.check_marker(ran)
        return ran

    def remember(self):
        # Every run that reaches a day has searched before, so it was made of what is offered now.
        run_id = f"run-{self.world.runs:04d}"
        for day, outcome in self.world.outcomes().items():
            if outcome.run_id == run_id:
                self.final_with.pop(day, None)
                if outcome.status or not ImageryReason(outcome.reason).retryable:
                    self.final_with[day] = self.offered(day)

    def check_marker(self, ran):
        marker = ran.finished.marker
        last = marker.last_solarday if marker else None
        if self.marker is not None:
            assert last is not None
            assert last >= self.marker
        outcomes = self.world.outcomes()
        former, self.marker = self.marker, last
        if last is None or last == former:
            return
        looked_at = last if former is None else former
        for day in {scene.day for scene in self.world.source.scenes.values()} | set(outcomes):
            if looked_at < day <= last:
                outcome = outcomes[day]
                assert outcome.status or not ImageryReason(outcome.reason).retryable


def fresh_world(rescan_days, *, adopted):
    world = MadeWorld(
        store=open_store("memory://"),
        clock=Clock(NOW),
        settings=made_settings(
            imagery={"rescan_days": rescan_days}, outcomes={"max_attempts": MAX_ATTEMPTS}
        ),
    )
    if adopted:
        document = {
            "SITE_ID": HOBART.site_id,
            "location": "Hobart",
            "last_solarday": ADOPTED.isoformat(),
            "last_updated": "2024-11-29T00:00:00Z",
            "n_images": 7,
        }
        world.store.put(marker_path(HOBART.site_id), json.dumps(document).encode())
        world.source.add(MadeScene(HOBART, ADOPTED), MadeScene(HOBART, FIRST))
    return world


def standing(world):
    """What people see: products by path, the catalogue, and how each listed day ended."""
    days = {day: (one.reason, one.inputs) for day, one in world.outcomes().items()}
    return (
        world.products(),
        json.loads(world.store.get(CATALOG).data),
        {day: end for day, end in days.items() if end[0] != ImageryReason.WITHDRAWN},
    )


@given(HISTORIES, st.sampled_from([0, 2, 30]), st.booleans())
@examples(12)
@example([("run",), ("arrive", 3, "a"), ("die", 22, True), ("run",)], 30, False)
@example([("run",), ("renew", 1, "a"), ("die", 12, True), ("wait", 30), ("run",)], 30, False)
@example([("arrive", 2, "b"), ("run",), ("withdraw", 2, "b"), ("run",), ("run",)], 0, True)
@example([("run",), ("reprocess", 1, "a"), ("break", 1, "a"), ("run",), ("run",)], 30, False)
def test_any_history_ends_as_one_clean_run_would(events, rescan_days, adopted):
    history = History(rescan_days, adopted)
    for event in events:
        history.obey(event)
    world = history.world
    world.source.down = False
    world.reader.broken.clear()
    world.clock.advance(days=3)  # past every pause
    ran = history.run("run", since=START)
    again = history.run("run", since=START)

    clean = fresh_world(rescan_days, adopted=adopted)
    if adopted:
        clean.update()
    clean.source.scenes = dict(world.source.scenes)
    clean.clock.now = world.clock.now
    expected = clean.update(since=START)

    assert again.plan == ()
    assert standing(world) == standing(clean)
    marker, of_clean = ran.finished.marker, expected.finished.marker
    assert marker.last_solarday == max([*world.outcomes(), of_clean.last_solarday], default=None)
    assert marker.n_images_total == of_clean.n_images_total


def test_histories_do_what_they_say():
    """That the property above is not about nothing."""
    ends = defaultdict(int)
    for at in range(0, 40, 5):
        for store in (
            crashing(open_store("memory://"), at, after=at % 2 == 0),
            refusing(open_store("memory://"), at),
        ):
            world = fresh_world(30, adopted=False)
            world.source.add(ANCHOR, MadeScene(HOBART, day_number(2)))
            try:
                world.update(store=store)
            except (Crash, StoreError, LeaseHeldError) as error:
                ends[type(error)] += 1
    history = History(30, adopted=False)
    history.run("run")

    assert ends[Crash] > 6
    assert ends[StoreError] > 2
    assert history.final_with == {day_number(1): {(ANCHOR.id, 1)}}
