"""What a user sees of compatibility in Dagster's UI: the chart, and very many partitions."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page

from estinel_assets.orchestration.in_process import open_instance
from estinel_assets.orchestration.partitions import COLLECTIONS, sync_partitions
from estinel_assets.outcomes.chart import markdown_bars
from tests.support.compatibility import QUIET, RESULTS
from tests.support.real import ROOT
from tests.support.web_server import dagster_web_server

pytestmark = pytest.mark.soak

MANY = 10_000
KEYS = [f"C{1_000_000 + number}-DEMO" for number in range(MANY)]
GREEN, RED = KEYS[:60], KEYS[60:80]
COUNTS = Counter(
    unsupported_format=6073, no_xy_dimensions=1349, group_structure=1208, none=719, timeout=3
)
TABLE = dg.AssetKey("compatibility_table")


@dataclass(frozen=True)
class Ui:
    """A web server over a home with very many partitions."""

    address: str

    def partitions(self, asset: str, **more: str) -> str:
        chosen = "".join(f"&{name}={value}" for name, value in more.items())
        return f"{self.address}/assets/{asset}?view=partitions{chosen}"


@dg.op
def record_results(context: dg.OpExecutionContext) -> None:
    """Show some results as a run over their keys would, without a check."""
    from estinel_assets.orchestration.partition_events import log_ended

    for key in GREEN:
        log_ended(context, RESULTS, key, {"status": True, "reason": "none"}, fault=False)
    for key in RED:
        known = {"status": False, "reason": "timeout", "error": "no answer within 60 s"}
        log_ended(context, RESULTS, key, known, fault=True)
    context.log_event(
        dg.AssetMaterialization(
            TABLE, metadata={"chart": dg.MetadataValue.md(markdown_bars(COUNTS))}
        )
    )
    raise dg.Failure("some ended with a fault")


@dg.job
def record() -> None:
    """One run."""
    record_results()


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("home")
    shutil.copy(ROOT / "dagster.yaml", home)
    with open_instance(home) as instance:
        assert sync_partitions(instance, COLLECTIONS, KEYS) == (MANY, 0)
        record.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    config = home / "estinel.toml"
    config.write_text(f'[store]\nurl = "file://{home}/store"\n', encoding="utf-8")
    with dagster_web_server(home, config) as address:
        yield Ui(address)


def visible(page: Page, *texts: str) -> None:
    """Wait until each text is visible; else the test fails with what was missing."""
    for text in texts:
        page.get_by_text(text, exact=True).locator("visible=true").first.wait_for(timeout=60_000)


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


@pytest.mark.browser
def test_ten_thousand_partitions_open_and_are_counted(
    ui: Ui, page: Page, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def visit() -> None:
        page.goto(ui.partitions("compatibility_results"), wait_until="commit")
        visible(page, "10,000 Partitions Selected")

    first_s, again_s = seconds(visit), seconds(visit)

    visible(page, "Failed (20)", "Materialized (60)", "Missing (9920)")
    page.screenshot(path=tmp_path / "partitions.png")
    with capsys.disabled():
        print(f"\n10,000 partitions: open {first_s:.1f} s, again {again_s:.1f} s")


@pytest.mark.browser
def test_one_among_them_says_why_it_failed(ui: Ui, page: Page, tmp_path: Path) -> None:
    page.goto(ui.partitions("compatibility_results", partition=RED[3]))

    visible(page, RED[3], "View all historical events (1)")
    page.get_by_text("failed, and did not materialize this asset").first.wait_for()
    page.get_by_text("View all historical events (1)").click()
    page.get_by_role("dialog").get_by_text(RED[3], exact=True).click()
    page.get_by_text("no answer within 60 s").locator("visible=true").first.wait_for()
    page.screenshot(path=tmp_path / "one.png")


@pytest.mark.browser
def test_the_chart_is_drawn_as_a_table(ui: Ui, page: Page, tmp_path: Path) -> None:
    page.goto(f"{ui.address}/assets/compatibility_table?view=events")
    table = page.locator("table", has_text="unsupported_format").last
    table.wait_for(timeout=60_000)

    page.screenshot(path=tmp_path / "chart.png")
    heading, *rows, total = (row.split() for row in table.locator("tr").all_inner_texts())
    assert heading == ["reason", "count", "share"]
    assert [row[0] for row in rows] == [name for name, _ in COUNTS.most_common()]
    assert rows[0][:3] == ["unsupported_format", "6073", "64.9%"]
    assert rows[-1][:2] == ["timeout", "3"]
    assert total == ["total", str(COUNTS.total())]
