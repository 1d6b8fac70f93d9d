"""What a user sees in Dagster's UI after the demo."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page

from tests.support.cli import COMMAND, process_environment
from tests.support.demo import MadeDemo, made_demo
from tests.support.real import ROOT
from tests.support.web_server import Program, dagster_web_server, free_port

# The demo itself is made within the first test's time.
pytestmark = pytest.mark.timeout(400)

HOBART = "site_af38900f"

# Without its world, so that the search fails, and with nothing stored but the sites.
_SETTINGS = """\
[store]
url = "file://{store}"
[stac]
url = "http://127.0.0.1:9"
[transport]
attempts = 1
"""
_UPDATE_HOBART = f"""\
import sys
from pathlib import Path
from estinel_assets.build import build_definitions
from estinel_assets.orchestration.in_process import open_instance, run_job
with open_instance(Path(sys.argv[1])) as instance:
    run = run_job(build_definitions(config_file=sys.argv[2]), instance, "update_site", "{HOBART}")
sys.exit("the run succeeded" if run.success else 0)
"""


@dataclass(frozen=True)
class Ui:
    """A web server over a copy of the demo's Dagster home, in which a search failed last."""

    address: str
    failed_run: str
    """The run of the demo with the corrupt file."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> MadeDemo:
    made = made_demo(tmp_path_factory)
    assert made.code == 0, made.stderr
    return made


@pytest.fixture(scope="module")
def ui(demo: MadeDemo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    home, store, config = folder / "dagster", folder / "store", folder / "estinel.toml"
    shutil.copytree(demo.root / "dagster", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
        failed = instance.get_runs(filters)[-1].run_id
    (store / "assets").mkdir(parents=True)
    shutil.copy(demo.root / "store/assets/site_windows.parquet", store / "assets")
    config.write_text(_SETTINGS.format(store=store), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-c", _UPDATE_HOBART, str(home), str(config)],
        cwd=ROOT,
        env=process_environment({}),
        check=True,
        capture_output=True,
        timeout=60,
    )
    with dagster_web_server(home, config) as address:
        yield Ui(address, failed)


def shows(page: Page, *texts: str) -> None:
    """Wait until each text is visible; else the test fails with what was missing."""
    for text in texts:
        page.get_by_text(text, exact=True).locator("visible=true").first.wait_for(timeout=30_000)


@pytest.mark.browser
def test_the_asset_graph_shows_the_imagery_group(ui: Ui, page: Page, tmp_path: Path) -> None:
    page.goto(f"{ui.address}/asset-groups")

    # With several groups the page shows these, closed.
    shows(page, "Global asset lineage", "compatibility", "imagery")
    page.goto(f"{ui.address}/locations/estinel_assets/asset-groups/imagery/lineage")
    shows(page, "site_windows", "stac_query_tables", "views", "web_catalog")
    page.goto(f"{ui.address}/locations/estinel_assets/asset-groups/imagery/list")
    shows(page, "imagery", "rgb_composites", "sentinel_2_c1_l2a", "filtered_solardays")
    page.screenshot(path=tmp_path / "group.png")


@pytest.mark.browser
def test_the_partitions_show_the_sites_and_which_of_them_failed(
    ui: Ui, page: Page, tmp_path: Path
) -> None:
    page.goto(f"{ui.address}/assets/stac_query_tables?view=partitions&partition={HOBART}")

    shows(page, "5 Partitions Selected", "Failed (1)", "Materialized (4)", HOBART, "site_27e198c2")
    page.get_by_text("did not materialize this asset").wait_for()
    page.screenshot(path=tmp_path / "partitions.png")


@pytest.mark.browser
def test_a_run_shows_pictures_of_what_it_made(ui: Ui, page: Page, tmp_path: Path) -> None:
    page.goto(f"{ui.address}/assets/views?view=partitions&partition={HOBART}")
    page.get_by_text("[Show Markdown]").first.click()
    picture = page.locator("img[src^='data:image/png']").first
    picture.wait_for()

    page.screenshot(path=tmp_path / "preview.png")
    size = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert min(size) >= 50


@pytest.mark.browser
def test_a_failed_run_says_which_day_and_why(ui: Ui, page: Page, tmp_path: Path) -> None:
    page.goto(f"{ui.address}/runs/{ui.failed_run}")

    shows(page, "Failure", f"partition: {HOBART}", "Errored (1)", "updated_markers")
    page.get_by_text("2024-04-30: source_corrupt").locator("visible=true").first.wait_for()
    page.screenshot(path=tmp_path / "run.png")


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_the_demo_ui_ends_with_all_that_it_started(
    demo: MadeDemo, tmp_path: Path, number: signal.Signals
) -> None:
    copy = tmp_path / "demo"
    copy.mkdir()
    for name in ("estinel.toml", "stac.sqlite"):
        shutil.copy(demo.root / name, copy)
    shutil.copytree(demo.root / "dagster", copy / "dagster")
    (copy / "world" / "scenes").mkdir(parents=True)
    port = free_port()
    command = [str(COMMAND), "demo", "ui", "--folder", str(copy), "--port", str(port)]
    program = Program(command, {}, tmp_path / "said.txt")
    try:
        program.wait_for(f"http://127.0.0.1:{port}/server_info")
        running = program.family()
        program.process.send_signal(number)
        code = program.process.wait(timeout=60)
        left = program.wait_until_gone(deadline_s=30.0)
    finally:
        program.kill()

    assert any("stac serve" in command for command in running)
    assert any("dagster_webserver" in command for command in running)
    assert left == []
    assert code == 5, program.said.read_text(errors="replace")
