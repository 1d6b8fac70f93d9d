"""Objects of a publication: written once, below prefixes that are claimed, and deleted only there.

A key is never written twice by us, and what is in the way is compared, not assumed to be ours.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby

from estinel_assets.errors import (
    AlreadyExistsError,
    NotFoundError,
    PermanentError,
    StoreError,
    UnansweredError,
)
from estinel_assets.publishing.batches import all_at_once, batches
from estinel_assets.publishing.claims import has_claim
from estinel_assets.publishing.model import Place, StoreAt
from estinel_assets.publishing.ports import Targets
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.shelves import Row, Shelf, plain
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.steps import Step
from estinel_assets.storage.port import ObjectStore

WHOLE_BYTES = 8 * 2**20
"""Objects up to this size are written in one conditional request; larger ones in parts."""
DELETED_AT_ONCE = 500
_TRIES = 3


class ForeignObjectError(PermanentError):
    """Somebody else wrote below a prefix that is ours."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            PublishingReason.ALREADY_PUBLISHED,
            f"{uri} stands already, with other content, although the prefix is this publication's; "
            "find out who writes there",
        )

    def __reduce__(self) -> tuple[type[PermanentError], tuple[str, str]]:
        """Pickle as the plain error."""
        return PermanentError, (self.reason, str(self))


@dataclass(slots=True)
class Deleted:
    """What became of objects that were to be deleted."""

    count: int = 0
    """How many stood, and are gone."""
    failed: list[tuple[Step, StoreError]] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
    """Addresses of what is not ours to delete."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Writes and deletes objects for one publication."""

    targets: Targets
    publication: str
    in_flight: int
    """Objects at once."""
    check: Callable[[], None]
    """Raises where the lease is lost; asked before each write and deletion."""
    spool: Spool
    """Keeps what was listed."""
    listed: dict[Place, Shelf[Row]] = field(default_factory=dict)
    """Prefix, path and size of what stood below each prefix when the first deletion there began."""

    def create(self, steps: Iterable[Step], done: Callable[[int], None]) -> None:
        """Write objects that do not stand yet.

        Args:
            steps: what to write.
            done: told of the bytes of each object.

        Raises:
            ForeignObjectError: another object stands at a key.
            PermanentError: a file changed or vanished.
            StoreError: the store refuses.
        """

        def create(step: Step) -> int:
            self.check()
            _create(self.targets.open_store(step.store), step)
            return step.size

        for size in all_at_once(create, steps, in_flight=self.in_flight):
            done(size)

    def delete(self, steps: Iterable[Step]) -> Deleted:
        """Delete objects, each as well as can be; absent ones are no error.

        Only below prefixes that are this publication's own now, and only what has the size that
        was written: anything else is spared. Where others are known to write there, too, contents
        are compared by whoever makes the steps.

        Raises:
            StoreError: it cannot be found out what stands.
            LeaseLostError: another worker has taken over.
        """
        deleted = Deleted()
        standing: list[Step] = []
        by_place: dict[Place, list[Step]] = defaultdict(list)
        for step in steps:
            by_place[Place(step.store, step.group)].append(step)
        for place, group in by_place.items():
            standing += self._ours(place, group, deleted)

        def delete(step: Step) -> tuple[Step, StoreError] | None:
            self.check()
            try:
                self.targets.open_store(step.store).delete(step.name)
            except StoreError as error:
                return step, error
            return None

        for store, members in groupby(standing, key=lambda step: step.store):
            for batch in batches(members, DELETED_AT_ONCE):
                self.check()
                try:
                    self.targets.open_store(store).delete_many([step.name for step in batch])
                except StoreError:  # one by one, to know which
                    results = all_at_once(delete, batch, in_flight=self.in_flight)
                    deleted.failed += filter(None, results)
        deleted.count = len(standing) - len(deleted.failed)
        return deleted

    def _ours(self, place: Place, steps: Sequence[Step], deleted: Deleted) -> list[Step]:
        """The steps whose objects stand and are ours."""
        store = self.targets.open_store(place.store)
        listed = self.listed.get(place)
        if listed is None:
            listed = self.listed[place] = self.spool.shelf(plain(3))
            found_now = store.list(place.path) if place.path else ()
            listed.put((place.path, meta.path, meta.size) for meta in found_now)
        standing = listed.look_up((place.path, step.name) for step in steps)
        sizes = {path: size for _, path, size in standing.values()}
        found = [step for step in steps if step.name in sizes]
        ours = found and has_claim(self.targets.journal, store.uri(place.path), self.publication)
        kept = [step for step in found if ours and sizes[step.name] == step.size]
        wanted = {step.name for step in kept}
        deleted.spared += [store.uri(step.name) for step in found if step.name not in wanted]
        return kept


def is_foreign(targets: Targets, step: Step) -> bool:
    """Whether an object stands that is not the one of a step.

    Raises:
        StoreError: it cannot be read.
    """
    store = targets.open_store(step.store)
    return _size(store, step.name) is not None and not _stands(store, step)


def address_of(targets: Targets, store: StoreAt, path: str) -> str:
    """The full address of a prefix or an object."""
    return targets.open_store(store).uri(path)


def _create(store: ObjectStore, step: Step) -> None:
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
            if _stands(store, step):
                return
            if not left:
                raise
        except AlreadyExistsError:
            # By an earlier try whose answer was lost, or by a worker that was taken over.
            if _stands(store, step):
                return
            raise ForeignObjectError(store.uri(step.name)) from None
        else:
            return


def _create_large(store: ObjectStore, step: Step) -> None:
    """Copy a file in parts; the object appears whole, when the last one is there."""
    if _size(store, step.name) is not None:
        if _stands(store, step):
            return
        raise ForeignObjectError(store.uri(step.name))
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


def _stands(store: ObjectStore, step: Step) -> bool:
    """Whether exactly the object of a step stands."""
    if _size(store, step.name) != step.size:
        return False
    digest = sha256()
    for start in range(0, step.size, WHOLE_BYTES):
        digest.update(store.get_range(step.name, start, WHOLE_BYTES))
    return digest.hexdigest() == step.digest


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
