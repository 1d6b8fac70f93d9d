"""Publishes, and records how each publication ended: exactly one outcome each."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from estinel_assets.errors import BadInputError, EstinelError, UnitError
from estinel_assets.logs import get_logger, mask_text
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.paths import Key, decode_key
from estinel_assets.outcomes.record import NO_REASON, Outcome
from estinel_assets.outcomes.rules import next_attempt
from estinel_assets.publishing.content import content_of
from estinel_assets.publishing.datasets_config import DatasetsConfig
from estinel_assets.publishing.ending import Action, PublicationError, Recovery, Result, reason_of
from estinel_assets.publishing.grq import datasets_chunks
from estinel_assets.publishing.inbox import LEFT_OUT, list_folder
from estinel_assets.publishing.journal import open_journals
from estinel_assets.publishing.layout import BY_ID
from estinel_assets.publishing.model import Content, Place, Policy, StoreAt
from estinel_assets.publishing.planning import Plan
from estinel_assets.publishing.ports import DocumentQuery
from estinel_assets.publishing.publisher import Publisher
from estinel_assets.publishing.reasons import PUBLISHING, PublishingReason
from estinel_assets.publishing.scan import scan_folder
from estinel_assets.publishing.scanned import FolderRefusedError, Scan
from estinel_assets.publishing.site_images import PREFIX, SiteImages, read_site_images
from estinel_assets.publishing.spool import Spool
from estinel_assets.settings import PublishingSettings

log = get_logger(__name__)

MESSAGE_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class Request:
    """A job folder that is to be published."""

    folder: Path
    """Absolute."""
    publication: str
    policy: Policy

    @classmethod
    def of(cls, folder: Path, publication: str | None, policy: Policy) -> "Request":
        """A request; a publication without an id has the folder's name."""
        absolute = folder.absolute()
        return cls(absolute, publication or absolute.name, policy)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder that was looked through; a `Source`."""

    scan: Scan
    address: Callable[[Place], str]

    @property
    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return self.scan.fingerprint

    def content(self, *, publication: str, suffix: str, revision: str, spool: Spool) -> Content:
        """See `Source.content`."""
        return content_of(
            self.scan,
            publication=publication,
            suffix=suffix,
            revision=revision,
            spool=spool,
            open_url=self.address,
        )


@dataclass(frozen=True, slots=True)
class Publications:
    """Publishes and removes, with a record of each. Safe to use from many threads."""

    publisher: Publisher
    book: OutcomeBook
    config: DatasetsConfig
    settings: PublishingSettings
    environment: Mapping[str, str]
    """For extractors."""
    address: Callable[[Place], str]
    """Where readers find what stands below a place."""

    def source(self, folder: Path, spool: Spool) -> FolderSource:
        """Look a folder through.

        Args:
            folder: of a job.
            spool: keeps what is found; open as long as the source is used.

        Raises:
            BadInputError: it is no folder.
            FolderRefusedError: it cannot be published; all faults are listed.
        """
        scan = scan_folder(
            folder,
            self.config,
            settings=self.settings,
            spool=spool,
            environment=self.environment,
        )
        return FolderSource(scan, self.address)

    def plan(self, request: Request, spool: Spool) -> Plan | Action:
        """What publishing a folder would do; nothing is written.

        Raises:
            EstinelError: it cannot be published.
        """
        return self.publisher.plan(
            self.source(request.folder, spool), request.publication, request.policy, spool
        )

    def publish(self, request: Request, *, anew: bool = False) -> Outcome:
        """Publish a folder, and record how it ended.

        Args:
            request: the folder.
            anew: start its attempts at one again.

        Raises:
            BadInputError: it is no folder that can be read; nothing is recorded.
            StoreError: the record cannot be stored.
        """
        listing = list_folder(request.folder)
        return self.record(
            request.publication,
            lambda: self._publish_folder(request),
            inputs=lambda: listing.fingerprint,
            detail={"folder": str(request.folder), "policy": str(request.policy)},
            anew=anew,
        )

    def images(self, site_id: str) -> SiteImages:
        """A site's images that stand now.

        Raises:
            StoreError: the site's part of the catalogue cannot be read.
        """
        return read_site_images(
            self.publisher.targets.journal,
            site_id,
            collection=self.settings.images_collection,
            address=lambda path: self.address(Place(StoreAt(), path)),
        )

    def publish_images(self, site_id: str, *, anew: bool = False) -> Outcome:
        """Publish a site's images that stand now, and record how it ended.

        Args:
            site_id: SITE_ID.
            anew: start its attempts at one again.

        Raises:
            StoreError: the record cannot be stored.
        """
        publication = PREFIX + site_id
        inputs = ""

        def publish() -> Result:
            nonlocal inputs
            images = self.images(site_id)
            inputs = images.fingerprint
            return self.publisher.publish(images, publication, Policy.REPLACE)

        detail = {"site": site_id}
        return self.record(publication, publish, inputs=lambda: inputs, detail=detail, anew=anew)

    def remove(self, publication: str) -> Outcome:
        """Take a publication back, and record how it ended.

        Raises:
            BadInputError: there is none of this id.
            StoreError: the record cannot be stored.
        """

        def remove() -> Result:
            result = self.publisher.remove(publication)
            if result.action is Action.ABSENT and result.current is None:
                raise BadInputError(
                    f"nothing was ever published as {publication!r}; see `estinel outcomes list "
                    "--product publishing`"
                )
            return result

        # The folder may stand in the inbox still: as it is, it is not to be published again.
        former = self.book.ledger.get((publication,))
        kept = {} if former is None else former.detail
        return self.record(
            publication,
            remove,
            inputs=lambda: "" if former is None else former.inputs,
            detail={name: kept[name] for name in ("folder", "policy") if name in kept},
        )

    def recover(self, publication: str | None = None) -> Iterator[Recovery | PublicationError]:
        """Complete or undo what was broken off, of one publication or of all.

        Yields:
            What became of each transaction; or why a publication cannot be repaired now.
        """
        names = [publication] if publication is not None else list(self.with_open_journals())
        for name in names:
            try:
                yield from self.publisher.recover(name)
            except PublicationError as error:
                yield error

    def with_open_journals(self) -> Iterator[str]:
        """Ids of the publications that have a transaction which is not closed."""
        store = self.publisher.targets.journal
        for folder in store.list_folders(BY_ID):
            (name,) = decode_key(folder)
            if open_journals(store, name):
                yield name

    def record(
        self,
        publication: str,
        work: Callable[[], Result],
        *,
        inputs: Callable[[], str],
        detail: Mapping[str, Any],
        anew: bool = False,
    ) -> Outcome:
        """Do some work, and record how it ended.

        Args:
            publication: its id.
            work: does it.
            inputs: fingerprint of what went in, asked for when it is done.
            detail: what the record says besides.
            anew: start its attempts at one again.

        Raises:
            BadInputError: what was asked for makes no sense; nothing is recorded.
            StoreError: the record cannot be stored.
        """
        run = self.publisher.run
        key = (publication,)
        former = None if anew else self.book.ledger.get(key)
        began = run.clock()
        reason, message, more = NO_REASON, None, {}
        try:
            more = result_detail(work())
        except BadInputError:
            raise
        except EstinelError as error:
            reason = str(reason_of(error, None))
            message = str(error)[:MESSAGE_LENGTH]
            more = error_detail(error)
        except Exception as error:
            # A bug is an outcome, too: without one, the folder would block its inbox for ever.
            log.exception("internal error", publication=publication)
            reason = str(PublishingReason.INTERNAL_ERROR)
            message = mask_text(f"{type(error).__name__}: {error}")[:MESSAGE_LENGTH]
        outcome = self._outcome(key, reason, message, began, inputs(), former, {**detail, **more})
        self.book.objects.put_one(outcome)
        log.info(
            "publication ended",
            publication=publication,
            reason=reason,
            attempt=outcome.attempts,
            duration_s=round(outcome.duration_s, 3),
            **{name: more[name] for name in ("action", "bytes", "objects") if name in more},
        )
        return outcome

    def _publish_folder(self, request: Request) -> Result:
        with Spool() as spool:
            source = self.source(request.folder, spool)
            result = self.publisher.publish(source, request.publication, request.policy)
        if result.current is not None and not result.current.removed:
            documents = self.publisher.targets.index.search(
                DocumentQuery(publication=result.publication)
            )
            warning = write_datasets_file(request.folder, (one.document for one in documents))
            return replace(result, warnings=(*result.warnings, *warning))
        return result

    def _outcome(
        self,
        key: Key,
        reason: str,
        message: str | None,
        began: datetime,
        inputs: str,
        former: Outcome | None,
        detail: dict[str, Any],
    ) -> Outcome:
        run = self.publisher.run
        ended = run.clock()
        return Outcome(
            product=PUBLISHING.product,
            key=key,
            status=reason == NO_REASON,
            reason=reason,
            error=message,
            attempts=next_attempt(former, inputs),
            started_at=began,
            finished_at=ended,
            duration_s=max((ended - began).total_seconds(), 0.0),
            run_id=run.run_id,
            code_version=run.code_version,
            inputs=inputs,
            outputs=tuple(detail.get("places", ())),
            detail=detail,
        )


def result_detail(result: Result) -> dict[str, Any]:
    """What an outcome says of a transaction that ended well; JSON values only."""
    return {
        "publication": result.publication,
        "action": str(result.action),
        "fingerprint": "" if result.current is None else result.current.fingerprint,
        "places": [] if result.current is None else list(result.current.places),
        **result.counts(),
        "phases": [
            {
                "phase": str(timing.phase),
                "steps": timing.steps,
                "bytes": timing.bytes,
                "duration_s": timing.duration_s,
            }
            for timing in result.timings
        ],
        "peak_mib": round(result.peak_mib, 1),
        "warnings": list(result.warnings),
        "recovered": list(result.recovered),
    }


def error_detail(error: EstinelError) -> dict[str, Any]:
    """What an outcome says of a transaction that failed; JSON values only."""
    cause = error.__cause__ if isinstance(error.__cause__, UnitError) else error
    faults = cause.faults if isinstance(cause, FolderRefusedError) else ()
    detail: dict[str, Any] = {}
    if faults:
        detail["faults"] = [
            {"reason": str(one.reason), "where": one.where, "what": one.what} for one in faults
        ]
    if isinstance(error, PublicationError) and error.undo is not None:
        detail["undone"] = dict(error.undo.undone)
        detail["left"] = [one.model_dump() for one in error.undo.left]
        detail["spared"] = list(error.undo.spared)
    return detail


def write_datasets_file(folder: Path, documents: Iterator[Mapping[str, Any]]) -> list[str]:
    """Tell the job what was published, in `_datasets.json`.

    Returns:
        A warning where that was not possible: the publication stands all the same.
    """
    written: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=".datasets-", dir=folder)
        written = Path(name)
        with os.fdopen(handle, "wb") as file:
            for chunk in datasets_chunks(documents):
                file.write(chunk)
        written.chmod(0o644)
        written.replace(folder / LEFT_OUT)
    except (OSError, EstinelError) as error:
        return [f"{folder / LEFT_OUT} is not written: {error}"]
    finally:
        if written is not None:
            written.unlink(missing_ok=True)
    return []
