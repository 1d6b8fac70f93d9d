"""One message, from its bytes to its outcome: records are made and registered."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor, wait
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from estinel_assets.errors import (
    BadInputError,
    PermanentError,
    UnitError,
    describe_bug,
)
from estinel_assets.logs import get_logger, mask_text
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import NO_REASON, Outcome
from estinel_assets.outcomes.run import Run
from estinel_assets.pids.announcements import Announcement, announce
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.item_source import ItemSource
from estinel_assets.pids.message_records import SKIPPED, describe_message, fingerprint
from estinel_assets.pids.messages import (
    MAX_MESSAGE_BYTES,
    FullItemMessage,
    Message,
    parse_message,
)
from estinel_assets.pids.plugins import LookedUp, RecordMaker, RecordSet
from estinel_assets.pids.ports import HandleRecord, HandleService, Registered
from estinel_assets.pids.reasons import PIDS, PidReason
from estinel_assets.pids.stamps import Stamp

FILES_AT_ONCE = 16
"""Files of one message that are registered one after the other; more are shared among threads."""
_SHOWN_WARNINGS = 20

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MessageWork:
    """What is done with a message. Safe to share between threads."""

    maker: RecordMaker
    handles: HandleService
    items: ItemSource | None
    """The STAC API; None where nothing may be asked, as in a dry run."""
    look_up: bool
    """Whether earlier versions are looked up."""
    run: Run
    max_bytes: int = MAX_MESSAGE_BYTES
    """Longest message that is read, in bytes."""
    keep_all: bool = False
    """Keep the message in its outcome also where it ended well."""
    sharing: Executor | None = None
    """Threads among which the files of a large message are shared."""

    def outcome(self, message: IncomingMessage) -> Outcome:
        """Work on a message, whatever comes of it.

        Returns:
            How it ended. It is not recorded.

        Raises:
            BadInputError: the records of a dry run cannot be written.
        """
        started_at = self.run.clock()
        found = _Found()
        ended: tuple[str, str | None]
        try:
            self._register(message, found)
        except UnitError as error:
            ended = _reason_of(error)
        except BadInputError:  # such as a folder that cannot be written to: no message's fault
            raise
        except Exception as error:
            log.exception("internal error", unit=message.unit)
            ended = str(PidReason.INTERNAL_ERROR), mask_text(describe_bug(error))
        else:
            ended = NO_REASON, None
        return self._outcome(message, started_at, ended, found)

    def _register(self, message: IncomingMessage, found: "_Found") -> None:
        parsed = parse_message(message.body, max_bytes=self.max_bytes)
        found.patched = not isinstance(parsed, FullItemMessage)
        found.item_id = _item_id(parsed)
        announcement = announce(
            parsed,
            stored=self._stored(parsed),
            received_at=message.received_at,
            unit=message.unit,
        )
        made = self.maker.records(announcement, self._versions(announcement))
        found.made = made
        *files, dataset = made.records
        self._register_files(files, announcement.stamp, found)
        found.count(self.handles.register(dataset, announcement.stamp))

    def _stored(self, parsed: Message) -> Mapping[str, Any] | None:
        """For a patch, the item that it changes."""
        if isinstance(parsed, FullItemMessage):
            return None
        if self.items is None:
            raise PermanentError(
                PidReason.STAC_UNAVAILABLE,
                "a patch needs the item that the STAC API has, and none can be asked: set "
                "stac.base_url; a dry run asks nobody",
            )
        payload = parsed.data.payload
        return self.items.item(payload.collection_id, payload.item_id)

    def _versions(self, announcement: Announcement) -> LookedUp:
        # Asked in any case, because it refuses items that break a rule.
        query = self.maker.version_query(announcement.item, announcement.collection_id)
        if query is None or self.items is None or not self.look_up:
            return LookedUp()
        return self.items.versions(query)

    def _register_files(self, files: list[HandleRecord], stamp: Stamp, found: "_Found") -> None:
        def register(part: list[HandleRecord]) -> None:
            for record in part:
                found.count(self.handles.register(record, stamp))

        if self.sharing is None or len(files) <= FILES_AT_ONCE:
            register(files)
            return
        starts = range(0, len(files), FILES_AT_ONCE)
        parts = [files[start : start + FILES_AT_ONCE] for start in starts]
        shared = [self.sharing.submit(register, part) for part in parts]
        # Nothing of a message is in work any more when it has ended, well or not.
        wait(shared)
        for part_done in shared:
            part_done.result()

    def _outcome(
        self,
        message: IncomingMessage,
        started_at: datetime,
        ended: tuple[str, str | None],
        found: "_Found",
    ) -> Outcome:
        reason, error = ended
        finished_at = self.run.clock()
        keep = self.keep_all or reason != NO_REASON
        return Outcome(
            product=PIDS.product,
            key=message.unit,
            status=reason == NO_REASON,
            reason=reason,
            # Half a character, which a server may answer with in JSON, could not be stored.
            error=error and error.encode(errors="replace").decode(),
            attempts=message.retries + 1,
            started_at=started_at,
            finished_at=finished_at,
            duration_s=max((finished_at - started_at).total_seconds(), 0.0),
            run_id=self.run.run_id,
            code_version=self.run.code_version,
            inputs=fingerprint(message),
            detail={
                **found.detail(),
                **({"retries": message.retries} if message.retries else {}),
                **({"message": describe_message(message)} if keep else {}),
            },
        )


def _reason_of(error: UnitError) -> tuple[str, str]:
    """Reason and message of an error; a word that is none of ours is a plugin's bug."""
    try:
        return parse_reason(PidReason, error.reason), str(error)
    except BadInputError as unknown:
        return PidReason.INTERNAL_ERROR, f"{unknown}, after: {error}"


def is_transient(outcome: Outcome) -> bool:
    """Whether a message failed because a service did, for the time being; a bug of ours is none."""
    reason = parse_reason(PidReason, outcome.reason)
    return reason.retryable and reason is not PidReason.INTERNAL_ERROR


def as_skipped(outcome: Outcome) -> Outcome:
    """The outcome of a message that work goes on without."""
    return outcome.model_copy(update={"detail": {**outcome.detail, SKIPPED: True}})


@dataclass(slots=True)
class _Found:
    """What is known of a message so far."""

    item_id: str | None = None
    patched: bool = False
    made: RecordSet | None = None
    registered: Counter[Registered] = field(default_factory=Counter)
    counting: Lock = field(default_factory=Lock)

    def count(self, what: Registered) -> None:
        """One more handle; from any thread."""
        with self.counting:
            self.registered[what] += 1

    def detail(self) -> dict[str, Any]:
        """What its outcome says; nothing of what is not so."""
        detail: dict[str, Any] = {} if self.item_id is None else {"item_id": self.item_id}
        if self.patched:
            detail["patched"] = True
        detail |= {str(what): count for what, count in sorted(self.registered.items())}
        made = self.made
        if made is None:
            return detail
        detail["handle"] = made.records[-1].handle
        if made.retracted:
            detail["retracted"] = True
        if made.replicas:
            detail["replicas"] = made.replicas
        if made.next_version is not None:
            detail["next_version"] = made.next_version
        if made.warnings:
            detail["warnings"] = list(made.warnings[:_SHOWN_WARNINGS])
            detail["warnings_count"] = len(made.warnings)
        if made.left_out:
            detail["left_out"] = [
                {"asset": one.asset_key, "reason": one.reason, "problem": one.problem}
                for one in made.left_out[:_SHOWN_WARNINGS]
            ]
            detail["left_out_count"] = len(made.left_out)
        return detail


def _item_id(parsed: Message) -> str:
    if isinstance(parsed, FullItemMessage):
        return parsed.data.payload.item.id
    return parsed.data.payload.item_id
