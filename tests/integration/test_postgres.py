"""PostgreSQL as Dagster's storage: a site's run is recorded there, and nowhere else."""

import shutil

import dagster as dg
import pytest
import yaml

from benchmarks.partitions import fill, partition_keys
from estinel_assets.orchestration.in_process import open_instance
from tests.support.cli import estinel
from tests.support.imagery import imagery_world, plain_scenes, quiet_dagster
from tests.support.postgres import PASSWORD, postgres_server, why_no_postgres
from tests.support.real import ROOT

pytestmark = quiet_dagster
DEPLOYED = ROOT / "deploy" / "dagster-postgres.yaml"


@pytest.fixture(scope="module")
def server():
    if missing := why_no_postgres():
        pytest.skip(missing)
    with postgres_server() as running:
        yield running


@pytest.fixture
def home(tmp_path, server, monkeypatch):
    """A Dagster home with the example's file, and the variables that it names."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(DEPLOYED, home / "dagster.yaml")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return home


def test_the_example_is_the_instance_of_the_repository_with_its_storage_in_postgres():
    deployed = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))
    root = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))

    fields = deployed.pop("storage")["postgres"]["postgres_db"]
    assert deployed == root
    assert set(fields["password"]) == {"env"}, "a password in a file"


def test_an_update_is_recorded(tmp_path, tmp_path_factory, server, home):
    scenes = plain_scenes(tmp_path_factory.getbasetemp())[-1:]
    with imagery_world(tmp_path / "world", scenes) as world:
        told = estinel(
            "--config", world.config, "update", "--json",
            DAGSTER_HOME=str(home), **server.environment(),
        )  # fmt: skip
        assert told.code == 0, told.stderr
        assert told.document["images"] == 1
        (row,) = told.document["sites"]

        recorded = server.rows(
            "SELECT run_id, status FROM runs WHERE pipeline_name = 'update_site'"
        )
        assert recorded == [(row["run_id"], "SUCCESS")]
        partitions = server.rows("SELECT partition FROM dynamic_partitions")
        assert partitions == [(world.site,)]
        views = server.rows(
            "SELECT DISTINCT run_id, partition FROM event_logs WHERE asset_key = '[\"views\"]' "
            "AND partition IS NOT NULL"
        )
        assert views == [(row["run_id"], world.site)]
        assert not list(home.rglob("*.db")), "something is kept in SQLite"

        # Another process sees it, and the UI's value of an asset loads.
        with open_instance(home) as instance:
            run = instance.get_run_by_id(row["run_id"])
            assert run is not None
            assert run.is_success
            loaded = world.definitions().load_asset_value(
                dg.AssetKey("views"), partition_key=world.site, instance=instance
            )
            assert len(loaded) == 1
            assert PASSWORD not in instance.info_str()


def test_it_holds_many_partitions(home):
    with open_instance(home) as instance:
        for key in instance.get_dynamic_partitions("sites"):
            instance.delete_dynamic_partition("sites", key)
        took = fill(instance, partition_keys(5_000))

    assert set(took) == {"add_s", "list_s", "nothing_to_change_s"}
