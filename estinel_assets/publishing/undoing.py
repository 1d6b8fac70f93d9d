"""Undoing: what a transaction did is taken back in reverse order, as the journal has it.

Nothing is assumed: at each target it is read back what stands. What is not there is not undone;
what somebody else changed since is spared and named. A step that fails does not keep the others
from being tried, and everything may be done again. Objects go last, and only when all that may
refer to them is taken back.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from estinel_assets.errors import EstinelError, LeaseLostError
from estinel_assets.publishing.doing import Worker
from estinel_assets.publishing.journal import Begin, Journal, Left
from estinel_assets.publishing.model import PUBLICATION, JsonObject, digest_of, owner_of
from estinel_assets.publishing.objects import address_of, is_foreign
from estinel_assets.publishing.ports import Change, IndexedDocument, StacTarget
from estinel_assets.publishing.steps import Phase, Step, by_group

SHOWN = 20
STILL_USED = "kept until nothing refers to them any more"
_ORDER = tuple(Phase)


@dataclass(slots=True)
class UndoReport:
    """What became of a transaction's steps."""

    undone: dict[str, int] = field(default_factory=dict)
    """How many steps were taken back, by kind."""
    left: list[Left] = field(default_factory=list)
    """What could not be, and why."""
    spared: list[str] = field(default_factory=list)
    """What was not ours to take back: others have changed it, or use it."""

    @property
    def complete(self) -> bool:
        """Whether everything of ours is as it was before."""
        return not self.left

    def count(self, what: str, number: int) -> None:
        """Note that steps were taken back."""
        if number:
            self.undone[what] = self.undone.get(what, 0) + number

    def summary(self) -> str:
        """In a line, for people."""
        done = ", ".join(f"{count} {phase}" for phase, count in self.undone.items()) or "nothing"
        text = f"undone: {done}"
        if self.left:
            shown = "; ".join(f"{one.step} ({one.why})" for one in self.left[:SHOWN])
            more = f"; and {len(self.left) - SHOWN} more" if len(self.left) > SHOWN else ""
            text += f"; not undone: {shown}{more}"
        if self.spared:
            text += f"; left as others have made it: {', '.join(self.spared[:SHOWN])}"
        return text


@dataclass(frozen=True, slots=True)
class Undoing:
    """Undoes one transaction."""

    worker: Worker
    journal: Journal
    report: UndoReport = field(default_factory=UndoReport)

    def undo(self, begin: Begin) -> UndoReport:
        """Take everything back that stands.

        Raises:
            LeaseLostError: another worker goes on with it.
            StoreError: the journal cannot be read.
        """
        reached = self.journal.reached()
        begun = () if reached is None else _ORDER[: _ORDER.index(reached) + 1]
        for phase in reversed(begun):
            if phase in (Phase.OBJECTS, Phase.CLAIMS) and self.report.left:
                # Whoever finds what could not be taken back must find its objects, too; and as
                # long as any is left, nobody else may write there.
                steps = sum(map(len, self.journal.steps(begin, phase)))
                self.report.left.append(Left(step=f"delete {steps} {phase}", why=STILL_USED))
                break
            for part in self.journal.steps(begin, phase):
                self.worker.check()
                self._undo(phase, part)
        return self.report

    def _undo(self, phase: Phase, steps: Sequence[Step]) -> None:
        match phase:
            case Phase.ITEMS | Phase.ITEM_DELETIONS:
                for collection, batch in by_group(sorted(steps, key=lambda step: step.group)):
                    self._undo_items(phase, collection, batch)
            case Phase.COLLECTIONS:
                for step in steps:
                    with self._tried([step]):
                        self._undo_collection(step)
            case Phase.DOCUMENTS | Phase.DOCUMENT_DELETIONS:
                with self._tried(steps):
                    self._undo_documents(phase, steps)
            case Phase.OBJECTS:
                with self._tried(steps):
                    self._undo_objects(steps)
            case Phase.CLAIMS:
                for step in steps:
                    with self._tried([step]):
                        self.worker.give_up_claim(step)
            case Phase.AFTER:
                pass  # begins only when the transaction is committed

    def _undo_objects(self, steps: Sequence[Step]) -> None:
        if self.journal.is_foreign():
            # Others write there, too: what has our size may be theirs.
            targets = self.worker.targets
            foreign = [step for step in steps if is_foreign(targets, step)]
            steps = [step for step in steps if step not in foreign]
            for step in foreign:
                self._spare(address_of(targets, step.store, step.name))
        deleted = self.worker.objects.delete(steps)
        for address in deleted.spared:
            self._spare(address)
        self.report.left += [
            Left(step=step.describe(), why=str(error)) for step, error in deleted.failed
        ]
        self.report.count(Phase.OBJECTS, deleted.count)

    def _undo_items(self, phase: Phase, collection: str, steps: Sequence[Step]) -> None:
        """Undo items of one collection; where that fails, read back which are left."""
        with self._tried(steps):
            stac = self.worker.targets.need_stac()
            names = [step.name for step in steps]
            changes = self._item_changes(steps, stac.items(collection, names))
            errors = _write_changes(stac, collection, changes)
            left: list[Step] = []
            if errors:
                still = self._item_changes(steps, stac.items(collection, names))
                left = [step for step, _ in still]
                self.report.left += [Left(step=one.describe(), why=str(errors[0])) for one in left]
            self.report.count(phase, len(changes) - len(left))

    def _item_changes(
        self, steps: Sequence[Step], standing: Mapping[str, JsonObject]
    ) -> list[tuple[Step, str]]:
        """What to do about each item whose step has had an effect."""
        changes = []
        for step in steps:
            stands = standing.get(step.name)
            if stands is None:
                if step.former is not None:
                    changes.append((step, "add"))
            elif step.digest and _is_ours(stands, self.worker.publication, step.digest):
                changes.append((step, "delete" if step.former is None else "restore"))
            elif step.former is None or digest_of(stands) != step.former_digest:
                self._spare(f"item {step.group}/{step.name}")
        return changes

    def _undo_collection(self, step: Step) -> None:
        stac = self.worker.targets.need_stac()
        stands = stac.collection(step.name)
        if stands is None:
            if step.former is not None:
                stac.create_collection(step.former.read())
                self.report.count(Phase.COLLECTIONS, 1)
            return
        ours = stands.get(PUBLICATION) == self.worker.publication
        if not ours or digest_of(stands) != step.digest:
            if step.former is None or digest_of(stands) != step.former_digest:
                self._spare(f"collection {step.name}")
            return
        if step.former is not None:
            stac.replace_collection(step.former.read())
        elif not self.worker.delete_collection(step.name):
            self._spare(f"collection {step.name}, which others use")
            return
        self.report.count(Phase.COLLECTIONS, 1)

    def _undo_documents(self, phase: Phase, steps: Sequence[Step]) -> None:
        index = self.worker.targets.index
        standing = index.get([step.name for step in steps])
        changes: list[Change] = []
        for step in sorted(steps, key=lambda step: step.name):
            stands = standing.get(step.name)
            if self._is_to_be_undone(step, stands):
                digest = None if stands is None else stands.digest
                former = None if step.former is None else self.worker.document(step.inverse())
                changes.append(Change(step.name, digest, former))
        index.apply(changes)
        self.report.count(phase, len(changes))

    def _is_to_be_undone(self, step: Step, stands: IndexedDocument | None) -> bool:
        if stands is None:
            return step.former is not None
        ours = stands.publication == self.worker.publication
        if ours and step.digest and stands.digest == step.digest:
            return True
        if not ours or step.former is None or stands.digest != step.former_digest:
            self._spare(f"document {step.name}")
        return False

    def _spare(self, what: str) -> None:
        if what not in self.report.spared:
            self.report.spared.append(what)

    @contextmanager
    def _tried(self, steps: Iterable[Step]) -> Iterator[None]:
        """Note an error as what is left, and go on."""
        try:
            yield
        except LeaseLostError:
            raise
        except EstinelError as error:
            self.report.left += [Left(step=step.describe(), why=str(error)) for step in steps]


def _write_changes(
    stac: StacTarget, collection: str, changes: Sequence[tuple[Step, str]]
) -> list[EstinelError]:
    """Make all changes, whatever becomes of the others."""
    delete = [step.name for step, change in changes if change == "delete"]
    restore = [_former(step) for step, change in changes if change == "restore"]
    add = [_former(step) for step, change in changes if change == "add"]
    calls: list[Callable[[], None]] = []
    if delete:
        calls.append(lambda: stac.delete_items(collection, delete))
    if restore:
        calls.append(lambda: stac.replace_items(collection, restore))
    if add:
        calls.append(lambda: stac.create_items(collection, add))
    errors: list[EstinelError] = []
    for call in calls:
        try:
            call()
        except EstinelError as error:
            errors.append(error)
    return errors


def _is_ours(item: JsonObject, publication: str, digest: str) -> bool:
    return owner_of(item) == publication and digest_of(item) == digest


def _former(step: Step) -> JsonObject:
    return {} if step.former is None else step.former.read()
