"""Attempts: a planned day is taken to exactly one outcome, whatever happens to it."""

from dataclasses import dataclass
from typing import Any

from estinel_assets.errors import LeaseError, StoreError, UnitError, describe_bug
from estinel_assets.imagery.composites import DayInput
from estinel_assets.imagery.day_images import ALL_PRODUCTS, DayEnd, DayMaker, Product
from estinel_assets.imagery.plan import PlannedDay
from estinel_assets.imagery.reasons import IMAGERY, ImageryReason
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import SiteWindow
from estinel_assets.logs import get_logger
from estinel_assets.outcomes.book import OpenPartition
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.run import Run

STANDING = "standing"
"""Where a failed day's detail keeps what is known of its images of before."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DayAttempts:
    """Attempts at the days of one site, whose partition is held."""

    site: Site
    window: SiteWindow
    maker: DayMaker
    partition: OpenPartition
    run: Run

    def attempt(
        self, planned: PlannedDay, day: DayInput, products: frozenset[Product] = ALL_PRODUCTS
    ) -> Outcome:
        """Make a day and record its outcome.

        Before images that stand are overwritten, the outcome becomes `interrupted`, so that a
        crash from there on is planned again.

        Returns:
            The outcome, as it was recorded.

        Raises:
            LeaseLostError: another worker took the site over; nothing more was recorded.
            StoreError: the outcome itself could not be recorded.
        """
        started_at = self.run.clock()
        solar_day = planned.day.isoformat()
        key = (self.site.site_id, solar_day)
        standing = standing_images(self.partition.get(key))

        def ended(end: DayEnd, error: str | None = None) -> Outcome:
            finished_at = self.run.clock()
            return Outcome(
                product=IMAGERY.product,
                key=key,
                status=end.reason == ImageryReason.NONE,
                reason=end.reason,
                error=error,
                attempts=planned.attempt,
                started_at=started_at,
                finished_at=finished_at,
                duration_s=max((finished_at - started_at).total_seconds(), 0.0),
                run_id=self.run.run_id,
                code_version=self.run.code_version,
                inputs=day.solar_day.fingerprint,
                outputs=end.outputs,
                detail=end.detail,
            )

        def before_writing() -> None:
            if standing is not None:
                self.partition.put(ended(_failed(ImageryReason.INTERRUPTED, standing)))

        try:
            end = self.maker.make(
                self.site, self.window, day, before_writing=before_writing, products=products
            )
            outcome = ended(end)
        except LeaseError:
            raise
        except UnitError as error:
            outcome = ended(_failed(reason_of(error), standing), str(error))
        except StoreError as error:
            outcome = ended(_failed(ImageryReason.WRITE_FAILED, standing), str(error))
        except Exception as error:
            log.exception("internal error", site=self.site.location, solar_day=solar_day)
            outcome = ended(_failed(ImageryReason.INTERNAL_ERROR, standing), describe_bug(error))
        self.partition.put(outcome)
        log.info(
            "solar day ended",
            site=self.site.location,
            solar_day=solar_day,
            reason=outcome.reason,
            cause=planned.cause.value,
            attempt=planned.attempt,
            duration_s=round(outcome.duration_s, 3),
        )
        return outcome


def standing_images(outcome: Outcome | None) -> dict[str, Any] | None:
    """What an outcome says of images that stand, also when a later attempt failed.

    Returns:
        The detail of the attempt that made them, with their `outputs`; None where none stand.
    """
    if outcome is None:
        return None
    if outcome.status:
        return {**outcome.detail, "outputs": list(outcome.outputs)}
    standing: dict[str, Any] | None = outcome.detail.get(STANDING)
    return standing


def _failed(reason: ImageryReason, standing: dict[str, Any] | None) -> DayEnd:
    if standing is None:
        return DayEnd(reason)
    return DayEnd(reason, tuple(standing["outputs"]), {STANDING: standing})


def reason_of(error: UnitError) -> ImageryReason:
    """The reason that an error names; one that is none of ours is a bug of ours."""
    known = {str(reason): reason for reason in ImageryReason}
    return known.get(error.reason, ImageryReason.INTERNAL_ERROR)
