"""Compatibility: ten thousand results, runs over thousands of small collections, and Dagster's UI.

    .venv/bin/python -m benchmarks.compatibility [--quick] [--screenshot FILE] [--only PART]...

- *results*: a published table of 10,047 results is imported into a local store and into S3 (moto),
  and asked for. It is looked for in the folder that ESTINEL_REAL_DATA names, else in
  `../shared/data`; without it, made-up rows take its place.
- *checks*: 2,000 small collections of a local CMR are checked, once in a mix that ends as a
  published run did, once such that all open and tile; beside them a plain pool of processes that
  only opens and tiles. See `checking`.
- *partitions*: 10,000 collections as Dagster's partitions, some thousands of them materialized.

Every process of a check imports this module again, so that it imports nothing heavy itself.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PARTS = ("results", "checks", "partitions")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    results: int | None
    """Rows of the table; None for all."""
    collections: int
    """In each of the two worlds."""
    rounds: int
    partitions: int
    materialized: int
    runs: int
    """How often to ask for results."""


FULL = Size(None, 2000, 4, 10_000, 3_000, 3)
QUICK = Size(120, 24, 2, 300, 40, 1)


def results(size: Size) -> dict[str, object]:
    """Import the table into both kinds of stores, and ask."""
    from benchmarks.published import measure, table
    from benchmarks.servers import s3_process
    from estinel_assets.storage.opening import open_store

    with tempfile.TemporaryDirectory(prefix="estinel-results-") as name, s3_process() as access:
        folder = Path(name)
        imported = table(folder, size.results)
        document: dict[str, object] = {
            "rows": imported.rows,
            "published_table": imported.published,
            "listed": imported.listed,
        }
        stores = {
            "local folder": open_store(f"file://{folder}/store"),
            "S3 (moto)": access.open("store"),
        }
        cases = []
        for title, store in stores.items():
            _say(f"results: {title}")
            measured = measure(store, imported, runs=size.runs, with_goals=title == "local folder")
            cases.append({"store": title, **measured})
        return {**document, "cases": cases}


def checks(size: Size) -> dict[str, object]:
    """Check both worlds."""
    from benchmarks.checking import measure
    from benchmarks.local_collections import mix, tiled

    worlds = {
        "mix": (mix, ("ours", "job", "peer")),
        "tiled": (tiled, ("ours", "peer")),
    }
    document: dict[str, object] = {}
    for name, (kinds, ways) in worlds.items():
        _say(f"checks: {name}")
        with tempfile.TemporaryDirectory(prefix="estinel-checks-") as folder:
            document[name] = measure(
                kinds(size.collections), ways, rounds=size.rounds, folder=Path(folder)
            )
    return document


def partitions(size: Size, screenshot: Path | None) -> dict[str, object]:
    """Fill an instance, and open it."""
    from benchmarks.collection_partitions import measure

    _say("partitions")
    return measure(size.partitions, size.materialized, screenshot, _say)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    from benchmarks.measuring import parser

    options = parser(__doc__)
    options.add_argument("--screenshot", type=Path, help="where to put a picture of the page")
    options.add_argument(
        "--only",
        choices=PARTS,
        action="append",
        help="measure this part, and others named so; without --output they are only printed",
    )
    return options.parse_args()


def main() -> None:
    """Measure, and keep the result."""
    from benchmarks.measuring import keep, surroundings
    from estinel_assets.logs import configure_logging

    arguments = _arguments()
    configure_logging("warning", libraries="error")
    size = QUICK if arguments.quick else FULL
    around = surroundings("dagster-webserver", "playwright", "pebble", "titiler-xarray", "xarray")
    wanted = arguments.only or PARTS
    document: dict[str, object] = {"surroundings": around}
    if "results" in wanted:
        document["results"] = results(size)
    if "checks" in wanted:
        document["checks"] = checks(size)
    if "partitions" in wanted:
        document["partitions"] = partitions(size, arguments.screenshot)
    if not arguments.only or arguments.output is not None:
        keep("compatibility", arguments, document)
    else:
        print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
