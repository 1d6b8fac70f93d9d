"""Catalogue folders as the browser reads them, made in any size, the same every time.

A folder looks like a store: `catalog/` holds the documents and the page, the pictures lie beside.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from estinel_assets.imagery.layout import VIEW_NAMES, day_paths
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import site_window
from tests.support.pictures import write_pictures

Form = Literal["split", "single", "original"]
"""`split`: index, fragments and the one document; `single`: only the latter; `original`: the same
with the keys and nothing but the keys that other catalogues have."""
Document = dict[str, Any]

WEB = Path(__file__).parents[2] / "estinel_assets" / "web"
COLLECTION = "sentinel-2-c1-l2a"
ROOT = "https://images.example.org/estinel"
"""What addresses begin with; nothing answers there."""
FIRST_DAY = date(2017, 3, 2)
ATTRIBUTION = "Contains modified Copernicus Sentinel data [{year}]"

_OUR_KEYS = {"q128": "view_q128", "histeq": "view_hist", "stretch": "view_stretch"}
_STEP_DAYS = (2, 3)
_FAULTS = ("source_timeout", "source_corrupt", "no_valid_pixels")


@dataclass(frozen=True, slots=True)
class MadeSite:
    """A site of a made catalogue."""

    name: str
    lon: float = 147.3
    lat: float = -42.9
    purpose: tuple[str, ...] = ()
    images: int = 60
    first: date = FIRST_DAY
    ratings: bool = False
    """Whether other people's ratings of its images stand beside it."""

    @property
    def site(self) -> Site:
        """As the pipeline knows it."""
        return Site(self.name, self.lon, self.lat, 10.0, 3000.0, 3000.0, self.purpose)


def some_sites() -> list[MadeSite]:
    """One in UTM, one on the equator, one by the pole, one without images."""
    return [
        MadeSite("Kingston HQ", 147.29, -42.99, ("office", "coast"), 60, ratings=True),
        MadeSite("Siple Coast", -150.0, -82.5, ("ice",), 60, date(2019, 10, 1)),
        MadeSite("Île Équateur (São Tomé)", 6.61, 0.0, ("coast", "islands"), 60, date(2020, 1, 3)),
        MadeSite("Nothing Yet", -179.99, 66.2, ("ice", "islands"), 0),
    ]


def many_sites(sites: int, images: int) -> list[MadeSite]:
    """Sites all over the world, each with as many images."""
    purposes = ("coast", "ice", "islands", "forest", "lake")
    return [
        MadeSite(
            name=f"Place {number:03d}",
            lon=round((number * 137.508) % 360 - 180, 4),
            lat=round(((number * 61.8) % 160) - 80, 4),
            purpose=(purposes[number % len(purposes)],),
            images=images,
            first=FIRST_DAY,
        )
        for number in range(sites)
    ]


def make_catalogue(
    folder: Path,
    sites: Sequence[MadeSite],
    *,
    form: Form = "split",
    pictures: bool = True,
    root: str = ROOT,
) -> Path:
    """Make the documents of a catalogue, link the page, and draw its pictures.

    Args:
        folder: the store's root; made where it is absent.
        sites: the sites.
        form: which documents.
        pictures: False draws none: a server that answers for absent pictures shows them.
        root: what addresses begin with. The `original` form has paths relative to the document.

    Returns:
        The folder `catalog` in it.
    """
    catalog = folder / "catalog"
    catalog.mkdir(parents=True, exist_ok=True)
    link_page(catalog)
    locations, summaries = [], []
    for number, made in enumerate(sites):
        days = _days(made)
        entries = list(_entries(made, days, "../" if form == "original" else root, form))
        location = _location(made, entries, form)
        locations.append(location)
        if form == "split":
            summaries.append(_fragment(catalog, made, location, days, root))
        if pictures:
            write_pictures(folder, number, [paths.views for paths in _paths(made, days)], "views")
            write_pictures(
                folder, number, [paths.thumbnails for paths in _paths(made, days)], "thumbs"
            )
        if made.ratings and form != "original":
            _write(catalog / f"ratings/{made.site.site_id}.json", _ratings(entries))
    whole: Document = {} if form == "original" else {"root": root}
    whole["locations"] = sorted(locations, key=lambda one: one["name"])
    _write(catalog / "image-catalog.json", whole)
    if form == "split":
        _write(catalog / "index.json", _index(root, summaries))
    return catalog


def make_many(
    folder: Path, sites: int, images: int, *, form: Form, whole: Container[int] | None = None
) -> Path:
    """Make `many_sites` without pictures, quickly: the text of one site becomes that of all.

    Args:
        folder: the store's root; made where it is absent.
        sites: how many.
        images: of each.
        form: which documents.
        whole: numbers of the sites that will be opened; the parts of others hold their newest
            image only. None for all. Nothing but the form `split` has parts.

    Returns:
        The folder `catalog` in it.
    """
    catalog = folder / "catalog"
    catalog.mkdir(parents=True, exist_ok=True)
    link_page(catalog)
    made = many_sites(sites, images)
    days = _days(made[0])
    model = list(_entries(made[0], days, "../" if form == "original" else ROOT, form))
    text, stem = json.dumps(model), made[0].site.file_stem
    summaries, parts = [], []
    for number, one in enumerate(made):
        entries = text.replace(stem, one.site.file_stem)
        location = json.dumps(_location(one, [], form))
        parts.append(location.replace('"images": []', f'"images": {entries}'))
        if form == "split":
            newest = json.loads(json.dumps(model[-1:]).replace(stem, one.site.file_stem))
            summary = _fragment(catalog, one, _location(one, newest, form), days, ROOT)
            summaries.append({**summary, "n_images": images, "first": model[0]["date"]})
            if whole is not None and number not in whole:
                continue
            file = catalog / summary["file"]
            found = file.read_text(encoding="utf-8")
            shown = json.dumps(newest, ensure_ascii=False)
            file.write_text(found.replace(shown, entries), encoding="utf-8")
    if form == "split":
        _write(catalog / "index.json", _index(ROOT, summaries))
    else:
        root = "" if form == "original" else f'"root": "{ROOT}", '
        whole = f'{{{root}"locations": [{", ".join(parts)}]}}'
        (catalog / "image-catalog.json").write_text(whole, encoding="utf-8")
    return catalog


def link_page(catalog: Path) -> None:
    """Put the page of the package beside a catalogue."""
    for file in WEB.iterdir():
        link = catalog / file.name
        if not link.is_symlink():
            link.symlink_to(file)


def write_documents(catalog: Path, locations: Iterable[Document], **more: object) -> Path:
    """Write a single catalogue of locations that the test wrote out itself, beside the page."""
    catalog.mkdir(parents=True, exist_ok=True)
    link_page(catalog)
    _write(catalog / "image-catalog.json", {"locations": list(locations), **more})
    return catalog


def image_days(made: MadeSite) -> list[str]:
    """The solar days that have images, oldest first."""
    return [day.isoformat() for day, reason in _days(made).items() if reason == "none"]


def day_reasons(made: MadeSite) -> dict[str, str]:
    """By solar day with an outcome, its reason word."""
    return {day.isoformat(): reason for day, reason in _days(made).items()}


def _days(made: MadeSite) -> dict[date, str]:
    """By solar day, the reason word; `none` stands as often as the site has images."""
    days: dict[date, str] = {}
    day, images, number = made.first, 0, len(made.name)
    while images < made.images:
        if number % 7 == 3:
            days[day] = "too_cloudy"
        elif number % 23 == 11:
            days[day] = _FAULTS[number // 23 % len(_FAULTS)]
        else:
            days[day] = "none"
            images += 1
        day += timedelta(days=_STEP_DAYS[number % 2])
        number += 1
    return days


def _paths(made: MadeSite, days: Mapping[date, str]) -> list[Any]:
    stem = made.site.file_stem
    return [day_paths(COLLECTION, day, stem) for day, reason in days.items() if reason == "none"]


def _entries(made: MadeSite, days: Mapping[date, str], root: str, form: Form) -> Iterable[Document]:
    base = root if root.endswith("/") else f"{root}/"
    encoded = base.startswith("http")
    stem = made.site.file_stem
    for number, day in enumerate(day for day, reason in days.items() if reason == "none"):
        paths = day_paths(COLLECTION, day, stem)

        def address(path: str) -> str:
            return base + (quote(path) if encoded or form == "original" else path)

        keys = dict(zip(VIEW_NAMES, VIEW_NAMES, strict=True)) if form == "original" else _OUR_KEYS
        entry: Document = {
            "id": paths.image_id,
            "date": day.isoformat(),
            "url": {keys[name]: address(path) for name, path in paths.views.items()},
            "thumbnail": {keys[name]: address(path) for name, path in paths.thumbnails.items()},
        }
        if form != "original":
            cloud = round((number * 37 % 100) / 100, 3)
            valid = 1.0 if number % 5 else 0.8
            entry |= {
                "download": address(paths.rgb),
                "stac-item": address(paths.item),
                "valid_fraction": valid,
                "cloud_fraction": cloud,
                "clear_fraction": round(valid * (1 - cloud), 4),
                "attribution": ATTRIBUTION.format(year=day.year),
            }
        yield entry


def _location(made: MadeSite, entries: list[Document], form: Form) -> Document:
    site = made.site
    if form == "original":
        purpose: Document = {}
        if made.purpose:
            purpose["purpose"] = made.purpose[0] if len(made.purpose) == 1 else list(made.purpose)
        return {"id": site.site_id, "name": made.name, **purpose, "images": entries}
    grid = site_window(site).grid
    return {
        "id": site.site_id,
        "name": made.name,
        "lon": made.lon,
        "lat": made.lat,
        "purpose": list(made.purpose),
        "grid": {
            "epsg": int(grid.crs.removeprefix("EPSG:")),
            "transform": list(grid.transform),
            "shape": list(grid.shape),
        },
        "images": entries,
    }


def _fragment(
    catalog: Path, made: MadeSite, location: Document, days: Mapping[date, str], root: str
) -> Document:
    """Write a site's part; what the index says of it."""
    words = {day.isoformat(): reason for day, reason in days.items()}
    listed = {day: hashlib.md5(day.encode(), usedforsecurity=False).hexdigest() for day in words}
    file = f"fragments/{location['id']}.json"
    body = _write(
        catalog / file, {"location": location, "days": words, "listed": listed, "address": root}
    )
    images = location["images"]
    faults = {word.value for word in ImageryReason if word.fault}
    return {
        **{key: value for key, value in location.items() if key != "images"},
        "n_images": len(images),
        "first": images[0]["date"] if images else None,
        "newest": images[-1]["date"] if images else None,
        "newest_image": images[-1] if images else None,
        "faults": sum(reason in faults for reason in words.values()),
        "file": file,
        "ratings": f"ratings/{location['id']}.json" if made.ratings else None,
        "version": hashlib.sha256(body).hexdigest()[:16],
    }


def _index(root: str, summaries: list[Document]) -> Document:
    reasons = {word.value: {"fault": word.fault, "meaning": word.meaning} for word in ImageryReason}
    return {
        "version": 1,
        "root": root,
        "reasons": reasons,
        "locations": sorted(summaries, key=lambda one: (one["name"], one["id"])),
    }


def _ratings(entries: list[Document]) -> Document:
    cycle = (("good", 3, 0, 0), ("ok", 1, 2, 0), ("bad", 0, 0, 2), ("split", 1, 0, 1))
    images = {}
    for number, entry in enumerate(entries[::2]):
        consensus, good, ok, bad = cycle[number % len(cycle)]
        images[entry["id"]] = {
            "consensus": consensus,
            "good": good,
            "ok": ok,
            "bad": bad,
            "raters": good + ok + bad,
        }
    return {"images": images}


def _write(path: Path, document: Document) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    body = json.dumps(document, ensure_ascii=False).encode()
    path.write_bytes(body)
    return body
