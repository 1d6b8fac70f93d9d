"""A hundred thousand images open at once."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.support.catalogue import Form, image_days, make_many, many_sites
from tests.support.catalogue_page import Watched
from tests.support.pictures import absent_picture
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

SITES, IMAGES = 100, 1000
DAYS = image_days(many_sites(1, IMAGES)[0])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Form], str]]:
    folder = tmp_path_factory.mktemp("many")
    with WebFolder(folder, absent=absent_picture) as server:

        def address(form: Form) -> str:
            make_many(folder / form, SITES, IMAGES, form=form)
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


def test_a_hundred_thousand_images(
    many: Callable[[Form], str], opened: Callable[..., Watched]
) -> None:
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
    many: Callable[[Form], str], opened: Callable[..., Watched], form: Form
) -> None:
    _walk(opened(many(form)))
