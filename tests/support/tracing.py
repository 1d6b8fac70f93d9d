"""Measuring memory with tracemalloc, without what has nothing to do with it."""

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

_LEAST = 400_000
_PART = 20_000
_MOST_PARTS = 300


@contextmanager
def tracing() -> Iterator[None]:
    """Trace allocations; `tracemalloc.get_traced_memory` says how much is, and was most.

    `pathlib` interns the parts of every path. Their table is made anew, many MB at once, whenever
    so many have come and gone; so that is made to happen before. Garbage is collected often, and
    what was there before is left out of it: otherwise much would wait for collection by chance.
    """
    thresholds = gc.get_threshold()
    kept = _room_for_interned()
    gc.collect()
    gc.freeze()
    gc.collect()  # counts what is left: next to nothing
    gc.set_threshold(700, 5, 2)
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        kept.clear()


def _room_for_interned() -> list[str]:
    """Strings to keep, the last of which made the table anew: it has room for as many again."""
    kept = [sys.intern(f"{number} kept") for number in range(_LEAST)]
    tracemalloc.start()
    for part in range(1, _MOST_PARTS):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        start = _LEAST + part * _PART
        kept += [sys.intern(f"{number} kept") for number in range(start, start + _PART)]
        after, peak = tracemalloc.get_traced_memory()
        # The old table goes when the new one is filled.
        if peak - after > _PART * 100 or after - before > _PART * 400:
            break
    tracemalloc.stop()
    return kept
