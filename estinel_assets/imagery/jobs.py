"""Imagery's jobs."""

from typing import Any

import dagster as dg

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.assets import (
    REPROCESS_RESOURCES,
    filtered_solardays,
    markers,
    reprocess,
    site_windows,
    solar_day_images,
    stac_query_tables,
    updated_markers,
    web_catalog,
)
from estinel_assets.imagery.reasons import IMAGERY
from estinel_assets.orchestration.by_reason import MOST_KEYS, raise_on_faults
from estinel_assets.orchestration.failures import failure
from estinel_assets.outcomes.paths import decode_key, encode_key

refresh_sites = dg.define_asset_job(
    "refresh_sites",
    selection=dg.AssetSelection.assets(site_windows),
    executor_def=dg.in_process_executor,
    description="Read the table of sites and keep the partitions in step with it.",
)

update_site = dg.define_asset_job(
    "update_site",
    # The checks look at every site: they run on their own, not with each site.
    selection=dg.AssetSelection.assets(
        markers, stac_query_tables, filtered_solardays, solar_day_images, updated_markers
    ).without_checks(),
    executor_def=dg.in_process_executor,
    description="Everything for one site: search, plan, make its days, list them.",
)

build_web_catalog = dg.define_asset_job(
    "build_web_catalog",
    selection=dg.AssetSelection.assets(web_catalog).without_checks(),
    executor_def=dg.in_process_executor,
    description="Merge the sites' parts into the web catalogue.",
)


class ReprocessConfig(dg.Config):
    """What is made again."""

    keys: list[str]
    """Encoded keys of outcomes, such as `site_af38900f/2024-12-04`; at most 500."""


@dg.op(required_resource_keys=REPROCESS_RESOURCES)
def reprocess_keys(context: dg.OpExecutionContext, config: ReprocessConfig) -> None:
    """Make the keys again; fail at the end where some ended with a fault."""
    if len(config.keys) > MOST_KEYS:
        raise failure(
            BadInputError(f"{len(config.keys)} keys are too many for a run; give {MOST_KEYS}")
        )
    went = reprocess(context, [decode_key(key) for key in config.keys])
    raise_on_faults(IMAGERY, "reprocess", {encode_key(key): why for key, why in went.items()})


@dg.job(
    executor_def=dg.in_process_executor,
    description="Make chosen solar days again; the keys travel in the run's config.",
)
def reprocess_imagery() -> None:
    """See the description."""
    reprocess_keys()


JOBS: list[Any] = [refresh_sites, update_site, build_web_catalog, reprocess_imagery]
