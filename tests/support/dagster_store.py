"""The store resource over a folder or over S3, as Dagster's resources open it."""

from pathlib import Path

import pytest
from dagster_aws.s3 import S3Resource

from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from tests.support.s3 import S3Access

quiet_dagster = pytest.mark.filterwarnings(
    "ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning"
)
"""For modules that start a resource inside of another: Dagster 1.13 then calls what it has
deprecated itself."""


def on_folder(folder: Path, environment: pytest.MonkeyPatch) -> StoreResource:
    """A store in a folder, named by the environment as a user would."""
    environment.setenv("ESTINEL_STORE_URL", f"file://{folder}")
    return StoreResource(settings=SettingsResource(), s3=S3Resource())


def on_s3(access: S3Access, prefix: str, environment: pytest.MonkeyPatch) -> StoreResource:
    """A store in a bucket; its credentials are known to dagster-aws' resource alone."""
    environment.setenv("ESTINEL_STORE_URL", access.url(prefix))
    s3 = S3Resource(
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
    )
    return StoreResource(settings=SettingsResource(), s3=s3)
