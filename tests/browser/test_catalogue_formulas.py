"""The page's own formulas, evaluated in the browser, against pyproj and against Python."""

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from pyproj import Transformer

from estinel_assets.imagery.site import Site
from estinel_assets.imagery.windows import site_window
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

_CALLS = """
async ([address, calls]) => {
  const module = await import(address);
  return calls.map(([name, ...values]) => module[name](...values));
}
"""
_MILLIMETRE_DEG = 1e-8
"""On the ground about a millimetre."""


@pytest.fixture(scope="module")
def blank(chromium: Browser, web: WebFolder) -> Iterator[Page]:
    page = chromium.new_page()
    page.goto(web.url("blank.html"))
    yield page
    page.close()


def called(page: Page, module: str, calls: list[list[Any]]) -> list[Any]:
    """What functions of a module of the page return."""
    return page.evaluate(_CALLS, [f"/split/catalog/app/{module}.js", calls])


def _places(epsg: int) -> list[tuple[float, float]]:
    chance = random.Random(epsg)
    if epsg == 3031:
        return [(chance.uniform(-180, 180), chance.uniform(-89.99, -60)) for _ in range(40)]
    if epsg == 3413:
        return [(chance.uniform(-180, 180), chance.uniform(60, 89.99)) for _ in range(40)]
    middle = (epsg % 100) * 6 - 183
    low, high = (-80, 0) if epsg > 32700 else (0, 84)
    return [
        ((middle + chance.uniform(-4, 4) + 180) % 360 - 180, chance.uniform(low, high))
        for _ in range(40)
    ]


@pytest.mark.parametrize("epsg", [3031, 3413, 32601, 32631, 32660, 32701, 32755, 32760])
def test_places_are_found_as_pyproj_does(blank: Page, epsg: int) -> None:
    places = _places(epsg)
    there = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)
    points = [there.transform(lon, lat) for lon, lat in places]

    back = called(blank, "projection", [["toLonLat", epsg, x, y] for x, y in points])

    for (lon, lat), (found_lon, found_lat) in zip(places, back, strict=True):
        turn = (found_lon - lon + 180) % 360 - 180
        assert abs(turn) * math.cos(math.radians(lat)) < _MILLIMETRE_DEG
        assert abs(found_lat - lat) < _MILLIMETRE_DEG


def test_the_pole_itself_and_what_no_formula_fits(blank: Page) -> None:
    pole, other, endless, no_zone = called(
        blank,
        "projection",
        [
            ["toLonLat", 3031, 0, 0],
            ["toLonLat", 4326, 1, 1],
            ["toLonLat", 32755, None, 1],
            ["toLonLat", 32661, 1, 1],
        ],
    )

    assert pole[1] == -90
    assert (other, endless, no_zone) == (None, None, None)


SITES = [
    Site("Hobart", 147.3, -42.9),
    Site("Equator", 6.61, 0.0),
    Site("Siple Coast", -150.0, -82.5),
    Site("By the antimeridian", 179.999, -16.5),
    Site("The South Pole", 0.0, -89.999),
    Site("The far north", 30.0, 85.2),
]


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.location)
def test_the_box_of_a_grid_is_the_one_of_the_pipeline(blank: Page, site: Site) -> None:
    window = site_window(site)
    grid = {
        "epsg": int(window.grid.crs[5:]),
        "transform": list(window.grid.transform),
        "shape": list(window.grid.shape),
    }

    [box, centre] = called(blank, "projection", [["gridBoundsLonLat", grid], ["gridCentre", grid]])

    west, south, _, north = window.bboxes[0]
    expected = west, south, window.bboxes[-1][2], north
    # The pipeline's box is rounded outward; the page's has fewer points an edge.
    assert box == pytest.approx(expected, abs=2e-4)
    assert centre[1] == pytest.approx(site.lat, abs=1e-3)


_FILTERED = """
async ([address, cases]) => {
  const { shownImages } = await import(address);
  return cases.map(({ images, ratings, state }) => {
    const get = (id) => (id in ratings ? { rating: ratings[id] } : null);
    return shownImages({ images }, state, { get }).map((image) => image.id);
  });
}
"""


def _case(chance: random.Random) -> dict[str, Any]:
    images = [
        {
            "id": f"i{number}",
            "date": f"20{chance.randint(15, 25)}-{chance.randint(1, 12):02}-{number % 28 + 1:02}",
            "cloud": chance.choice([None, 0, 0.1, 0.25, 0.5, 1]),
        }
        for number in range(40)
    ]
    words = ["good", "ok", "bad", "unrated"]
    return {
        "images": images,
        "ratings": {one["id"]: chance.choice(words[:3]) for one in chance.sample(images, 25)},
        "state": {
            "ratingsShown": chance.sample(words, chance.randint(0, 4)),
            "from": chance.choice([None, "2018-06-15"]),
            "to": chance.choice([None, "2022-03-01"]),
            "months": chance.choice([[], [1, 2, 12], [6, 7, 8], list(range(1, 13))]),
            "maxCloud": chance.choice([None, 0, 0.1, 0.25, 1]),
        },
    }


def _expected(case: dict[str, Any]) -> list[str]:
    state = case["state"]
    return [
        image["id"]
        for image in case["images"]
        if case["ratings"].get(image["id"], "unrated") in state["ratingsShown"]
        and (state["from"] or "") <= image["date"] <= (state["to"] or "9999")
        and (not state["months"] or int(image["date"][5:7]) in state["months"])
        and (state["maxCloud"] is None or (image["cloud"] or 0) <= state["maxCloud"])
    ]


def test_the_filters_choose_as_written_down_in_python(blank: Page) -> None:
    chance = random.Random(9)
    cases = [_case(chance) for _ in range(150)]

    found = blank.evaluate(_FILTERED, ["/split/catalog/app/filters.js", cases])

    assert found == [_expected(case) for case in cases]
    assert any(found)
    assert not all(found)


_MERGED = """
async ([address, own, cases]) => {
  const { mergeImported } = await import(address);
  return cases.map(([kept, rated]) => {
    const { changes, conflicts, counts } = mergeImported((id) => kept[id] ?? null, rated, own);
    return [Object.fromEntries(changes), conflicts.map((one) => [one.imageId, one.kept]), counts];
  });
}
"""
_TIMES = [f"2024-05-0{day}T10:00:00.000Z" for day in (1, 2, 3)]


def test_of_two_ratings_the_newer_stands_and_contradiction_is_told(blank: Page) -> None:
    old, middle, new = _TIMES
    ours = {"rating": "good", "timestamp": middle}

    def theirs(rating: str, timestamp: str) -> dict[str, Any]:
        return {"rating": rating, "timestamp": timestamp, "user": "user_2"}

    def rated(entry: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"imageId": "a", "entry": entry}]

    cases = [
        [{}, rated(theirs("bad", old))],
        [{"a": ours}, rated(theirs("bad", new))],
        [{"a": ours}, rated(theirs("bad", old))],
        [{"a": ours}, rated(theirs("bad", middle))],
        [{"a": ours}, rated(theirs("good", new))],
        [{"a": ours}, rated({"rating": "ok", "timestamp": new, "user": "me"})],
        [{"a": ours}, rated({"rating": "ok", "timestamp": old, "user": "me"})],
    ]

    found = blank.evaluate(_MERGED, ["/split/catalog/app/rating-merge.js", "me", cases])

    stands = [(one[0].get("a") or {}).get("rating") for one in found]
    assert stands == ["bad", "bad", None, None, None, "ok", None]
    assert [one[1] for one in found] == [
        [], [["a", "theirs"]], [["a", "ours"]], [["a", "ours"]], [], [], [],
    ]  # fmt: skip
    assert [next(key for key, n in one[2].items() if n) for one in found] == [
        "added", "updated", "older", "older", "same", "updated", "older",
    ]  # fmt: skip


def test_merging_twice_changes_nothing_more(blank: Page) -> None:
    chance = random.Random(4)

    def entry(user: str | None) -> dict[str, Any]:
        made = {"rating": chance.choice(["good", "ok", "bad"]), "timestamp": chance.choice(_TIMES)}
        return made if user is None else {**made, "user": user}

    kept = {f"i{number}": entry(None) for number in range(0, 60, 2)}
    rated = [{"imageId": f"i{number}", "entry": entry("you")} for number in range(60)]
    arguments = ["/split/catalog/app/rating-merge.js", "me"]
    [[changes, _, counts]] = blank.evaluate(_MERGED, [*arguments, [[kept, rated]]])
    [[again, _, _]] = blank.evaluate(_MERGED, [*arguments, [[{**kept, **changes}, rated]]])

    assert counts["added"] == 30
    assert again == {}
    for number, one in enumerate(rated):
        ours, after = kept.get(f"i{number}"), {**kept, **changes}[f"i{number}"]
        newest = one["entry"]["timestamp"] > (ours or {"timestamp": ""})["timestamp"]
        expected = one["entry"] if newest else ours
        assert after["rating"] == (expected or {})["rating"]
