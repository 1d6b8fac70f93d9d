"""Imagery's jobs."""

from typing import Any

import dagster as dg

from estinel_assets.imagery.assets import (
    REPROCESS_RESOURCES,
    filtered_solardays,
    image_ratings,
    markers,
    reprocess,
    site_windows,
    solar_day_images,
    stac_query_tables,
    updated_markers,
    web_catalog,
)
from estinel_assets.imagery.reasons import IMAGERY
from estinel_assets.orchestration.keys_job import keys_job

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

build_image_ratings = dg.define_asset_job(
    "build_image_ratings",
    selection=dg.AssetSelection.assets(image_ratings).without_checks(),
    executor_def=dg.in_process_executor,
    description="Count everybody's ratings, and show their consensus in the catalogue.",
)


reprocess_imagery = keys_job(
    "reprocess_imagery",
    IMAGERY,
    description="Make chosen solar days again; the keys travel in the run's config.",
    resource_keys=REPROCESS_RESOURCES,
    work=reprocess,
)

JOBS: list[Any] = [
    refresh_sites,
    update_site,
    build_web_catalog,
    build_image_ratings,
    reprocess_imagery,
]
