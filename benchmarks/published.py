"""Imports a table of ten thousand results, and asks for them.

The table is a published one of NASA's collections where that is at hand, and else one of made-up
rows, as many and with the same reasons.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from benchmarks.measuring import timings
from estinel_assets.cli.outcome_query import OutcomeQuery, StatusWord
from estinel_assets.compatibility.import_results import import_results
from estinel_assets.compatibility.import_sources import find_results
from estinel_assets.compatibility.opening_checks import open_book
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.results_table import SCHEMA, WITHOUT_WORD, reasons_of, table_of
from estinel_assets.compatibility.standing import standing
from estinel_assets.settings import Settings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import table_bytes, table_from_bytes
from tests.support.published_counts import REASONS, TABLE
from tests.support.real import real_data_root

ASKED_FOR = "cant_open_file"
GOAL_IMPORT_S, GOAL_ASK_S = 60.0, 3.0


@dataclass(frozen=True, slots=True)
class Table:
    """What is imported."""

    path: Path
    published: bool
    """Whether it is the published one."""
    reasons: Mapping[str, int]

    @property
    def rows(self) -> int:
        """How many."""
        return sum(self.reasons.values())

    @property
    def listed(self) -> int:
        """How many `list_one_reason` gives."""
        return self.reasons.get(ASKED_FOR, 0)


def table(folder: Path, rows: int | None = None) -> Table:
    """The table that is imported.

    Args:
        folder: gets it, unless it is the published one as it is.
        rows: take only so many; None for all.
    """
    published = real_data_root() / TABLE
    if published.is_file():
        found = table_from_bytes(published.read_bytes(), what=TABLE)
    else:
        found = _made_up()
    path = folder / "results.parquet"
    if rows is None and published.is_file():
        path = published
    else:
        found = found.slice(0, rows)
        path.write_bytes(table_bytes(found))
    return Table(path, published.is_file(), Counter(reasons_of(found)))


def _made_up() -> pa.Table:
    words = [word for word, number in REASONS.items() for _ in range(number)]
    without_word = set(map(str, WITHOUT_WORD))
    rows = [
        {
            **dict.fromkeys(SCHEMA.names),
            "collection_concept_id": f"C{1_000_000_000 + number}-ARCHIVE",
            "collection_short_name_and_version": f"COLLECTION_{number}.1",
            "concept_id": f"G{2_000_000_000 + number}-ARCHIVE",
            "data_url": f"https://archive.example/collection-{number}/granule-{number}.nc",
            "format": "netCDF-4",
            "extension": "nc",
            "tiling_compatible": word == CompatibilityReason.NONE,
            "incompatible_reason": None if word in without_word else word,
            "error_message": None if word == CompatibilityReason.NONE else "it says why " * 12,
            "num_granules": 100.0,
            "processing_level": "3",
        }
        for number, word in enumerate(words)
    ]
    plain = [
        field if field.type != pa.json_(pa.string()) else pa.field(field.name, pa.string())
        for field in SCHEMA
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(plain))


def measure(
    store: ObjectStore, imported: Table, *, runs: int, with_goals: bool
) -> dict[str, object]:
    """Import a table into an empty store, and ask for its results.

    Args:
        store: gets them.
        imported: the table.
        runs: how often to ask what reads no record, or few.
        with_goals: say whether the goals are met, which are those of a local store.

    Raises:
        RuntimeError: an answer is not what was imported.
    """
    book, total = open_book(Settings(), store), imported.rows
    one_reason, everything = _query(StatusWord.FALSE, [ASKED_FOR]), _query(None, None)

    def bring_in() -> None:
        found = find_results(str(imported.path), open_store)
        _expect("imported", import_results(book, found).by_reason, imported.reasons)

    def list_one_reason() -> None:
        records = list(one_reason.outcomes(book))
        _expect("listed", len(records), imported.listed)

    def count() -> None:
        counts = Counter(entry.reason for entry in everything.entries(book))
        _expect("counted", counts, imported.reasons)

    def stand() -> None:
        _expect("standing", standing(book.standing()).done, total)

    def stand_anew() -> None:
        store.delete("outcome-index/compatibility.parquet")
        stand()

    def export() -> None:
        ledger = book.ledger
        content = table_bytes(table_of(ledger.read(ledger.entries())))
        _expect("exported", table_from_bytes(content, what="the export").num_rows, total)

    asked: Mapping[str, tuple[Callable[[], None], int, float | None]] = {
        "import": (bring_in, 1, GOAL_IMPORT_S),
        "import_again": (bring_in, 1, GOAL_IMPORT_S),
        "list_one_reason": (list_one_reason, runs, GOAL_ASK_S),
        "count": (count, runs, GOAL_ASK_S),
        "standing": (stand, runs, GOAL_ASK_S),
        "standing_without_index": (stand_anew, 1, GOAL_ASK_S),
        "export": (export, 1, None),
    }
    document: dict[str, object] = {}
    for name, (ask, number, goal_s) in asked.items():
        found = timings(ask, runs=number, warm_ups=0)
        goal = (
            {"goal_s": goal_s, "goal_met": found.median_s <= goal_s}
            if with_goals and goal_s is not None
            else {}
        )
        document[name] = {**found.document(), **goal}
    return document


def _query(status: StatusWord | None, words: list[str] | None) -> OutcomeQuery:
    """What the commands ask with these options."""
    return OutcomeQuery.parse(
        CompatibilityReason, keys=None, status=status, words=words, since=None
    )


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise RuntimeError(f"{what} {found}, not {expected}")
