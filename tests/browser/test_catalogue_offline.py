"""Once it was loaded, the page works without a connection."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.catalogue import image_days, some_sites
from tests.support.catalogue_page import Opener
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

KINGSTON, COAST, ISLAND, _ = some_sites()
DAYS = image_days(ISLAND)
_KEPT = """
async (wanted) => {
  const found = new Set();
  for (const name of await caches.keys()) {
    for (const request of await (await caches.open(name)).keys()) found.add(request.url);
  }
  return wanted.every((end) => [...found].some((address) => address.includes(end)));
}
"""


def kept(page: Page, *ends: str) -> None:
    """Wait until the service worker has kept what ends so."""
    page.wait_for_function("() => navigator.serviceWorker.controller !== null")
    page.wait_for_function(_KEPT, arg=list(ends), polling=200)


def test_what_was_seen_is_seen_again_offline(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"), service_workers="allow")
    page = watched.page
    kept(page, "app/main.js", "index.json", f"fragments/{ISLAND.site.site_id}", DAYS[-1])
    watched.press("ArrowLeft")
    watched.shows_day(DAYS[-2])
    kept(page, f"{DAYS[-2]}_q128.png")

    expect(page).to_have_url(re.compile(f"date={DAYS[-2]}"))
    page.context.set_offline(True)
    page.reload()
    watched.shows_day(DAYS[-2])
    expect(page.get_by_text("offline", exact=True)).to_be_visible()
    watched.press("ArrowRight", "1")
    watched.shows_day(DAYS[-1])
    expect(page.locator(".rating-choice [aria-pressed=true]")).to_have_text("Good")
    watched.press("Home")
    expect(page.locator(".stage-failed")).to_be_visible()
    page.context.set_offline(False)
    watched.shows_day(DAYS[0])  # by itself
    page.context.set_offline(True)
    for panel in "dtpir":
        watched.press(panel)
        expect(page.locator("#panel")).to_be_visible()
    page.locator("#sites").get_by_text(KINGSTON.name).click()
    expect(page.get_by_text(f"{KINGSTON.name} cannot be read").first).to_be_visible()
    expect(page.get_by_text("You are offline")).to_be_visible()
    page.context.set_offline(False)
    page.locator("#notices").get_by_role("button", name="Try again").click()
    expect(page.locator(".filter-count")).to_have_text("60 of 60 images")
    watched.press("ArrowLeft")
    watched.shows_day(image_days(KINGSTON)[-2])


def test_a_new_catalogue_is_seen_although_the_former_was_kept(
    web: WebFolder, opened: Opener
) -> None:
    watched = opened(web.url("split/catalog/"), service_workers="allow")
    kept(watched.page, "app/main.js", "index.json")
    index = web.folder / "split" / "catalog" / "index.json"
    text = index.read_text(encoding="utf-8")
    try:
        index.write_text(text.replace("Siple Coast", "Renamed Coast"), encoding="utf-8")
        watched.page.reload()
        expect(watched.page.locator("#sites")).to_contain_text("Renamed Coast")
    finally:
        index.write_text(text, encoding="utf-8")
