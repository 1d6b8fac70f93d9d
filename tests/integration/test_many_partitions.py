"""Very many partitions in an instance on SQLite: added, listed, planned, and looked at.

Five thousand here, which is no less than what one page or one request holds; forty thousand among
the long tests.
"""

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource
from playwright.sync_api import Page

from benchmarks.partitions import ASSET, fill, open_in_browser, partition_keys
from estinel_assets.imagery.sensors import SITES_A_TICK, new_imagery_sensor
from estinel_assets.imagery.site_id import site_id
from estinel_assets.orchestration.in_process import open_instance
from estinel_assets.orchestration.partitions import SITES, sync_partitions
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.orchestration.run_requests import turn_of
from tests.support.imagery import quiet_dagster
from tests.support.real import ROOT
from tests.support.web_server import dagster_web_server

pytestmark = quiet_dagster


@pytest.fixture(scope="module", params=[5_000, pytest.param(40_000, marks=pytest.mark.soak)])
def keys(request):
    return partition_keys(request.param)


@pytest.fixture(scope="module")
def home(tmp_path_factory, keys):
    """A Dagster home in which all the partitions are."""
    home = tmp_path_factory.mktemp("many")
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with open_instance(home) as instance:
        fill(instance, keys)
    return home


def test_they_are_added_listed_and_kept_in_step(home, keys):
    with open_instance(home) as instance:
        assert (home / "storage").is_dir() or (home / "history").is_dir()
        assert set(instance.get_dynamic_partitions(str(SITES.name))) == set(keys)
        assert instance.has_dynamic_partition(str(SITES.name), keys[-1])

        without = keys[:-3]
        assert sync_partitions(instance, SITES, [*without, "one-more"]) == (1, 3)
        assert len(instance.get_dynamic_partitions(str(SITES.name))) == len(keys) - 2
        assert sync_partitions(instance, SITES, keys) == (3, 1)
        assert sync_partitions(instance, SITES, []) == (0, 0), "an empty table forgets nothing"


def test_ticks_look_at_a_bounded_number_and_at_all_in_turn(keys):
    names = set(keys)
    first = turn_of(names, "", SITES_A_TICK)
    second = turn_of(names, first[-1], SITES_A_TICK)
    last = turn_of(names, keys[-SITES_A_TICK - 1], SITES_A_TICK)

    assert [*first, *second] == keys[: 2 * SITES_A_TICK]
    assert last == keys[-SITES_A_TICK:]
    assert turn_of(names, last[-1], SITES_A_TICK) == first


def test_a_tick_of_the_sensor_asks_for_a_bounded_number_of_runs(home, tmp_path, monkeypatch):
    names = [f"Place {number:05d}" for number in range(3 * SITES_A_TICK)]
    rows = [f"{name},{number},-40,10,100,100" for number, name in enumerate(names)]
    table = tmp_path / "sites.csv"
    table.write_text("\n".join(["location,lon,lat,resolution,radiusx,radiusy", *rows, ""]))
    config = tmp_path / "estinel.toml"
    config.write_text(
        f'[store]\nurl = "file://{tmp_path}/store"\n[imagery]\nsites = "{table}"\n'
        '[stac]\nurl = "http://127.0.0.1:9"\n'
    )
    settings = SettingsResource(config_file=str(config))
    store = StoreResource(settings=settings, s3=S3Resource())
    asked: list[str] = []
    cursor = None
    with open_instance(home) as instance:
        for _ in range(3):
            with dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"settings": settings, "store": store}
            ) as context:
                result = new_imagery_sensor(context)
            assert isinstance(result, dg.SensorResult)
            asked += [str(request.partition_key) for request in result.run_requests or []]
            assert len(asked) % SITES_A_TICK == 0
            cursor = result.cursor

    assert asked == sorted(site_id(name) for name in names)


@pytest.mark.browser
@pytest.mark.soak
def test_the_ui_opens_an_asset_with_all_of_them(home, tmp_path, keys):
    took = open_in_browser(home, len(keys), tmp_path / "partitions.png")

    assert set(took) == {"open_first_s", "open_again_s"}
    assert (tmp_path / "partitions.png").stat().st_size > 10_000


@pytest.mark.browser
@pytest.mark.soak
def test_the_ui_finds_one_among_all_of_them(home, tmp_path, keys, page: Page):
    config = tmp_path / "estinel.toml"
    config.write_text(f'[store]\nurl = "file://{tmp_path}/store"\n', encoding="utf-8")
    with dagster_web_server(home, config) as address:
        page.goto(f"{address}/assets/{ASSET}?view=partitions&partition={keys[-7]}")
        page.get_by_text(keys[-7]).locator("visible=true").first.wait_for(timeout=60_000)
        page.get_by_text("No materializations").or_(page.get_by_text("Missing")).first.wait_for()
        page.screenshot(path=tmp_path / "one.png")
