"""The plan: what a publication has to change, and what stands in its way. Pure.

It is made batch by batch: each function gets what is wanted, what the publication's state says, and
what stands at one target, and yields steps. Nothing is asked and nothing is written here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.model import (
    DIGEST,
    PUBLICATION,
    CollectionEntry,
    DocumentEntry,
    ItemEntry,
    JsonObject,
    ObjectEntry,
    Place,
    Policy,
    StoreAt,
    digest_of,
    owner_of,
)
from estinel_assets.publishing.parts import ObjectPart
from estinel_assets.publishing.ports import IndexedDocument
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.shelves import Key
from estinel_assets.publishing.steps import Kind, Known, Step, Verb

SHOWN = 20


class ConflictError(PermanentError):
    """Something else stands where a publication is to go."""

    def __init__(self, what: Iterable[str]) -> None:
        found = sorted(what)
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        super().__init__(
            PublishingReason.ALREADY_PUBLISHED,
            f"this stands already: {'; '.join(found[:SHOWN])}{more}. Remove it, publish under "
            "other ids, or choose the policy replace where nobody else published it",
        )

    def __reduce__(self) -> tuple[type[PermanentError], tuple[str, str]]:
        """Pickle as the plain error."""
        return PermanentError, (self.reason, str(self))


def plan_places(wanted: Iterable[Place], known: Collection[Place]) -> Iterator[Step]:
    """Claims to take."""
    for place in sorted(set(wanted).difference(known)):
        yield Step(Kind.CLAIM, Verb.CREATE, place.path, store=place.store)


def plan_objects(
    wanted: Iterable[ObjectEntry],
    places: Collection[Place],
    known: Mapping[Key, ObjectPart],
    standing: Mapping[Key, int],
) -> Iterator[Step]:
    """Objects to create. None is ever replaced.

    One of ours whose writer was taken over may stand already, unknown to the state. It is planned
    like any other: doing compares what stands with what is to stand.

    Args:
        wanted: what is to stand.
        places: the prefixes that they stand below.
        known: those of them that this publication consists of now.
        standing: sizes of those of them under whose keys something stands.

    Raises:
        ConflictError: objects stand there that are not this publication's.
    """
    in_the_way: list[str] = []
    for one in wanted:
        ours, size = known.get(one.key), standing.get(one.key)
        same = ours is not None and (ours.size, ours.digest) == (one.size, one.sha256)
        if same and size == one.size:
            continue
        if size is not None and (ours is not None or size != one.size):
            where = f"{one.store.url}/{one.path}" if one.store.url else one.path
            in_the_way.append(f"the object {where}")
            continue
        yield Step(
            Kind.OBJECT,
            Verb.CREATE,
            one.path,
            group=place_of(one.store, one.path, places),
            store=one.store,
            size=one.size,
            digest=one.sha256,
            source=one.source,
            media_type=one.media_type,
        )
    if in_the_way:
        raise ConflictError(in_the_way)


def plan_documents(
    wanted: Iterable[DocumentEntry],
    publication: str,
    policy: Policy,
    standing: Mapping[str, IndexedDocument],
) -> Iterator[Step]:
    """Documents to write.

    Raises:
        ConflictError: some belong to another publication, or differ and may not be replaced.
    """
    in_the_way: list[str] = []
    for one in wanted:
        stands = standing.get(one.id)
        if stands is None:
            yield Step(Kind.DOCUMENT, Verb.CREATE, one.id, digest=one.digest, body=one.body)
        elif stands.publication != publication:
            in_the_way.append(f"the document {one.id} of the publication {stands.publication}")
        elif stands.digest == one.digest:
            continue
        elif policy is not Policy.REPLACE:
            in_the_way.append(f"the document {one.id}, with other content")
        else:
            yield Step(
                Kind.DOCUMENT,
                Verb.REPLACE,
                one.id,
                digest=one.digest,
                body=one.body,
                former=Known(stands.document),
                former_digest=stands.digest,
            )
    if in_the_way:
        raise ConflictError(in_the_way)


def plan_collection(
    wanted: CollectionEntry, publication: str, policy: Policy, stands: JsonObject | None
) -> Step | None:
    """What to do about a collection.

    One that stands stays as it is, unless it is to be replaced and this publication made it.
    """
    if stands is None:
        return Step(Kind.COLLECTION, Verb.CREATE, wanted.id, digest=wanted.digest, body=wanted.body)
    ours = stands.get(PUBLICATION) == publication
    if policy is not Policy.REPLACE or not ours or stands.get(DIGEST) == wanted.digest:
        return None
    return Step(
        Kind.COLLECTION,
        Verb.REPLACE,
        wanted.id,
        digest=wanted.digest,
        body=wanted.body,
        former=Known(stands),
        former_digest=digest_of(stands),
    )


def plan_items(
    wanted: Iterable[ItemEntry],
    publication: str,
    policy: Policy,
    standing: Mapping[str, JsonObject],
) -> Iterator[Step]:
    """Items of one collection to write.

    Raises:
        ConflictError: some belong to another publication, or differ and may not be replaced.
    """
    in_the_way: list[str] = []
    for one in wanted:
        stands = standing.get(one.id)
        name = f"{one.collection}/{one.id}"
        owner = None if stands is None else owner_of(stands)
        if stands is None:
            yield _item_step(one, Verb.CREATE)
        elif owner not in (None, publication):
            in_the_way.append(f"the item {name} of the publication {owner}")
        elif owner == publication and digest_of(stands) == one.digest:
            continue
        elif policy is not Policy.REPLACE:
            in_the_way.append(f"the item {name}, with other content")
        else:
            yield _item_step(one, Verb.REPLACE, stands)
    if in_the_way:
        raise ConflictError(in_the_way)


def plan_item_deletions(
    collection: str, publication: str, standing: Mapping[str, JsonObject]
) -> Iterator[Step]:
    """Items of one collection that are no longer wanted; those of others are left alone."""
    for name, stands in sorted(standing.items()):
        if owner_of(stands) == publication:
            yield Step(
                Kind.ITEM,
                Verb.DELETE,
                name,
                group=collection,
                former=Known(stands),
                former_digest=digest_of(stands),
            )


def plan_document_deletions(
    publication: str, standing: Mapping[str, IndexedDocument]
) -> Iterator[Step]:
    """Documents that are no longer wanted; those of others are left alone."""
    for name, stands in sorted(standing.items()):
        if stands.publication == publication:
            yield Step(
                Kind.DOCUMENT,
                Verb.DELETE,
                name,
                former=Known(stands.document),
                former_digest=stands.digest,
            )


def plan_object_deletions(gone: Iterable[ObjectPart], places: Collection[Place]) -> Iterator[Step]:
    """Objects to delete once the new state stands: nothing refers to these any more.

    Args:
        gone: what is no longer wanted.
        places: the prefixes that they stand below.
    """
    for one in gone:
        yield Step(
            Kind.OBJECT,
            Verb.DELETE,
            one.path,
            group=place_of(one.store, one.path, places),
            store=one.store,
            size=one.size,
            former_digest=one.digest,
        )


def plan_collection_deletions(collections: Iterable[str]) -> Iterator[Step]:
    """Collections to give up, and to delete where we made them and nobody else uses them."""
    for name in sorted(collections):
        yield Step(Kind.COLLECTION, Verb.DELETE, name)


def plan_claim_deletions(known: Iterable[Place], kept: Collection[Place]) -> Iterator[Step]:
    """Claims to give up."""
    for place in sorted(set(known).difference(kept)):
        yield Step(Kind.CLAIM, Verb.DELETE, place.path, store=place.store)


def place_of(store: StoreAt, path: str, places: Collection[Place]) -> str:
    """The prefix among some that an object stands below; empty where there is none."""
    folder = path
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if Place(store, folder) in places:
            return folder
    return ""


def _item_step(one: ItemEntry, verb: Verb, stands: JsonObject | None = None) -> Step:
    return Step(
        Kind.ITEM,
        verb,
        one.id,
        group=one.collection,
        digest=one.digest,
        body=one.body,
        former=None if stands is None else Known(stands),
        former_digest=None if stands is None else digest_of(stands),
    )
