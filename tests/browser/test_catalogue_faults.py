"""What the page does with a catalogue that is absent, half, broken or by an enemy."""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.support.catalogue import image_days, some_sites, write_documents
from tests.support.catalogue_page import Opener, Watched
from tests.support.hostile_catalogue import MARKUP, NAMES, make_hostile
from tests.support.http import Misbehaviour
from tests.support.web_folder import WebFolder

pytestmark = pytest.mark.browser

KINGSTON, _, ISLAND, _ = some_sites()
INDEX, SINGLE = "split/catalog/index.json", "split/catalog/image-catalog.json"
ABSENT = Misbehaviour(status=404)

UNREADABLE: list[tuple[dict[str, Misbehaviour], str]] = [
    ({INDEX: ABSENT, SINGLE: ABSENT}, "does not exist"),
    ({INDEX: Misbehaviour(status=500)}, "HTTP 500"),
    ({INDEX: Misbehaviour(status=403), SINGLE: Misbehaviour(status=403)}, "was refused"),
    ({INDEX: Misbehaviour(file_ends_at=2000)}, "ends in the middle"),
    ({INDEX: Misbehaviour(body_stops_after=2000)}, "index.json"),
    ({INDEX: Misbehaviour(reset=True)}, "cannot be reached"),
    ({INDEX: Misbehaviour(file_ends_at=0)}, "index.json"),
]


def test_a_catalogue_that_cannot_be_read_is_named_with_a_remedy(
    web: WebFolder, opened: Opener
) -> None:
    watched = opened(web.url("blank.html"), wait=False)
    message = watched.page.locator("#message")

    for spoiled, said in UNREADABLE:
        web.behave()
        for path, misbehaviour in spoiled.items():
            web.misbehave(path, misbehaviour)
        watched.goto(web.url("split/catalog/"))
        expect(message).to_contain_text(said)
    web.behave()
    message.get_by_role("button", name="Try again").click()
    watched.wait_shown()
    expect(message).to_be_hidden()


NO_CATALOGUES = {
    "<!doctype html><p>Sign in</p>": "is a web page",
    '{"type": "FeatureCollection"}': "no image catalogue",
    '{"version": 2, "locations": []}': "version 2",
    '{"version": 1, "root": "", "reasons": {}, "locations": []}': "lists no site",
    "[]": "no image catalogue",
    "null": "no image catalogue",
    '{"locations": [,]}': "is not JSON",
}


def test_what_is_no_catalogue_is_said(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("blank.html"), wait=False)

    for number, (body, said) in enumerate(NO_CATALOGUES.items()):
        name = f"other{number}.json"
        (web.folder / "split" / "catalog" / name).write_text(body, encoding="utf-8")
        watched.goto(web.url(f"split/catalog/?catalog={name}"))
        expect(watched.page.locator("#message")).to_contain_text(said)


# S3 refuses what is absent, unless it may be listed.
@pytest.mark.parametrize("status", [403, pytest.param(404, marks=pytest.mark.soak)])
def test_without_an_index_the_single_file_is_read(
    web: WebFolder, opened: Opener, status: int
) -> None:
    web.misbehave(INDEX, Misbehaviour(status=status))

    watched = opened(web.url("split/catalog/"))

    watched.shows_day(image_days(ISLAND)[-1])


def test_of_half_a_single_file_the_whole_sites_are_shown(web: WebFolder, opened: Opener) -> None:
    web.misbehave("single/catalog/image-catalog.json", Misbehaviour(file_ends_at=150_000))

    watched = opened(web.url("single/catalog/"))

    expect(watched.page.locator("#notices")).to_contain_text("ends in the middle")


@pytest.mark.parametrize(
    "misbehaviour",
    [
        Misbehaviour(file_ends_at=5_000),
        pytest.param(ABSENT, marks=pytest.mark.soak),
        pytest.param(Misbehaviour(status=503), marks=pytest.mark.soak),
        pytest.param(Misbehaviour(reset=True), marks=pytest.mark.soak),
    ],
    ids=["half", "absent", "server", "reset"],
)
def test_a_site_that_cannot_be_read_leaves_the_others(
    web: WebFolder, opened: Opener, misbehaviour: Misbehaviour
) -> None:
    web.misbehave(f"split/catalog/fragments/{ISLAND.site.site_id}.json", misbehaviour)

    watched = opened(web.url("split/catalog/"), wait=False)

    expect(watched.page.get_by_text(f"{ISLAND.name} cannot be read")).to_be_visible()
    watched.press("ArrowDown")
    watched.shows_day(image_days(some_sites()[1])[-1])
    web.behave()
    watched.press("ArrowUp")
    watched.shows_day(image_days(ISLAND)[-1])
    watched.press("ArrowLeft")
    watched.shows_day(image_days(ISLAND)[-2])


def test_an_absent_image_is_said_and_tried_again(web: WebFolder, opened: Opener) -> None:
    days = image_days(ISLAND)
    stem = ISLAND.site.file_stem
    path = f"split/sentinel-2-c1-l2a/{days[-1].replace('-', '/')}/{stem}_{days[-1]}_q128.png"
    web.misbehave(path, ABSENT)

    watched = opened(web.url("split/catalog/"), wait=False, apart=True)

    failed = watched.page.locator(".stage-failed").first
    expect(failed).to_be_visible()
    watched.press("ArrowLeft")
    watched.shows_day(days[-2])
    watched.press("ArrowRight")
    expect(failed).to_be_visible()
    web.behave()
    failed.get_by_role("button", name="Try again").click()
    watched.shows_day(days[-1])


def test_a_site_without_images_says_so(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("split/catalog/?location=Nothing Yet"), wait=False)

    expect(watched.page.get_by_text("Nothing Yet has no images").first).to_be_visible()
    for key in ("ArrowRight", "ArrowLeft", "1", "v", "m", "m", "m", "m", " ", "+", "f", "Home"):
        watched.press(key)
    for key in "dtpir":
        watched.press(key)
        expect(watched.page.locator("#panel")).to_be_visible()


def test_ratings_of_others_that_cannot_be_read_stop_nothing(web: WebFolder, opened: Opener) -> None:
    web.misbehave("split/catalog/ratings/", Misbehaviour(status=500))

    watched = opened(web.url("split/catalog/?location=Kingston HQ"))

    watched.shows_day(image_days(KINGSTON)[-1])


@pytest.fixture(scope="module")
def hostile(web: WebFolder) -> Path:
    return make_hostile(web.folder / "hostile" / "catalog")


def _assert_unharmed(watched: Watched) -> None:
    page = watched.page
    assert page.evaluate("window.__ran") is None
    assert page.evaluate("({}).polluted") is None
    assert page.locator("script:not([type=module])").count() == 0
    schemes = page.evaluate(
        "() => [...new Set([...document.querySelectorAll('[href],[src]')].map("
        "(one) => new URL(one.getAttribute('href') ?? one.getAttribute('src'),"
        " document.baseURI).protocol))]"
    )
    assert set(schemes) <= {"http:", "https:", "blob:", "data:"}


def test_no_name_of_an_enemy_runs_anything(web: WebFolder, hostile: Path, opened: Opener) -> None:
    watched = opened(web.url("hostile/catalog/"), wait=False)
    expect(watched.frame()).to_be_visible()

    for number in range(len(NAMES)):
        watched.press("dtpr"[number % 4], "i")
        if number == 0:
            watched.press("s")
            expect(watched.page.get_by_role("dialog")).to_be_visible()
            watched.press("Escape", *"vcgg")
        watched.press("1", "ArrowLeft", "2", "m", "ArrowDown")
    _assert_unharmed(watched)


@pytest.mark.parametrize(
    "names",
    [[MARKUP, "__proto__", NAMES[6]], pytest.param(NAMES, marks=pytest.mark.soak)],
    ids=["some", "all"],
)
def test_a_site_of_any_name_is_shown(
    web: WebFolder, hostile: Path, opened: Opener, names: list[str]
) -> None:
    watched = opened(web.url("hostile/catalog/"), wait=False)

    for name in names:
        if len(name) < 1000 and name.strip():
            watched.goto(f"{web.url('hostile/catalog/')}?{_query(location=name)}")
            expect(watched.page.locator("#title")).to_contain_text(" ".join(name.split()))
    _assert_unharmed(watched)


def _query(**values: str) -> str:
    return urlencode(values)


QUERIES = [
    _query(location=MARKUP, date=MARKUP, viewtype=MARKUP, panel=MARKUP),
    _query(location="__proto__", date="constructor", viewtype="toString", panel="__proto__"),
    _query(mode="constructor", rating="__proto__", purpose="constructor", sort="toString"),
    _query(z="NaN,Infinity,-1e999", months="0,13,x", cloud="NaN", **{"from": "9999-99-99"}),
    _query(catalog=f"javascript:{NAMES[1]}"),
    _query(catalog="data:application/json,{}"),
    _query(catalog="http://[/"),
    "%E0%A4%A&location=%FF",
]


def test_no_address_of_an_enemy_runs_anything(web: WebFolder, opened: Opener) -> None:
    watched = opened(web.url("blank.html"), wait=False)
    outcome = watched.page.locator(
        ".frame[data-state=shown], #message:visible, .stage-message:visible"
    ).first

    for query in QUERIES:
        watched.goto(f"{web.url('split/catalog/')}?{query}")
        expect(outcome).to_be_visible()
        _assert_unharmed(watched)


def test_entries_of_the_wrong_kind_are_left_out_and_counted(web: WebFolder, opened: Opener) -> None:
    good = {"id": "a", "date": "2024-01-01", "url": {"q128": "../a_2024-01-01_q128.png"}}
    write_documents(
        web.folder / "wrong" / "catalog",
        [
            {"id": "s", "name": "Some site", "images": [good, good, 7, {"id": "b"}]},
            7,  # type: ignore[list-item]
            {"name": None},
        ],
    )

    watched = opened(web.url("wrong/catalog/"))

    expect(watched.page.locator("#notices")).to_contain_text("are left out")
    assert json.dumps(watched.problems) == "[]"
