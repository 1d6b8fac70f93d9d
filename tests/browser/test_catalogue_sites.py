"""The list of sites, the filters, and addresses that lead back to what was seen."""

import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Locator, expect

from tests.support.catalogue import day_reasons, image_days, make_many, some_sites
from tests.support.catalogue_page import Opener, Watched
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

KINGSTON, COAST, ISLAND, NOTHING = some_sites()
DAYS = image_days(ISLAND)


def sites(watched: Watched) -> Locator:
    return watched.page.locator("#sites .site-name")


def query(watched: Watched, key: str, value: str | None) -> None:
    """Wait until the address says so."""
    watched.page.wait_for_function(
        "([key, value]) => new URL(location.href).searchParams.get(key) === value", arg=[key, value]
    )


def test_sites_by_newest_image_and_by_name(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    names = [ISLAND.name, COAST.name, KINGSTON.name, NOTHING.name]
    expect(sites(watched)).to_contain_text(names)

    watched.page.get_by_role("button", name="By name").click()
    expect(sites(watched)).to_contain_text([ISLAND.name, KINGSTON.name, NOTHING.name, COAST.name])
    query(watched, "sort", "alphabetical")
    watched.page.get_by_role("button", name="Newest", exact=True).click()
    expect(sites(watched)).to_contain_text(names)
    row = watched.page.locator("#sites").get_by_text(KINGSTON.name).locator("xpath=ancestor::*[3]")
    expect(row).to_contain_text("60 images")
    expect(row).to_contain_text(image_days(KINGSTON)[-1])


def test_a_click_opens_a_site(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))

    watched.page.locator("#sites").get_by_text(KINGSTON.name).click()

    watched.shows_day(image_days(KINGSTON)[-1])
    query(watched, "location", KINGSTON.name)
    expect(watched.page).to_have_title(re.compile(re.escape(KINGSTON.name)))


def test_sites_are_searched_by_any_part_of_their_names(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))

    for typed, site in (
        ("siple", COAST),
        ("equateur SAO", ISLAND),
        (KINGSTON.site.site_id, KINGSTON),
    ):
        watched.press("/")  # what is typed takes the place of what was
        watched.page.keyboard.type(typed)
        expect(sites(watched)).to_have_count(1)
        watched.press("Enter")
        watched.shows_day(image_days(site)[-1])
    watched.press("/")
    watched.page.keyboard.type("zz")
    expect(watched.page.get_by_text("No site fits")).to_be_visible()
    watched.press("Escape")
    expect(sites(watched)).to_have_count(4)


def test_several_purposes_at_once(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    menu = watched.page.locator("#sites summary")

    menu.click()
    watched.page.get_by_role("checkbox", name="office").check()
    expect(sites(watched)).to_contain_text([KINGSTON.name])
    watched.page.get_by_role("checkbox", name="islands").check()
    expect(sites(watched)).to_contain_text([ISLAND.name, KINGSTON.name, NOTHING.name])
    query(watched, "purpose", "islands,office")
    watched.page.get_by_role("button", name="Show all").click()
    expect(sites(watched)).to_have_count(4)


def test_a_long_list_of_sites_is_virtual(web: WebFolder, opened: Opener) -> None:
    make_many(web.folder / "long", 600, 1, form="original")

    watched = opened(web.url("long/catalog/"))

    assert sites(watched).count() < 80
    box = watched.page.locator("#sites .scroll, #sites [role=listbox]").last
    box.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    expect(sites(watched).last).to_be_in_viewport()
    last = sites(watched).last.inner_text()
    sites(watched).last.click()
    expect(watched.page.locator("#title")).to_contain_text(last)


def filters(watched: Watched) -> Locator:
    return watched.page.locator("#filter-bar")


def test_filters_by_day_season_and_cloud(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    bar, count = filters(watched), watched.page.locator(".filter-count")
    expect(count).to_have_text("60 of 60 images")

    bar.get_by_label("From").fill(DAYS[10])
    bar.get_by_label("From").press("Enter")
    expect(count).to_have_text("50 of 60 images")
    bar.get_by_label("To", exact=True).fill(DAYS[29])
    bar.get_by_label("To", exact=True).press("Enter")
    expect(count).to_have_text("20 of 60 images")
    watched.shows_day(DAYS[29])
    bar.get_by_label("Cloud up to").fill("50")
    fitting = [
        day for number, day in enumerate(DAYS) if 10 <= number < 30 and number * 37 % 100 <= 50
    ]
    expect(count).to_have_text(f"{len(fitting)} of 60 images")
    watched.page.keyboard.press("Escape")
    watched.press("Home")
    watched.shows_day(fitting[0])
    query(watched, "cloud", "0.5")
    bar.get_by_role("button", name="Reset filters").click()
    expect(count).to_have_text("60 of 60 images")


def test_filters_by_season_and_by_month(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    bar, count = filters(watched), watched.page.locator(".filter-count")
    spring = [day for day in DAYS if day[5:7] in ("03", "04", "05")]
    march = [day for day in spring if day[5:7] == "03"]

    bar.get_by_label("Season").select_option("mam")
    expect(count).to_have_text(f"{len(spring)} of 60 images")
    bar.locator("summary").click()
    bar.get_by_role("button", name="Apr").click()
    bar.get_by_role("button", name="May").click()
    expect(count).to_have_text(f"{len(march)} of 60 images")
    query(watched, "months", "3")
    bar.get_by_label("Season").select_option("son")
    expect(watched.page.get_by_text("passes the filters").first).to_be_visible()


def test_ratings_are_filtered_in_any_combination(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    count = watched.page.locator(".filter-count")
    watched.press("1", "ArrowLeft", "2", "ArrowLeft", "3")
    ratings = filters(watched).get_by_role("group", name="Ratings")

    ratings.get_by_role("button", name="Unrated").click()
    expect(count).to_have_text("3 of 60 images")
    ratings.get_by_role("button", name="OK").click()
    expect(count).to_have_text("2 of 60 images")
    query(watched, "rating", "good,bad")
    ratings.get_by_role("button", name="Good").click()
    expect(count).to_have_text("1 of 60 images")
    watched.shows_day(DAYS[-3])
    watched.press("1")
    expect(count).to_have_text("0 of 60 images")


FULL = {
    "location": ISLAND.name,
    "date1": DAYS[20],
    "date2": DAYS[25],
    "viewtype": "stretch",
    "mode": "slider",
    "purpose": "coast,islands",
    "rating": "good,ok,unrated",
    "from": DAYS[5],
    "to": DAYS[50],
    "cloud": "0.9",
    "crosshair": "true",
    "thumbnails": "false",
    "sort": "alphabetical",
    "panel": "details",
    "z": "2,0.4,0.6",
}


def _address(base: str, values: dict[str, str]) -> str:
    return f"{base}?{'&'.join(f'{key}={quote(value)}' for key, value in values.items())}"


def test_an_address_leads_back_to_all_that_was_seen(web: WebFolder, opened: Opener) -> None:
    watched = opened(_address(web.url("split/catalog/"), FULL))

    watched.shows_day(DAYS[20], "left")
    watched.shows_day(DAYS[25], "right")
    watched.press("ArrowRight", "ArrowLeft")
    watched.shows_day(DAYS[20], "left")
    watched.press("s")
    shared = watched.page.get_by_role("dialog").get_by_label("Address", exact=True).input_value()
    assert {key: value[0] for key, value in parse_qs(urlsplit(shared).query).items()} == FULL

    other = opened(shared, apart=True)
    other.shows_day(DAYS[20], "left")
    other.shows_day(DAYS[25], "right")
    expect(other.page.locator(".stage")).to_have_attribute("data-mode", "slider")
    expect(other.page.locator(".zoom-value")).to_contain_text("200")
    expect(other.page.locator("#panel-details")).to_be_visible()
    expect(other.page.get_by_role("listbox", name="Thumbnails")).to_be_hidden()
    assert "_stretch.png" in (other.frame().locator("img").get_attribute("src") or "")


FORMER: list[tuple[dict[str, str], str, str | None]] = [
    ({"location": ISLAND.name, "date": DAYS[7]}, DAYS[7], None),
    ({"location": ISLAND.site.site_id, "date": DAYS[6], "mode": "single"}, DAYS[6], None),
    (
        {"location": ISLAND.name, "date1": DAYS[3], "date2": DAYS[9], "mode": "compare"},
        DAYS[3],
        DAYS[9],
    ),
    ({"location": ISLAND.name, "date": DAYS[8], "viewtype": "view_hist"}, DAYS[8], None),
]


def test_addresses_of_the_former_page_lead_to_the_same(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("blank.html"), wait=False)

    for values, left, right in FORMER:
        watched.goto(_address(web.url("original/catalog/"), values))
        watched.shows_day(left)
        if right is not None:
            watched.shows_day(right, "right")
        if "viewtype" in values:
            assert "_histeq.png" in (watched.frame().locator("img").get_attribute("src") or "")


def test_a_day_without_image_leads_to_the_nearest_and_says_so(
    web: WebFolder, opened: Opener
) -> None:
    cloudy = [day for day, reason in day_reasons(ISLAND).items() if reason == "too_cloudy"]

    watched = opened(
        _address(web.url("split/catalog/"), {"location": ISLAND.name, "date": cloudy[2]})
    )

    expect(watched.page.locator("#notices")).to_contain_text(f"no image of {cloudy[2]}")
    watched.press("ArrowRight")
    expect(watched.frame()).to_have_attribute("data-state", "shown")


def test_an_unknown_site_is_said(web: WebFolder, opened: Opener) -> None:
    watched = opened(_address(web.url("split/catalog/"), {"location": "Atlantis"}))

    expect(watched.page.locator("#notices")).to_contain_text("no site “Atlantis”")
    watched.shows_day(DAYS[-1])


def test_dark_light_and_as_the_system(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"), color_scheme="light")
    page = watched.page

    def brightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert brightness() < 150
    watched.press("l")
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert brightness() > 600
    page.reload()
    watched.wait_shown()
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    page.get_by_role("button", name="Theme: light").click()
    expect(page.get_by_role("button", name="Theme: as the system")).to_be_visible()
    assert brightness() > 600
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => document.documentElement.dataset.scheme === 'dark'")
    assert brightness() < 150
