"""Forty thousand dynamic partitions: added, listed, planned over, and opened in Dagster's UI.

    .venv/bin/python -m benchmarks.partitions [--quick] [--screenshot FILE]

The instance is the one that `dagster.yaml` describes, on SQLite. A browser opens the partitions of
one asset; without Chromium, that part is left out.
"""

import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import dagster as dg

from benchmarks.measuring import keep, parser, rounded, surroundings, timed
from benchmarks.processes import ROOT
from estinel_assets.imagery.sensors import SITES_A_TICK
from estinel_assets.imagery.site_id import site_id
from estinel_assets.orchestration.in_process import open_instance
from estinel_assets.orchestration.partitions import SITES, sync_partitions
from estinel_assets.orchestration.run_requests import turn_of
from tests.support.browser import open_page, why_no_browser
from tests.support.web_server import dagster_web_server

FULL, QUICK = 40_000, 1_000
ASSET = "views"


def partition_keys(number: int) -> list[str]:
    """Distinct SITE_IDs."""
    named = (site_id(f"Place {name:05d}") for name in count())
    found: set[str] = set()
    while len(found) < number:
        found.add(next(named))
    return sorted(found)


def fill(
    instance: dg.DagsterInstance,
    keys: list[str],
    partitions: dg.DynamicPartitionsDefinition = SITES,
) -> dict[str, object]:
    """Add the partitions, list them, and bring them into step with what they are already.

    Raises:
        RuntimeError: the instance does not hold what was put there.
    """
    added_s, added = timed(lambda: sync_partitions(instance, partitions, keys))
    listed_s, listed = timed(lambda: instance.get_dynamic_partitions(str(partitions.name)))
    again_s, again = timed(lambda: sync_partitions(instance, partitions, keys))
    if added != (len(keys), 0) or set(listed) != set(keys) or again != (0, 0):
        raise RuntimeError(f"added {added}, listed {len(listed)}, then changed {again}")
    return {
        "add_s": rounded(added_s),
        "list_s": rounded(listed_s),
        "nothing_to_change_s": rounded(again_s),
    }


def open_in_browser(
    home: Path,
    keys: int,
    screenshot: Path | None,
    asset: str = ASSET,
    one: tuple[str, str] | None = None,
) -> dict[str, object]:
    """Open an asset's partitions in Chromium, twice: as a first visitor, and again.

    Args:
        home: of Dagster.
        keys: how many partitions there are.
        screenshot: where to put a picture of the page.
        asset: its name.
        one: a partition near the top of the list that is then chosen, and a text of its result.
    """
    config = home / "estinel.toml"
    config.write_text(f'[store]\nurl = "file://{home}/store"\n', encoding="utf-8")
    with dagster_web_server(home, config) as address, open_page() as page:
        text = page.get_by_text(f"{keys:,} Partitions Selected", exact=True)

        def visit() -> None:
            page.goto(f"{address}/assets/{asset}?view=partitions", wait_until="commit")
            text.locator("visible=true").first.wait_for(timeout=120_000)

        def choose(key: str, shown: str) -> None:
            page.get_by_text(key, exact=True).first.click()
            page.get_by_text(shown, exact=True).first.wait_for(timeout=120_000)

        first_s, _ = timed(visit)
        again_s, _ = timed(visit)
        document: dict[str, object] = {
            "open_first_s": rounded(first_s),
            "open_again_s": rounded(again_s),
        }
        if one is not None:
            document["show_one_s"] = rounded(timed(lambda: choose(*one))[0])
        if screenshot is not None:
            screenshot.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=screenshot)
    return document


def measure(number: int, screenshot: Path | None, say: Callable[[str], None]) -> dict[str, object]:
    """All of it, in an instance of its own."""
    with tempfile.TemporaryDirectory(prefix="estinel-partitions-") as folder:
        home = Path(folder)
        (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
        keys = partition_keys(number)
        with open_instance(home) as instance:
            say("add, list")
            filled = fill(instance, keys)
        tick_s, turn = timed(lambda: turn_of(keys, keys[number // 2], SITES_A_TICK))
        document: dict[str, object] = {
            "partitions": number,
            **filled,
            "select_a_tick_s": rounded(tick_s),
            "sites_a_tick": len(turn),
        }
        missing = why_no_browser()
        if missing is None:
            say("open in the UI")
            document["ui"] = open_in_browser(home, number, screenshot)
        else:
            say(missing)
        return document


def main() -> None:
    """Measure, and keep the result."""
    options = parser(__doc__)
    options.add_argument("--screenshot", type=Path, help="where to put a picture of the page")
    arguments = options.parse_args()
    around = surroundings("dagster-webserver", "playwright")
    number = QUICK if arguments.quick else FULL
    measured = measure(number, arguments.screenshot, lambda what: print(what, file=sys.stderr))
    keep("partitions", arguments, {"surroundings": around, **measured})


if __name__ == "__main__":
    main()
