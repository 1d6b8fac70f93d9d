"""ARD's assets: what is asked for, three sources of each tile-year, and what is made of them.

No `from __future__ import annotations`: Dagster reads annotations.
"""

from collections.abc import Iterator, Sequence

import dagster as dg
import pandas as pd

from estinel_assets.ard.asked_keys import plan_keys, tile_years_of
from estinel_assets.ard.inbox import requests_in, resolve
from estinel_assets.ard.keys import key_of, partition_of, shown
from estinel_assets.ard.opening import CODE_VERSION, ard_run, open_ard_book, tile_table_of
from estinel_assets.ard.plan import Unit
from estinel_assets.ard.reasons import ARD, ArdReason
from estinel_assets.ard.tiles import Source
from estinel_assets.ard.tiles_frame import complete_counts, requests_frame, tiles_frame
from estinel_assets.clock import utc_now
from estinel_assets.errors import EstinelError
from estinel_assets.orchestration.by_reason import by_reason_asset, raise_on_faults
from estinel_assets.orchestration.failures import failure, translated
from estinel_assets.orchestration.partition_events import log_ended
from estinel_assets.orchestration.partitions import TILE_YEARS, add_partitions
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.paths import Key, encode_key
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.outcomes.record import Outcome

GROUP = "ard"
OWNERS = ["team:ard"]
RESOURCES = {"settings", "store"}

REQUEST_INBOX = dg.AssetSpec(
    "tile_request_inbox",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"file"},
    code_version=CODE_VERSION,
    description="Folder of the store in which requests for tiles are left (`ard.inbox`).",
)
CATALOGUES = [
    dg.AssetSpec(
        name,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"stac"},
        code_version=CODE_VERSION,
        description=f"STAC collection `{collection}`: {what} (`ard.{setting}_collection`).",
    )
    for name, collection, what, setting in (
        ("cop_dem_glo_30", "cop-dem-glo-30", "the Copernicus elevation model", "dem"),
        ("sentinel_1_rtc", "sentinel-1-rtc", "terrain-corrected Sentinel-1", "s1"),
    )
]
SENTINEL_2 = (dg.AssetKey("sentinel_2_c1_l2a"), dg.AssetKey("sentinel_2_l2a"))
"""Imagery's external assets of the same collections."""
EVERY_PARTITION = dg.AllPartitionMapping()


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=[REQUEST_INBOX],
)
def tile_requests(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> pd.DataFrame:
    """Everything that the inbox asks for, each tile-year once; makes partitions for it.

    A request that cannot be used is named, and what is wrong with it stands beside it. No
    partition is deleted here: what was made of a request that is gone still stands.
    """
    with translated():
        loaded, opened = settings.load(), store.open()
        inbox = loaded.ard.inbox.strip("/")
        requests = requests_in(opened.list(inbox), inbox)
        table = tile_table_of(loaded, opened) if requests else None
        done = list(resolve(requests, opened, table, utc_now())) if table is not None else []
        frame = requests_frame(done)
        add_partitions(context.instance, TILE_YEARS, frame["tile_year"].tolist())
    refused = {one.request.path: one.problem for one in done if one.problem is not None}
    context.add_output_metadata(
        {
            "requests": len(requests),
            "tile_years": len(frame),
            "requests_refused": len(refused),
            **({"refused": dg.MetadataValue.json(refused)} if refused else {}),
        }
    )
    return frame


def _source_asset(
    name: str, source: Source, catalogues: Sequence[dg.AssetSpec | dg.AssetKey], what: str
) -> dg.AssetsDefinition:
    """The asset of one source: a partition a tile-year, many of them in one run."""

    @dg.asset(
        name=name,
        group_name=GROUP,
        kinds={"zarr"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        io_manager_key=f"ard_{source.value}_arrays",
        partitions_def=TILE_YEARS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[tile_requests, *catalogues],
        required_resource_keys=RESOURCES,
        output_required=False,
        description=(
            f"{what} Many tile-years a run; what stands complete is left as it is. Each is "
            "recorded, and shown on its partition, as soon as it has ended; the step fails at "
            "its end where one ended with a fault."
        ),
    )
    def arrays(context: dg.AssetExecutionContext) -> Iterator[dg.Output[Outcome]]:
        went = make_keys(context, [key_of(one, source) for one in context.partition_keys])
        raise_on_faults(ARD, name, {encode_key(key): why for key, why in went.items()})
        yield from ()

    return arrays


dem_ard = _source_asset(
    "dem_ard",
    Source.DEM,
    CATALOGUES[:1],
    "Slope in degrees on the tile's 10 m grid.",
)
sentinel1_ard = _source_asset(
    "sentinel1_ard",
    Source.S1,
    CATALOGUES[1:],
    "Sentinel-1 backscatter (VV, VH): the median of each quarter, repeated to twelve steps.",
)
sentinel2_ard = _source_asset(
    "sentinel2_ard",
    Source.S2,
    SENTINEL_2,
    "Sentinel-2 reflectance of the year's clear days at 10 m and 20 m, and its clouds.",
)
SOURCE_ASSETS = {Source.DEM: dem_ard, Source.S1: sentinel1_ard, Source.S2: sentinel2_ard}
_OF_ALL_TILES = [
    dg.AssetDep(asset, partition_mapping=EVERY_PARTITION) for asset in SOURCE_ASSETS.values()
]


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="parquet",
    deps=_OF_ALL_TILES,
)
def ard_tiles(
    context: dg.AssetExecutionContext, settings: SettingsResource, store: StoreResource
) -> pd.DataFrame:
    """What is complete of every tile-year, per source; runs on its own."""
    with translated():
        rows = open_ard_book(settings.load(), store.open()).standing()
        frame = tiles_frame(tile_years(context.instance), rows)
    counts = complete_counts(frame["tile_year"].tolist(), list(Source), rows)
    context.add_output_metadata(dict(counts))
    return frame


@dg.asset(
    group_name=GROUP,
    kinds={"tif", "onnx"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="ard_tree_cover",
    partitions_def=TILE_YEARS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=list(SOURCE_ASSETS.values()),
    required_resource_keys=RESOURCES,
    output_required=False,
)
def tree_cover(context: dg.AssetExecutionContext) -> Iterator[dg.Output[str]]:
    """Tree cover in percent, as a COG with its STAC item, by the model of `ard.model`.

    Without a model the step says so and makes nothing. Each tile-year is shown on its partition as
    soon as it has ended; the step fails at its end where one could not be made.
    """
    from estinel_assets.ard.covering import cover_tile_years

    settings, store = context.resources.settings.load(), context.resources.store.open()
    if settings.ard.model is None:
        told = "no model is set, so no tree cover is made; name an ONNX file as ard.model"
        context.log.warning(told)
        context.log_event(dg.AssetObservation(context.asset_key, metadata={"skipped": told}))
        return
    problems: dict[str, str] = {}
    with translated():
        run_id, keys = context.run.run_id, context.partition_keys
        for one in cover_tile_years(keys, settings, store, run_id, CODE_VERSION):
            if one.problem is not None:
                problems[one.partition] = one.problem
            log_ended(
                context, context.asset_key, one.partition, one.shown, fault=one.problem is not None
            )
    if problems:
        named = "; ".join(f"{key}: {why}" for key, why in list(problems.items())[:10])
        raise failure(
            EstinelError(f"no tree cover of {len(problems)} of {len(keys)} tile-years: {named}")
        )
    yield from ()


class ReportConfig(dg.Config):
    """Which run is told of."""

    run_id: str | None = None
    """Of Dagster or of the command line; the one that ended something last, by default."""


@dg.asset(
    group_name=GROUP,
    kinds={"json", "markdown"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    io_manager_key="json",
    deps=_OF_ALL_TILES,
)
def ard_run_report(
    context: dg.AssetExecutionContext,
    config: ReportConfig,
    settings: SettingsResource,
    store: StoreResource,
) -> dict[str, object]:
    """How a run went: jobs, estimated and actual cost, and a timeline per region.

    The report is written in its four forms below `ard/reports/`; its text and timelines show here.
    """
    from estinel_assets.ard.latest_run import report_of_run, write_run_report

    with translated():
        loaded, opened = settings.load(), store.open()
        report = report_of_run(config.run_id, loaded, opened)
        written = write_run_report(report, opened)
    context.add_output_metadata(
        {
            "run_id": report.run_id,
            "jobs": len(report.jobs),
            "estimated_usd": report.estimated.usd,
            "actual_usd": report.actual.usd,
            "report": dg.MetadataValue.md(written.markdown),
            **{
                f"timeline_{region}": dg.MetadataValue.md(picture)
                for region, picture in written.timelines.items()
            },
        }
    )
    return {"run_id": report.run_id, "files": dict(written.files)}


def make_keys(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    keys: Sequence[Key],
    *,
    anew: bool = False,
) -> dict[Key, str]:
    """Make sources of tile-years, show each on its partition, and say how each one stands.

    What is complete, and stands in the store, stays as it is and is shown. Needs the resources in
    `RESOURCES`.

    Args:
        context: of the step.
        keys: of outcomes, as `("2023", "1035X727Y", "s2")`.
        anew: make also what is complete.

    Raises:
        Failure: a key cannot be used, then nothing was made; or some have no outcome.
    """
    # The arrays' packages take long to import, and defining assets is not to need them.
    from estinel_assets.ard.availability import with_damaged
    from estinel_assets.ard.runner import run_ard

    settings, store = context.resources.settings.load(), context.resources.store.open()
    told: dict[Key, str] = {}

    def tell(outcome: Outcome) -> None:
        if told.get(outcome.key) == outcome.reason:
            return
        told[outcome.key] = outcome.reason
        fault = parse_reason(ArdReason, outcome.reason).fault
        asset = SOURCE_ASSETS[Source(outcome.key[2])].key
        log_ended(context, asset, partition_of(outcome.key), shown(outcome), fault=fault)

    with translated():
        asked = tile_years_of(keys, tile_table_of(settings, store))
        add_partitions(context.instance, TILE_YEARS, {partition_of(key) for key in keys})
        book = open_ard_book(settings, store)
        rows = book.standing()
        plan = plan_keys(asked, rows, settings, now=utc_now(), overwrite=anew)
        plan = with_damaged(plan, rows, store)
        ran = run_ard(plan, settings, store, ard_run(context.run.run_id), on_ended=tell)
        for outcome in ran.outcomes:
            tell(outcome)
        made = {one.unit.key for one in plan.make}
        for outcome in book.records_of([key for key in keys if key not in made]).values():
            tell(outcome)
        if ran.unended:
            raise _unended(ran.unended)
    return told


def _unended(units: Sequence[Unit]) -> EstinelError:
    keys = [encode_key(unit.key) for unit in units[:10]]
    more = f" and {len(units) - 10} more" if len(units) > 10 else ""
    return EstinelError(
        f"{len(units)} sources of tile-years have no outcome of this run and stand as before: "
        f"{', '.join(keys)}{more}; ask for them again"
    )


def tile_years(instance: dg.DagsterInstance) -> Sequence[str]:
    """The tile-years that Dagster knows."""
    return instance.get_dynamic_partitions(str(TILE_YEARS.name))


def reprocess(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, keys: Sequence[Key]
) -> dict[Key, str]:
    """Make sources of tile-years again because somebody asked for it."""
    return make_keys(context, keys, anew=True)


ard_by_reason = by_reason_asset(
    ARD,
    upstream=[asset.key.to_user_string() for asset in SOURCE_ASSETS.values()],
    owners=OWNERS,
    code_version=CODE_VERSION,
    resource_keys=RESOURCES,
    reprocess=reprocess,
)

ASSETS: list[dg.AssetSpec | dg.AssetsDefinition] = [
    REQUEST_INBOX,
    *CATALOGUES,
    tile_requests,
    *SOURCE_ASSETS.values(),
    ard_tiles,
    tree_cover,
    ard_run_report,
    ard_by_reason,
]
