"""Our way: `run_ard` on an engine, from the plan to the outcomes, searches included."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

from benchmarks.ard_worker import Order
from estinel_assets.ard.opening import ard_run, open_ard_book
from estinel_assets.ard.plan import plan_ard
from estinel_assets.ard.runner import open_ard_engine, run_ard
from estinel_assets.ard.tiles import Source, TileYear
from estinel_assets.clock import utc_now
from estinel_assets.compute import Engine
from estinel_assets.compute.threads import Threads
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import ArdSettings, Settings, StoreSettings
from estinel_assets.storage.opening import open_store


def settings_of(order: Order) -> Settings:
    """The defaults, with this catalogue and this store."""
    at = order.catalogue
    return Settings(
        store=StoreSettings(url=Path(order.store).absolute().as_uri()),
        ard=ArdSettings(
            engine="dask" if order.way == "dask" else "threads",
            workers=order.workers,
            dem_url=at, s1_url=at, s2_url=at,
            dem_provider="earth-search", s1_provider="earth-search",
            retries=0,
        ),
    )  # fmt: skip


def make(order: Order, asked: Sequence[TileYear], begin: Callable[[], None]) -> dict[str, Any]:
    """Make the tiles.

    Args:
        order: what is asked for.
        asked: the tile-years.
        begin: called when the measuring begins.
    """
    settings = settings_of(order)
    store = open_store(settings.store.url)
    sources = [Source(source) for source in order.sources]
    with ExitStack() as stack:
        engine = _warm(settings, order.workers, stack) if order.warm else None
        begin()
        began = time.perf_counter()
        plan = plan_ard(
            asked,
            sources,
            open_ard_book(settings, store).standing(),
            settings,
            retry=RetryRule(1, 0, 0),
            now=utc_now(),
        )
        ran = run_ard(plan, settings, store, ard_run("benchmark"), engine=engine)
        seconds = time.perf_counter() - began
    spent: Counter[str] = Counter()
    for outcome in ran.outcomes:
        if outcome.error is not None:
            raise SystemExit(f"{'/'.join(outcome.key)}: {outcome.error}")
        for phase, taken in outcome.detail["seconds"].items():
            spent[f"{outcome.key[2]} {phase}"] += taken
    return {
        "seconds": seconds,
        "reasons": ran.counts(),
        "worker_seconds": {name: round(total, 3) for name, total in sorted(spent.items())},
        "days_used": max(
            (outcome.detail.get("days_used", 0) for outcome in ran.outcomes), default=0
        ),
    }


def _warm(settings: Settings, workers: int, stack: ExitStack) -> Engine:
    """An engine whose workers are up and have imported what they need."""
    opened = open_ard_engine(settings)
    if not isinstance(opened, Threads):
        stack.enter_context(closing(cast(Any, opened)))
    with closing(opened.map(_import, range(4 * workers))) as ends:
        for end in ends:
            end.result()
    return opened


def _import(number: int) -> int:
    import estinel_assets.ard.work

    time.sleep(0.2)  # so that every worker gets one
    return number + len(estinel_assets.ard.work.__all__)
