"""Results of others become results of ours: nothing newer is touched, and twice is once.

::

    found = find_results("tiling_results.parquet", open_at)    # all checked, nothing written
    imported = import_results(book, found)

An imported result is dated by its file. It is written where a collection has none or an older one,
and not again where the same content was imported before, so that an interrupted import goes on.
A tree at the very place where our own results stand is converted where it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from estinel_assets.compatibility.import_rows import is_same
from estinel_assets.compatibility.import_sources import FoundResult, FoundResults
from estinel_assets.compatibility.standing import counts
from estinel_assets.compute import Threads
from estinel_assets.errors import AlreadyExistsError
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.outcomes.ledger import Entry
from estinel_assets.outcomes.paths import Key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage.documents import JSON_TYPE, dump_json

WRITERS = 16
"""Results written at once."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    total: int
    """Results in the file or tree, one a collection."""
    written: int
    unchanged: int
    """Imported before."""
    kept_newer: int
    """Collections that keep a newer result of ours."""
    by_reason: dict[str, int]
    """All results of the file or tree, the most frequent reason first."""


def import_results(
    book: OutcomeBook,
    found: FoundResults,
    *,
    workers: int = WRITERS,
    step: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Record results that were found elsewhere.

    Args:
        book: our results.
        found: what is to be imported.
        workers: how many are written at once.
        step: told the concept id of each result that is dealt with.

    Raises:
        StoreError: the store refused; what is written stands, and another import goes on.
    """
    converted = _convert_in_place(book, found, workers)
    rows = book.standing()
    verdicts = {one.concept_id: _verdict(one.outcome, rows) for one in found.results}
    waiting = [one for one in found.results if verdicts[one.concept_id] == "written"]
    for one in found.results:
        if verdicts[one.concept_id] != "written":
            step(one.concept_id)

    def write(one: FoundResult) -> IndexRow | None:
        return _write(book, one.outcome, known=one.outcome.key in rows)

    for done in Threads(workers).map(write, waiting):
        row = done.result()
        if row is None:
            verdicts[done.item.concept_id] = "kept_newer"
        else:
            rows[row.key] = row
        step(done.item.concept_id)
    if waiting:
        book.save_index(rows.values())
    for concept_id in converted & verdicts.keys():
        verdicts[concept_id] = "written"
    number = counts(verdicts.values())
    return Imported(
        total=len(found.results),
        written=number.get("written", 0),
        unchanged=number.get("unchanged", 0),
        kept_newer=number.get("kept_newer", 0),
        by_reason=counts(one.outcome.reason for one in found.results),
    )


def _verdict(outcome: Outcome, rows: Mapping[Key, IndexRow]) -> str:
    row = rows.get(outcome.key)
    if row is None:
        return "written"
    standing = (row.finished_at, row.run_id)
    if is_same(standing, outcome.age_key):
        return "unchanged"
    return "kept_newer" if standing > outcome.age_key else "written"


def _write(book: OutcomeBook, outcome: Outcome, *, known: bool) -> IndexRow | None:
    """Record a result; None where a newer one appeared meanwhile."""
    if not known:
        # No predecessor is to be looked for, which halves the requests.
        path = book.objects.path(outcome)
        try:
            meta = book.store.create(path, _body(outcome), content_type=JSON_TYPE)
        except AlreadyExistsError:
            standing = book.ledger.get(outcome.key)
            if standing is not None and standing.age_key > outcome.age_key:
                return None
        else:
            entry = Entry(outcome.key, outcome.status, outcome.reason, path, meta.etag)
            return IndexRow.of(outcome, entry)
    return IndexRow.of(outcome, book.objects.put_one(outcome))


def _convert_in_place(book: OutcomeBook, found: FoundResults, workers: int) -> set[str]:
    """Make records of ours of flat objects that stand where such records are looked for.

    Until then the ledger could not be read. A former result is never deleted before its successor
    stands, and both of two results of one collection are kept: the ledger knows which is newer.

    Returns:
        Concept ids of what was converted.
    """
    tree = found.store
    # The addresses in two stores in memory look alike.
    if tree is None or (tree.url == "memory://" and tree is not book.store):
        return set()
    root = book.store.uri(book.objects.root) + "/"
    flat = [
        one
        for one in (*found.superseded, *found.results)
        if one.flat is not None and one.flat.uri.startswith(root)
    ]

    def convert(one: FoundResult) -> None:
        path, body = book.objects.path(one.outcome), _body(one.outcome)
        if one.flat is None:
            return
        if one.flat.uri == book.store.uri(path):
            # A check may have put its own result there meanwhile.
            book.store.replace(path, body, etag=one.flat.etag, content_type=JSON_TYPE)
        else:
            book.store.put(path, body, content_type=JSON_TYPE)
            tree.delete(one.flat.path)

    for done in Threads(workers).map(convert, flat):
        done.result()
    return {one.concept_id for one in flat}


def _body(outcome: Outcome) -> bytes:
    return dump_json(outcome.model_dump(mode="json"))
