"""Publishing's jobs."""

from typing import Any

import dagster as dg

from estinel_assets.logs import get_logger
from estinel_assets.orchestration.failures import failure, translated
from estinel_assets.orchestration.keys_job import keys_job
from estinel_assets.publishing.assets import (
    RESOURCES,
    publication_failures,
    publication_requests,
    publications,
    publish_keys,
    reprocess,
)
from estinel_assets.publishing.opening import opened_publications
from estinel_assets.publishing.reasons import PUBLISHING
from estinel_assets.publishing.repairing import Repair, left_open, repairs

log = get_logger(__name__)

refresh_publication_requests = dg.define_asset_job(
    "refresh_publication_requests",
    selection=dg.AssetSelection.assets(publication_requests),
    executor_def=dg.in_process_executor,
    description="List what waits in the inbox, and make partitions for it.",
)

build_publication_failures = dg.define_asset_job(
    "build_publication_failures",
    selection=dg.AssetSelection.assets(publication_failures),
    executor_def=dg.in_process_executor,
    description="Count the publications that failed, by day and reason.",
)

publish_folders = keys_job(
    "publish_folders",
    PUBLISHING,
    description="Publish chosen job folders; the keys travel in the run's config.",
    resource_keys=RESOURCES,
    work=publish_keys,
)

publish_images = keys_job(
    "publish_images",
    PUBLISHING,
    description="Publish the images of chosen sites; the keys travel in the run's config.",
    resource_keys=RESOURCES,
    work=publish_keys,
)

reprocess_publishing = keys_job(
    "reprocess_publishing",
    PUBLISHING,
    description="Publish chosen job folders again; the keys travel in the run's config.",
    resource_keys=RESOURCES,
    work=reprocess,
)


@dg.op(required_resource_keys=RESOURCES)
def repair_publications(context: dg.OpExecutionContext) -> None:
    """Complete or undo every transaction that was broken off; fail at the end where one is left."""
    settings, store = context.resources.settings.load(), context.resources.store.open()
    left: list[Repair] = []
    with (
        translated(),
        opened_publications(settings, store, context.run.run_id) as opened,
    ):
        for repair in repairs(opened):
            log.info(
                "transaction repaired" if repair.closed else "transaction not repaired",
                publication=repair.publication,
                txn=repair.txn,
                ended=repair.ended,
                told=repair.told,
            )
            context.log_event(
                dg.AssetObservation(
                    publications.key,
                    partition=repair.publication,
                    metadata={"transaction": repair.ended, "recovery": repair.told},
                )
            )
            if not repair.closed and not repair.busy:
                left.append(repair)
    if left:
        raise failure(left_open(left))


@dg.job(
    executor_def=dg.in_process_executor,
    description="Complete or undo the transactions that were broken off.",
)
def recover_publications() -> None:
    """See the description."""
    repair_publications()


JOBS: list[Any] = [
    refresh_publication_requests,
    build_publication_failures,
    publish_folders,
    publish_images,
    reprocess_publishing,
    recover_publications,
]
SCHEDULES = [
    dg.ScheduleDefinition(
        name="hourly_publication_requests",
        job=refresh_publication_requests,
        cron_schedule="5 * * * *",
        execution_timezone="UTC",
    ),
    dg.ScheduleDefinition(
        name="hourly_recovery",
        job=recover_publications,
        cron_schedule="20 * * * *",
        execution_timezone="UTC",
    ),
    dg.ScheduleDefinition(
        name="daily_publication_failures",
        job=build_publication_failures,
        cron_schedule="45 6 * * *",
        execution_timezone="UTC",
    ),
]
