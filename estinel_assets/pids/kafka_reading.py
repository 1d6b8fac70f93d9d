"""How messages are taken from Kafka and offsets committed, whichever messages these are."""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.pids.incoming import (
    IncomingMessage,
    PartitionListener,
    Position,
    TopicPartition,
)
from estinel_assets.pids.kafka_client import KafkaClient, KafkaFault, KafkaOptions, check_options
from estinel_assets.pids.kafka_gaps import Gaps

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HELD: Final = 64
"""So many messages wait here while none is taken; then their partitions are paused."""
_HELD_BYTES: Final = 4 * 1024 * 1024
_CHECK_S: Final = 1.0
_COMMIT_TRIES: Final = 5
_COMMIT_S: Final = 30.0
"""No further try to commit after so long."""
_PASSING: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError._TIMED_OUT,  # noqa: SLF001 - librdkafka's own errors are called so
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
    }
)
"""Errors of a commit that may pass by themselves."""
_UNKNOWN: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    }
)

logger = logging.getLogger(__name__)


class KafkaReading:
    """What both sources share: taking, holding back, commits and errors."""

    def __init__(self, options: KafkaOptions, topic: str, patience_s: float) -> None:
        check_options(options)
        self.options = dict(options)
        self.topic = topic
        self._patience_s = patience_s
        self.opened: tuple[KafkaClient, PartitionListener, Gaps] | None = None
        self.own: set[TopicPartition] = set()
        self.held: deque[Message] = deque()
        self.flowing: bool | None = None
        """Whether our partitions are fetched; None where some may be and others not."""

    def poll(self, most: int, timeout_s: float) -> Sequence[IncomingMessage]:
        """See `MessageSource`; while nothing is taken, some messages are held here."""
        client, _, gaps = self.parts
        limit = most if most > 0 else _HELD
        flowing = most > 0 or not self._full(limit)
        if self.flowing is not flowing:
            self._let_flow(client.consumer, flowing=flowing)
        deadline = time.monotonic() + timeout_s
        wait_s = timeout_s
        while True:
            if most > 0 and self.held:
                wait_s = 0.0
            message = client.consumer.poll(max(wait_s, 0.0))
            if message is not None:
                self.receive(client, message)
            if most > 0 and len(self.held) >= limit:
                break
            if flowing and most <= 0 and self._full(limit):
                flowing = False
                self._let_flow(client.consumer, flowing=False)
            wait_s = deadline - time.monotonic()
            # What is there is taken, however short the time.
            waited = message is None and (wait_s <= 0 or (most > 0 and self.held))
            if waited or self.over:
                break
        self._see_to_silence(client)
        taken = [self.held.popleft() for _ in range(min(most, len(self.held)))]
        gaps.look(taken, self.own)
        return [incoming(message) for message in taken]

    def commit(self, following: Mapping[TopicPartition, int]) -> None:
        """See `MessageSource`; a partition of somebody else is never asked for."""
        client, _, _ = self.parts
        others = [at for at in following if at not in self.own]
        if others:
            named = ", ".join(f"{at.topic}/{at.partition}" for at in others)
            raise RetryableError(
                KafkaFault.UNAVAILABLE,
                f"partitions of another member of the group {client.group} were not committed "
                f"({named}): it takes their messages again",
            )
        if following:
            self.commit_ours(client, following)

    @property
    def parts(self) -> tuple[KafkaClient, PartitionListener, Gaps]:
        """What stands while it is open.

        Raises:
            BadInputError: it is not.
        """
        if self.opened is None:
            raise BadInputError(f"the source of topic {self.topic} is not open: call open first")
        return self.opened

    @property
    def over(self) -> bool:
        """Whether nothing more is to be waited for."""
        return False

    @property
    def what(self) -> str:
        """What does not work where an error comes."""
        return f"the topic {self.topic} cannot be read"

    def _full(self, limit: int) -> bool:
        held_bytes = sum(len(message) for message in self.held)
        return len(self.held) >= limit or held_bytes >= _HELD_BYTES

    def _let_flow(self, consumer: Consumer, *, flowing: bool) -> None:
        ours = [KafkaPartition(at.topic, at.partition) for at in self.own]
        if ours:
            (consumer.resume if flowing else consumer.pause)(ours)
        self.flowing = flowing

    def receive(self, client: KafkaClient, message: Message) -> None:
        """Keep a message for whoever takes it, or see what else Kafka has to say."""
        error = message.error()
        if error is None:
            client.alive()
            self.held.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            client.alive()
            self.at_end(message.offset() or 0)
        elif error.code() in _UNKNOWN and self._still_there(client):
            client.note(error.str())
        else:
            client.saw(error)
            failure = client.failure(error, self.what)
            if isinstance(failure, PermanentError) or client.broken:
                raise failure
            client.note(error.str())

    def at_end(self, offset: int) -> None:
        """The log ends before this offset, at least for now."""

    def _still_there(self, client: KafkaClient) -> bool:
        # A broker that has just started may not know all topics yet.
        try:
            described = client.consumer.list_topics(self.topic, timeout=_CHECK_S)
        except KafkaException:
            return True  # which is not known; its silence is seen to
        found = described.topics[self.topic]
        return found.error is None and bool(found.partitions)

    def _see_to_silence(self, client: KafkaClient) -> None:
        client.raise_refusal(self.what)
        since = client.silent_since
        if since is None or time.monotonic() - since < self._patience_s:
            return
        # There may be no messages, or no partition for us: ask.
        try:
            client.consumer.list_topics(self.topic, timeout=_CHECK_S)
        except KafkaException as error:
            client.raise_refusal(self.what)
            raise client.failure(error.args[0], self.what) from error
        client.alive()

    def commit_ours(self, client: KafkaClient, following: Mapping[TopicPartition, int]) -> None:
        """Commit offsets of partitions that are ours."""
        wanted = [
            KafkaPartition(at.topic, at.partition, offset) for at, offset in following.items()
        ]
        give_up = time.monotonic() + _COMMIT_S
        for attempt in range(1, _COMMIT_TRIES + 1):
            error = _commit_once(client.consumer, wanted)
            if error is None:
                client.alive()
                return
            passing = error.retriable() or error.code() in _PASSING
            if not passing or attempt == _COMMIT_TRIES or time.monotonic() > give_up:
                break
            client.note(f"a commit is tried again ({error.str()})")
            time.sleep(0.1 * 2**attempt)
        raise self.not_committed(client, error)

    def not_committed(
        self, client: KafkaClient, error: KafkaError | None
    ) -> PermanentError | RetryableError:
        """The error for offsets that were not committed, after all tries."""
        what = f"offsets of the group {client.group} could not be committed in {self.topic}"
        return client.failure(error or KafkaError(KafkaError.UNKNOWN), what)

    def end(self) -> None:
        """It is closed."""
        self.opened = None
        self.own.clear()
        self.held.clear()

    def drop(self, gone: Sequence[TopicPartition]) -> None:
        """Hand out no message of these partitions any more."""
        kept = [message for message in self.held if at_of(message) not in gone]
        self.held = deque(kept)
        self.flowing = None


def _commit_once(consumer: Consumer, wanted: list[KafkaPartition]) -> KafkaError | None:
    try:
        answers = consumer.commit(offsets=wanted, asynchronous=False)
    except KafkaException as error:
        failed: KafkaError = error.args[0]
        return failed
    return next((answer.error for answer in answers if answer.error is not None), None)


def partitions_of(partitions: Sequence[KafkaPartition]) -> list[TopicPartition]:
    """Partitions in our words, in order."""
    return sorted(TopicPartition(one.topic, one.partition) for one in partitions)


def at_of(message: Message) -> TopicPartition:
    """The partition of a message."""
    topic, partition = message.topic(), message.partition()
    return TopicPartition(topic or "", -1 if partition is None else partition)


def incoming(message: Message) -> IncomingMessage:
    """A message in our words."""
    offset = message.offset()
    position = Position(at_of(message), -1 if offset is None else offset)
    return IncomingMessage(
        unit=position.unit,
        body=message.value(),
        key=message.key(),
        headers=_headers(message, position),
        received_at=_time(message),
    )


def _headers(message: Message, position: Position) -> tuple[tuple[str, bytes | None], ...]:
    try:
        found = message.headers() or ()
    except UnicodeDecodeError:
        logger.warning("%s/%s/%s: a header's name is no UTF-8; left out", *position.unit)
        return ()
    pairs = found.items() if isinstance(found, dict) else found
    return tuple(
        (name, value.encode() if isinstance(value, str) else value) for name, value in pairs
    )


def _time(message: Message) -> datetime | None:
    kind, milliseconds = message.timestamp()
    if kind == TIMESTAMP_NOT_AVAILABLE or milliseconds < 0:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:  # a producer's clock may say anything
        return None
