"""The page that the pipeline published beside its own catalogue, as `make demo` leaves it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.catalogue_page import Opener
from tests.support.demo import made_demo
from tests.support.web_folder import WebFolder

# The demo itself is made within the first test's time.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebFolder]:
    made = made_demo(tmp_path_factory)
    assert made.code == 0, made.stderr
    with WebFolder(made.root / "store") as server:
        yield server


def _locations(store: WebFolder) -> list[dict[str, object]]:
    text = (store.folder / "catalog" / "image-catalog.json").read_text(encoding="utf-8")
    locations: list[dict[str, object]] = json.loads(text)["locations"]
    return locations


def test_every_image_of_every_site_is_shown(store: WebFolder, opened: Opener) -> None:
    watched = opened(store.url("catalog/"))
    page = watched.page
    locations = _locations(store)
    expect(page.locator("#sites .site-name")).to_have_count(len(locations))

    for location in locations:
        page.locator("#sites").get_by_text(str(location["name"]), exact=True).click()
        expect(page.locator("#title")).to_contain_text(str(location["name"]))
        images = location["images"]
        assert isinstance(images, list)
        for image in reversed(images):
            expect(watched.frame()).to_have_attribute("data-shown", image["id"])
            watched.press("ArrowLeft")
    expect(watched.page.locator(".stage-failed")).to_have_count(0)


@pytest.mark.parametrize("document", ["index.json", "image-catalog.json"])
def test_all_views_and_thumbnails_are_there(
    store: WebFolder, opened: Opener, document: str
) -> None:
    watched = opened(store.url(f"catalog/?catalog={document}"))
    picture = watched.frame().locator("img").first

    for view in ("histeq", "stretch", "q128"):
        watched.press("v")
        expect(picture).to_have_attribute("src", re.compile(f"_{view}.png$"))
        watched.wait_shown()
    assert picture.evaluate("one => one.naturalWidth") > 50
    thumbnails = watched.page.get_by_role("option").locator("img")
    expect(thumbnails.first).to_be_visible()
    watched.page.wait_for_function(
        "() => [...document.querySelectorAll('[role=option] img')]"
        ".every((one) => one.naturalWidth > 0)"
    )
    expect(watched.page.locator(".stage-attribution")).to_contain_text(
        "Contains modified Copernicus Sentinel data"
    )


def test_the_calendar_says_what_became_of_each_day(store: WebFolder, opened: Opener) -> None:
    index = json.loads((store.folder / "catalog" / "index.json").read_text(encoding="utf-8"))
    seen = set()
    watched = opened(store.url("catalog/?panel=calendar"))
    panel = watched.page.locator("#panel-calendar")

    for location in index["locations"]:
        file = store.folder / "catalog" / location["file"]
        days = json.loads(file.read_text(encoding="utf-8"))["days"]
        watched.page.locator("#sites").get_by_text(location["name"], exact=True).click()
        expect(panel.locator(".calendar-day")).to_have_count(len(days))
        for day, reason in days.items():
            if reason != "none" and reason not in seen:
                cell = panel.locator(f".calendar-day[data-date='{day}']")
                label = re.compile(reason.replace("_", " "))
                expect(cell).to_have_attribute("aria-label", label)
                seen.add(reason)
    assert seen


def test_files_of_an_image_are_downloaded(store: WebFolder, opened: Opener) -> None:
    watched = opened(store.url("catalog/?panel=details"))
    panel = watched.page.locator("#panel-details")

    for name in ("Download GeoTIFF", "STAC item"):
        address = panel.get_by_role("link", name=re.compile(name)).get_attribute("href") or ""
        file = store.folder / urlsplit(address).path.lstrip("/")
        assert file.is_file(), address
    expect(panel).to_contain_text(re.compile(r"EPSG:32[67]\d\d"))


def test_the_page_is_published_whole(store: WebFolder) -> None:
    web = Path(__file__).parents[2] / "estinel_assets" / "web"
    published = store.folder / "catalog"
    names = [
        file.relative_to(web).as_posix()
        for file in web.rglob("*")
        if file.is_file() and not any(part.startswith((".", "_")) for part in file.parts)
    ]

    assert len(names) > 40
    for name in names:
        assert (published / name).read_bytes() == (web / name).read_bytes(), name
