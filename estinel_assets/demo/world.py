"""The embedded world on disk: scenes, items and the table of sites.

    {folder}/
        sites.csv               the table of sites
        collections.json        a list of STAC collections
        items.json              a STAC item collection
        scenes/{item id}/       B04.tif B03.tif B02.tif SCL.tif

Everything is a function of the seed. Real scenes measure 10980 x 10980 pixels, these about
768 x 768 around their site, so that all of them are made in seconds; the form of files and
items is that of Earth Search.
"""

import csv
import io
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from estinel_assets.demo import items as stac
from estinel_assets.demo.cogs import cog_bytes, cut_short, write_whole
from estinel_assets.demo.scenes import (
    Picture,
    Scene,
    cut,
    generator,
    picture_of,
    scenes_of,
)
from estinel_assets.demo.schedule import PLACES, Act, Pass, Place
from estinel_assets.errors import BadInputError
from estinel_assets.raster.grids import Grid

DEMO_SEED = 7
"""The seed whose landscapes were looked at and found good."""

SITES_FILE = "sites.csv"
COLLECTIONS_FILE = "collections.json"
ITEMS_FILE = "items.json"

StacObject = dict[str, object]


@dataclass(frozen=True, slots=True)
class World:
    """What was built."""

    folder: Path
    """Root of the scenes' relative addresses."""
    seed: int
    collections: tuple[StacObject, ...]
    items: tuple[StacObject, ...]
    """Ordered by place, then time; asset addresses are relative to `folder`."""
    sites: Path
    """CSV: location, lon, lat, resolution, radiusx, radiusy, purpose."""


def build_world(folder: Path, *, seed: int, locations: Collection[str] | None = None) -> World:
    """Make the first act: scenes, items and the table of sites.

    Args:
        folder: where to; made if absent, files in it are replaced.
        seed: the same seed gives the same bytes.
        locations: only these places; None for all five.

    Raises:
        BadInputError: a location is not among the demo's places.
    """
    places = _chosen(locations)
    made = tuple(_publish(folder, places, seed, act=1))
    sites = folder / SITES_FILE
    write_whole(sites, _sites_csv(places).encode())
    collections = (stac.collection(),)
    write_whole(folder / COLLECTIONS_FILE, _json(list(collections)))
    write_whole(folder / ITEMS_FILE, _json(_item_collection(made)))
    return World(folder=folder, seed=seed, collections=collections, items=made, sites=sites)


def pass_a_day(world: World) -> tuple[StacObject, ...]:
    """Make the second act in a world's folder: what a day later brings.

    A scene of an earlier day that was published late, a reprocessed version of a scene, the
    whole file where one was cut short (same id, newer `updated`), and a new day. Calling it
    again writes the same again.

    Args:
        world: as built; the places of its items take part.

    Returns:
        The items to put into the catalogue; one of them replaces an item of the first act.
    """
    with world.sites.open(newline="") as table:
        locations = [row["location"] for row in csv.DictReader(table)]
    made = tuple(_publish(world.folder, _chosen(locations), world.seed, act=2))
    merged = {str(item["id"]): item for item in (*world.items, *made)}
    write_whole(world.folder / ITEMS_FILE, _json(_item_collection(merged.values())))
    return made


def _chosen(locations: Collection[str] | None) -> tuple[Place, ...]:
    if locations is None:
        return PLACES
    known = {place.location for place in PLACES}
    unknown = sorted(set(locations) - known)
    if unknown:
        raise BadInputError(
            f"no such place in the demo: {', '.join(unknown)}; choose from "
            f"{', '.join(sorted(known))}"
        )
    return tuple(place for place in PLACES if place.location in locations)


def _publish(folder: Path, places: Iterable[Place], seed: int, *, act: Act) -> Iterable[StacObject]:
    for place in places:
        scenes = list(scenes_of(place, act))
        if not scenes:
            continue
        land = place.build(place.shape, generator(seed, place.location, "land"))
        drawn: tuple[Pass, Picture] | None = None
        for scene in scenes:
            # The scenes of one pass follow one another and share its picture.
            if drawn is None or drawn[0] is not scene.flight:
                drawn = scene.flight, picture_of(place, scene.flight, land, seed)
            yield _write_scene(folder, scene, cut(scene, drawn[1]))


def _write_scene(folder: Path, scene: Scene, picture: Picture) -> StacObject:
    grid = scene.grid
    coarse = Grid(grid.crs, grid.left, grid.top, 20.0, grid.width // 2, grid.height // 2)
    files = {
        band.file: cog_bytes(picture.bands[index], grid) for index, band in enumerate(stac.BANDS)
    }
    files[stac.SCL_FILE] = cog_bytes(picture.classes, coarse)
    item = stac.item_of(scene, picture.classes, files)
    target = folder / "scenes" / str(item["id"])
    for name, content in files.items():
        broken = scene.truncated and name == stac.BANDS[0].file
        write_whole(target / name, cut_short(content) if broken else content)
    return item


def _sites_csv(places: Iterable[Place]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["location", "lon", "lat", "resolution", "radiusx", "radiusy", "purpose"])
    for place in places:
        rows.writerow(
            [place.location, place.longitude_deg, place.latitude_deg, 10,
             f"{place.radiusx_m:g}", f"{place.radiusy_m:g}", place.purpose]
        )  # fmt: skip
    return text.getvalue()


def _item_collection(items: Iterable[StacObject]) -> StacObject:
    return {"type": "FeatureCollection", "features": list(items)}


def _json(document: object) -> bytes:
    return (json.dumps(document, sort_keys=True) + "\n").encode()
