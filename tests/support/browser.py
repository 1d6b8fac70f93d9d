"""A page in headless Chromium, driven by Playwright.

The browser is the machine's own: the tests download none. It reaches 127.0.0.1 and nothing else,
so that a page that needs the internet shows it here.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")

_ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def chromium_path() -> Path | None:
    """The browser to use, or None where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


@cache
def why_no_browser() -> str | None:
    """What is missing for browser tests; None where they can run."""
    if chromium_path() is None:
        return f"no browser: none of {', '.join(NAMES)} is on the PATH"
    driver = subprocess.run(
        [sys.executable, "-m", "playwright", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    if driver.returncode == 0:
        return None
    complaint = next((line for line in driver.stderr.splitlines() if "error" in line), "it failed")
    return f"no browser: Playwright's driver does not start: {complaint.split(': ', 1)[-1]}"


@contextmanager
def open_browser(*more_arguments: str) -> Iterator[Browser]:
    """A fresh browser with a profile of its own.

    Close it before anything in the same thread uses asyncio: Playwright's loop runs until then.
    """
    executable = chromium_path()
    assert executable is not None, why_no_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            headless=True,
            chromium_sandbox=os.geteuid() != 0,  # Chromium's sandbox refuses to run as root
            args=[*_ARGUMENTS, *more_arguments],
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(width: int = 1400, height: int = 900) -> Iterator[Page]:
    """An empty page in a browser of its own; see `open_browser`."""
    with open_browser() as browser:
        yield browser.new_page(viewport={"width": width, "height": height})
