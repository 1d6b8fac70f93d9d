"""Doing the steps of a plan, one phase after the other: what is visible comes last."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from estinel_assets.errors import PermanentError, RetryableError
from estinel_assets.publishing.claims import give_up_claim, take_claim
from estinel_assets.publishing.model import DIGEST, PUBLICATION, JsonObject, Place
from estinel_assets.publishing.objects import Objects, address_of
from estinel_assets.publishing.ports import Change, Targets
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.shared_collections import deletion, register, unregister
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.steps import Kind, Phase, Step, Steps, Verb, by_group


@dataclass(slots=True)
class Worker:
    """Does steps at the targets, for one transaction."""

    targets: Targets
    publication: str
    txn: str
    in_flight: int
    """Objects at once."""
    check: Callable[[], None]
    """Raises where the lease is lost; asked before anything is written."""
    spool: Spool
    """Keeps what grows with the number of items."""
    objects_done: Callable[[int], None] = field(default=lambda _: None)
    """Told of the bytes of each object."""
    objects: Objects = field(init=False)
    """Writes and deletes objects."""

    def __post_init__(self) -> None:
        self.objects = Objects(
            self.targets, self.publication, self.in_flight, self.check, self.spool
        )

    def do(self, phase: Phase, steps: Steps) -> None:
        """Do all steps of a phase.

        Raises:
            ForeignObjectError: somebody else writes below our prefix.
            EstinelError: a target failed; some of the steps may stand.
        """
        self.check()
        match phase:
            case Phase.CLAIMS:
                for step in steps:
                    self._take_claim(step)
            case Phase.OBJECTS:
                self.objects.create(steps, self.objects_done)
            case Phase.DOCUMENTS | Phase.DOCUMENT_DELETIONS:
                self._write_documents(steps)
            case Phase.COLLECTIONS:
                self._write_collections(steps)
            case Phase.ITEMS:
                self._write_items(steps)
            case Phase.ITEM_DELETIONS:
                self._delete_items(steps)
            case Phase.AFTER:
                self._do_after(steps)

    def document(self, step: Step) -> "PlannedDocument":
        """The document that a step writes."""
        return PlannedDocument(step, self.publication)

    def give_up_claim(self, step: Step, *, whichever: bool = False) -> None:
        """Give a prefix up, if this transaction took it; or whichever of this publication."""
        give_up_claim(
            self.targets.journal,
            address_of(self.targets, step.store, step.name),
            publication=self.publication,
            txn=None if whichever else self.txn,
        )

    def delete_collection(self, name: str) -> bool:
        """Delete a collection that we made, if nobody has items in it any more.

        Returns:
            Whether it is gone. This publication's own claim to it is given up in any case.
        """
        stac, journal = self.targets.need_stac(), self.targets.journal
        unregister(journal, name, self.publication)
        stands = stac.collection(name)
        if stands is None:
            return True
        if stands.get(PUBLICATION) is None:
            return False
        with deletion(journal, name, self.publication) as unused:
            if not unused or stac.has_items(name):
                return False
            self.check()
            stac.delete_collection(name)
        return True

    def _take_claim(self, step: Step) -> None:
        take_claim(
            self.targets.journal,
            Place(step.store, step.name),
            address_of(self.targets, step.store, step.name),
            publication=self.publication,
            txn=self.txn,
        )

    def _do_after(self, steps: Steps) -> None:
        """Do what follows a commit. Each step may be done again."""
        objects = [step for step in steps if step.kind is Kind.OBJECT]
        failed = self.objects.delete(objects).failed
        if failed:
            raise failed[0][1]
        for step in steps:
            self.check()
            if step.kind is Kind.COLLECTION:
                self.delete_collection(step.name)
            elif step.kind is Kind.CLAIM:
                self.give_up_claim(step, whichever=True)

    def _write_documents(self, steps: Steps) -> None:
        self.targets.index.apply(_DocumentChanges(self, steps))

    def _write_collections(self, steps: Steps) -> None:
        for step in steps:
            register(self.targets.journal, step.name, self.publication)
            document = {**_body(step), PUBLICATION: self.publication, DIGEST: step.digest}
            if step.verb is Verb.CREATE:
                self.targets.need_stac().create_collection(document)
            else:
                self.targets.need_stac().replace_collection(document)

    def _write_items(self, steps: Steps) -> None:
        for collection in sorted({step.group for step in steps}):
            self._use_collection(collection)
        for verb in (Verb.CREATE, Verb.REPLACE):
            for collection, batch in by_group(step for step in steps if step.verb is verb):
                self.check()
                items = [_body(step) for step in batch]
                if verb is Verb.CREATE:
                    self.targets.need_stac().create_items(collection, items)
                else:
                    self.targets.need_stac().replace_items(collection, items)

    def _use_collection(self, name: str) -> None:
        """Make sure that a collection stays while we have items in it."""
        register(self.targets.journal, name, self.publication)
        if self.targets.need_stac().collection(name) is None:
            raise RetryableError(
                PublishingReason.STAC_FAILED,
                f"the collection {name} was deleted while its items were prepared; try again",
            )

    def _delete_items(self, steps: Steps) -> None:
        for collection, batch in by_group(steps):
            self.check()
            self.targets.need_stac().delete_items(collection, [step.name for step in batch])


@dataclass(frozen=True, slots=True)
class _DocumentChanges:
    """What steps do to the index; read again as often as the index needs."""

    worker: Worker
    steps: Steps

    def __iter__(self) -> Iterator[Change]:
        for step in self.steps:
            write = None if step.verb is Verb.DELETE else self.worker.document(step)
            yield Change(step.name, step.former_digest, write)


@dataclass(frozen=True, slots=True)
class PlannedDocument:
    """A document that a step writes, read when it is asked for; a `WritableDocument`."""

    step: Step
    publication: str

    @property
    def id(self) -> str:
        """See `IndexedDocument`."""
        return self.step.name

    @property
    def digest(self) -> str:
        """See `IndexedDocument`."""
        return self.step.digest

    @property
    def document(self) -> JsonObject:
        """See `IndexedDocument`."""
        return _body(self.step)


def _body(step: Step) -> JsonObject:
    if step.body is None:
        raise PermanentError(PublishingReason.INTERNAL_ERROR, f"{step.describe()} has no body")
    return step.body.read()
