"""A stand-in for Kafka on this machine: the mock cluster that librdkafka brings along.

For the demo, tests and benchmarks. It listens on the loopback address and speaks Kafka's protocol
to this and to other processes, with groups and commits. But it is no Kafka: all is in memory and
ends with it, of each partition it drops the oldest messages without a word beyond some 5 MB,
topics can only be made when it starts (or by a producer that writes to one, with 4 partitions), and
nobody needs to log in. `running_kafka_broker` serves from a process of its own::

    with running_kafka_broker({"CMIP6": 3}) as address:
        produce(address, "CMIP6", [Produced(b"{}", key=b"id")])

As a program: `python -m estinel_assets.demo.kafka_broker [--topic NAME=PARTITIONS …]` prints its
address once it answers.
"""

import argparse
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final

from estinel_assets.demo.server_process import server_process
from estinel_assets.errors import BadInputError, EstinelError, MissingDependencyError
from estinel_assets.pids.incoming import Position, TopicPartition

_PRODUCER: Final = 0
_REASON_BYTES: Final = ctypes.c_size_t(512)
_QUIET: Final = (b"log_level", b"0")
"""It would say that it has no broker, and each time that a client leaves."""


@dataclass(frozen=True, slots=True)
class Produced:
    """A message to be written."""

    body: bytes | None
    """None for a message without a value."""
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None
    """None lets the key decide."""
    sent_at: datetime | None = None
    """With a zone; None for the time at which it is written."""


class KafkaCluster:
    """A mock cluster in this process, for as long as the context lasts; see the module's docstring.

    Args:
        topics: how many partitions each topic has.
        brokers: so many, each at a port of its own.

    Raises:
        MissingDependencyError: confluent-kafka is not installed, or its library is without mocks.
        BadInputError: a topic cannot be made.
    """

    def __init__(self, topics: Mapping[str, int], *, brokers: int = 1) -> None:
        self._topics = dict(topics)
        self._brokers = brokers
        self.library: Final = _library()
        self.handle: ctypes.c_void_p | None = None
        """Of the mock cluster, for librdkafka's other functions; None while there is none."""
        self._client: ctypes.c_void_p | None = None

    def __enter__(self) -> "KafkaCluster":
        """Start it."""
        reason = ctypes.create_string_buffer(_REASON_BYTES.value)
        options = self.call("rd_kafka_conf_new", pointer=True)
        self.call("rd_kafka_conf_set", options, *_QUIET, reason, _REASON_BYTES)
        # A mock cluster belongs to a client, which does nothing else.
        self._client = self.call(
            "rd_kafka_new", _PRODUCER, options, reason, _REASON_BYTES, pointer=True
        )
        if not self._client:
            raise EstinelError(f"the local Kafka did not start: {reason.value.decode()}")
        self.handle = self.call(
            "rd_kafka_mock_cluster_new", self._client, self._brokers, pointer=True
        )
        if not self.handle:
            self._stop()
            raise EstinelError(f"the local Kafka did not start with {self._brokers} brokers")
        # Else each group waits for three seconds for further members.
        self.call("rd_kafka_mock_group_initial_rebalance_delay_ms", self.handle, 0)
        try:
            for topic, partitions in self._topics.items():
                self.create(topic, partitions)
        except BadInputError:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it; all messages are gone."""
        self._stop()

    @property
    def address(self) -> str:
        """What clients take as `bootstrap.servers`: host:port, with commas between brokers."""
        text: bytes = self.call("rd_kafka_mock_cluster_bootstraps", self.handle, text=True)
        return text.decode()

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic.

        Raises:
            BadInputError: it exists, or is not possible.
        """
        names = topic.encode(), partitions, self._brokers
        if partitions < 1 or self.call("rd_kafka_mock_topic_create", self.handle, *names) != 0:
            raise BadInputError(
                f"the local Kafka cannot make the topic {topic} with {partitions} partitions: "
                "choose another name, and at least one partition"
            )

    def call(self, name: str, *values: Any, pointer: bool = False, text: bool = False) -> Any:
        """Call a function of librdkafka.

        Args:
            name: of the function.
            values: bytes, buffers and addresses that `call` returned as they are; an integer is
                an `int`, all others need their type of ctypes.
            pointer: it returns an address.
            text: it returns a text.
        """
        function = getattr(self.library, name)
        function.restype = ctypes.c_void_p if pointer else ctypes.c_char_p if text else ctypes.c_int
        found = function(*values)
        return ctypes.c_void_p(found) if pointer else found

    def _stop(self) -> None:
        handle, client, self.handle, self._client = self.handle, self._client, None, None
        if handle:
            self.call("rd_kafka_mock_cluster_destroy", handle)
        if client:
            self.call("rd_kafka_destroy", client)


@contextmanager
def running_kafka_broker(topics: Mapping[str, int], *, brokers: int = 1) -> Iterator[str]:
    """Run a stand-in for Kafka in a process of its own for as long as the context lasts.

    Args:
        topics: how many partitions each topic has.
        brokers: so many, each at a port of its own.

    Yields:
        What clients take as `bootstrap.servers`.

    Raises:
        EstinelError: it does not start; why is on standard error.
    """
    command = [sys.executable, "-m", "estinel_assets.demo.kafka_broker", "--until-input-ends"]
    command += ["--brokers", str(brokers)]
    command += [word for name, count in topics.items() for word in ("--topic", f"{name}={count}")]
    with server_process(command, "the local Kafka") as address:
        yield address


def produce(
    address: str, topic: str, messages: Iterable[Produced], *, timeout_s: float = 30.0
) -> list[Position]:
    """Write messages, in this order within each partition.

    Args:
        address: of brokers.
        topic: to write to.
        messages: in order.
        timeout_s: for all of them, in seconds.

    Returns:
        Where each of them stands.

    Raises:
        EstinelError: not all were written.
    """
    from confluent_kafka import KafkaError, Message, Producer

    positions: dict[int, Position] = {}
    problems: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": address,
            # Messages stay in order where one request at a time is tried again.
            "max.in.flight.requests.per.connection": 1,
            "queue.buffering.max.messages": 0,
            "linger.ms": 5,
            "log_level": 0,
        }
    )
    count = 0
    for number, message in enumerate(messages):

        def written(error: KafkaError | None, standing: Message, number: int = number) -> None:
            if error is not None:
                problems.append(error.str())
                return
            partition, offset = standing.partition(), standing.offset()
            if partition is not None and offset is not None:
                positions[number] = Position(TopicPartition(topic, partition), offset)

        producer.produce(
            topic,
            value=message.body,
            key=message.key,
            headers=list(message.headers),
            partition=-1 if message.partition is None else message.partition,
            timestamp=_milliseconds(message.sent_at),
            on_delivery=written,
        )
        producer.poll(0)
        count += 1
    producer.flush(timeout_s)
    if len(positions) < count:
        why = problems[0] if problems else f"no answer within {timeout_s:g} s"
        raise EstinelError(
            f"{count - len(positions)} of {count} messages were not written to the topic {topic} "
            f"of Kafka at {address}: {why}"
        )
    return [positions[number] for number in range(count)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; see the module's docstring.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m estinel_assets.demo.kafka_broker")
    parser.add_argument(
        "--topic", action="append", default=[], help="NAME=PARTITIONS; may be repeated"
    )
    parser.add_argument("--brokers", type=int, default=1, help="so many")
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="stop when standard input ends, as it does with the process that started this one",
    )
    asked = parser.parse_args(arguments)
    try:
        with KafkaCluster(_topics(asked.topic), brokers=asked.brokers) as cluster:
            sys.stdout.write(f"{cluster.address}\n")
            sys.stdout.flush()
            _wait(until_input_ends=asked.until_input_ends)
    except KeyboardInterrupt:
        return 0
    except BadInputError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except MissingDependencyError as error:
        sys.stderr.write(f"{error}\n")
        return 4
    return 0


def _library() -> ctypes.CDLL:
    try:
        from confluent_kafka import cimpl
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the local Kafka needs confluent-kafka, which is not installed: install the extra "
            "`pids`, as in `pip install 'estinel-assets[pids]'`"
        ) from error
    # The extension knows where its librdkafka is.
    library = ctypes.CDLL(str(cimpl.__file__))
    if not hasattr(library, "rd_kafka_mock_cluster_new"):
        raise MissingDependencyError(
            "the local Kafka needs a librdkafka with mock clusters: install the wheel of "
            "confluent-kafka from the package index"
        )
    return library


def _milliseconds(time: datetime | None) -> int:
    return 0 if time is None else round(time.timestamp() * 1000)


def _topics(texts: Sequence[str]) -> dict[str, int]:
    bad = [text for text in texts if not text.rpartition("=")[2].isdigit() or text[:1] in ("", "=")]
    if bad:
        raise BadInputError(
            f"these are no topics: {', '.join(bad)}; name each as in --topic CMIP6=3"
        )
    return {name: int(count) for name, _, count in (text.rpartition("=") for text in texts)}


def _wait(*, until_input_ends: bool) -> None:
    if until_input_ends:
        while os.read(0, 1024):
            pass
        return
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()


if __name__ == "__main__":
    sys.exit(main())
