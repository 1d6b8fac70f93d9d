"""dagster-aws on an S3 server: credentials for the store, and the output of steps in a bucket."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml
from dagster_aws.s3 import S3Resource

from estinel_assets.errors import BadInputError
from estinel_assets.orchestration.io_managers import ParquetIOManager
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from tests.support.cli import process_environment
from tests.support.dagster_store import on_s3, quiet_dagster
from tests.support.real import ROOT
from tests.support.s3 import S3Access, s3_server

pytestmark = quiet_dagster

DEPLOYED = ROOT / "deploy" / "dagster-s3.yaml"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


@dg.asset(io_manager_key="parquet")
def scenes() -> pd.DataFrame:
    return pd.DataFrame({"scene": ["S2A", "S2B"]})


# --- credentials -------------------------------------------------------------------------------


def test_a_run_reaches_the_bucket_with_what_the_s3_resource_holds(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resource = on_s3(s3, "run", monkeypatch)
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        result = dg.materialize(
            [scenes], instance=instance, resources={"parquet": ParquetIOManager(store=resource)}
        )

    assert result.success
    assert s3.keys("run/") == ["run/assets/scenes.parquet"]
    (made,) = result.asset_materializations_for_node("scenes")
    assert made.metadata["stored_uri"].value == f"s3://{s3.bucket}/run/assets/scenes.parquet"


def test_a_profile_of_the_s3_resource_gives_the_credentials(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[profile imagery]\n"
        f"aws_access_key_id = {s3.access_key_id}\n"
        f"aws_secret_access_key = {s3.secret_access_key}\n"
        f"region = {s3.region}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("ESTINEL_STORE_URL", s3.url("profile"))
    named = S3Resource(profile_name="imagery", endpoint_url=s3.endpoint_url)

    StoreResource(settings=SettingsResource(), s3=named).open().put("a", b"1")

    assert s3.keys("profile/") == ["profile/a"]


def test_without_credentials_the_message_says_how_to_give_them(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTINEL_STORE_URL", s3.url("none"))
    bare = S3Resource(endpoint_url=s3.endpoint_url, region_name=s3.region)

    with pytest.raises(BadInputError, match=r"no credentials for s3://.*AWS_ACCESS_KEY_ID"):
        StoreResource(settings=SettingsResource(), s3=bare).open()


# --- the output of steps -----------------------------------------------------------------------


def test_the_deployed_instance_is_that_of_the_repository_with_logs_in_s3() -> None:
    deployed = yaml.safe_load(DEPLOYED.read_text(encoding="utf-8"))
    root = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))

    assert deployed.pop("compute_logs")["class"] == "S3ComputeLogManager"
    assert deployed == root


def test_what_a_step_prints_lands_in_the_bucket(s3: S3Access, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(DEPLOYED.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "loud.py").write_text(
        "import sys\n"
        "import dagster as dg\n"
        "@dg.asset\n"
        "def loud():\n"
        "    print('a line on stdout')\n"
        "    print('a line on stderr', file=sys.stderr)\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    dg.materialize([loud], instance=instance)\n"
    )
    variables = {
        **s3.environment(),
        "DAGSTER_HOME": str(home),
        "DAGSTER_COMPUTE_LOGS_BUCKET": s3.bucket,
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "loud.py"],
        cwd=tmp_path,
        env=process_environment(variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr

    logs = {
        key.rsplit(".", 1)[1]: s3.client().get_object(Bucket=s3.bucket, Key=key)
        for key in s3.keys("dagster/compute-logs/")
        if not key.endswith(".partial")
    }
    assert set(logs) == {"out", "err"}
    assert b"a line on stdout" in logs["out"]["Body"].read()
    assert b"a line on stderr" in logs["err"]["Body"].read()
    assert logs["out"]["ServerSideEncryption"] == "AES256"
