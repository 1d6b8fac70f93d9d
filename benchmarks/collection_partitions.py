"""Very many collections as Dagster's partitions: added, materialized, and opened in the UI."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from benchmarks.local_collections import mix
from benchmarks.measuring import rounded, timed
from benchmarks.partitions import fill, open_in_browser
from benchmarks.processes import ROOT
from estinel_assets.compatibility.assets import compatibility_results, shown
from estinel_assets.orchestration.in_process import open_instance
from estinel_assets.orchestration.partitions import COLLECTIONS
from estinel_assets.outcomes.record import NO_REASON, Outcome
from tests.support.browser import why_no_browser


def measure(
    number: int, materialized: int, screenshot: Path | None, say: Callable[[str], None]
) -> dict[str, object]:
    """All of it, in an instance of its own.

    Args:
        number: of partitions.
        materialized: of them, evenly spread.
        screenshot: where to put a picture of the page.
        say: told what is going on.
    """
    with tempfile.TemporaryDirectory(prefix="estinel-collections-") as folder:
        home = Path(folder)
        (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
        keys = [f"C{1_000_000_000 + one}-ARCHIVE" for one in range(number)]
        with open_instance(home) as instance:
            filled = fill(instance, keys, COLLECTIONS)
            outcomes = list(_outcomes(keys[:: number // materialized][:materialized]))
            events_s, _ = timed(lambda: _materialize(instance, outcomes))
        document: dict[str, object] = {
            "partitions": number,
            "materialized": materialized,
            **filled,
            "materialize_each_s": rounded(events_s / materialized),
        }
        missing = why_no_browser()
        if missing is not None:
            say(missing)
            return document
        asset = compatibility_results.key.to_user_string()
        first = outcomes[0]
        ui = open_in_browser(home, number, screenshot, asset, (first.key[0], first.reason))
        return {**document, "ui": ui}


def _materialize(instance: dg.DagsterInstance, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                compatibility_results.key, partition=outcome.key[0], metadata=shown(outcome)
            )
        )


def _outcomes(keys: list[str]) -> Iterator[Outcome]:
    finished_at = datetime(2026, 1, 1, tzinfo=UTC)
    for key, kind in zip(keys, mix(len(keys)), strict=True):
        yield Outcome(
            product="compatibility",
            key=(key,),
            status=kind.reason == NO_REASON,
            reason=kind.reason,
            error=None if kind.reason == NO_REASON else f"it ended as {kind.reason}",
            attempts=1,
            started_at=finished_at - timedelta(seconds=2),
            finished_at=finished_at,
            duration_s=2.0,
            run_id="benchmark",
            code_version="1",
            detail={"format": kind.format, "data_url": f"https://archive.example/{kind.name}"},
        )
