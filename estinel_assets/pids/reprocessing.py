"""Registering messages again that their outcomes keep, because somebody asked for it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.configuration import load_configuration
from estinel_assets.pids.incoming import IncomingMessage
from estinel_assets.pids.message_records import message_of
from estinel_assets.pids.opening import open_book
from estinel_assets.pids.waiting import refuse_dry
from estinel_assets.pids.working_again import opened_again
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore

_SHOWN = 10


@dataclass(slots=True)
class Reprocessed:
    """What came of it."""

    went: dict[Key, str] = field(default_factory=dict)
    """Reason of each message that was worked on."""
    unknown: tuple[Key, ...] = ()
    """Keys without an outcome."""
    unkept: tuple[Key, ...] = ()
    """Keys whose outcomes do not keep their messages."""
    left: tuple[Key, ...] = ()
    """Keys whose messages were not worked on, because a service was down before their turn."""
    stopped_by: Outcome | None = None
    """The message at which it was down."""

    @property
    def problem(self) -> str | None:
        """Why some were left as they were; None where none was."""
        found = []
        if self.unknown:
            found.append(
                f"{_named(self.unknown)} without an outcome; give keys as `estinel outcomes list "
                "--product pids` shows them"
            )
        if self.unkept:
            found.append(
                f"{_named(self.unkept)} whose message is not kept, as of all that went well unless "
                "`--dump` was given; to work on it again, give its offset to pid_registrations"
            )
        if self.left and self.stopped_by is not None:
            found.append(
                f"{_named(self.left)} not tried, because a service was down "
                f"({self.stopped_by.reason}: {self.stopped_by.error}); try them again later"
            )
        return "; ".join(found) or None


def reprocess_messages(
    keys: Collection[Key], settings: Settings, store: ObjectStore, run_id: str
) -> Reprocessed:
    """Work once more on messages that their outcomes keep.

    Args:
        keys: of outcomes.
        settings: name the configuration.
        store: has the outcomes.
        run_id: who does it.

    Raises:
        BadInputError: the configuration or a folder cannot be used.
        StoreError: outcomes cannot be read or kept.
    """
    book = open_book(settings, store)
    records = book.records_of(keys)
    messages = _kept(records)
    done = Reprocessed(
        unknown=tuple(key for key in keys if key not in records),
        unkept=tuple(key for key in records if key not in messages),
    )
    configuration = load_configuration(settings.pids)
    refuse_dry(configuration)
    with opened_again(settings, configuration, store, run_id) as again:
        for outcomes in again.run(_in_order(messages.values())):
            for outcome in outcomes:
                done.went[outcome.key] = outcome.reason
                if done.stopped_by is None and again.is_stopped_by(outcome):
                    done.stopped_by = outcome
    done.left = tuple(key for key in messages if key not in done.went)
    return done


def _kept(records: Mapping[Key, Outcome]) -> dict[Key, IncomingMessage]:
    """The messages that outcomes keep, as they are to be tried now."""
    found = ((key, message_of(outcome)) for key, outcome in records.items())
    return {
        key: replace(message, retries=message.retries + 1)
        for key, message in found
        if message is not None
    }


def _in_order(messages: Collection[IncomingMessage]) -> list[IncomingMessage]:
    """In the order of their offsets; those without come last, by their keys."""

    def place(message: IncomingMessage) -> tuple[bool, Key, int, int]:
        at = message.position
        if at is None:
            return True, message.unit, 0, 0
        return False, (at.at.topic,), at.at.partition, at.offset

    return sorted(messages, key=place)


def _named(keys: Sequence[Key]) -> str:
    shown = ", ".join(map(encode_key, keys[:_SHOWN]))
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{len(keys)} ({shown}{more})"
