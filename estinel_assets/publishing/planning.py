"""Making a plan: reads what stands at each target, batch by batch, and asks `plan` about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from estinel_assets.publishing import plan
from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.model import (
    CollectionEntry,
    Content,
    ItemEntry,
    JsonObject,
    Policy,
    StoreAt,
)
from estinel_assets.publishing.ports import Targets
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault, FolderRefusedError
from estinel_assets.publishing.spool import Spool, SpooledBody
from estinel_assets.publishing.state import State
from estinel_assets.publishing.steps import Phase, Step, Verb


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps of a transaction."""

    steps: dict[Phase, list[Step]]
    """By phase, in their order. Documents that stood before are in the spool."""

    def lines(self) -> Iterator[str]:
        """The plan for people, in the order in which it is done."""
        for phase in Phase:
            for step in self.steps.get(phase, ()):
                yield step.describe()

    def counts(self) -> dict[str, int]:
        """How many steps each phase has."""
        return {phase: len(self.steps[phase]) for phase in Phase if self.steps.get(phase)}

    @property
    def bytes(self) -> int:
        """Bytes that are to be copied."""
        return sum(step.size for step in self.steps.get(Phase.OBJECTS, ()))

    def collections_made(self) -> set[str]:
        """Collections that it creates."""
        steps = self.steps.get(Phase.COLLECTIONS, ())
        return {step.name for step in steps if step.verb is Verb.CREATE}


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
        steps: dict[Phase, list[Step]] = {phase: [] for phase in Phase}
        for step in self._steps(content):
            # Each body is read once, and from here on from the spool.
            if step.former is not None:
                step = replace(step, former=self.spool.add(step.former.read()))
            if step.body is not None and not isinstance(step.body, SpooledBody):
                step = replace(step, body=self.spool.add(step.body.read()))
            steps[step.phase].append(step)
        return Plan(steps)

    def _steps(self, content: Content | None) -> Iterator[Step]:
        if content is not None:
            yield from plan.plan_places(content.places, self.state)
            places = frozenset(content.places)
            standing_objects = self._objects(content)
            yield from plan.plan_objects(content.objects, places, self.state, standing_objects)
            changed = [
                one for one in content.documents if self.state.documents.get(one.id) != one.digest
            ]
            for documents in batches(changed):
                standing = self.targets.index.get([one.id for one in documents])
                yield from plan.plan_documents(documents, self.publication, self.policy, standing)
            absent = set()
            for collection in content.collections:
                stands = self.targets.need_stac().collection(collection.id)
                if stands is None:
                    absent.add(collection.id)
                step = plan.plan_collection(collection, self.publication, self.policy, stands)
                if step is not None:
                    yield step
            yield from self._items(content.items, content.collections, absent)
        yield from self._deletions(content)
        yield from plan.plan_after(content, self.state)

    def _objects(self, content: Content) -> dict[tuple[StoreAt, str], int]:
        return {
            (place.store, found.path): found.size
            for place in content.places
            for found in self.targets.open_store(place.store).list(place.path)
        }

    def _items(
        self,
        items: Iterable[ItemEntry],
        collections: Iterable[CollectionEntry],
        absent: set[str],
    ) -> Iterator[Step]:
        changed = [
            one for one in items if self.state.items.get((one.collection, one.id)) != one.digest
        ]
        changed.sort(key=lambda one: one.collection)
        self._check_collections({one.collection for one in changed}, collections)
        for name, members in groupby(changed, key=lambda one: one.collection):
            for batch in batches(members):
                standing: dict[str, JsonObject] = {}
                if name not in absent:
                    standing = self.targets.need_stac().items(name, [one.id for one in batch])
                yield from plan.plan_items(batch, self.publication, self.policy, standing)

    def _check_collections(self, needed: set[str], collections: Iterable[CollectionEntry]) -> None:
        missing = [
            name
            for name in sorted(needed - {one.id for one in collections})
            if self.targets.need_stac().collection(name) is None
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

    def _deletions(self, content: Content | None) -> Iterator[Step]:
        wanted = set() if content is None else {(one.collection, one.id) for one in content.items}
        gone = sorted(self.state.items.keys() - wanted)
        for collection, members in groupby(gone, key=lambda key: key[0]):
            for batch in batches(members):
                standing = self.targets.need_stac().items(collection, [name for _, name in batch])
                yield from plan.plan_item_deletions(collection, self.publication, standing)
        kept = set() if content is None else {one.id for one in content.documents}
        for names in batches(sorted(self.state.documents.keys() - kept)):
            yield from plan.plan_document_deletions(self.publication, self.targets.index.get(names))
