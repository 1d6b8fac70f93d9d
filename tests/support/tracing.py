"""Measuring memory with tracemalloc, without what has nothing to do with it."""

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

_INTERNED = 400_000


@contextmanager
def tracing() -> Iterator[None]:
    """Trace allocations; `tracemalloc.get_traced_memory` says how much is, and was most.

    `pathlib` interns the parts of every path. Their table is made anew, some MB at once, whenever
    so many have come and gone; so it is made large before. Garbage is collected often, and what
    was there before is left out of it: otherwise much would wait for collection by chance.
    """
    thresholds = gc.get_threshold()
    kept = [sys.intern(f"{number} kept") for number in range(_INTERNED)]
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
