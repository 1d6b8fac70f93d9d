"""The ARD demo's work: its world on disk, the tiles made of it, and pictures of them."""

import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from estinel_assets.ard.ard_zarr import groups_in, read_group
from estinel_assets.ard.opening import ard_run, open_ard_book, tile_table_of
from estinel_assets.ard.plan import plan_ard
from estinel_assets.ard.requests import read_request
from estinel_assets.ard.runner import ArdRun, run_ard
from estinel_assets.ard.tiles import Source, TileYear
from estinel_assets.cli.output import Table, write_table, write_text
from estinel_assets.cli.progress import progress
from estinel_assets.cli.session import Session
from estinel_assets.clock import utc_now
from estinel_assets.demo.ard_pictures import (
    clouds_picture,
    s1_picture,
    s2_picture,
    slope_picture,
)
from estinel_assets.demo.ard_world import ARD_YEAR, ArdWorld, build_ard_world
from estinel_assets.demo.cogs import write_whole
from estinel_assets.demo.world import DEMO_SEED
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.settings import load_settings
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import load_items
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore

if TYPE_CHECKING:
    from estinel_assets.cli.demo import DemoFolder

_SETTINGS = """\
# Settings of the demo. Everything that is not here has its default.
[store]
url = "file://{store}"

[stac]
url = "{url}"

[ard]
tile_table = "{tile_table}"
dem_url = "{url}"
s1_url = "{url}"
s2_url = "{url}"
"""


def demonstrate(session: Session, at: "DemoFolder", port: int) -> None:
    """Make the world and its tiles twice, the second time without work, and draw them."""
    from estinel_assets.cli.demo import serving

    began = time.monotonic()
    world = make_ard_world(at, port)
    made = round(time.monotonic() - began, 1)
    with serving(at):
        first = run_tiles(at, world, "demo-1")
        second = run_tiles(at, world, "demo-2")
    pictures = draw(at, [TileYear(tile, ARD_YEAR) for tile in world.tiles])
    summary = {
        "seconds": round(time.monotonic() - began, 1),
        "world_seconds": made,
        "first_run": first,
        "second_run": second,
        "requests": [str(path) for path in world.requests],
        "store": str(at.store / "ard"),
        "pictures": [str(at.pictures / name) for name in pictures],
    }
    session.show(summary, lambda: _tiles_table(first["rows"]))
    if not session.wants_json:
        write_text("\n")
        write_table(_runs_table({"first run": first, "same again": second}))
        write_text(_where_to_look(at, summary["seconds"]))


def make_ard_world(at: "DemoFolder", port: int, groups: Sequence[str] | None = None) -> ArdWorld:
    """Make the world's scenes, catalogue, tile table, requests, settings and Dagster home anew.

    Args:
        at: where to; what an earlier demo left there is deleted.
        port: where it will answer; another one is taken when it is in use.
        groups: of tiles; None for all.
    """
    from estinel_assets.cli.demo import checkout, free_port

    for old in (at.world, at.store, at.home, at.pictures):
        shutil.rmtree(old, ignore_errors=True)
    for suffix in ("", "-wal", "-shm"):
        at.database.with_name(at.database.name + suffix).unlink(missing_ok=True)
    at.home.mkdir(parents=True)
    shutil.copy(checkout() / "dagster.yaml", at.home / "dagster.yaml")
    world = build_ard_world(at.world, seed=DEMO_SEED, groups=groups)
    load_items(Database(at.database), world.collections, world.items)
    url = f"http://127.0.0.1:{free_port(port)}"
    at.config.write_text(
        _SETTINGS.format(store=at.store, url=url, tile_table=world.tile_table), encoding="utf-8"
    )
    return world


def run_tiles(at: "DemoFolder", world: ArdWorld, run_id: str) -> dict[str, Any]:
    """Make what is missing of the tiles that the world's request asks for.

    Args:
        at: the demo's folder, whose world is being served.
        world: as made.
        run_id: stands in the outcomes.

    Returns:
        Counts by reason and by source, and a row a tile.
    """
    began = time.monotonic()
    settings = load_settings(at.config)
    store = open_store(settings.store.url)
    now = utc_now()
    request = world.requests[0]
    asked = read_request(
        request.read_bytes(), request.name, tile_table_of(settings, store), today=now.date()
    )
    plan = plan_ard(
        asked,
        [Source(source) for source in settings.ard.sources],
        open_ard_book(settings, store).standing(),
        settings,
        retry=RetryRule(settings.outcomes.max_attempts, 0, 0),
        now=now,
    )
    with progress("Arrays", total=len(plan.make)) as step:
        ran = run_ard(
            plan,
            settings,
            store,
            ard_run(run_id),
            on_ended=lambda outcome: step("/".join(outcome.key)),
        )
    return {
        "tiles": len(asked),
        "planned": plan.counts(),
        "reasons": ran.counts(),
        "faults": len(ran.faults),
        "seconds": round(time.monotonic() - began, 1),
        "rows": _rows(asked, ran),
    }


def draw(at: "DemoFolder", asked: Sequence[TileYear]) -> list[str]:
    """Draw what stands of tiles.

    Returns:
        The files' names, below `pictures`.
    """
    store = open_store(load_settings(at.config).store.url)
    names = []
    for tile_year in asked:
        for name, content in _pictures_of(store, tile_year):
            write_whole(at.pictures / name, content)
            names.append(name)
    return names


def _pictures_of(store: ObjectStore, tile_year: TileYear) -> list[tuple[str, bytes]]:
    path, key = tile_year.store_path, tile_year.key
    standing = set(groups_in(store, path))
    pictures = []
    if "dem" in standing:
        slope = read_group(store, path, "dem")["slope"].to_numpy()
        pictures.append((f"{key}_slope.png", slope_picture(slope)))
    if "s1" in standing:
        backscatter = read_group(store, path, "s1", scaled=True)["backscatter"]
        for quarter in range(4):
            values = backscatter.isel(step=3 * quarter).to_numpy()
            pictures.append((f"{key}_s1_q{quarter + 1}.png", s1_picture(values)))
    if "s2_10" in standing:
        group = read_group(store, path, "s2_10", scaled=True)
        for moment, share in _seasons(group["bad_fraction"].to_numpy()):
            seen = group["reflectance"].isel(time=moment, band=[2, 1, 0]).to_numpy()
            pictures.append((f"{key}_s2_{share}.png", s2_picture(seen)))
    if "clouds" in standing:
        clouds = read_group(store, path, "clouds")
        used = clouds["used"].to_numpy().astype(np.bool_)
        pictures.append((f"{key}_clouds.png", clouds_picture(clouds["cloudy"].to_numpy(), used)))
    return pictures


def _seasons(bad: Any) -> list[tuple[int, str]]:
    """The clearest of the first and of the second half of the dates."""
    half = len(bad) // 2
    chosen = [(int(np.argmin(bad[:half])), "early")] if half else []
    return [*chosen, (half + int(np.argmin(bad[half:])), "late")]


def _rows(asked: Sequence[TileYear], ran: ArdRun) -> list[dict[str, Any]]:
    by_key = {outcome.key: outcome for outcome in ran.outcomes}
    rows = []
    for tile_year in asked:
        row: dict[str, Any] = {"tile": tile_year.tile.tag, "year": tile_year.year}
        for source in Source:
            outcome = by_key.get(tile_year.outcome_key(source))
            row[source.value] = "" if outcome is None else outcome.reason
        rows.append(row)
    return rows


def _tiles_table(rows: Sequence[dict[str, Any]]) -> Table:
    columns = ("tile", "year", *(source.value for source in Source))
    return Table(columns, [tuple(row[column] for column in columns) for row in rows])


def _runs_table(runs: dict[str, dict[str, Any]]) -> Table:
    columns = ("run", "tiles", "made", "complete", "ended", "reasons", "seconds")
    rows = [
        (
            name,
            run["tiles"],
            run["planned"]["make"],
            run["planned"]["complete"],
            run["planned"]["ended"],
            ", ".join(f"{count} {reason}" for reason, count in run["reasons"].items()),
            run["seconds"],
        )
        for name, run in runs.items()
    ]
    return Table(columns, rows)


def _where_to_look(at: "DemoFolder", seconds: object) -> str:
    return (
        f"\nMade in {seconds} s.\n"
        f"Pictures:   {at.pictures}/*.png\n"
        f"Arrays:     {at.store}/ard/{ARD_YEAR}/*.zarr\n"
        f"Requests:   {at.world}/requests/missing.json, tiles.csv, areas.geojson\n"
        f"Why a tile lacks something: ESTINEL_CONFIG={at.config} estinel outcomes list "
        "--product ard --status false\n"
    )
