"""Publishing's assets: what waits, the publications, and the table of those that failed.

No `from __future__ import annotations`: Dagster reads annotations.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import dagster as dg
import pandas as pd

from estinel_assets.clock import utc_now
from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.by_reason import by_reason_asset, raise_on_faults
from estinel_assets.orchestration.failures import failure, translated
from estinel_assets.orchestration.partition_events import log_ended
from estinel_assets.orchestration.partitions import (
    PUBLICATIONS,
    SITES,
    add_partitions,
    is_partition_key,
)
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.chart import markdown_bars
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome
from estinel_assets.publishing.failures_table import by_reason, by_status, failures_frame
from estinel_assets.publishing.folders import is_id, request_of, waiting_folders
from estinel_assets.publishing.opening import CODE_VERSION, open_book, opened_publications
from estinel_assets.publishing.publications import Publications
from estinel_assets.publishing.reasons import PUBLISHING, PublishingReason
from estinel_assets.publishing.requests_table import requests_frame
from estinel_assets.publishing.shown import shown
from estinel_assets.publishing.site_images import PREFIX, site_of
from estinel_assets.settings import Settings

GROUP = "publishing"
OWNERS = ["team:publishing"]
RESOURCES = {"settings", "store"}
REFUSED_SHOWN = 20

JOB_INBOX = dg.AssetSpec(
    "job_inbox",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"file"},
    code_version=CODE_VERSION,
    description="Folder in which jobs leave their outputs, each in a folder of its own.",
)


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=[JOB_INBOX],
)
def publication_requests(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> pd.DataFrame:
    """What waits in the inbox; makes partitions for that, and for all that was ever published.

    No partition is deleted here: a publication whose folder is gone still stands.
    """
    with translated():
        loaded = settings.load()
        standing = open_book(loaded, store.open()).standing()
        found = list(waiting_folders(loaded, standing, utc_now()))
        waiting = [one for one in found if can_be_published(one.publication)]
        folders = [key[0] for key in standing if site_of(key[0]) is None]
        known = {name for name in folders if can_be_published(name)}
        before = len(_partitions(context.instance))
        add_partitions(
            context.instance, PUBLICATIONS, {*known, *(one.publication for one in waiting)}
        )
        added = len(_partitions(context.instance)) - before
    unusable = [
        ascii(name) for name in (one.publication for one in found) if not can_be_published(name)
    ]
    context.add_output_metadata(
        {
            "waiting": len(waiting),
            "bytes": sum(one.listing.bytes for one in waiting),
            **{f"waiting_{why}": n for why, n in Counter(one.why for one in waiting).items()},
            "partitions_added": added,
            **({"unusable_names": dg.MetadataValue.json(unusable)} if unusable else {}),
        }
    )
    return requests_frame(waiting)


@dg.asset(
    group_name=GROUP,
    kinds={"json"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="publishing_outcomes",
    partitions_def=PUBLICATIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[publication_requests],
    required_resource_keys=RESOURCES,
    output_required=False,
)
def publications(context: dg.AssetExecutionContext) -> Iterator[dg.Output[Outcome]]:
    """A job folder in object store, index and STAC API, all of it or nothing: many a run.

    Each is recorded, and shown on its partition, as soon as it has ended. The step hands on nothing
    else, and fails at the end where one ended with a fault: then the partitions of faults are red,
    and all others are green.
    """
    went = publish_keys(context, [(key,) for key in context.partition_keys])
    raise_on_faults(PUBLISHING, "publications", {key: why for (key,), why in went.items()})
    yield from ()


@dg.asset(
    group_name=GROUP,
    kinds={"stac"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="published_images_outcomes",
    partitions_def=SITES,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[dg.AssetKey("updated_markers")],
    required_resource_keys=RESOURCES,
    output_required=False,
)
def published_images(context: dg.AssetExecutionContext) -> Iterator[dg.Output[Outcome]]:
    """A site's images as items of the STAC API and documents of the index: many sites a run.

    Only days that are new, were made again or are gone are touched. The objects are imagery's.
    """
    went = publish_keys(context, [(PREFIX + site_id,) for site_id in context.partition_keys])
    raise_on_faults(PUBLISHING, "images", {key: why for (key,), why in went.items()})
    yield from ()


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=[dg.AssetDep(publications, partition_mapping=dg.AllPartitionMapping())],
)
def publication_failures(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> pd.DataFrame:
    """Publications that do not stand, counted by day (UTC) and reason; runs on its own."""
    with translated():
        rows = open_book(settings.load(), store.open()).standing().values()
    counts = by_reason(rows)
    context.add_output_metadata(
        {
            "publications": len(rows),
            "failed": sum(counts.values()),
            "totals_by_status": dg.MetadataValue.json(dict(by_status(rows))),
            "counts": dg.MetadataValue.json(dict(counts)),
            "chart": dg.MetadataValue.md(markdown_bars(counts)),
        }
    )
    return failures_frame(rows)


def publish_keys(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    keys: Sequence[Key],
    *,
    anew: bool = False,
) -> dict[Key, str]:
    """Publish folders and sites' images, show each on its partition, and say how each one ended.

    Needs the resources in `RESOURCES`.

    Args:
        context: of the step.
        keys: of outcomes.
        anew: start their attempts at one again.

    Raises:
        Failure: the run stopped, or some have no folder; the others were published all the same.
    """
    settings, store = context.resources.settings.load(), context.resources.store.open()
    went: dict[Key, str] = {}
    refused: list[str] = []
    with (
        translated(),
        opened_publications(settings, store, context.run.run_id) as opened,
    ):
        for key in keys:
            try:
                outcome = _publish(opened, settings, key, anew=anew)
            except BadInputError as error:
                refused.append(str(error))
                continue
            went[key] = outcome.reason
            fault = parse_reason(PublishingReason, outcome.reason).fault
            site_id = site_of(key[0])
            if site_id is None:
                add_partitions(context.instance, PUBLICATIONS, [key[0]])
                log_ended(context, publications.key, key[0], shown(outcome), fault=fault)
            else:
                add_partitions(context.instance, SITES, [site_id])
                log_ended(context, published_images.key, site_id, shown(outcome), fault=fault)
    if refused:
        raise failure(_not_published(refused, went))
    return went


def _publish(opened: Publications, settings: Settings, key: Key, *, anew: bool) -> Outcome:
    """Publish the folder of a key.

    Raises:
        BadInputError: it has none, or is no key of a publication.
        StoreError: its outcome cannot be stored.
    """
    if len(key) != 1 or not can_be_published(key[0]):
        raise BadInputError(
            f"{encode_key(key)} is no key of publishing; give the id of a publication: one part, "
            "without '...' and control characters"
        )
    site_id = site_of(key[0])
    if site_id is not None:
        return opened.publish_images(site_id, anew=anew)
    request = request_of(key[0], settings, opened.book.ledger.get(key))
    return opened.publish(request, anew=anew)


def _not_published(refused: Sequence[str], went: dict[Key, str]) -> BadInputError:
    first = "; ".join(refused[:REFUSED_SHOWN])
    more = f"; and {len(refused) - REFUSED_SHOWN} more" if len(refused) > REFUSED_SHOWN else ""
    counts = ", ".join(f"{why}: {number}" for why, number in sorted(Counter(went.values()).items()))
    others = f". The others ended: {counts}" if counts else ""
    return BadInputError(f"{len(refused)} were not published: {first}{more}{others}")


def can_be_published(name: str) -> bool:
    """Whether a publication of this name can have an outcome and a partition."""
    return is_id(name) and is_partition_key(name)


def _partitions(instance: dg.DagsterInstance) -> Sequence[str]:
    return instance.get_dynamic_partitions(str(PUBLICATIONS.name))


def reprocess(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, keys: Sequence[Key]
) -> dict[Key, str]:
    """Publish folders again because somebody asked for it."""
    return publish_keys(context, keys, anew=True)


publishing_by_reason = by_reason_asset(
    PUBLISHING,
    upstream=publications.key.to_user_string(),
    owners=OWNERS,
    code_version=CODE_VERSION,
    resource_keys=RESOURCES,
    reprocess=reprocess,
)

ASSETS: list[dg.AssetSpec | dg.AssetsDefinition] = [
    JOB_INBOX,
    publication_requests,
    publications,
    published_images,
    publication_failures,
    publishing_by_reason,
]
