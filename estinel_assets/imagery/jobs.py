"""Imagery's jobs."""

import dagster as dg

from estinel_assets.imagery.assets import (
    filtered_solardays,
    markers,
    site_windows,
    solar_day_images,
    stac_query_tables,
    updated_markers,
    web_catalog,
)

refresh_sites = dg.define_asset_job(
    "refresh_sites",
    selection=dg.AssetSelection.assets(site_windows),
    executor_def=dg.in_process_executor,
    description="Read the table of sites and keep the partitions in step with it.",
)

update_site = dg.define_asset_job(
    "update_site",
    selection=dg.AssetSelection.assets(
        markers, stac_query_tables, filtered_solardays, solar_day_images, updated_markers
    ),
    executor_def=dg.in_process_executor,
    description="Everything for one site: search, plan, make its days, list them.",
)

build_web_catalog = dg.define_asset_job(
    "build_web_catalog",
    selection=dg.AssetSelection.assets(web_catalog),
    executor_def=dg.in_process_executor,
    description="Merge the sites' parts into the web catalogue.",
)

JOBS = [refresh_sites, update_site, build_web_catalog]
