"""Making a plan: reads what stands at each target, batch by batch, and asks `plan` about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from estinel_assets.publishing import plan
from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.model import (
    Content,
    DocumentEntry,
    ItemEntry,
    JsonObject,
    Policy,
    StoreAt,
)
from estinel_assets.publishing.parts import Part, State
from estinel_assets.publishing.ports import Targets
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault, FolderRefusedError
from estinel_assets.publishing.shelves import AT_ONCE, Roll, Row, Shelf, plain
from estinel_assets.publishing.spool import Spool, SpooledBody
from estinel_assets.publishing.step_form import step_form
from estinel_assets.publishing.steps import Phase, Step, Verb


@dataclass(slots=True)
class Plan:
    """All steps of a transaction."""

    spool: Spool
    """Keeps the steps, their documents, and those that stood before."""
    steps: dict[Phase, Roll[Step]] = field(init=False)
    """By phase, in their order."""
    sizes: dict[StoreAt, int] = field(default_factory=dict)
    """Bytes that are to be copied, by store."""

    def __post_init__(self) -> None:
        form = step_form(self.spool)
        self.steps = {phase: self.spool.roll(form) for phase in Phase}

    def add(self, steps: Iterable[Step]) -> None:
        """Take in steps."""
        for batch in batches(map(self._spooled, steps), AT_ONCE):
            for phase, members in groupby(batch, key=lambda step: step.phase):
                self.steps[phase].extend(members)
            for step in batch:
                if step.phase is Phase.OBJECTS:
                    self.sizes[step.store] = self.sizes.get(step.store, 0) + step.size

    def lines(self) -> Iterator[str]:
        """The plan for people, in the order in which it is done."""
        for phase in Phase:
            for step in self.steps[phase]:
                yield step.describe()

    def counts(self) -> dict[str, int]:
        """How many steps each phase has."""
        counts = {str(phase): len(self.steps[phase]) for phase in Phase}
        return {phase: count for phase, count in counts.items() if count}

    @property
    def bytes(self) -> int:
        """Bytes that are to be copied."""
        return sum(self.sizes.values())

    def collections_made(self) -> set[str]:
        """Collections that it creates."""
        return {step.name for step in self.steps[Phase.COLLECTIONS] if step.verb is Verb.CREATE}

    def _spooled(self, step: Step) -> Step:
        """A step whose documents are in the spool: each is read once, and from there on again."""
        if step.former is not None:
            step = replace(step, former=self.spool.add(step.former.read()))
        if step.body is not None and not isinstance(step.body, SpooledBody):
            step = replace(step, body=self.spool.add(step.body.read()))
        return step


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans one transaction of one publication."""

    targets: Targets
    publication: str
    policy: Policy
    state: State
    """What the publication consists of now."""
    spool: Spool

    def plan(self, content: Content | None) -> Plan:
        """Plan the way from the state to a content; to nothing where there is none.

        Raises:
            ConflictError: something else stands there.
            FolderRefusedError: an item's collection is neither in the content nor in the API.
            EstinelError: a target cannot be read.
        """
        made = Plan(self.spool)
        made.add(self._nothing() if content is None else self._steps(content))
        return made

    def _steps(self, content: Content) -> Iterator[Step]:
        state, places = self.state, frozenset(content.places)
        yield from plan.plan_places(places, state.places)
        yield from self._objects(content)
        for batch in batches(self._changed_documents(content.documents)):
            standing = self.targets.index.get([one.id for one in batch])
            yield from plan.plan_documents(batch, self.publication, self.policy, standing)
        absent = set()
        for collection in content.collections:
            stands = self.targets.need_stac().collection(collection.id)
            if stands is None:
                absent.add(collection.id)
            step = plan.plan_collection(collection, self.publication, self.policy, stands)
            if step is not None:
                yield step
        yield from self._items(content, absent)
        yield from self._item_deletions(state.items.without(content.items))
        yield from self._document_deletions(state.documents.without(content.documents))
        gone = state.objects.without(content.objects)
        yield from plan.plan_object_deletions(gone, state.places)
        yield from plan.plan_claim_deletions(state.places, places)

    def _nothing(self) -> Iterator[Step]:
        """The way to nothing."""
        state = self.state
        yield from self._item_deletions(state.items)
        yield from self._document_deletions(state.documents)
        yield from plan.plan_object_deletions(state.objects, state.places)
        yield from plan.plan_collection_deletions(state.collections.union(state.items.groups()))
        yield from plan.plan_claim_deletions(state.places, ())

    def _objects(self, content: Content) -> Iterator[Step]:
        places = frozenset(content.places)
        standing = self._standing(content)
        for batch in batches(content.objects, AT_ONCE):
            keys = [one.key for one in batch]
            sizes = {key: size for key, (*_, size) in standing.look_up(keys).items()}
            known = self.state.objects.look_up(keys)
            yield from plan.plan_objects(batch, places, known, sizes)

    def _standing(self, content: Content) -> Shelf[Row]:
        """Store, path and size of all that stands below the places."""
        standing = self.spool.shelf(plain(3))
        for place in content.places:
            found = self.targets.open_store(place.store).list(place.path)
            standing.put((place.store.group, one.path, one.size) for one in found)
        return standing

    def _changed_documents(self, wanted: Iterable[DocumentEntry]) -> Iterator[DocumentEntry]:
        """Those that the state does not have so."""
        for batch in batches(wanted, AT_ONCE):
            known = self.state.documents.look_up(("", one.id) for one in batch)
            yield from (one for one in batch if _digest(known.get(("", one.id))) != one.digest)

    def _changed_items(self, wanted: Iterable[ItemEntry]) -> Iterator[ItemEntry]:
        """Those that the state does not have so."""
        for batch in batches(wanted, AT_ONCE):
            known = self.state.items.look_up((one.collection, one.id) for one in batch)
            for one in batch:
                if _digest(known.get((one.collection, one.id))) != one.digest:
                    yield one

    def _items(self, content: Content, absent: set[str]) -> Iterator[Step]:
        self._check_collections(content)
        changed = self._changed_items(content.items)
        for name, members in groupby(changed, key=lambda one: one.collection):
            for batch in batches(members):
                standing: dict[str, JsonObject] = {}
                if name not in absent:
                    standing = self.targets.need_stac().items(name, [one.id for one in batch])
                yield from plan.plan_items(batch, self.publication, self.policy, standing)

    def _check_collections(self, content: Content) -> None:
        described = {one.id for one in content.collections}
        missing = [
            name
            for name in content.items.groups()
            if name not in described and self.targets.need_stac().collection(name) is None
        ]
        if missing:
            raise FolderRefusedError(
                [
                    Fault(
                        PublishingReason.INVALID_CATALOG,
                        name,
                        "items name this collection, which is neither in the catalogue nor in the "
                        "STAC API; add its collection.json to the catalogue, or create it first",
                    )
                    for name in missing
                ]
            )

    def _item_deletions(self, gone: Iterable[Part]) -> Iterator[Step]:
        for collection, members in groupby(gone, key=lambda one: one.group):
            for batch in batches(members):
                standing = self.targets.need_stac().items(collection, [one.name for one in batch])
                yield from plan.plan_item_deletions(collection, self.publication, standing)

    def _document_deletions(self, gone: Iterable[Part]) -> Iterator[Step]:
        for batch in batches(gone):
            standing = self.targets.index.get([one.name for one in batch])
            yield from plan.plan_document_deletions(self.publication, standing)


def _digest(part: Part | None) -> str | None:
    return None if part is None else part.digest
