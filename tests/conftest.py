"""What all tests share: a clean environment, Hypothesis profiles, the table of skipped tests."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Page

from tests.support import browser, fork_server
from tests.support.examples import USUAL
from tests.support.quick_servers import quicken_uvicorn
from tests.support.revisions import keep_revisions
from tests.support.skips import plain_reason, skip_table

# A slow machine is no failure, so examples have no deadline. In CI the same examples are tried
# every time: what fails there fails for the change, not for luck.
settings.register_profile(
    "local", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=USUAL // 4
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None)
settings.register_profile("soak", settings.get_profile("local"), max_examples=USUAL * 4)
settings.load_profile("ci" if os.environ.get("CI") else "local")

keep_revisions()
quicken_uvicorn()

KEPT = {"ESTINEL_REAL_DATA"}


def _isolate(environment: pytest.MonkeyPatch) -> None:
    """Hide this machine's settings, credentials and proxies from the tests."""
    for name in list(os.environ):
        if name in KEPT:
            continue
        if name.startswith(("ESTINEL_", "AWS_", "DAGSTER_")) or name.lower().endswith("_proxy"):
            environment.delenv(name)
    environment.setenv("AWS_CONFIG_FILE", os.devnull)
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    environment.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Clean also for fixtures that live longer than one test."""
    with pytest.MonkeyPatch.context() as environment:
        _isolate(environment)
        yield


MANY_TESTS = 1000


@pytest.fixture(scope="session", autouse=True)
def _fork_server(request: pytest.FixtureRequest, _clean_environment: None) -> None:
    """Start a fork server for all tests; for a few of them it is less work to do without."""
    if len(request.session.items) >= MANY_TESTS:
        fork_server.start_complete()


def pytest_collection() -> None:
    """Importing makes no garbage worth a search for it."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Keep what was imported out of garbage collections, and let these be rarer.

    Each would look at all of it anew: a tenth of the time that tests take.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _clean_environment_of_the_test(
    _clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clean again for each test, whatever the one before has set."""
    _isolate(monkeypatch)


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page in headless Chromium, for tests marked `browser`."""
    with browser.open_page() as opened:
        yield opened


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `browser` where there is no browser."""
    if item.get_closest_marker("browser") and (reason := browser.why_no_browser()):
        pytest.skip(reason)


@pytest.hookimpl(trylast=True)  # after the table of coverage
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and why, also when nothing was."""
    reports = terminalreporter.stats.get("skipped", [])
    lines = skip_table((report.nodeid, plain_reason(report.longrepr)) for report in reports)
    terminalreporter.section("what was skipped", sep="-")
    for line in lines:
        terminalreporter.write_line(line)
