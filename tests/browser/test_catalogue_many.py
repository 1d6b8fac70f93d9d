"""A hundred thousand images open at once, and ten thousand of one site."""

from collections.abc import Callable, Iterator
from datetime import date

import pytest
from playwright.sync_api import expect

from tests.support.catalogue import Form, image_days, make_many, many_sites
from tests.support.catalogue_page import Opener, Watched
from tests.support.pictures import absent_picture, plain_picture
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

SITES, IMAGES = 100, 1000
OPENED = (0, 1, 99)
DAYS = image_days(many_sites(1, IMAGES)[0])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Form], str]]:
    folder = tmp_path_factory.mktemp("many")
    with WebFolder(folder, absent=absent_picture) as server:

        def address(form: Form) -> str:
            make_many(folder / form, SITES, IMAGES, form=form, whole=OPENED)
            return server.url(f"{form}/catalog/")

        yield address


def _walk(watched: Watched) -> None:
    page = watched.page
    watched.shows_day(DAYS[-1])
    expect(page.locator("#footer")).to_contain_text("100,000 images")
    expect(page.locator(".filter-count")).to_have_text("1,000 of 1,000 images")
    watched.press("ArrowLeft", "ArrowLeft")
    watched.shows_day(DAYS[-3])
    watched.press("Home")
    watched.shows_day(DAYS[0])
    listed = page.get_by_role("listbox", name="Thumbnails")
    expect(listed.locator(f"[data-image$='{DAYS[0]}']")).to_be_in_viewport()
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    watched.press("ArrowDown")
    expect(page.locator("#title")).to_contain_text("Place 001")
    watched.shows_day(DAYS[-1])
    page.locator("#sites input[type=search]").fill("place 099")
    page.locator("#sites .site-name").first.click()
    expect(page.locator("#title")).to_contain_text("Place 099")
    watched.shows_day(DAYS[-1])


def test_a_hundred_thousand_images(many: Callable[[Form], str], opened: Opener) -> None:
    watched = opened(many("split"))

    _walk(watched)

    watched.press("d")
    expect(watched.page.locator(".calendar-day[data-kind=image]")).to_have_count(IMAGES)
    watched.press("t")
    expect(watched.page.locator("#panel-series").get_by_role("slider")).to_have_attribute(
        "aria-valuemax", str(IMAGES)
    )


@pytest.mark.soak
@pytest.mark.parametrize("form", ["single", "original"])
def test_a_hundred_thousand_images_in_one_file(
    many: Callable[[Form], str], opened: Opener, form: Form
) -> None:
    _walk(opened(many(form)))


LONG = 10_000


def test_a_site_of_ten_thousand_images(
    tmp_path_factory: pytest.TempPathFactory, opened: Opener
) -> None:
    days = image_days(many_sites(1, LONG)[0])
    small = plain_picture((40, 90, 60), (64, 64))
    folder = tmp_path_factory.mktemp("long")
    make_many(folder, 1, LONG, form="split")
    answer: Callable[[str], bytes | None] = lambda path: small if path.endswith(".png") else None  # noqa: E731
    with WebFolder(folder, absent=answer) as server:
        watched = opened(server.url("catalog/"))
        page, count = watched.page, watched.page.locator(".filter-count")
        expect(count).to_have_text("10,000 of 10,000 images")
        watched.shows_day(days[-1])
        watched.press("Home")
        watched.shows_day(days[0])
        watched.press("ArrowLeft")
        watched.shows_day(days[-1])
        watched.press("ArrowRight", "ArrowRight")
        watched.shows_day(days[1])

        listed = page.get_by_role("listbox", name="Thumbnails")
        for place in (5000, 9990, 2500):
            listed.evaluate(
                "(box, part) => { box.scrollLeft = part * box.scrollWidth; }", place / LONG
            )
            cell = listed.locator(f"[data-image$='{days[place]}']")
            expect(cell).to_be_in_viewport()
            expect(cell).to_have_attribute("data-state", "shown")
        assert listed.get_by_role("option").count() < 40
        cell.click()
        watched.shows_day(days[2500])

        watched.press("n", "1")
        watched.shows_day(days[2501])
        watched.press("2")
        watched.shows_day(days[2502])
        page.locator("#filter-bar").get_by_label("Season").select_option("jja")
        summer = [day for day in days if date.fromisoformat(day).month in (6, 7, 8)]
        expect(count).to_have_text(f"{len(summer):,} of 10,000 images")
        page.locator("#filter-bar").get_by_role("button", name="Unrated").click()
        rated = [day for day in days[2500:2502] if day in summer]
        expect(count).to_have_text(f"{len(rated)} of 10,000 images")
        page.locator("#filter-bar").get_by_role("button", name="Reset filters").click()
        expect(count).to_have_text("10,000 of 10,000 images")
