"""Imagery's assets: each calls, computes and returns. The work itself is in `site_imagery`.

A site's run goes from its scenes to its part of the catalogue, one site a run; the web catalogue
is merged in a run of its own. No `from __future__ import annotations`: Dagster reads annotations.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg
import pandas as pd
import pyarrow as pa

from estinel_assets.compute import Threads
from estinel_assets.imagery.catalog import merge_catalog
from estinel_assets.imagery.day_images import ALL_PRODUCTS, Product
from estinel_assets.imagery.frames import (
    days_frame,
    plan_frame,
    planned_dates,
    reasons_of_run,
    site_of,
    windows_frame,
)
from estinel_assets.imagery.opening import CODE_VERSION, open_site
from estinel_assets.imagery.page_publishing import publish_page
from estinel_assets.imagery.previews import preview
from estinel_assets.imagery.reasons import IMAGERY, ImageryReason
from estinel_assets.imagery.reprocessing import Reprocessing
from estinel_assets.imagery.scene_reading import SceneReader
from estinel_assets.imagery.site_finish import finish, first_day_to_ask, open_marker
from estinel_assets.imagery.site_imagery import Made, SiteImagery
from estinel_assets.imagery.site_ratings import make_ratings
from estinel_assets.imagery.sites import known_site, sites_of
from estinel_assets.orchestration.by_reason import by_reason_asset, raise_on_faults
from estinel_assets.orchestration.failures import translated
from estinel_assets.orchestration.partitions import SITES, sync_partitions
from estinel_assets.orchestration.resources import (
    ScenesResource,
    SettingsResource,
    StoreResource,
)
from estinel_assets.outcomes.paths import Key
from estinel_assets.solarday import parse_day

GROUP = "imagery"
OWNERS = ["team:imagery"]
SITES_TABLE = dg.AssetSpec(
    "sites_table",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"csv"},
    code_version=CODE_VERSION,
    description="The table of sites: a CSV or Parquet that people edit (`imagery.sites`).",
)
USER_RATINGS = dg.AssetSpec(
    "user_ratings",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"json"},
    code_version=CODE_VERSION,
    description="What people think of images; `estinel ratings import` takes in their exports.",
)
COLLECTIONS = [
    dg.AssetSpec(
        name,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"stac"},
        code_version=CODE_VERSION,
        description=f"STAC collection `{name.replace('_', '-')}`; `stac.collection` names one.",
    )
    for name in ("sentinel_2_c1_l2a", "sentinel_2_l2a")
]


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=[SITES_TABLE],
)
def site_windows(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> pd.DataFrame:
    """Every site with its window: CRS, transform, size and longitude-latitude boxes.

    Keeps the partitions `sites` in step with the table.
    """
    with translated():
        loaded = settings.load()
        sites = sites_of(loaded, store.open())
        added, deleted = sync_partitions(context.instance, SITES, [site.site_id for site in sites])
    context.add_output_metadata({"sites": len(sites), "added": added, "deleted": deleted})
    return windows_frame(sites, loaded.imagery.window_rule)


class SearchConfig(dg.Config):
    """Where a site's search begins."""

    since: str | None = None
    """First solar day to ask for, as `2024-12-04`; else what the marker says."""

    def day(self) -> date | None:
        """The day as a date.

        Raises:
            BadInputError: it is none.
        """
        return parse_day(self.since) if self.since else None


@dg.asset(
    group_name=GROUP,
    kinds={"json"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="json",
    partitions_def=SITES,
)
def markers(
    context: dg.AssetExecutionContext,
    site_windows: pd.DataFrame,
    settings: SettingsResource,
    store: StoreResource,
) -> dict[str, object]:
    """How far a site was done when its run began; empty for a site without marker."""
    with translated():
        stored = open_marker(_open_site(context, site_windows, settings, store))
    document = stored.marker.document() if stored.marker else {}
    context.add_output_metadata({"corrupt": stored.problem is not None, **document})
    return document


@dg.asset(
    group_name=GROUP,
    kinds={"stac", "parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    partitions_def=SITES,
    deps=[*COLLECTIONS, markers],
)
def stac_query_tables(
    context: dg.AssetExecutionContext,
    config: SearchConfig,
    site_windows: pd.DataFrame,
    settings: SettingsResource,
    store: StoreResource,
    scenes: ScenesResource,
) -> pd.DataFrame:
    """A site's scenes: those the source lists now, merged into those known before."""
    with translated():
        imagery = _open_site(context, site_windows, settings, store)
        first_day = first_day_to_ask(imagery, open_marker(imagery).marker, config.day())
        refreshed = imagery.search(scenes.open_source(), first_day)
    context.add_output_metadata(refreshed.counts())
    return refreshed.frame


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    partitions_def=SITES,
    deps=[stac_query_tables, markers],
)
def filtered_solardays(
    context: dg.AssetExecutionContext,
    config: SearchConfig,
    site_windows: pd.DataFrame,
    settings: SettingsResource,
    store: StoreResource,
) -> pd.DataFrame:
    """The solar days to make: new, changed, interrupted, or due for another attempt."""
    with translated():
        imagery = _open_site(context, site_windows, settings, store)
        first_day = first_day_to_ask(imagery, open_marker(imagery).marker, config.day())
        days = imagery.solar_days()
        plan = imagery.plan(days, first_day)
    frame = plan_frame(plan, days)
    causes = {str(cause): int(n) for cause, n in frame["cause"].value_counts().items()}
    context.add_output_metadata({"known_days": len(days), "planned_days": len(plan), **causes})
    return frame


def _image_out(description: str) -> dg.AssetOut:
    return dg.AssetOut(
        description=description,
        is_required=False,
        io_manager_key="parquet",
        group_name=GROUP,
        owners=OWNERS,
        kinds={"geotiff"} if "PNG" not in description else {"image"},
        code_version=CODE_VERSION,
    )


@dg.multi_asset(
    name="solar_day_images",
    partitions_def=SITES,
    can_subset=True,
    ins={"filtered_solardays": dg.AssetIn(), "site_windows": dg.AssetIn()},
    outs={
        Product.SCL.value: _image_out("Scene classification mosaics, one GeoTIFF a solar day."),
        Product.RGB.value: _image_out(
            "RGB composites (reflectance times 10,000), one GeoTIFF a solar day."
        ),
        Product.VIEWS.value: _image_out("Three PNG views of each composite, with thumbnails."),
    },
    internal_asset_deps={
        Product.SCL.value: {dg.AssetKey("filtered_solardays"), dg.AssetKey("site_windows")},
        Product.RGB.value: {
            dg.AssetKey("filtered_solardays"),
            dg.AssetKey("site_windows"),
            dg.AssetKey(Product.SCL.value),
        },
        Product.VIEWS.value: {dg.AssetKey("site_windows"), dg.AssetKey(Product.RGB.value)},
    },
)
def solar_day_images(
    context: dg.AssetExecutionContext,
    filtered_solardays: pd.DataFrame,
    site_windows: pd.DataFrame,
    settings: SettingsResource,
    store: StoreResource,
    scenes: ScenesResource,
) -> Iterator[dg.Output[pd.DataFrame]]:
    """Takes each planned day through classification, composite and views to its outcome.

    With all three selected, the planned days are made. With fewer, these products are made anew
    for the days whose images stand. Faults fail the run in its last step, which is this one only
    where `updated_markers` does not follow.
    """
    products = frozenset(Product(key.to_user_string()) for key in context.selected_asset_keys)
    with translated():
        imagery = _open_site(context, site_windows, settings, store)
        engine = Threads(imagery.settings.compute.workers)
        reader = SceneReader(scenes.open_reader(), scenes.open_signer())
        if products == ALL_PRODUCTS:
            made = imagery.make(planned_dates(filtered_solardays), reader, engine)
        else:
            made = imagery.remake(products, reader, engine)
    yield from _image_outputs(imagery, made, products)
    if _ends_with_images(context):
        ended = {outcome.key[-1]: outcome.reason for outcome in made.outcomes}
        site_id = context.partition_key
        raise_on_faults(IMAGERY, site_id, ended, key=site_id)


@dg.asset(
    group_name=GROUP,
    kinds={"json"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="json",
    partitions_def=SITES,
)
def updated_markers(
    context: dg.AssetExecutionContext,
    site_windows: pd.DataFrame,
    views: pd.DataFrame,
    settings: SettingsResource,
    store: StoreResource,
) -> dict[str, object]:
    """A site's marker and its part of the web catalogue; the last step of its run.

    Fails, after everything is written, when a day of this run ended with a fault.
    """
    with translated():
        imagery = _open_site(context, site_windows, settings, store)
        ended = reasons_of_run(views, {context.run.run_id})
        n_images = sum(why == ImageryReason.NONE for why in ended.values())
        finished = finish(imagery, n_images)
    counts = {"images": n_images, "days": len(ended), **finished.counts()}
    context.add_output_metadata(counts)
    site_id = context.partition_key
    raise_on_faults(IMAGERY, site_id, ended, key=site_id, metadata=counts)
    return finished.marker.document() if finished.marker else {}


@dg.asset(
    group_name=GROUP,
    kinds={"json"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="json",
    deps=[dg.AssetDep(updated_markers, partition_mapping=dg.AllPartitionMapping())],
)
def web_catalog(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> dict[str, int]:
    """The catalogue, merged from every site's part, and the page that shows it; on its own."""
    with translated():
        loaded, opened = settings.load(), store.open()
        ttl_s, public_url = loaded.outcomes.lease_ttl_s, loaded.store.public_url
        merged = merge_catalog(opened, lease_ttl_s=ttl_s, lease_wait_s=ttl_s, public_url=public_url)
        page = publish_page(opened, lease_ttl_s=ttl_s, lease_wait_s=ttl_s)
    counts = {**merged.counts(), **page.counts()}
    context.add_output_metadata(counts)
    return counts


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=[USER_RATINGS, web_catalog],
)
def image_ratings(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> pa.Table:
    """The consensus of all raters per image, also written beside the catalogue for its page."""
    with translated():
        ttl_s = settings.load().outcomes.lease_ttl_s
        made = make_ratings(store.open(), lease_ttl_s=ttl_s, lease_wait_s=ttl_s)
    context.add_output_metadata(made.counts())
    return made.table


def reprocess(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, keys: Sequence[Key]
) -> dict[Key, str]:
    """Make keys again, whatever their outcome, and say where each one went.

    Logs a materialization of `views` for each site. Needs the resources in `REPROCESS_RESOURCES`.
    """
    resources, run_id = context.resources, context.run.run_id
    settings, store = resources.settings.load(), resources.store.open()
    with translated():
        sites = sites_of(settings, store)
        engine = Threads(settings.compute.workers)
        reader = SceneReader(resources.scenes.open_reader(), resources.scenes.open_signer())
        work = Reprocessing(
            lambda site_id: open_site(known_site(sites, site_id), settings, store, run_id),
            resources.scenes.open_source(),
            reader,
            engine,
        )
        went: dict[Key, str] = {}
        for done in work.run(keys):
            went.update(done.reasons)
            counts = Counter(done.reasons.values())
            context.log_event(
                dg.AssetMaterialization(
                    Product.VIEWS.value,
                    partition=done.site_id,
                    metadata={f"reason_{why}": count for why, count in sorted(counts.items())},
                )
            )
    return went


REPROCESS_RESOURCES = {"settings", "store", "scenes"}

imagery_by_reason = by_reason_asset(
    IMAGERY,
    upstream=Product.VIEWS.value,
    owners=OWNERS,
    code_version=CODE_VERSION,
    resource_keys=REPROCESS_RESOURCES,
    reprocess=reprocess,
)

ASSETS: list[dg.AssetSpec | dg.AssetsDefinition] = [
    SITES_TABLE,
    USER_RATINGS,
    *COLLECTIONS,
    site_windows,
    markers,
    stac_query_tables,
    filtered_solardays,
    solar_day_images,
    updated_markers,
    web_catalog,
    image_ratings,
    imagery_by_reason,
]


def _open_site(
    context: dg.AssetExecutionContext,
    site_windows: pd.DataFrame,
    settings: SettingsResource,
    store: StoreResource,
) -> SiteImagery:
    loaded = settings.load()
    site = site_of(site_windows, context.partition_key)
    return open_site(site, loaded, store.open(), context.run.run_id)


def _ends_with_images(context: dg.AssetExecutionContext) -> bool:
    """Whether the run leaves out `updated_markers`, the step that fails on faults otherwise."""
    selected = context.run.asset_selection  # empty for all of a job
    return bool(selected) and dg.AssetKey("updated_markers") not in (selected or ())


def _image_outputs(
    imagery: SiteImagery, made: Made, products: frozenset[Product]
) -> Iterator[dg.Output[pd.DataFrame]]:
    summary: dict[str, int | float | dg.MetadataValue[str]] = dict(made.counts())
    shown = preview(made, imagery.site, imagery.store, imagery.settings.stac.collection)
    if shown is not None:
        summary["preview"] = dg.MetadataValue.md(shown)
    newest = made.newest_image()
    if newest is not None:
        # Outputs end with the STAC item, which links to everything else.
        summary["newest_item"] = dg.MetadataValue.path(newest.outputs[-1])
    for product in Product:
        if product in products:
            frame = days_frame(
                product,
                made.rows,
                imagery.store,
                imagery.settings.stac.collection,
                imagery.site.file_stem,
            )
            yield dg.Output(frame, output_name=product.value, metadata=summary)
