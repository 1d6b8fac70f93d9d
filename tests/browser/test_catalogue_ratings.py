"""Ratings: given by key and click, kept, counted, filtered by, carried from browser to browser."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.catalogue import image_days, some_sites
from tests.support.catalogue_page import Opener, Watched, watched_in
from tests.support.hostile_catalogue import MARKUP
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

KINGSTON, _, ISLAND, _ = some_sites()
DAYS = image_days(ISLAND)
STEM = ISLAND.site.file_stem
LATER = "2031-01-01T00:00:00.000Z"


def image_id(day: str) -> str:
    return f"sentinel-2-c1-l2a/{day.replace('-', '/')}/{STEM}_{day}"


def stored(watched: Watched) -> dict[str, Any]:
    """What the browser keeps, in the form that other pages read."""
    text = watched.page.evaluate(
        "() => { dispatchEvent(new Event('pagehide')); return localStorage.image_ratings; }"
    )
    return json.loads(text or "{}")


def rating_of(watched: Watched) -> str | None:
    """The pressed one of the three buttons."""
    pressed = watched.page.locator(".rating-choice [aria-pressed=true]")
    return pressed.inner_text() if pressed.count() else None


def counts(watched: Watched) -> dict[str, tuple[str, str]]:
    """The table of the open panel: of the site, and overall."""
    rows = watched.page.locator(".rating-statistics tbody tr")
    found = [row.split("\t") for row in rows.all_inner_texts()]
    return {name: (here, everywhere) for name, here, everywhere in found}


def test_keys_and_buttons_rate_and_take_back(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    choice = watched.page.locator(".rating-choice")

    watched.press("1")
    expect(choice.get_by_role("button", name="Good")).to_have_attribute("aria-pressed", "true")
    watched.press("ArrowLeft", "2", "ArrowLeft")
    watched.shows_day(DAYS[-3])
    choice.get_by_role("button", name="Bad").click()
    watched.press("ArrowLeft", "3", "0")
    watched.shows_day(DAYS[-4])
    expect(choice.locator("[aria-pressed=true]")).to_have_count(0)

    kept = stored(watched)
    assert {key: one["rating"] for key, one in kept.items()} == {
        image_id(DAYS[-1]): "good",
        image_id(DAYS[-2]): "ok",
        image_id(DAYS[-3]): "bad",
        image_id(DAYS[-4]): None,
    }
    assert all(one["timestamp"].endswith("Z") for one in kept.values())
    user = watched.page.evaluate("localStorage.user_id")
    assert user.startswith("user_")
    watched.page.reload()
    watched.wait_shown()
    assert rating_of(watched) is None
    watched.press("End")
    watched.shows_day(DAYS[-1])
    expect(choice.get_by_role("button", name="Good")).to_have_attribute("aria-pressed", "true")
    assert watched.page.evaluate("localStorage.user_id") == user


def test_rate_and_next_goes_to_the_next_unrated_image(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?date={DAYS[5]}")
    watched.press("ArrowRight", "1", "ArrowLeft")
    watched.shows_day(DAYS[5])

    watched.press("n", "2")
    watched.shows_day(DAYS[7])
    watched.press("3")
    watched.shows_day(DAYS[8])
    watched.page.get_by_role("button", name="Rate and next").click()
    watched.press("1")
    expect(watched.page.locator(".rating-choice [aria-pressed=true]")).to_have_text("Good")
    watched.shows_day(DAYS[8])


def test_ratings_are_counted_per_site_and_overall(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.press("1", "ArrowLeft", "1", "ArrowLeft", "2", "ArrowDown", "ArrowDown")
    watched.shows_day(image_days(KINGSTON)[-1])
    watched.press("3", "r")

    expect(watched.page.locator(".rating-statistics")).to_be_visible()
    assert counts(watched) == {
        "Good": ("0", "2"),
        "OK": ("0", "1"),
        "Bad": ("1", "1"),
        "Unrated": ("59", "176"),
        "Images": ("60", "180"),
    }
    watched.press("ArrowLeft", "1")
    expect(watched.page.locator(".rating-row-good td").first).to_have_text("1")
    expect(watched.page.locator("#panel-ratings")).to_contain_text("30 images rated")


def test_the_consensus_of_all_raters_stands_by_the_image(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?location=Kingston HQ&date={_kingston(0)}")

    others = watched.page.locator(".rating-others")
    expect(others).to_contain_text("good (3 Good)")
    watched.press("ArrowRight")
    expect(others).to_have_text("")
    watched.press("ArrowRight")
    expect(others).to_contain_text("OK (1 Good, 2 OK)")


RATINGS = "split/catalog/ratings/"


def test_ratings_are_asked_for_where_the_index_tells_of_some(
    web: WebFolder, opened: Opener
) -> None:
    web.forget()
    watched = opened(web.url("split/catalog/"))
    expect(watched.page.locator(".filter-count")).to_have_text("60 of 60 images")
    watched.page.locator("#sites").get_by_text(KINGSTON.name).click()
    watched.shows_day(_kingston(-1))
    watched.press("ArrowLeft")
    expect(watched.page.locator(".rating-others")).to_contain_text("OK (1 Good, 2 OK)")

    asked = {path for path in web.requests if path.startswith(RATINGS)}
    assert asked == {f"{RATINGS}{KINGSTON.site.site_id}.json"}


def test_an_index_that_does_not_tell_of_ratings_is_read(web: WebFolder, opened: Opener) -> None:
    catalog = web.folder / "split" / "catalog"
    index = json.loads((catalog / "index.json").read_text(encoding="utf-8"))
    for location in index["locations"]:
        del location["ratings"]
    former = catalog / "former" / "index.json"
    former.parent.mkdir()
    former.write_text(json.dumps(index), encoding="utf-8")
    for folder in ("ratings", "fragments"):
        (former.parent / folder).symlink_to(catalog / folder)

    query = f"catalog=former/index.json&location=Kingston HQ&date={_kingston(0)}"
    watched = opened(f"{web.url('split/catalog/')}?{query}")

    expect(watched.page.locator(".rating-others")).to_contain_text("good (3 Good)")


def _kingston(number: int) -> str:
    return image_days(KINGSTON)[number]


def test_ratings_filter_what_is_shown(web: WebFolder, opened: Opener) -> None:
    watched = opened(f"{web.url('split/catalog/')}?date={DAYS[0]}")
    watched.press("1", "ArrowRight", "2", "ArrowRight", "3", "ArrowRight", "ArrowRight", "1")
    stored(watched)

    for shown, expected in (
        ("ok,bad", [DAYS[1], DAYS[2]]),
        ("good,ok,bad", [DAYS[0], DAYS[1], DAYS[2], DAYS[4]]),
    ):
        watched.page.goto(f"{web.url('split/catalog/')}?rating={shown}&date={expected[0]}")
        watched.shows_day(expected[0])
        for day in [*expected[1:], expected[0]]:
            watched.press("ArrowRight")
            watched.shows_day(day)


def exported(watched: Watched) -> tuple[str, dict[str, Any]]:
    with watched.page.expect_download() as waiting:
        watched.page.get_by_role("button", name="Export to a file").click()
    download = waiting.value
    return download.suggested_filename, json.loads(Path(download.path()).read_text())


def test_an_export_is_in_the_form_that_other_pages_read(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.press("1", "ArrowLeft", "3", "ArrowLeft", "2", "0", "r")

    name, document = exported(watched)

    user = watched.page.evaluate("localStorage.user_id")
    assert name.startswith(f"image-ratings-{user}-")
    assert name.endswith(".json")
    assert document["user_id"] == user
    assert document["location"] == ISLAND.name
    assert document["timestamp"].endswith("Z")
    assert [(one["image_id"], one["rating"]) for one in document["ratings"]] == [
        (image_id(DAYS[-1]), "good"),
        (image_id(DAYS[-2]), "bad"),
    ]
    assert {key for one in document["ratings"] for key in one} == {
        "image_id",
        "rating",
        "timestamp",
    }


def _export(*ratings: tuple[str, str, str], user: str = "user_9_else") -> dict[str, Any]:
    return {
        "user_id": user,
        "timestamp": "2025-01-01T00:00:00.000Z",
        "location": "Anywhere",
        "ratings": [
            {"image_id": image_id(day), "rating": rating, "timestamp": timestamp}
            for day, rating, timestamp in ratings
        ],
    }


def test_an_import_merges_by_time_and_shows_conflicts(
    web: WebFolder, opened: Opener, tmp_path: Path
) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.press("1", "ArrowLeft", "1", "ArrowLeft", "1", "r")
    long_ago = "2019-01-01T00:00:00.000Z"
    file = tmp_path / "theirs.json"
    document = _export(
        (DAYS[-1], "bad", long_ago), (DAYS[-2], "good", long_ago), (DAYS[-8], "ok", long_ago)
    )
    file.write_text(json.dumps(document))

    watched.page.locator("input[type=file]").set_input_files(file)

    dialog = watched.page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Conflicts: 1")
    assert image_id(DAYS[-1]) in dialog.inner_text()
    keep = dialog.locator("tbody tr").get_by_role("button")
    expect(keep.first).to_have_attribute("aria-pressed", "true")
    keep.nth(1).click()
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_have_count(0)
    expect(watched.page.locator(".rating-status")).to_contain_text(
        "Imported from user_9_else. New: 1, updated: 0, older and left: 1, the same: 1;"
        " conflicts: 1."
    )
    kept = stored(watched)
    assert kept[image_id(DAYS[-1])]["rating"] == "bad"
    assert "user" not in kept[image_id(DAYS[-1])]
    assert kept[image_id(DAYS[-8])] == {
        "rating": "ok",
        "timestamp": long_ago,
        "user": "user_9_else",
    }


def test_an_import_from_an_address(web: WebFolder, opened: Opener) -> None:
    document = _export((DAYS[-4], "good", "2024-05-05T10:00:00.000Z"))
    (web.folder / "export.json").write_text(json.dumps(document))
    watched = opened(web.url("split/catalog/"))
    watched.press("r")

    address = watched.page.get_by_label("Import from an address")
    address.fill(web.url("export.json"))
    address.press("Enter")
    expect(watched.page.locator(".rating-status")).to_contain_text("New: 1,")
    for wrong, said in (
        (web.url("none.json"), "HTTP 404"),
        ("javascript:alert(1)", "Give an address"),
        (web.url("blank.html"), "It is not JSON"),
    ):
        address.fill(wrong)
        address.press("Enter")
        expect(watched.page.locator(".rating-status")).to_contain_text(said)


def test_an_import_with_a_fault_is_refused_as_a_whole(
    web: WebFolder, opened: Opener, tmp_path: Path
) -> None:
    watched = opened(web.url("split/catalog/"))
    watched.press("r")
    right = _export((DAYS[-1], "good", "2024-05-05T10:00:00.000Z"))
    faults: list[dict[str, Any]] = [
        {"image_id": MARKUP, "rating": MARKUP, "timestamp": MARKUP},
        {"image_id": "__proto__", "rating": "best", "timestamp": "2024-05-05T10:00:00.000Z"},
        {"image_id": 7, "rating": "good", "timestamp": LATER},
    ]
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({**right, "ratings": [*right["ratings"], *faults]}))

    watched.page.locator("input[type=file]").set_input_files(file)

    status = watched.page.locator(".rating-status")
    expect(status).to_contain_text("cannot be used; nothing was taken from it")
    expect(status.locator("li")).to_have_count(5)
    assert stored(watched) == {}
    assert watched.page.evaluate("({}).rating") is None


def test_an_export_of_one_browser_is_read_by_another(
    web: WebFolder, opened: Opener, tmp_path: Path
) -> None:
    one = opened(web.url("split/catalog/"))
    one.press("1", "ArrowLeft", "2", "r")
    _, document = exported(one)
    file = tmp_path / "one.json"
    file.write_text(json.dumps(document))

    other = opened(web.url("original/catalog/"), apart=True)
    other.press("r")
    other.page.locator("input[type=file]").set_input_files(file)
    expect(other.page.locator(".rating-status")).to_contain_text("New: 2,")

    other.press("i", "Escape")
    expect(other.page.locator(".rating-choice [aria-pressed=true]")).to_have_text("Good")


def test_two_tabs_see_each_other_s_ratings(web: WebFolder, chromium: Browser) -> None:
    context = chromium.new_context()
    try:
        with watched_in(context) as one, watched_in(context) as two:
            one.open(web.url("split/catalog/"))
            two.open(web.url("split/catalog/"))

            one.press("1")
            expect(two.page.locator(".rating-choice [aria-pressed=true]")).to_have_text("Good")
            two.press("ArrowLeft", "3")
            one.press("ArrowLeft")
            expect(one.page.locator(".rating-choice [aria-pressed=true]")).to_have_text("Bad")
            two.press("ArrowRight", "0")
            one.press("ArrowRight")
            expect(one.page.locator(".rating-choice [aria-pressed=true]")).to_have_count(0)
            assert {one["rating"] for one in stored(one).values()} == {"bad", None}
    finally:
        context.close()


def test_ratings_of_the_former_page_are_found(web: WebFolder, opened: Opener) -> None:
    former = {image_id(DAYS[-1]): {"rating": "ok", "timestamp": "2024-05-05T10:00:00.000Z"}}
    watched = opened(web.url("blank.html"), wait=False)
    watched.page.evaluate(
        "text => { localStorage.image_ratings = text; localStorage.user_id = 'user_1_former'; }",
        json.dumps(former),
    )

    watched.open(web.url("split/catalog/"))

    expect(watched.page.locator(".rating-choice [aria-pressed=true]")).to_have_text("OK")
    watched.press("r")
    expect(watched.page.locator(".rating-user")).to_contain_text("user_1_former")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"__proto__": {"rating": "good"}}',
        pytest.param("[1]", marks=pytest.mark.soak),
        pytest.param('{"a": 7}', marks=pytest.mark.soak),
        pytest.param(MARKUP, marks=pytest.mark.soak),
    ],
)
def test_what_stands_in_the_storage_cannot_stop_the_page(
    web: WebFolder, opened: Opener, text: str
) -> None:
    watched = opened(web.url("blank.html"), wait=False)
    watched.page.evaluate("text => { localStorage.image_ratings = text; }", text)

    watched.open(web.url("split/catalog/"))

    watched.press("1")
    expect(watched.page.locator(".rating-choice [aria-pressed=true]")).to_have_text("Good")
    assert stored(watched)[image_id(DAYS[-1])]["rating"] == "good"
