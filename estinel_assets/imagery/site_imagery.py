"""One site's increment: search, plan, make, finish. Knows no Dagster."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime

from estinel_assets.compute import Engine
from estinel_assets.errors import UnitError
from estinel_assets.imagery.attempts import DayAttempts, reason_of
from estinel_assets.imagery.composites import DayInput
from estinel_assets.imagery.day_images import ALL_PRODUCTS, DayMaker, Product
from estinel_assets.imagery.markers import read_adoption
from estinel_assets.imagery.plan import Cause, PlannedDay, SiteState, outcomes_by_day, plan_days
from estinel_assets.imagery.reasons import IMAGERY, SEARCH_KEY, ImageryReason
from estinel_assets.imagery.scene_reading import SceneInput, SceneReader
from estinel_assets.imagery.scene_search import (
    Refreshed,
    merged_scenes,
    refresh_scenes,
    stored_items,
    stored_scenes,
)
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.solardays import SolarDay, SolarDays, group_solar_days
from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.outcomes.book import OpenPartition, OutcomeBook
from estinel_assets.outcomes.index import Index, IndexRow
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.rules import RetryRule, next_attempt
from estinel_assets.outcomes.run import Run
from estinel_assets.settings import Settings
from estinel_assets.solarday import query_window_utc, solar_day
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.scene_columns import KnownScenes
from estinel_assets.stac.source import SceneQuery, SceneSource
from estinel_assets.storage.port import ObjectStore

FIRST_DAY = "first_day"
"""Where the detail of a search's outcome says which solar day it covered whole as the first."""

DAYS_REMEMBERED = 10
"""Days of one run from which on it is worth to keep what their files look like."""

DAYS_LOADED = 100
"""Days whose items are in memory at once."""


@dataclass(frozen=True, slots=True)
class Made:
    """What making days led to."""

    outcomes: tuple[Outcome, ...]
    """Of the days that were made now, by day."""
    rows: Mapping[date, IndexRow]
    """Of every day of the site, by day."""

    def counts(self) -> dict[str, int | float]:
        """The numbers, for metadata: days and images of this run, seconds, and days by reason."""
        reasons = Counter(outcome.reason for outcome in self.outcomes)
        clear = [outcome.detail["clear_fraction"] for outcome in self.outcomes if outcome.status]
        return {
            "days": len(self.outcomes),
            "images": sum(outcome.status for outcome in self.outcomes),
            "processing_time_s": round(sum(outcome.duration_s for outcome in self.outcomes), 3),
            **({"mean_clear_fraction": round(sum(clear) / len(clear), 4)} if clear else {}),
            **{f"reason_{reason}": count for reason, count in sorted(reasons.items())},
        }

    def newest_image(self) -> Outcome | None:
        """The outcome of the newest day with images that was made now."""
        return max(
            (outcome for outcome in self.outcomes if outcome.status),
            key=lambda outcome: outcome.key,
            default=None,
        )


@dataclass(frozen=True, slots=True)
class SiteImagery:
    """Everything that a run does for one site, but for its marker; see `site_finish`."""

    site: Site
    window: SiteWindow
    settings: Settings
    store: ObjectStore
    book: OutcomeBook
    provider: Provider
    run: Run

    @property
    def partition(self) -> tuple[str]:
        """The site's partition in the ledger."""
        return (self.site.site_id,)

    @property
    def retry(self) -> RetryRule:
        """When a failed day is tried again."""
        return RetryRule.from_settings(self.settings.outcomes)

    def search(self, source: SceneSource, first_day: date) -> Refreshed:
        """Ask the source for the site's scenes and merge them into its table.

        Args:
            source: the STAC API.
            first_day: first solar day that is covered whole; the last one is today's.

        Raises:
            UnitError: the search failed; its outcome says why, and the table is as it was.
        """
        started_at = self.run.clock()
        with self.book.open(self.partition, owner=self.run.run_id) as partition:
            try:
                refreshed = refresh_scenes(
                    self.store,
                    self.site.site_id,
                    source,
                    self._query(first_day),
                    workers=self.settings.stac.searches_at_once,
                )
            except UnitError as error:
                self._record_search(partition, started_at, reason_of(error), error, first_day)
                raise
            self._record_search(partition, started_at, ImageryReason.NONE, refreshed, first_day)
        return refreshed

    def solar_days(self) -> SolarDays:
        """The site's stored scenes by solar day."""
        return self._grouped(stored_scenes(self.store, self.site.site_id))

    def offered_days(self, source: SceneSource, first_day: date) -> SolarDays:
        """What `solar_days` would give after `search`. Writes nothing.

        Raises:
            UnitError: the search failed.
        """
        query = self._query(first_day)
        workers = self.settings.stac.searches_at_once
        return self._grouped(
            merged_scenes(self.store, self.site.site_id, source, query, workers=workers)
        )

    def _query(self, first_day: date) -> SceneQuery:
        today = max(solar_day(self.run.clock(), self.site.lon), first_day)
        start, end = query_window_utc(first_day, today, self.site.lon)
        return SceneQuery(self.settings.stac.collection, self.window.bboxes, start, end)

    def _grouped(self, scenes: KnownScenes) -> SolarDays:
        return group_solar_days(
            scenes,
            self.window,
            self.site.lon,
            self.provider,
            rule=self.settings.imagery.solarday_rule,
        )

    def state(self, days: SolarDays, index: Index) -> SiteState:
        """What planning needs to know of the site."""
        outcomes = outcomes_by_day(index.values())
        return SiteState(
            # A day that lost its scenes before anything was made of it is no work.
            fingerprints=days.fingerprints(also=outcomes),
            outcomes=outcomes,
            adopted_until=read_adoption(self.store, self.site.site_id),
        )

    def plan(self, days: SolarDays, first_day: date) -> tuple[PlannedDay, ...]:
        """The days to make now.

        Args:
            days: what the source offers.
            first_day: the first day that the last search covered whole.
        """
        return self._plan(days, self.book.index(self.partition), first_day)

    def make(self, wanted: Collection[date], reader: SceneReader, engine: Engine) -> Made:
        """Take planned days to their outcomes, several at a time.

        What another run finished since the plan was made is left alone: once the site is held,
        the plan is made again for these days.

        Args:
            wanted: the days that were planned.
            reader: reads the scenes.
            engine: how many days are in flight.
        """
        first_day = min(wanted, default=date.max)
        with self.book.open(self.partition, owner=self.run.run_id) as partition:
            # Not before: while this run waited, another may have found newer scenes.
            days = self.solar_days()
            planned = self._plan(days, partition.index(), first_day)
            plan = [day for day in planned if day.day in set(wanted)]
            return self._attempt(plan, days, ALL_PRODUCTS, partition, reader, engine)

    def reprocess(self, wanted: Collection[date], reader: SceneReader, engine: Engine) -> Made:
        """Make days again, whatever their outcome says; their attempts start anew.

        Args:
            wanted: the days.
            reader: reads the scenes.
            engine: how many days are in flight.
        """
        with self.book.open(self.partition, owner=self.run.run_id) as partition:
            days = self.solar_days()
            plan = [
                PlannedDay(day, Cause.REPROCESSED, 1, days[day].fingerprint)
                for day in sorted(set(wanted) & days.keys())
            ]
            return self._attempt(plan, days, ALL_PRODUCTS, partition, reader, engine)

    def remake(self, products: frozenset[Product], reader: SceneReader, engine: Engine) -> Made:
        """Make some products anew for every day whose images stand unchanged.

        Args:
            products: what to make; the others stay and are read from the store where needed.
            reader: reads the scenes.
            engine: how many days are in flight.
        """
        with self.book.open(self.partition, owner=self.run.run_id) as partition:
            days = self.solar_days()
            standing = outcomes_by_day(partition.index().values())
            plan = [
                PlannedDay(day, Cause.REMADE, next_attempt(row, row.inputs), row.inputs)
                for day, row in sorted(standing.items())
                if row.status and day in days and days[day].fingerprint == row.inputs
            ]
            return self._attempt(plan, days, products, partition, reader, engine)

    def _plan(self, days: SolarDays, index: Index, first_day: date) -> tuple[PlannedDay, ...]:
        state = self.state(days, index)
        return plan_days(state, first_day=first_day, now=self.run.clock(), retry=self.retry)

    def _attempt(
        self,
        plan: Sequence[PlannedDay],
        days: Mapping[date, SolarDay],
        products: frozenset[Product],
        partition: OpenPartition,
        reader: SceneReader,
        engine: Engine,
    ) -> Made:
        maker = DayMaker(
            self.store,
            reader,
            self.settings.stac.collection,
            self.settings.imagery.max_cloud_fraction,
        )
        attempts = DayAttempts(self.site, self.window, maker, partition, self.run)

        def attempt(work: tuple[PlannedDay, DayInput]) -> Outcome:
            return attempts.attempt(*work, products)

        with self._remembering(reader, len(plan)):
            completed = engine.map(attempt, self._work(plan, days))
            outcomes = sorted((one.result() for one in completed), key=lambda outcome: outcome.key)
        return Made(tuple(outcomes), outcomes_by_day(partition.index().values()))

    def _remembering(self, reader: SceneReader, days: int) -> AbstractContextManager[None]:
        """Keep what is learnt of files, where it may be needed again: new days come only once."""
        if days < DAYS_REMEMBERED:
            return nullcontext()
        return reader.rasters.remembering(self.store, f"cache/headers/{self.site.site_id}.bin")

    def _work(
        self, plan: Sequence[PlannedDay], days: Mapping[date, SolarDay]
    ) -> Iterator[tuple[PlannedDay, DayInput]]:
        # Items are large and a first run may plan ten years: load them as they are needed.
        for start in range(0, len(plan), DAYS_LOADED):
            chunk = plan[start : start + DAYS_LOADED]
            ids = {scene.id for planned in chunk for scene in days[planned.day].scenes}
            items = stored_items(self.store, self.site.site_id, ids)
            for planned in chunk:
                day = days[planned.day]
                inputs = tuple(SceneInput(items[scene.id], self.provider) for scene in day.scenes)
                yield planned, DayInput(day, inputs)

    def _record_search(
        self,
        partition: OpenPartition,
        started_at: datetime,
        reason: ImageryReason,
        result: Refreshed | UnitError,
        first_day: date,
    ) -> None:
        finished_at = self.run.clock()
        key = (self.site.site_id, SEARCH_KEY)
        partition.put(
            Outcome(
                product=IMAGERY.product,
                key=key,
                status=reason == ImageryReason.NONE,
                reason=reason,
                error=str(result) if isinstance(result, UnitError) else None,
                attempts=next_attempt(partition.rows.get(key), ""),
                started_at=started_at,
                finished_at=finished_at,
                duration_s=max((finished_at - started_at).total_seconds(), 0.0),
                run_id=self.run.run_id,
                code_version=self.run.code_version,
                detail={
                    FIRST_DAY: first_day.isoformat(),
                    **(result.counts() if isinstance(result, Refreshed) else {}),
                },
            )
        )
