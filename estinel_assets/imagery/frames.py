"""The tables that imagery's assets hand on, as pandas DataFrames."""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import date

import pandas as pd

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.day_images import Product
from estinel_assets.imagery.layout import VIEW_NAMES, DayPaths, day_paths
from estinel_assets.imagery.plan import PlannedDay
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.solardays import SolarDay
from estinel_assets.imagery.windows import WindowRule, site_window
from estinel_assets.outcomes.index import IndexRow
from estinel_assets.storage.port import ObjectStore


def windows_frame(sites: Iterable[Site], rule: WindowRule) -> pd.DataFrame:
    """The sites with their windows, one row a site.

    Columns: `SITE_ID, location, lon, lat` (degrees), `resolution, radiusx, radiusy` (metres),
    `purpose` (list), `crs, transform` (six numbers), `width, height` (pixels), `bboxes` (JSON:
    boxes of west, south, east, north in degrees).
    """
    rows = []
    for site in sites:
        window = site_window(site, rule)
        rows.append(
            {
                "SITE_ID": site.site_id,
                "location": site.location,
                "lon": site.lon,
                "lat": site.lat,
                "resolution": site.resolution,
                "radiusx": site.radiusx,
                "radiusy": site.radiusy,
                "purpose": list(site.purpose),
                "crs": window.grid.crs,
                "transform": list(window.grid.transform),
                "width": window.grid.width,
                "height": window.grid.height,
                "bboxes": json.dumps(window.bboxes),
            }
        )
    return pd.DataFrame(rows)


def site_of(windows: pd.DataFrame, site_id: str) -> Site:
    """A site, from the table of all.

    Raises:
        BadInputError: the table does not have the site.
    """
    # Every step of a run asks; comparing the column in pandas would take several times as long.
    ids = windows["SITE_ID"].tolist()
    if site_id not in ids:
        raise BadInputError(
            f"site_windows has no site {site_id}; materialize site_windows after editing the table"
        )
    row = windows.iloc[ids.index(site_id)]
    return Site(
        location=str(row["location"]),
        lon=float(row["lon"]),
        lat=float(row["lat"]),
        resolution=float(row["resolution"]),
        radiusx=float(row["radiusx"]),
        radiusy=float(row["radiusy"]),
        purpose=tuple(str(label) for label in row["purpose"]),
    )


def plan_frame(plan: Iterable[PlannedDay], days: Mapping[date, SolarDay]) -> pd.DataFrame:
    """The days to make: `solarday, cause, attempt, fingerprint, scenes, superseded`."""
    rows = [
        {
            "solarday": planned.day,
            "cause": planned.cause.value,
            "attempt": planned.attempt,
            "fingerprint": planned.fingerprint,
            "scenes": [scene.id for scene in days[planned.day].scenes],
            "superseded": sorted(
                older for ids in days[planned.day].superseded.values() for older in ids
            ),
        }
        for planned in plan
    ]
    columns = ["solarday", "cause", "attempt", "fingerprint", "scenes", "superseded"]
    return pd.DataFrame(rows, columns=columns)


def planned_dates(plan: pd.DataFrame) -> list[date]:
    """The days of a plan frame."""
    return [day if isinstance(day, date) else day.date() for day in plan["solarday"].tolist()]


def days_frame(
    product: Product,
    rows: Mapping[date, IndexRow],
    store: ObjectStore,
    collection: str,
    stem: str,
) -> pd.DataFrame:
    """Every day of a site with where one product of it stands.

    Columns: `solarday, status, reason, attempts, finished_at, run_id`, then `uri` (or `uri_q128`
    and so on for views), null where the day has no images.
    """
    records = []
    for day, row in sorted(rows.items()):
        uris = _uris(product, day_paths(collection, day, stem))
        records.append(
            {
                "solarday": day,
                "status": row.status,
                "reason": row.reason,
                "attempts": row.attempts,
                "finished_at": row.finished_at,
                "run_id": row.run_id,
                **{name: store.uri(path) if row.status else None for name, path in uris.items()},
            }
        )
    columns = ["solarday", "status", "reason", "attempts", "finished_at", "run_id"]
    uri_columns = [f"uri_{name}" for name in VIEW_NAMES] if product is Product.VIEWS else ["uri"]
    return pd.DataFrame(records, columns=[*columns, *uri_columns])


def reasons_of_run(days: pd.DataFrame, run_ids: Collection[str]) -> dict[str, str]:
    """The reasons with which days ended in some runs, by day."""
    rows = zip(days["solarday"], days["reason"], days["run_id"], strict=True)
    return {str(day): str(why) for day, why, run_id in rows if run_id in run_ids}


def _uris(product: Product, paths: DayPaths) -> dict[str, str]:
    if product is Product.VIEWS:
        return {f"uri_{name}": path for name, path in paths.views.items()}
    return {"uri": paths.scl if product is Product.SCL else paths.rgb}
