"""Doing the steps of a plan, one kind after the other: what is visible comes last."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from estinel_assets.errors import (
    AlreadyExistsError,
    NotFoundError,
    PermanentError,
    StoreError,
    UnansweredError,
)
from estinel_assets.publishing.batches import all_at_once, by_group
from estinel_assets.publishing.claims import give_up_claim, take_claim
from estinel_assets.publishing.model import DIGEST, PUBLICATION, JsonObject, Place
from estinel_assets.publishing.ports import Targets
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.steps import Kind, Phase, Step, Verb
from estinel_assets.storage.port import ObjectStore

WHOLE_BYTES = 8 * 2**20
"""Objects up to this size are written in one conditional request; larger ones in parts."""
_TRIES = 3


class ForeignObjectError(PermanentError):
    """Somebody else wrote an object below a prefix that is ours.

    Attributes:
        step: the one that could not be done.
    """

    def __init__(self, step: Step, message: str) -> None:
        super().__init__(
            PublishingReason.ALREADY_PUBLISHED,
            f"{message}, although nothing stood there when the publication began; find out who "
            "writes there",
        )
        self.step = step


@dataclass(frozen=True, slots=True)
class Worker:
    """Does steps at the targets, for one transaction."""

    targets: Targets
    publication: str
    txn: str
    in_flight: int
    """Objects at once."""
    check: Callable[[], None]
    """Raises where the lease is lost; asked before anything is written."""
    objects_done: Callable[[int], None] = field(default=lambda _: None)
    """Told of the bytes of each object."""

    def do(self, phase: Phase, steps: Sequence[Step]) -> None:
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
                self._create_objects(steps)
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

    def delete_objects(self, steps: Iterable[Step]) -> list[tuple[Step, StoreError]]:
        """Delete objects, each as well as can be; absent ones are no error.

        Returns:
            Those that could not be deleted, and why.
        """

        def delete(step: Step) -> tuple[Step, StoreError] | None:
            try:
                self.targets.open_store(step.store).delete(step.name)
            except StoreError as error:
                return step, error
            return None

        return list(filter(None, all_at_once(delete, steps, in_flight=self.in_flight)))

    def own(self, document: JsonObject, digest: str) -> JsonObject:
        """A collection with the fields that say whose it is."""
        return {**document, PUBLICATION: self.publication, DIGEST: digest}

    def _do_after(self, steps: Sequence[Step]) -> None:
        """Do what follows a commit. Each step may be done again."""
        left = self.delete_objects(step for step in steps if step.kind is Kind.OBJECT)
        if left:
            raise left[0][1]
        for step in steps:
            if step.kind is Kind.COLLECTION:
                self._delete_own_collection(step.name)
            elif step.kind is Kind.CLAIM:
                self.give_up_claim(step, whichever=True)

    def _take_claim(self, step: Step) -> None:
        take_claim(
            self.targets.journal,
            Place(step.store, step.name),
            publication=self.publication,
            txn=self.txn,
        )

    def give_up_claim(self, step: Step, *, whichever: bool = False) -> None:
        """Give a prefix up, if this transaction took it; or whichever of this publication."""
        give_up_claim(
            self.targets.journal,
            Place(step.store, step.name),
            publication=self.publication,
            txn=None if whichever else self.txn,
        )

    def _create_objects(self, steps: Iterable[Step]) -> None:
        def create(step: Step) -> int:
            self.check()
            try:
                _create_object(self.targets.open_store(step.store), step)
            except AlreadyExistsError as error:
                raise ForeignObjectError(step, str(error)) from None
            return step.size

        for size in all_at_once(create, steps, in_flight=self.in_flight):
            self.objects_done(size)

    def _write_documents(self, steps: Sequence[Step]) -> None:
        self.targets.index.apply(
            [self.document(step) for step in steps if step.verb is not Verb.DELETE],
            [step.name for step in steps if step.verb is Verb.DELETE],
            expected={step.name: step.former_digest for step in steps},
        )

    def document(self, step: Step) -> "PlannedDocument":
        """The document that a step writes."""
        return PlannedDocument(step, self.publication)

    def _write_collections(self, steps: Iterable[Step]) -> None:
        for step in steps:
            document = self.own(_body(step), step.digest)
            if step.verb is Verb.CREATE:
                self.targets.need_stac().create_collection(document)
            else:
                self.targets.need_stac().replace_collection(document)

    def _write_items(self, steps: Sequence[Step]) -> None:
        for verb in (Verb.CREATE, Verb.REPLACE):
            for collection, batch in by_group(step for step in steps if step.verb is verb):
                self.check()
                items = [_body(step) for step in batch]
                if verb is Verb.CREATE:
                    self.targets.need_stac().create_items(collection, items)
                else:
                    self.targets.need_stac().replace_items(collection, items)

    def _delete_items(self, steps: Iterable[Step]) -> None:
        for collection, batch in by_group(steps):
            self.check()
            self.targets.need_stac().delete_items(collection, [step.name for step in batch])

    def _delete_own_collection(self, name: str) -> None:
        """Delete a collection that this publication made, unless others have put items there."""
        stands = self.targets.need_stac().collection(name)
        if stands is None or stands.get(PUBLICATION) != self.publication:
            return
        if not self.targets.need_stac().has_items(name):
            self.targets.need_stac().delete_collection(name)


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


def _create_object(store: ObjectStore, step: Step) -> None:
    if step.source is None:
        raise PermanentError(
            PublishingReason.INTERNAL_ERROR, f"{step.describe()} has no file to copy"
        )
    try:
        if step.size > WHOLE_BYTES:
            _create_large(store, step)
            return
        body = step.source.read_bytes()
    except OSError as error:
        raise PermanentError(
            PublishingReason.MISSING_ASSET,
            f"{step.source} cannot be read any more ({error.strerror}); publish the folder again",
        ) from None
    if sha256(body).hexdigest() != step.digest:
        raise _changed(step)
    for left in reversed(range(_TRIES)):
        try:
            store.create(step.name, body, content_type=step.media_type)
        except UnansweredError:
            # It may have been written; the prefix is ours, so what stands there is.
            if _size(store, step.name) == step.size:
                return
            if not left:
                raise
        except AlreadyExistsError:
            if left < _TRIES - 1 and _size(store, step.name) == step.size:
                return  # by an earlier try, whose answer was lost
            raise
        else:
            return


def _create_large(store: ObjectStore, step: Step) -> None:
    """Copy a file in parts; the object appears whole, when the last one is there."""
    if _size(store, step.name) is not None:
        raise AlreadyExistsError(f"{store.uri(step.name)} exists already")
    source = step.source
    if source is None:
        raise _changed(step)
    digest = sha256()
    with source.open("rb") as file:
        while chunk := file.read(WHOLE_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != step.digest:
        raise _changed(step)
    store.put_file(step.name, source, content_type=step.media_type)
    if _size(store, step.name) != step.size:
        raise _changed(step)


def _size(store: ObjectStore, path: str) -> int | None:
    try:
        return store.head(path).size
    except NotFoundError:
        return None


def _changed(step: Step) -> PermanentError:
    return PermanentError(
        PublishingReason.CHECKSUM_MISMATCH,
        f"{step.source} changed while it was published; publish the folder again",
    )


def _body(step: Step) -> JsonObject:
    if step.body is None:
        raise PermanentError(PublishingReason.INTERNAL_ERROR, f"{step.describe()} has no body")
    return step.body.read()
