"""Images by keys and clicks: steps, views, modes, the divider, zoom, difference, playback."""

import io

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.support.catalogue import image_days, some_sites, write_documents
from tests.support.catalogue_page import Opener, Watched, containing
from tests.support.http import Misbehaviour
from tests.support.pictures import plain_picture
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

Colour = tuple[int, int, int]
KINGSTON, COAST, ISLAND, _ = some_sites()
DAYS = image_days(ISLAND)
RED, GREEN, BLUE = (200, 40, 40), (40, 160, 40), (40, 40, 220)


@pytest.fixture(scope="module")
def colours(web: WebFolder) -> str:
    """A site whose images are of one colour each; the view `other` shows them inverted."""
    folder = web.folder / "colours"
    images = []
    for day, colour in (("2024-01-01", RED), ("2024-01-02", GREEN), ("2024-01-03", BLUE)):
        views = {}
        for view in ("view_q128", "other"):
            shown = colour if view == "view_q128" else tuple(255 - part for part in colour)
            file = folder / f"{day}_{view}.png"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(plain_picture(shown, (200, 200)))  # type: ignore[arg-type]
            views[view] = f"../{file.name}"
        images.append({"id": f"colours/{day}", "date": day, "url": views, "thumbnail": views})
    write_documents(folder / "catalog", [{"id": "c", "name": "Colours", "images": images}])
    return web.url("colours/catalog/")


def pixel(watched: Watched, across: float, down: float = 0.4) -> Colour:
    """The colour at a fraction of the stage's pictures, as it is painted."""
    body = watched.page.locator(".stage .canvas").screenshot(animations="disabled")
    with Image.open(io.BytesIO(body)) as picture:
        spot = picture.convert("RGB").getpixel(
            (round(across * (picture.width - 1)), round(down * (picture.height - 1)))
        )
    assert isinstance(spot, tuple)
    return spot  # type: ignore[return-value]


def near(found: Colour, expected: Colour) -> bool:
    return all(abs(one - other) <= 3 for one, other in zip(found, expected, strict=True))


def test_the_newest_image_of_the_newest_site_comes_first(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))

    watched.shows_day(DAYS[-1])
    expect(watched.page.locator("#title")).to_contain_text(ISLAND.name)
    picture = watched.frame().locator("img").first
    assert DAYS[-1] in (picture.get_attribute("alt") or "")


@pytest.mark.parametrize(
    "form", ["split", "original", pytest.param("single", marks=pytest.mark.soak)]
)
def test_arrows_step_through_the_images(web: WebFolder, opened: Opener, form: str) -> None:
    watched = opened(web.url(f"{form}/catalog/?location={ISLAND.site.site_id}"))

    for number in (-2, -3, -4):
        watched.press("ArrowLeft")
        watched.shows_day(DAYS[number])
    watched.press("ArrowRight")
    watched.shows_day(DAYS[-3])
    watched.press("Home")
    watched.shows_day(DAYS[0])
    watched.press("ArrowLeft")
    watched.shows_day(DAYS[-1])
    watched.press("ArrowRight")
    watched.shows_day(DAYS[0])
    watched.press("End")
    watched.shows_day(DAYS[-1])


def test_a_key_held_down_ends_on_the_right_image(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))

    watched.press(*["ArrowLeft"] * 25)

    watched.shows_day(DAYS[-26])


def test_up_and_down_go_through_the_sites(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))

    watched.press("ArrowDown")
    watched.shows_day(image_days(COAST)[-1])
    watched.press("ArrowDown")
    watched.shows_day(image_days(KINGSTON)[-1])
    watched.press("ArrowUp", "ArrowUp")
    watched.shows_day(DAYS[-1])


def test_keys_in_a_field_are_text(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))

    watched.press("/")
    search = watched.page.get_by_role("searchbox").or_(watched.page.get_by_label("Search sites"))
    expect(search.first).to_be_focused()
    watched.page.keyboard.type("vmgc1 ")
    watched.press("ArrowLeft")

    watched.shows_day(DAYS[-1])
    expect(watched.page.locator(".stage")).to_have_attribute("data-mode", "single")


def test_views_switch_by_key_and_by_click(web: WebFolder, opened: Opener, colours: str) -> None:
    watched = opened(colours)
    assert near(pixel(watched, 0.5), BLUE)

    watched.press("v")
    expect(watched.frame().locator("img").first).to_have_attribute("src", containing("_other"))
    watched.wait_shown()
    assert near(pixel(watched, 0.5), (215, 215, 35))
    watched.press("ArrowLeft")
    watched.shows_day("2024-01-02")
    assert near(pixel(watched, 0.5), (215, 95, 215))
    watched.press("v")
    expect(watched.frame().locator("img").first).to_have_attribute("src", containing("_view_q128"))
    watched.wait_shown()
    assert near(pixel(watched, 0.5), GREEN)


def test_each_mode_paints_both_images_as_it_says(opened: Opener, colours: str) -> None:
    watched = opened(colours)

    watched.press("m")  # the slider: the older image left, the newer right
    watched.shows_day("2024-01-02", "left")
    watched.shows_day("2024-01-03", "right")
    assert near(pixel(watched, 0.45), GREEN)
    assert near(pixel(watched, 0.55), BLUE)
    watched.press("m")
    expect(watched.page.locator(".stage")).to_have_attribute("data-mode", "side")
    assert near(pixel(watched, 0.25), GREEN)
    assert near(pixel(watched, 0.75), BLUE)
    watched.press("m")
    expect(watched.page.locator(".stage")).to_have_attribute("data-mode", "difference")
    gain = watched.page.locator(".gain input")
    gain.fill("1")
    assert near(pixel(watched, 0.5), (0, 120, 180))
    gain.fill("4")
    assert near(pixel(watched, 0.5), (0, 255, 255))
    watched.press("m")
    expect(watched.page.locator(".stage")).to_have_attribute("data-mode", "single")
    assert near(pixel(watched, 0.5), GREEN)


def test_both_sides_step_by_themselves(opened: Opener, colours: str) -> None:
    watched = opened(colours)
    watched.page.get_by_role("button", name="Side by side").click()
    watched.shows_day("2024-01-03", "right")

    watched.press("ArrowLeft")
    watched.shows_day("2024-01-01", "left")
    watched.press("ArrowLeft")
    watched.shows_day("2024-01-01", "left")
    watched.press("Shift+ArrowLeft")
    watched.shows_day("2024-01-02", "right")
    watched.press("Control+ArrowLeft")
    watched.shows_day("2024-01-01", "right")
    watched.press("Shift+ArrowRight")
    watched.shows_day("2024-01-02", "right")
    watched.shows_day("2024-01-01", "left")


def test_the_divider_is_dragged_and_moved_by_keys(opened: Opener, colours: str) -> None:
    watched = opened(colours)
    watched.page.get_by_role("button", name="Slider").click()
    watched.shows_day("2024-01-03", "right")
    divider = watched.page.get_by_role("separator")
    box = watched.page.locator(".stage .canvas").bounding_box()
    assert box is not None

    mouse = watched.page.mouse
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mouse.down()
    mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20, steps=4)
    mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "40")
    assert near(pixel(watched, 0.43), BLUE)
    divider.focus()
    watched.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "42")
    watched.press("PageUp")
    expect(divider).to_have_attribute("aria-valuenow", "52")
    watched.press("Home")
    expect(divider).to_have_attribute("aria-valuenow", "0")
    assert near(pixel(watched, 0.45), BLUE)
    watched.shows_day("2024-01-02", "left")


def _part(picture: Locator) -> list[float]:
    """Where a picture lies in its frame, in CSS pixels."""
    return picture.evaluate(
        "picture => { const inner = picture.getBoundingClientRect();"
        " const outer = picture.closest('.frame').getBoundingClientRect();"
        " return [inner.left - outer.left, inner.top - outer.top, inner.width, inner.height]; }"
    )


def test_zoom_and_pan_keep_both_images_together(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?mode=compare")
    watched.shows_day(DAYS[-2], "left")
    watched.shows_day(DAYS[-1], "right")
    pictures = [watched.frame(side).locator("img").first for side in ("left", "right")]
    fitted = _part(pictures[0])

    box = watched.frame("right").bounding_box()
    assert box is not None
    watched.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.4)
    watched.page.mouse.wheel(0, -600)
    expect(watched.page.locator(".canvas")).to_have_class(containing("canvas-zoomed"))
    watched.page.wait_for_function(
        "before => document.querySelector('.frame img').getBoundingClientRect().width"
        " > before * 1.5",
        arg=fitted[2],
    )
    zoomed = _part(pictures[0])
    assert zoomed == pytest.approx(_part(pictures[1]), abs=1)
    watched.page.mouse.down()
    watched.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5, steps=3)
    watched.page.mouse.up()
    watched.page.wait_for_function(
        "before => Math.abs(document.querySelector('.frame img').getBoundingClientRect().left"
        " - document.querySelector('.frame').getBoundingClientRect().left - before) > 20",
        arg=zoomed[0],
    )
    assert _part(pictures[0]) == pytest.approx(_part(pictures[1]), abs=1)
    before = _part(pictures[0])
    watched.press("ArrowLeft")
    watched.shows_day(DAYS[-3], "left")
    assert _part(watched.frame("left").locator("img").first) == pytest.approx(before, abs=1)
    watched.press("f")
    watched.page.wait_for_function(
        "before => Math.abs(document.querySelector('.frame img').getBoundingClientRect().width"
        " - before) < 1",
        arg=fitted[2],
    )


def test_zoom_by_keys_and_buttons(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    value = watched.page.locator(".zoom-value")
    expect(value).to_contain_text("100")

    watched.press("+")
    expect(value).to_contain_text("150")
    watched.page.get_by_role("button", name="Zoom in").click()
    expect(value).to_contain_text("225")
    watched.press("-", "-")
    expect(value).to_contain_text("100")
    watched.page.locator(".canvas").dblclick()
    expect(value).to_contain_text("200")
    watched.press("f")
    expect(value).to_contain_text("100")


def test_playback_goes_on_round_the_end_and_stops(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?date={DAYS[-2]}")
    watched.page.locator(".player select").select_option("0.1")

    watched.page.get_by_role("button", name="Play").click()
    watched.page.wait_for_function(
        "days => days.some((day) => document.querySelector('.frame').dataset.shown?.endsWith(day))",
        arg=DAYS[:9],
    )
    watched.press(" ")
    standing = watched.frame().get_attribute("data-shown")
    watched.page.wait_for_timeout(250)
    assert watched.frame().get_attribute("data-shown") == standing
    options = watched.page.locator(".player select option").evaluate_all(
        "all => all.map((one) => Number(one.value))"
    )
    assert (min(options), max(options)) == (0.1, 3)


def test_playback_never_shows_an_image_before_it_is_there(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?date={DAYS[10]}")
    web.misbehave("split/sentinel-2-c1-l2a/", Misbehaviour(delay_s=0.15))
    watched.page.evaluate(
        "() => { const seen = (window.__seen = { states: new Set(), images: new Set() });"
        " const frame = document.querySelector('.frame');"
        " new MutationObserver(() => { seen.states.add(frame.dataset.state);"
        " seen.images.add(frame.dataset.shown ?? ''); }).observe(frame, {attributes: true}); }"
    )
    watched.page.locator(".player select").select_option("0.1")
    watched.press(" ")
    watched.page.wait_for_function(
        "day => [...window.__seen.images].some((id) => id.endsWith(day))", arg=DAYS[16]
    )

    images = watched.page.evaluate("() => [...window.__seen.images]")
    days = [image[-10:] for image in images if image]
    assert days == DAYS[11 : 11 + len(days)]
    assert not {"failed", "empty"} & set(watched.page.evaluate("() => [...window.__seen.states]"))


def test_next_images_are_loaded_ahead(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?date={DAYS[20]}")
    watched.press("ArrowRight")
    watched.shows_day(DAYS[21])
    watched.page.wait_for_load_state("networkidle")
    web.forget()

    watched.press("ArrowRight")
    watched.shows_day(DAYS[22])

    assert not any(f"{DAYS[22]}_q128.png" in path and "thumbs" not in path for path in web.requests)


def test_the_crosshair_says_where_the_pointer_is(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?location=Kingston HQ")
    readout = watched.page.locator(".crosshair-readout").first
    expect(readout).to_be_hidden()

    watched.press("c")
    picture = watched.frame().locator("img").first.bounding_box()
    assert picture is not None
    watched.page.mouse.move(
        picture["x"] + picture["width"] / 2, picture["y"] + picture["height"] / 2
    )
    expect(readout).to_be_visible()
    expect(readout).to_contain_text("42.99")
    expect(readout).to_contain_text("147.2")
    watched.press("c")
    expect(readout).to_be_hidden()


def test_thumbnails_show_choose_and_hide(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    listed = watched.page.get_by_role("listbox", name="Thumbnails")
    expect(listed.get_by_role("option", selected=True)).to_have_attribute(
        "data-image", containing(DAYS[-1])
    )

    listed.locator(f"[data-image$='{DAYS[-3]}']").click()
    watched.shows_day(DAYS[-3])
    expect(listed.get_by_role("option", selected=True)).to_have_attribute(
        "data-image", containing(DAYS[-3])
    )
    watched.press("g")
    expect(listed).to_be_hidden()
    watched.press("g")
    expect(listed).to_be_visible()
    # Only what is in sight stands in the document.
    assert listed.get_by_role("option").count() < 40


def test_the_attribution_stands_under_the_image(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    expect(watched.page.locator(".stage-attribution")).to_have_text(
        "Contains modified Copernicus Sentinel data [2020]"
    )

    watched = opened(web.url("original/catalog/"))
    expect(watched.page.locator(".stage-attribution")).to_contain_text(
        "Contains modified Copernicus Sentinel data"
    )
