"""How batches of outcomes are named, and which keys a name leaves possible. Pure.

A batch of one partition is named after its first and last offset, `{topic}/{partition}/1200-1999`,
and may have further parts behind. A longer name than of one part says with which part all its keys
begin; a name of one part says nothing.
"""

import re

from estinel_assets.outcomes.paths import Key
from estinel_assets.pids.incoming import TopicPartition

_OFFSETS = re.compile(r"([0-9]+)-([0-9]+)")
_OFFSET = re.compile(r"[0-9]+")
_LEADING = 2
"""Topic and partition."""


def batch_of(at: TopicPartition, first: int, last: int, *further: str) -> Key:
    """The name of a batch of one partition.

    Args:
        at: the partition.
        first: smallest offset in it.
        last: largest offset in it.
        further: what else tells it from others.
    """
    return at.topic, str(at.partition), f"{first}-{last}", *further


def covers(batch: Key, under: Key) -> bool:
    """Whether a batch may hold keys that begin with these parts.

    Args:
        batch: the name of the batch.
        under: a whole key or its leading parts; empty for any key.
    """
    offsets = _OFFSETS.fullmatch(batch[_LEADING]) if len(batch) > _LEADING else None
    if offsets is None:
        return len(batch) == 1 or not under or batch[0] == under[0]
    if batch[:_LEADING][: len(under)] != under[:_LEADING]:
        return False
    if len(under) <= _LEADING:
        return True
    if _OFFSET.fullmatch(under[_LEADING]) is None:
        return False
    return int(offsets[1]) <= int(under[_LEADING]) <= int(offsets[2])
