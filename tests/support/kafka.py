"""A local Kafka for tests: short timeouts for its clients, and faults on demand."""

import ctypes
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from multiprocessing.connection import Connection

from estinel_assets.demo.kafka_broker import KafkaCluster
from estinel_assets.errors import RetryableError
from estinel_assets.pids.incoming import IncomingMessage, MessageSource, TopicPartition
from estinel_assets.pids.kafka_client import KafkaOption
from estinel_assets.pids.kafka_source import GroupSource

PATIENCE_S = 20.0


class Api(IntEnum):
    """Requests, by the keys that Kafka's protocol gives them."""

    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12


ALL = -1
"""All brokers of a cluster."""


def group_options(address: str, group: str, **more: KafkaOption) -> dict[str, KafkaOption]:
    """Options of a consumer that waits for nothing for long; `_` in a name stands for a dot."""
    short: dict[str, KafkaOption] = {
        "bootstrap.servers": address,
        "group.id": group,
        "session.timeout.ms": 1500,
        "heartbeat.interval.ms": 50,
        "fetch.wait.max.ms": 20,
        "fetch.error.backoff.ms": 20,
        "retry.backoff.ms": 20,
        "reconnect.backoff.ms": 10,
        "reconnect.backoff.max.ms": 50,
        "topic.metadata.refresh.interval.ms": 500,
    }
    return short | {name.replace("_", "."): value for name, value in more.items()}


class Faults:
    """What may go wrong with a cluster in this process."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster

    def fail(self, request: Api, *codes: int) -> None:
        """Let the next requests of a kind fail, each with one of these codes."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._call(
            "push_request_errors_array",
            ctypes.c_int16(request),
            ctypes.c_size_t(len(codes)),
            errors,
        )

    def clear(self, request: Api) -> None:
        """Let requests of a kind succeed again."""
        self._call("clear_request_errors", ctypes.c_int16(request))

    def down(self) -> None:
        """Let all brokers hang up, and accept no connection."""
        self._checked("broker_set_down", ctypes.c_int32(ALL))

    def up(self) -> None:
        """Let all brokers accept connections again."""
        self._checked("broker_set_up", ctypes.c_int32(ALL))

    @contextmanager
    def brokers_down(self) -> Iterator[None]:
        """All brokers are down for as long as the block runs."""
        self.down()
        try:
            yield
        finally:
            self.up()

    def remove_before(self, at: TopicPartition, offset: int) -> None:
        """Let a partition lose its oldest messages, as they do after some days."""
        name, partition = at.topic.encode(), ctypes.c_int32(at.partition)
        self._checked("partition_delete_records", name, partition, ctypes.c_int64(offset))

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        self._checked("topic_delete", topic.encode())

    def refuse(self, topic: str, code: int) -> None:
        """Answer with an error wherever somebody asks what partitions a topic has; 0 stops it."""
        self._call("topic_set_error", topic.encode(), code)

    def _checked(self, name: str, *values: object) -> None:
        assert self._call(name, *values) == 0, name

    def _call(self, name: str, *values: object) -> object:
        return self._cluster.call(f"rd_kafka_mock_{name}", self._cluster.handle, *values)


class Told:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.own: set[TopicPartition] = set()
        self.words: list[str] = []

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.own |= set(partitions)
        self.words.append("assigned")

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.own -= set(partitions)
        self.words.append("revoked")

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.own -= set(partitions)
        self.words.append("lost")


def take(source: MessageSource, count: int) -> list[IncomingMessage]:
    """That many messages at least."""
    taken: list[IncomingMessage] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(taken) < count:
        taken += source.poll(100, 0.05)
        assert time.monotonic() < deadline, f"{len(taken)} of {count} messages came"
    return taken


def consume(options: dict[str, KafkaOption], topic: str, sender: Connection) -> None:
    """Take messages and commit them until killed, in a process of its own.

    Sends, again and again, the partitions that are its own and the positions it took.
    """
    source, told = GroupSource(options, topic), Told()
    source.open(told)
    while True:
        positions = [one.position for one in source.poll(20, 0.02)]
        taken = [one for one in positions if one is not None]
        sender.send((sorted(told.own), taken))
        following = {one.at: one.offset + 1 for one in taken}
        with suppress(RetryableError):
            source.commit({at: offset for at, offset in following.items() if at in told.own})
