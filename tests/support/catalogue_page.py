"""The catalogue browser in a page that is watched: nothing may fail or be refused unseen."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

WCAG = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
TIMEOUT_MS = 20_000
"""Nothing takes so long but on a machine that is busy with other things."""
_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error("policy: " + event.violatedDirective + " " + event.blockedURI);
});
"""


@dataclass
class Watched:
    """A page and what went wrong in it."""

    page: Page
    problems: list[str] = field(default_factory=list)
    """Exceptions, errors in the console, violations of the policy, dialogs; in their order."""

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        self.page.on("console", self._note)
        self.page.on("dialog", self._refuse)

    def _note(self, message: ConsoleMessage) -> None:
        # A 404 is an answer: what the page makes of it is asserted where it matters.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(f"console: {message.text}")

    def _refuse(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def forget(self, url: str) -> None:
        """Let the browser keep nothing of an origin."""
        session = self.page.context.new_cdp_session(self.page)
        origin = "/".join(url.split("/")[:3])
        kinds = "local_storage,indexeddb,cache_storage,service_workers"
        session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": kinds})
        session.detach()

    def leave(self) -> None:
        """Close the page of a catalogue, the tab stays; what it keeps when it ends is kept then."""
        self.page.goto("about:blank")
        self.page.mouse.move(0, 0)

    def goto(self, url: str) -> None:
        """Open the page of a catalogue."""
        self.page.goto(url, wait_until="commit")

    def open(self, url: str) -> None:
        """Open the page of a catalogue and wait for its first image."""
        self.goto(url)
        self.wait_shown()

    def frame(self, side: Literal["left", "right"] = "left") -> Locator:
        """Where an image is shown."""
        return self.page.locator(f".frame[data-side={side}]")

    def wait_shown(self, side: Literal["left", "right"] = "left") -> str:
        """Wait until an image is painted; its id."""
        frame = self.frame(side)
        expect(frame).to_have_attribute("data-state", "shown")
        return frame.get_attribute("data-shown") or ""

    def shows_day(self, day: str, side: Literal["left", "right"] = "left") -> None:
        """Wait until the image of a solar day is painted."""
        frame = self.frame(side)
        expect(frame).to_have_attribute("data-shown", ending(day))
        expect(frame).to_have_attribute("data-state", "shown")

    def state(self, key: str) -> Any:
        """One value of the address: what a shared link would hold."""
        return self.page.evaluate("key => new URL(location.href).searchParams.get(key)", key)

    def press(self, *keys: str) -> None:
        """Press keys, one after another, once what is read has come."""
        for key in keys:
            expect(self.page.locator("[aria-busy=true]")).to_have_count(0)
            self.page.keyboard.press(key)

    def accessible(self, part: str | None = None) -> None:
        """Let axe look at the page as it is.

        Args:
            part: a selector of what changed since axe last looked; None for the whole page.
        """
        is_there = self.page.evaluate("'axe' in window")
        axe = Axe("0") if is_there else Axe()  # its script has half a megabyte
        report = axe.run(self.page, part, WCAG)
        assert report.violations_count == 0, report.generate_report()


def ending(text: str) -> re.Pattern[str]:
    """A pattern for texts that end so."""
    return re.compile(f"{re.escape(text)}$")


def containing(text: str) -> re.Pattern[str]:
    """A pattern for texts that hold this."""
    return re.compile(re.escape(text))


@contextmanager
def watched_page(
    browser: Browser, *, check: bool = True, phone: bool = False, **options: Any
) -> Iterator[Watched]:
    """A page in a context of its own; at the end nothing may have gone wrong in it."""
    settings = {"viewport": PHONE if phone else DESKTOP, **options}
    if phone:
        settings |= {"has_touch": True, "is_mobile": True}
    context = browser.new_context(**settings)
    try:
        with watched_in(context, check=check) as watched:
            yield watched
    finally:
        context.close()


@contextmanager
def watched_in(context: BrowserContext, *, check: bool = True) -> Iterator[Watched]:
    """One more page of a context."""
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.add_init_script(_LISTEN)
    watched = Watched(page)
    try:
        yield watched
    finally:
        page.close()
    if check:
        assert watched.problems == []


Opener = Callable[..., Watched]
"""Opens a catalogue: the fixture `opened`."""
