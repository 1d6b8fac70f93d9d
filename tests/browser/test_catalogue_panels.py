"""The panels and dialogs: calendar, time series, map, details, share, help."""

import json
import re
import shlex
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.support.catalogue import day_reasons, image_days, some_sites, write_documents
from tests.support.catalogue_page import Opener, Watched
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

KINGSTON, COAST, ISLAND, NOTHING = some_sites()
DAYS = image_days(ISLAND)
REASONS = day_reasons(ISLAND)
KINDS = {"none": "image", "too_cloudy": "cloudy", "no_valid_pixels": "other"}


def test_the_calendar_shows_what_became_of_each_day(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))

    watched.press("d")
    panel = watched.page.locator("#panel-calendar")
    cells = panel.locator(".calendar-day")
    expect(cells).to_have_count(len(REASONS))
    found = dict(
        cells.evaluate_all("all => all.map((one) => [one.dataset.date, one.dataset.kind])")
    )
    assert found == {day: KINDS.get(reason, "failed") for day, reason in REASONS.items()}
    counts = Counter(found.values())
    legend = panel.locator(".calendar-legend").inner_text()
    for kind, said in (("image", "image"), ("cloudy", "too cloudy"), ("failed", "failed")):
        assert re.search(rf"{said}\s+{counts[kind]}\b", legend), (kind, legend)
    expect(panel.locator(".calendar-day[aria-current]")).to_have_attribute("data-date", DAYS[-1])
    failed = next(day for day, reason in REASONS.items() if reason == "source_corrupt")
    panel.locator(f"[data-date='{failed}']").hover()
    expect(panel.locator(".calendar-status")).to_contain_text("failed, source corrupt")
    expect(panel.locator(".calendar-why")).to_contain_text(
        "A file or answer of the source cannot be decoded."
    )


def test_a_day_of_the_calendar_is_chosen_by_click_and_by_keys(
    web: WebFolder, opened: Opener
) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.page.get_by_role("button", name="Calendar").click()
    panel = watched.page.locator("#panel-calendar")

    expect(panel.locator(".calendar-day")).to_have_count(len(REASONS))
    panel.locator(f"[data-date='{DAYS[3]}']").click()
    watched.shows_day(DAYS[3])
    dates = list(REASONS)
    watched.press("ArrowRight")
    after = dates[dates.index(DAYS[3]) + 1]
    expect(panel.locator(f"[data-date='{after}']")).to_be_focused()
    watched.shows_day(DAYS[3])
    watched.press("Home", "Enter")
    watched.shows_day(DAYS[0])
    panel.get_by_role("button", name="Table").click()
    expect(panel.locator("tbody tr")).to_have_count(len(REASONS))
    panel.get_by_role("button", name=re.compile("Show the image of")).nth(1).click()
    watched.shows_day(DAYS[-2])


def test_the_calendar_of_an_original_catalogue_has_images_only(
    web: WebFolder, opened: Opener
) -> None:
    watched = opened(web.url("original/catalog/?panel=calendar"))

    panel = watched.page.locator("#panel-calendar")
    expect(panel).to_contain_text("tells of images only")
    expect(panel.locator(".calendar-day[data-kind=image]")).to_have_count(60)


def test_the_series_shows_clear_fractions_and_chooses_images(
    web: WebFolder, opened: Opener
) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.press("t")
    panel = watched.page.locator("#panel-series")
    slider = panel.get_by_role("slider")

    expect(slider).to_have_attribute("aria-valuemax", "60")
    expect(slider).to_have_attribute("aria-valuenow", "60")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("% clear"))
    slider.focus()
    watched.press("ArrowLeft")
    watched.shows_day(DAYS[-2])
    watched.press("Home")
    watched.shows_day(DAYS[0])
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": box["width"] - 12, "y": box["height"] / 2})
    shown = watched.wait_shown()
    assert shown[-10:] in DAYS[-6:]


def test_the_map_shows_the_sites_and_opens_them(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.press("p")
    panel = watched.page.locator("#panel-map")
    marks = panel.locator(".map-site:visible")

    expect(marks.first).to_be_visible()
    panel.get_by_role("button", name="South pole").click()
    coast = panel.get_by_role("button", name=re.compile(COAST.name))
    coast.click()
    watched.shows_day(image_days(COAST)[-1])
    expect(panel.get_by_role("button", name=re.compile(f"{COAST.name}, shown now"))).to_be_visible()
    panel.get_by_role("button", name="Mercator").click()
    named = panel.get_by_role("button", name=re.compile(KINGSTON.name))
    named.focus()
    watched.press("Enter")
    watched.shows_day(image_days(KINGSTON)[-1])
    pixels = panel.locator("canvas").evaluate(
        "canvas => new Set(new Uint32Array(canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
    )
    assert pixels > 2, "land and sea are drawn"
    expect(panel.locator(".map-legend")).to_contain_text("older")


def test_a_catalogue_without_coordinates_has_no_map(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("original/catalog/?panel=map"))

    expect(watched.page.locator("#panel-map")).to_contain_text("gives no coordinates")


def clipboard(watched: Watched) -> str:
    return str(watched.page.evaluate("navigator.clipboard.readText()"))


def test_details_link_to_the_place_and_day_elsewhere(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?location=Kingston HQ")
    watched.press("i")
    panel = watched.page.locator("#panel-details")

    copernicus = panel.get_by_role("link", name=re.compile("Copernicus Browser"))
    query = parse_qs(urlsplit(copernicus.get_attribute("href") or "").query)
    assert query["lat"][0].startswith("-42.99")
    assert query["lng"][0].startswith("147.29")
    day = image_days(KINGSTON)[-1]
    # Tasmania's morning of that solar day is the evening before, or just after midnight, in UTC.
    assert query["fromTime"][0][:10] <= day
    assert query["fromTime"][0][:10] == query["toTime"][0][:10]
    google = panel.get_by_role("link", name=re.compile("Google Maps"))
    assert "@-42.99000,147.29000," in (google.get_attribute("href") or "")
    for link in (copernicus, google):
        expect(link).to_have_attribute("rel", re.compile("noopener"))
    watched.press("ArrowLeft")
    watched.shows_day(image_days(KINGSTON)[-2])
    item = panel.get_by_role("link", name=re.compile("STAC item"))
    expect(item).to_have_attribute("href", re.compile(rf"{image_days(KINGSTON)[-2]}\.json$"))


def test_coordinates_extent_and_code_are_copied(web: WebFolder, opened: Opener) -> None:
    watched = opened(
        f"{web.url('split/catalog/')}?location=Kingston HQ&panel=details",
        permissions=["clipboard-read", "clipboard-write"],
    )
    panel = watched.page.locator("#panel-details")
    day = image_days(KINGSTON)[-1]

    panel.get_by_role("button", name="Copy: Coordinates").click()
    assert clipboard(watched) == "-42.99, 147.29"
    grid = json.loads((web.folder / "split/catalog/index.json").read_text())["locations"][0]["grid"]
    assert f"EPSG:{grid['epsg']}" in panel.inner_text()
    address = f"/vsicurl/{web.url('split/')}"
    for language, words in (
        ("GDAL", [f"gdalinfo '{address}", f"{day}.tif'"]),
        ("Python", ["rasterio.open(", f"{day}.tif"]),
        ("R", ["rast(", f"{day}.tif"]),
    ):
        panel.get_by_role("button", name=language, exact=True).click()
        panel.get_by_role("button", name="Copy: Code").click()
        for word in words:
            assert word in clipboard(watched)


def test_the_geotiff_is_downloaded(web: WebFolder, opened: Opener) -> None:
    day = image_days(KINGSTON)[-1]
    name = f"{KINGSTON.site.file_stem}_{day}.tif"
    file = web.folder / "split" / "sentinel-2-c1-l2a" / day.replace("-", "/") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"II*\0")
    watched = opened(f"{web.url('split/catalog/')}?location=Kingston HQ&panel=details")

    with watched.page.expect_download() as waiting:
        watched.page.get_by_role("link", name=re.compile("Download GeoTIFF")).click()

    assert Path(waiting.value.path()).read_bytes() == b"II*\0"
    assert waiting.value.suggested_filename == name


def test_a_shared_view_carries_its_source(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"), permissions=["clipboard-read", "clipboard-write"])
    watched.press("ArrowLeft", "s")
    dialog = watched.page.get_by_role("dialog")

    dialog.get_by_role("button", name="Copy text with source").click()
    text = clipboard(watched)
    assert ISLAND.name in text
    assert DAYS[-2] in text
    assert "Contains modified Copernicus Sentinel data" in text
    dialog.get_by_role("button", name="Copy the address").click()
    shared = opened(clipboard(watched), apart=True)
    shared.shows_day(DAYS[-2])
    watched.press("Escape")
    expect(dialog).to_have_count(0)


def test_help_lists_every_key(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.press("?")

    dialog = watched.page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Help")).to_be_visible()
    keys = set(dialog.locator(".kbd").all_inner_texts())
    assert {"←", "→", "↑", "↓", "1", "2", "3", "G", "C", "V", "M", "Space", "?"} <= keys
    watched.press("ArrowLeft", "Escape")
    expect(dialog).to_have_count(0)
    watched.shows_day(DAYS[-1])


def test_panels_open_and_close_by_key_click_and_escape(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    frame = watched.page.locator("#panel")

    for key, name in zip("dtpir", ["calendar", "series", "map", "details", "ratings"], strict=True):
        watched.press(key)
        expect(watched.page.locator(f"#panel-{name}")).to_be_visible()
    watched.press("r")
    expect(frame).to_be_hidden()
    watched.page.get_by_role("button", name="Time series").click()
    expect(frame).to_be_visible()
    watched.press("Escape")
    expect(frame).to_be_hidden()
    watched.press("d")
    frame.get_by_role("button", name="Close").click()
    expect(frame).to_be_hidden()
    watched.press("ArrowLeft")
    watched.shows_day(DAYS[-2])


def test_everything_works_where_the_clipboard_is_forbidden(
    web: WebFolder, chromium: Browser, opened: Opener
) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})"
    )
    watched.press("s")

    watched.page.get_by_role("button", name="Copy the address").click()

    expect(watched.page.get_by_role("dialog")).to_contain_text(re.compile("Copied|Not copied"))


def test_a_name_of_an_enemy_stays_text_in_code(web: WebFolder, opened: Opener) -> None:
    name = "a'; rm -rf $(HOME) \"\\ ` \n#"
    write_documents(
        web.folder / "quotes" / "catalog",
        [
            {
                "id": "q",
                "name": name,
                "images": [
                    {
                        "id": "q/1",
                        "date": "2024-01-01",
                        "url": {"q128": "../q_2024-01-01_q128.png"},
                        "download": "../a'b$(x)`y`.tif",
                    }
                ],
            }
        ],
    )
    watched = opened(
        web.url("quotes/catalog/?panel=details"), permissions=["clipboard-read", "clipboard-write"]
    )
    panel = watched.page.locator("#panel-details")

    panel.get_by_role("button", name="GDAL", exact=True).click()
    panel.get_by_role("button", name="Copy: Code").click()

    words = shlex.split(clipboard(watched))
    assert words[0] == "gdalinfo"
    assert words[1].startswith("/vsicurl/http")
    assert words[2] == "gdal_translate"
    assert len(words) == 5
