"""One failing day through Dagster: its site's run is red, the other sites' are green."""

import dagster as dg
import pytest

from estinel_assets.build import build_definitions
from estinel_assets.imagery.markers import read_marker
from estinel_assets.orchestration.in_process import run_job
from estinel_assets.orchestration.resources import ScenesResource, SettingsResource
from estinel_assets.storage.opening import open_store
from tests.support.imagery import SITES_HEADER, quiet_dagster, toml
from tests.support.increment import (
    CASEY,
    COLLECTION,
    HOBART,
    MAWSON,
    MadeReader,
    MadeScene,
    MadeSource,
    corrupt,
    day_number,
)

pytestmark = quiet_dagster

SITES = (HOBART, CASEY, MAWSON)
DAYS = [day_number(number) for number in range(1, 6)]


@pytest.fixture
def source():
    made = MadeSource()
    made.add(*(MadeScene(site, day) for site in SITES for day in DAYS))
    return made


@pytest.fixture
def reader():
    return MadeReader()


@pytest.fixture
def store(tmp_path):
    return open_store(f"file://{tmp_path}/store")


@pytest.fixture
def run(tmp_path, source, reader):
    """Runs a job by name, for a site or for none."""
    rows = [
        f"{site.location},{site.lon},{site.lat},10,{site.radiusx},{site.radiusy}," for site in SITES
    ]
    table, config = tmp_path / "sites.csv", tmp_path / "estinel.toml"
    table.write_text("\n".join([SITES_HEADER, *rows, ""]), encoding="utf-8")
    config.write_text(
        toml(
            {
                "store": {"url": f"file://{tmp_path}/store"},
                "stac": {"collection": COLLECTION},
                "imagery": {"sites": str(table)},
                "outcomes": {"backoff_s": 0},
            }
        ),
        encoding="utf-8",
    )

    class MadeScenes(ScenesResource):
        def open_source(self):
            return source

        def open_reader(self):
            return reader

    settings = SettingsResource(config_file=str(config))
    defs = build_definitions(
        config_file=str(config), resource_overrides={"scenes": MadeScenes(settings=settings)}
    )
    with dg.DagsterInstance.ephemeral() as instance:

        def started(job, site=None):
            ran = run_job(defs, instance, job, site.site_id if site else None)
            records = instance.get_records_for_run(ran.run_id).records
            said = [
                record.event_log_entry.dagster_event.event_specific_data.materialization
                for record in records
                if record.event_log_entry.dagster_event_type
                == dg.DagsterEventType.ASSET_MATERIALIZATION
            ]
            return ran, {
                one.asset_key.to_user_string(): {
                    name: value.value for name, value in one.metadata.items()
                }
                for one in said
            }

        yield started


def last_day(store, site):
    return read_marker(store, site.site_id).marker.last_solarday


def test_a_failed_day_makes_its_site_red_and_no_other(run, store, reader):
    failing = MadeScene(HOBART, DAYS[2])
    reader.broken = corrupt(failing)
    run("refresh_sites")
    ran = {site: run("update_site", site) for site in SITES}

    assert {site.location: one.success for site, (one, _) in ran.items()} == {
        "Hobart": False,
        "Casey": True,
        "Mawson": True,
    }
    hobart, said = ran[HOBART]
    assert "2024-12-03: source_corrupt" in hobart.error
    # The good days of the red site stand, and its marker is as far as it may be.
    assert said["views"]["images"] == 4
    assert [last_day(store, site) for site in SITES] == [DAYS[1], DAYS[4], DAYS[4]]

    reader.broken.clear()  # the file was repaired
    reader.reads.clear()
    again, said = run("update_site", HOBART)

    assert again.success, again.error
    assert set(reader.reads) == {failing.id}
    assert said["filtered_solardays"]["planned_days"] == 1
    assert said["updated_markers"]["last_solarday"] == "2024-12-05"
    assert said["updated_markers"]["marker_written"] is True
    assert last_day(store, HOBART) == DAYS[4]


def test_a_catalogue_that_is_down_is_red_and_leaves_the_marker(run, store, source):
    run("refresh_sites")
    assert run("update_site", CASEY)[0].success
    source.down = True

    ran, said = run("update_site", CASEY)

    assert not ran.success
    assert "down" in ran.error
    assert "updated_markers" not in said
    assert last_day(store, CASEY) == DAYS[4]
