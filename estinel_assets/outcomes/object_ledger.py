"""The plain layout: one object a key, its status and reason in the path."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from pydantic import ValidationError

from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.outcomes.ledger import ALL, Entry, Selection, newest
from estinel_assets.outcomes.paths import Key, OutcomePath, encode_key, format_path, parse_path
from estinel_assets.outcomes.record import Outcome
from estinel_assets.storage.documents import dump_json
from estinel_assets.storage.port import ObjectStore

READERS = 16
"""Records read at once."""


class ObjectLedger:
    """A ledger with one JSON object a key; see `outcomes.paths` for where it stands."""

    def __init__(
        self, store: ObjectStore, product: str, root: str, *, field_name: str | None = None
    ) -> None:
        """Open the ledger; nothing is read yet.

        Args:
            store: where the records are.
            product: the product line.
            root: folder of its records, such as `outcomes/imagery`.
            field_name: word under which a record's `inputs` stand behind the reason in its path
                (`scenes` for imagery); None to leave them out.
        """
        self._store = store
        self._product = product
        self.root = root
        self._field_name = field_name

    @property
    def product(self) -> str:
        """The product line."""
        return self._product

    def path(self, outcome: Outcome) -> str:
        """Where a record stands."""
        at = OutcomePath(
            outcome.key, outcome.status, outcome.reason, outcome.inputs if outcome.inputs else None
        )
        return format_path(self.root, at, self._field_name)

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """See `Ledger.put`."""
        for outcome in outcomes:
            self.put_one(outcome)

    def put_one(self, outcome: Outcome) -> Entry:
        """Store one record, then delete the older ones of its key.

        Returns:
            The entry under which the record stands now.
        """
        path = self.path(outcome)
        meta = self._store.put(
            path, dump_json(outcome.model_dump(mode="json")), content_type="application/json"
        )
        for other in self._listed(outcome.key):
            if other.path == path or other.key != outcome.key:
                continue
            record = self._record(other)
            if record is not None and record.age_key < outcome.age_key:
                self._store.delete(other.path)
        return Entry(
            outcome.key, outcome.status, outcome.reason, path, meta.etag, meta.last_modified
        )

    def get(self, key: Key) -> Outcome | None:
        """See `Ledger.get`."""
        records = (self._record(entry) for entry in self._listed(key) if entry.key == key)
        return newest(record for record in records if record is not None)

    def entries(self, selection: Selection = ALL) -> Iterator[Entry]:
        """See `Ledger.entries`. Costs one LIST; a record is read only where a key has two."""
        by_key: dict[Key, Entry | list[Entry]] = {}
        for entry in self._listed(selection.under):
            former = by_key.setdefault(entry.key, entry)
            if isinstance(former, list):
                former.append(entry)
            elif former is not entry:
                by_key[entry.key] = [former, entry]
        for key in sorted(by_key):
            found = by_key[key]
            entry_or_none = self._newest_of(found) if isinstance(found, list) else found
            if entry_or_none is not None and selection.takes(
                entry_or_none.status, entry_or_none.reason
            ):
                yield entry_or_none

    def read(self, entries: Iterable[Entry]) -> Iterator[Outcome]:
        """See `Ledger.read`."""
        waiting = iter(entries)
        with ThreadPoolExecutor(READERS, thread_name_prefix="outcomes") as pool:
            while batch := list(islice(waiting, READERS * 8)):
                # A share each: handing over single records costs a local store a tenth more.
                size = -(-len(batch) // READERS)
                shares = (batch[start : start + size] for start in range(0, len(batch), size))
                for records in pool.map(self._records, shares):
                    yield from records

    def _listed(self, under: Key) -> Iterator[Entry]:
        prefix = f"{self.root}/{encode_key(under)}" if under else self.root
        for meta in self._store.list(prefix):
            at = parse_path(self.root, meta.path, self._field_name)
            if at is not None:
                yield Entry(at.key, at.status, at.reason, meta.path, meta.etag, meta.last_modified)

    def _records(self, entries: Sequence[Entry]) -> list[Outcome]:
        return [record for entry in entries if (record := self._record(entry)) is not None]

    def _record(self, entry: Entry) -> Outcome | None:
        try:
            payload = self._store.get(entry.path).data
        except NotFoundError:
            return None
        try:
            return Outcome.model_validate_json(payload)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise StoreError(
                f"{self._store.uri(entry.path)} is not an outcome record "
                f"({'.'.join(map(str, first['loc']))}: {first['msg']}); repair or delete it"
            ) from None

    def _newest_of(self, entries: Sequence[Entry]) -> Entry | None:
        dated = [(record.age_key, entry) for entry in entries if (record := self._record(entry))]
        return max(dated, key=lambda pair: pair[0])[1] if dated else None
