"""Says so where messages have gone from Kafka before anybody worked them through."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.kafka_client import KafkaClient

_REQUEST_S: Final = 3.0
_ASK_AGAIN_S: Final = 10.0
"""Offsets without messages are common in compacted topics and with transactions."""

logger = logging.getLogger(__name__)


class Gaps:
    """Compares offsets of messages with the ones that were to come.

    Args:
        client: asked where a group stands, and what a partition still has.
        following: the offset that is to come first, by partition; for others, where the group
            stands.
    """

    def __init__(
        self, client: KafkaClient, following: Mapping[TopicPartition, int] | None = None
    ) -> None:
        self._client = client
        self._following: dict[TopicPartition, int | None] = dict(following or {})
        self._asked_at: dict[TopicPartition, float] = {}

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """They begin anew, from where the group stands."""
        for at in partitions:
            self._following.pop(at, None)

    def look(self, messages: Sequence[Message], own: Collection[TopicPartition]) -> None:
        """Log a warning where offsets are missing.

        Args:
            messages: in the order of their offsets.
            own: all partitions that are read.
        """
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if topic is None or partition is None or offset is None:
                continue
            at = TopicPartition(topic, partition)
            if at not in self._following:
                self._ask_where_the_group_stands({*own, at})
            expected = self._following[at]
            self._following[at] = offset + 1
            if expected is not None and offset < expected:
                logger.warning(
                    "%s/%d: offset %d comes where %d was to come: the topic was made anew, or "
                    "lost its end",
                    *at,
                    offset,
                    expected,
                )
            elif expected is not None and offset > expected:
                self._explain(at, expected, offset)

    def _ask_where_the_group_stands(self, partitions: Collection[TopicPartition]) -> None:
        unknown = [at for at in partitions if at not in self._following]
        asked = [KafkaPartition(at.topic, at.partition) for at in unknown]
        try:
            answers = self._client.consumer.committed(asked, timeout=_REQUEST_S)
        except KafkaException as error:
            self._client.note(f"where the group stands is not known ({error.args[0].str()})")
            self._following.update(dict.fromkeys(unknown))
            return
        for at, answer in zip(unknown, answers, strict=True):
            known = answer.error is None and answer.offset >= 0
            self._following[at] = answer.offset if known else None

    def _explain(self, at: TopicPartition, expected: int, offset: int) -> None:
        now = time.monotonic()
        if now - self._asked_at.get(at, -_ASK_AGAIN_S) < _ASK_AGAIN_S:
            return
        self._asked_at[at] = now
        try:
            first, _ = self._client.consumer.get_watermark_offsets(
                KafkaPartition(at.topic, at.partition), timeout=_REQUEST_S
            )
        except KafkaException as error:
            self._client.note(f"why offsets are missing is not known ({error.args[0].str()})")
            return
        if first > expected:
            logger.warning(
                "%s/%d: %d offsets are missing, from %d on: Kafka has removed their messages "
                "before they were read; keep them for longer, or announce them again",
                *at,
                min(first, offset) - expected,
                expected,
            )
