"""What the tests of the catalogue browser share: a web server, and a tab in Chromium a module."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.support.browser import open_browser
from tests.support.catalogue import make_catalogue, some_sites
from tests.support.catalogue_page import DESKTOP, TIMEOUT_MS, Watched, watched_in, watched_page
from tests.support.pictures import absent_picture
from tests.support.web_folder import WebFolder

expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of a module; each test takes a context of its own."""
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebFolder]:
    """Small catalogues: `split/catalog/`, `single/catalog/`, `original/catalog/`."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "blank.html").write_text("<!doctype html><title>blank</title>", encoding="utf-8")
    for form in ("split", "single", "original"):
        make_catalogue(folder / form, some_sites(), form=form, pictures=False)
    with WebFolder(folder, absent=absent_picture) as server:
        yield server


@pytest.fixture(autouse=True)
def _well_behaved(request: pytest.FixtureRequest) -> Iterator[None]:
    """Undo, after each test, what it made the server do."""
    yield
    if "web" in request.fixturenames:
        server: WebFolder = request.getfixturevalue("web")
        server.behave()
        server.headers.clear()


@pytest.fixture(scope="module")
def desk(chromium: Browser) -> Iterator[BrowserContext]:
    """A context that the tests of a module share, so that they read the page's scripts once."""
    context = chromium.new_context(viewport=DESKTOP, service_workers="block")
    yield context
    context.close()


@pytest.fixture(scope="module")
def tab(desk: BrowserContext) -> Iterator[Watched]:
    """A tab that the tests of a module open catalogues in, one after the other."""
    with watched_in(desk, check=False) as watched:
        yield watched


@pytest.fixture
def opened(
    chromium: Browser, desk: BrowserContext, tab: Watched
) -> Iterator[Callable[..., Watched]]:
    """Opens catalogues; nothing may go wrong in any.

    The first that is opened without options stands in the module's tab, others in tabs of their
    own; these share what the browser keeps, and nothing is kept from other tests. Any option (of
    a context, or `phone`, or `apart=True`) gives a browser of its own.
    """
    with ExitStack() as stack:
        is_used = False

        def open_(url: str, *, wait: bool = True, **options: Any) -> Watched:
            nonlocal is_used
            if options:
                options.pop("apart", None)
                options.setdefault("service_workers", "block")
                watched = stack.enter_context(watched_page(chromium, **options))
            elif is_used:
                watched = stack.enter_context(watched_in(desk))
            else:
                is_used = True
                watched = tab
                watched.problems.clear()
                watched.forget(url)
                stack.callback(watched.leave)
            watched.goto(url)
            if wait:
                watched.wait_shown()
            return watched

        yield open_
    if is_used:
        assert tab.problems == []
