"""The journal of one transaction: every step with what it replaces, before the first one is done.

Steps are written in parts of a thousand, so that the number of objects here does not grow with the
objects that are published. The record `begin.json` comes last and seals them: a journal without it
stands for nothing that was done, and is thrown away. It goes first when the journal is closed.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.layout import journal_path, journals_path, state_path
from estinel_assets.publishing.lines import GZIP_TYPE, read_lines, write_lines
from estinel_assets.publishing.steps import Phase, Step, Steps, from_line, to_line
from estinel_assets.storage.documents import read_json, write_json
from estinel_assets.storage.port import ObjectStore

PART_STEPS = 1000


class Begin(BaseModel):
    """What a transaction is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    publication: str
    txn: str
    run_id: str
    started_at: AwareDatetime
    parts: Mapping[Phase, int]
    """How many parts hold the steps of each phase."""
    former_txn: str | None
    """The transaction whose state stood before."""
    steps: int


class Left(BaseModel):
    """What could not be undone, or not be done after the commit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    why: str


@dataclass(frozen=True, slots=True)
class Journal:
    """One transaction's journal."""

    store: ObjectStore
    publication: str
    txn: str

    def write(
        self,
        steps: Mapping[Phase, Steps],
        *,
        run_id: str,
        started_at: AwareDatetime,
        former_txn: str | None,
        check: Callable[[], None],
    ) -> Begin:
        """Write all steps down, and seal them. From now on a crash is repaired from here.

        Args:
            steps: by phase.
            run_id: who does it.
            started_at: when, UTC.
            former_txn: the transaction whose state stands now.
            check: raises where the lease is lost.
        """
        counts = {phase: len(some) for phase, some in steps.items()}
        parts = {
            phase: self._write_parts(phase, some) for phase, some in steps.items() if counts[phase]
        }
        begin = Begin(
            publication=self.publication,
            txn=self.txn,
            run_id=run_id,
            started_at=started_at,
            parts=parts,
            former_txn=former_txn,
            steps=sum(counts.values()),
        )
        check()
        write_json(self.store, self._path("begin.json"), begin.model_dump(mode="json"))
        return begin

    def is_whole(self, begin: Begin) -> bool:
        """Whether every part that the seal speaks of is there."""
        paths = {meta.path for meta in self.store.list(journal_path(self.publication, self.txn))}
        return all(
            self._part(phase, number) in paths
            for phase, parts in begin.parts.items()
            for number in range(parts)
        )

    def begin(self) -> Begin | None:
        """The seal; None where there is none, so that nothing was done.

        Raises:
            StoreError: it cannot be read or understood.
        """
        path = self._path("begin.json")
        try:
            return _begin().validate_python(read_json(self.store, path))
        except NotFoundError:
            return None
        except ValidationError:
            raise StoreError(
                f"{self.store.uri(path)} is no journal; restore it from a backup"
            ) from None

    def mark(self, phase: Phase) -> None:
        """Note that a phase begins: undoing passes over those that never began."""
        write_json(self.store, self._path("reached.json"), {"reached": str(phase)})

    def reached(self) -> Phase | None:
        """The last phase that was begun; None where none was."""
        path = self._path("reached.json")
        try:
            return Phase(read_json(self.store, path)["reached"])
        except NotFoundError:
            return None
        except (KeyError, ValueError, TypeError):
            raise StoreError(f"{self.store.uri(path)} names no phase") from None

    def steps(self, begin: Begin, phase: Phase) -> Iterator[list[Step]]:
        """The steps of a phase, part by part, in the order in which they are undone.

        That is the last part first; what follows the commit is never undone, and comes in order.
        """
        order = range(begin.parts.get(phase, 0))
        numbers = order if phase is Phase.AFTER else reversed(order)
        return (self._read_part(phase, number) for number in numbers)

    def note_foreign(self) -> None:
        """Note that others write below our prefixes: undoing then compares contents."""
        write_json(self.store, self._path("foreign.json"), {"foreign": True})

    def is_foreign(self) -> bool:
        """Whether others write below our prefixes."""
        try:
            self.store.head(self._path("foreign.json"))
        except NotFoundError:
            return False
        return True

    def keep_left(self, left: Iterable[Left]) -> None:
        """Note what could not be undone, for people."""
        write_json(self.store, self._path("left.json"), [one.model_dump() for one in left])

    def left(self) -> list[Left]:
        """What could not be undone when it was last tried."""
        try:
            found = read_json(self.store, self._path("left.json"))
        except NotFoundError:
            return []
        return TypeAdapter(list[Left]).validate_python(found)

    def close(self, begin: Begin | None, *, committed: bool) -> None:
        """Throw away what the transaction leaves behind, the seal first.

        Args:
            begin: the seal, if there is one.
            committed: whether its state stands now; else the former one does.
        """
        self.store.delete(self._path("begin.json"))
        if not committed:
            self.store.delete(state_path(self.publication, self.txn))
        elif begin is not None and begin.former_txn:
            self.store.delete(state_path(self.publication, begin.former_txn))
        for found in list(self.store.list(journal_path(self.publication, self.txn))):
            self.store.delete(found.path)

    def _write_parts(self, phase: Phase, steps: Iterable[Step]) -> int:
        parts = 0
        for batch in batches(steps, PART_STEPS):
            packed = BytesIO()
            write_lines(packed, map(to_line, batch))
            self.store.put(self._part(phase, parts), packed.getvalue(), content_type=GZIP_TYPE)
            parts += 1
        return parts

    def _read_part(self, phase: Phase, number: int) -> list[Step]:
        path = self._part(phase, number)
        body = self.store.get(path).data
        try:
            return list(map(from_line, read_lines([body])))
        except (ValueError, KeyError, TypeError, EOFError, zlib.error) as error:
            raise StoreError(
                f"{self.store.uri(path)} is no part of a journal ({type(error).__name__}); restore "
                "it from a backup"
            ) from None

    def _part(self, phase: Phase, number: int) -> str:
        return self._path(f"{phase}-{number:05}.jsonl.gz")

    def _path(self, name: str) -> str:
        return f"{journal_path(self.publication, self.txn)}/{name}"


def open_journals(store: ObjectStore, publication: str) -> list[Journal]:
    """The journals of a publication that are not closed; at most one of them is sealed."""
    return [
        Journal(store, publication, txn) for txn in store.list_folders(journals_path(publication))
    ]


@cache
def _begin() -> TypeAdapter[Begin]:
    return TypeAdapter(Begin)
