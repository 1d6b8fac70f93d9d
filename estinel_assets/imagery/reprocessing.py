"""Reprocessing: chosen keys of imagery are made again, site by site, whatever their outcome."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from estinel_assets.compute import Engine
from estinel_assets.errors import EstinelError, UnitError
from estinel_assets.imagery.reasons import SEARCH_KEY, ImageryReason
from estinel_assets.imagery.scene_reading import SceneReader
from estinel_assets.imagery.site_finish import finish, first_day_to_ask, open_marker
from estinel_assets.imagery.site_imagery import SiteImagery
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.stac.source import SceneSource


@dataclass(frozen=True, slots=True)
class SiteReprocessed:
    """What became of the keys of one site."""

    site_id: str
    reasons: Mapping[Key, str]
    """The reason of each key now; a key that is no more at the source keeps its former one."""

    @property
    def faults(self) -> dict[str, str]:
        """Reasons that are faults, by the last part of the key."""
        return {
            key[-1]: why
            for key, why in self.reasons.items()
            if parse_reason(ImageryReason, why).fault
        }


@dataclass(frozen=True, slots=True)
class Reprocessing:
    """Makes keys again."""

    open_site: Callable[[str], SiteImagery]
    """Opens a site by its SITE_ID; raises BadInputError where it is no more in the table."""
    source: SceneSource
    reader: SceneReader
    engine: Engine

    def run(self, keys: Iterable[Key]) -> Iterator[SiteReprocessed]:
        """Make keys again; marker and catalogue fragment of each site are brought up to date.

        Args:
            keys: `(SITE_ID, date)` or `(SITE_ID, "search")`.

        Yields:
            Each site as it is done.

        Raises:
            EstinelError: some sites could not be worked on; it says why, after all the others are
                done.
        """
        by_site: dict[str, set[str]] = {}
        for site_id, last in keys:
            by_site.setdefault(site_id, set()).add(last)
        problems: dict[str, EstinelError] = {}
        for site_id, lasts in sorted(by_site.items()):
            try:
                done = self._site(self.open_site(site_id), lasts)
            except EstinelError as error:
                problems[site_id] = error
            else:
                yield done
        if problems:
            raise _left_over(problems)

    def _site(self, imagery: SiteImagery, lasts: set[str]) -> SiteReprocessed:
        site_id = imagery.site.site_id
        if SEARCH_KEY in lasts:
            self._search(imagery)
        days = [date.fromisoformat(last) for last in lasts - {SEARCH_KEY}]
        n_images = 0
        if days:
            made = imagery.reprocess(days, self.reader, self.engine)
            n_images = sum(outcome.status for outcome in made.outcomes)
        finish(imagery, n_images)
        index = imagery.book.index(imagery.partition)
        return SiteReprocessed(
            site_id,
            {
                (site_id, last): index[site_id, last].reason
                for last in sorted(lasts)
                if (site_id, last) in index
            },
        )

    def _search(self, imagery: SiteImagery) -> None:
        first_day = first_day_to_ask(imagery, open_marker(imagery).marker, None)
        try:
            imagery.search(self.source, first_day)
        except UnitError:
            return  # its outcome says why, and the caller reads outcomes


def _left_over(problems: Mapping[str, EstinelError]) -> EstinelError:
    """What to raise for sites that could not be worked on."""
    errors = list(problems.values())
    if len(errors) == 1:
        return errors[0]
    shown = "; ".join(f"{site_id}: {error}" for site_id, error in list(problems.items())[:10])
    more = f"; and {len(errors) - 10} more" if len(errors) > 10 else ""
    return EstinelError(f"{len(errors)} sites could not be worked on: {shown}{more}")
