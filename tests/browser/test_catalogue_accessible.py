"""axe finds nothing in any view: WCAG 2.2 AA, both themes, at a desk and on a phone."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.catalogue import image_days, some_sites
from tests.support.catalogue_page import Opener
from tests.support.http import Misbehaviour
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

_, _, ISLAND, _ = some_sites()
DAYS = image_days(ISLAND)
PANELS = {"calendar": "d", "series": "t", "map": "p", "details": "i", "ratings": "r"}
SMALL_TARGETS = """
() => [...document.querySelectorAll("button, a[href], input, select, summary, [role=option]")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
  .filter((one) => !one.closest(".visually-hidden, .skip, p, .calendar-grid, .map-layer"))
  .map((one) => [one.outerHTML.slice(0, 120), one.closest("label") ?? one])
  .map(([name, one]) => [name, one.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24))
  .map(([name, box]) => `${name} ${box.width}x${box.height}`)
"""


@pytest.mark.parametrize(
    ("theme", "phone"),
    [
        ("dark", False),
        ("light", True),
        pytest.param("light", False, marks=pytest.mark.soak),
        pytest.param("dark", True, marks=pytest.mark.soak),
    ],
    ids=["dark desktop", "light phone", "light desktop", "dark phone"],
)
def test_every_view_panel_and_dialog(
    web: WebFolder, opened: Opener, theme: str, phone: bool
) -> None:
    watched = opened(
        f"{web.url('split/catalog/')}?date={DAYS[-2]}", phone=phone, color_scheme=theme
    )
    page = watched.page
    watched.press("1")
    while page.evaluate("document.documentElement.dataset.theme") != theme:
        watched.press("l")
    watched.accessible()
    for mode in ("slider", "side", "difference"):
        watched.press("m")
        expect(page.locator(".stage")).to_have_attribute("data-mode", mode)
        watched.wait_shown("right")
        watched.accessible("#workspace")
    watched.press("m", "c", "+")
    for panel, key in PANELS.items():
        watched.press(key)
        expect(page.locator(f"#panel-{panel}")).to_be_visible()
        watched.accessible("#panel")
    for key in ("s", "?"):
        watched.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        watched.accessible("dialog[open]")
        watched.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate(SMALL_TARGETS) == []


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.soak)])
def test_what_is_absent_empty_or_failed(web: WebFolder, opened: Opener, theme: str) -> None:
    index = "split/catalog/index.json"
    web.misbehave(index, Misbehaviour(status=500))
    watched = opened(web.url("split/catalog/"), wait=False, color_scheme=theme)
    expect(watched.page.locator("#message")).to_contain_text("HTTP 500")
    watched.accessible()
    web.behave()
    web.misbehave("split/sentinel-2-c1-l2a/", Misbehaviour(status=404))
    watched.goto(web.url("split/catalog/"))
    expect(watched.page.locator(".stage-failed")).to_be_visible()
    watched.accessible()
    watched.goto(web.url("split/catalog/?location=Nothing Yet"))
    expect(watched.page.get_by_text("Nothing Yet has no images").first).to_be_visible()
    watched.accessible("#workspace")
    watched.goto(web.url("split/catalog/?from=2030-01-01"))
    expect(watched.page.get_by_text("passes the filters").first).to_be_visible()
    watched.accessible("#workspace")


def test_the_page_is_used_without_a_mouse(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    page = watched.page

    watched.press("Tab")
    expect(page.get_by_role("link", name="Skip to the image")).to_be_focused()
    names = set()
    for _ in range(60):
        watched.press("Tab")
        names.add(_focused(page))
    assert {"Single image", "Slider", "Calendar", "Share", "Help", "Crosshair"} <= names
    watched.press("s")
    expect(page.get_by_role("dialog")).to_be_visible()
    inside = "['DIALOG', 'BODY'].includes((document.activeElement.closest('dialog') ??"
    inside += " document.activeElement).tagName)"
    for _ in range(12):
        watched.press("Tab")
        assert page.evaluate(inside)
    watched.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def _focused(page: Page) -> str:
    return str(
        page.evaluate(
            "() => { const one = document.activeElement;"
            " return one.getAttribute('aria-label') ?? one.textContent.trim(); }"
        )
    )


def test_changes_are_said_aloud(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    live = watched.page.locator("#live")

    watched.press("ArrowLeft")
    expect(live).to_contain_text(f"{DAYS[-2]}, 59 of 60")
    watched.press("v")
    expect(live).to_contain_text("View histeq")
    watched.press("m")
    expect(live).to_contain_text("Mode: Slider")
    watched.press("1")
    expect(live).to_contain_text("rated Good")


def test_on_a_phone_everything_is_within_reach(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"), phone=True)
    page = watched.page
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= 390

    page.get_by_role("button", name="Sites").tap()
    page.locator("#sites").get_by_text("Kingston HQ").tap()
    expect(page.locator("#title")).to_contain_text("Kingston HQ")
    watched.wait_shown()
    page.get_by_role("button", name="Filters").tap()
    expect(page.get_by_label("Cloud up to")).to_be_visible()
    page.get_by_role("button", name="Filters").tap()
    for name in ("Calendar", "Time series", "Map", "Details", "Ratings"):
        page.get_by_role("button", name=name, exact=True).first.tap()
        expect(page.locator("#panel")).to_be_visible()
        assert page.evaluate(width) <= 390
        page.locator("#panel").get_by_role("button", name="Close").tap()
    page.get_by_role("button", name="Good").last.tap()
    expect(page.locator(".rating-choice [aria-pressed=true]")).to_have_text("Good")


def test_a_swipe_goes_to_the_next_image(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"), phone=True)
    box = watched.page.locator(".canvas").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    session = watched.page.context.new_cdp_session(watched.page)

    def touch(kind: str, across: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": box["x"] + across, "y": middle}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 60)
    for across in (110, 160, 220):
        touch("touchMove", across)
    touch("touchEnd", 220)

    watched.shows_day(DAYS[-2])


def test_motion_is_reduced_where_it_is_asked_for(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"), reduced_motion="reduce")

    moving = watched.page.evaluate(
        "() => [...document.querySelectorAll('*')].filter((one) => {"
        " const style = getComputedStyle(one);"
        " return parseFloat(style.transitionDuration) > 0.01"
        " || parseFloat(style.animationDuration) > 0.01; }).map((one) => one.className)"
    )
    assert moving == []
