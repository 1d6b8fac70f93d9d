"""The first half of a check: from a collection's id to the address of one granule's file.

It asks CMR only, so that it needs no isolated process.
"""

import random
from functools import lru_cache

from estinel_assets.compatibility.cmr import LAST_OFFSET, CmrClient, Collection, Granule
from estinel_assets.compatibility.draft import Draft
from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.formats import decide
from estinel_assets.compatibility.links import choose_link
from estinel_assets.compatibility.opening import reader_versions
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import CompatibilityRecord
from estinel_assets.compatibility.request import CheckRequest
from estinel_assets.compatibility.source import Source
from estinel_assets.errors import BadInputError, public_url
from estinel_assets.settings import TransportSettings
from estinel_assets.transport import RetryPolicy
from estinel_assets.transport.httpx_transport import HttpxTransport


def describe(request: CheckRequest, ending: CheckEndedError) -> CompatibilityRecord:
    """The record of a check whose process is gone: its metadata, asked for once more.

    Raises:
        BadInputError: as `check`.
        UnitError: as `check`.
    """
    draft = Draft(request.concept_id)
    transport = _transport(request.settings.transport)
    try:
        cmr = CmrClient(transport, request.settings.compatibility.cmr_url)
        locate(request, draft, cmr)
    except CheckEndedError as earlier:
        return draft.incompatible(earlier)
    finally:
        transport.close()
    return draft.incompatible(ending)


def locate(
    request: CheckRequest, draft: Draft, cmr: CmrClient | None = None
) -> tuple[Source, Granule]:
    """Metadata, granule, address and format.

    Args:
        request: what is to be checked.
        draft: learns what is found, also where that is not all.
        cmr: whom to ask; None for one client of the process.

    Returns:
        The file, and the granule that it belongs to.

    Raises:
        CheckEndedError: there is no granule, no address, or no reader for the format.
        BadInputError: CMR knows no such collection, or no such granule of it.
        UnitError: CMR failed.
    """
    settings = request.settings.compatibility
    cmr = cmr or _cmr(settings.cmr_url, request.settings.transport)
    with draft.stage("metadata"):
        collection = cmr.collection(request.concept_id)
        if collection is None:
            raise BadInputError(
                f"CMR knows no collection {request.concept_id!r}; take a concept id such as "
                "C1996881146-POCLOUD from https://search.earthdata.nasa.gov"
            )
        draft.learn(
            collection_short_name_and_version=collection.short_name_and_version,
            data_center=collection.data_center,
            processing_level=collection.processing_level,
            num_granules=collection.granule_count,
            revision_id=collection.revision_id,
            format=collection.formats[0] if collection.formats else None,
        )
    with draft.stage("granule"):
        granule = _granule(request, draft, cmr, collection)
        draft.learn(concept_id=granule.concept_id)
        link = choose_link(granule, settings.access)
        draft.learn(data_url=public_url(link.url), access=link.access)
        decided = decide(collection.formats, granule.formats, link.url)
        draft.learn(format=decided.format, extension=decided.extension)
        backend = decided.supported()
    draft.learn(backend=backend, readers=reader_versions(backend))
    source = Source(link.url, (decided.extension or "").lower(), backend)
    return source, granule


def _granule(
    request: CheckRequest, draft: Draft, cmr: CmrClient, collection: Collection
) -> Granule:
    if request.granule_id is not None:
        granule = cmr.granule(request.granule_id)
        if granule is None or granule.collection_concept_id != collection.concept_id:
            raise BadInputError(
                f"CMR knows no granule {request.granule_id!r} of {collection.concept_id}; "
                "leave the granule out to try a random one"
            )
        return granule
    count = collection.granule_count or 0
    draft.learn(seed=request.seed)
    # A granule may be gone since it was counted.
    chosen = cmr.granule_at(
        collection.concept_id, granule_offset(request.seed, collection.concept_id, count)
    ) or (cmr.granule_at(collection.concept_id, 0) if count else None)
    if chosen is None:
        raise CheckEndedError(
            CompatibilityReason.NO_GRANULE_FOUND,
            f"CMR lists no granule of {collection.concept_id}",
            "the archive may keep its granules outside of CMR",
        )
    return chosen


def granule_offset(seed: int, concept_id: str, count: int) -> int:
    """Which granule of a collection is tried: the same one for the same seed.

    Args:
        seed: recorded with the result.
        concept_id: of the collection.
        count: granules that the collection has.

    Returns:
        An offset into CMR's list, from 0.
    """
    if count <= 1:
        return 0
    return random.Random(f"{seed}:{concept_id}").randint(0, min(count - 1, LAST_OFFSET))  # noqa: S311


@lru_cache(maxsize=2)
def _cmr(url: str, transport: TransportSettings) -> CmrClient:
    """One client, and so one connection, for all checks of a process."""
    return CmrClient(_transport(transport), url)


def _transport(at: TransportSettings) -> HttpxTransport:
    return HttpxTransport(RetryPolicy.from_settings(at), timeout_s=at.timeout_s)
