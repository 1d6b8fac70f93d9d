"""Resources: they hold configuration, read the settings when they start, and open ports."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import dagster as dg
from botocore.exceptions import BotoCoreError
from dagster_aws.s3 import S3Resource

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.book import OutcomeBook, ProductOutcomes
from estinel_assets.settings import Settings, load_settings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from estinel_assets.transport import RequestsTransport, RetryPolicy

if TYPE_CHECKING:
    from estinel_assets.raster.reader import RasterReader
    from estinel_assets.stac.search import SceneSource
    from estinel_assets.stac.signing import HrefSigner


class SettingsResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The settings, read when a run starts."""

    config_file: str | None = None
    """TOML file; else the one that `ESTINEL_CONFIG` names."""

    def load(self) -> Settings:
        """Read the environment and the file.

        Raises:
            BadInputError: a setting is unusable.
        """
        return load_settings(Path(self.config_file) if self.config_file else None)


class StoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The object store. Credentials for S3 come from dagster-aws' S3 resource."""

    settings: dg.ResourceDependency[SettingsResource]
    s3: dg.ResourceDependency[S3Resource]

    def open(self) -> ObjectStore:
        """Open the store that the settings name.

        Raises:
            BadInputError: its URL is unusable.
        """
        at = self.settings.load().store
        if at.url.startswith("memory:"):
            raise BadInputError(
                f"store.url {at.url} would be empty in every step of a run; use file:// or s3://"
            )
        return open_store(
            at.url,
            endpoint_url=at.endpoint_url or self.s3.endpoint_url,
            region=at.region or self.s3.region_name,
            session=self._session(at.profile) if at.url.startswith("s3:") else None,
        )

    def _session(self, profile: str | None) -> boto3.Session:
        return _boto3_session(
            profile or self.s3.profile_name,
            self.s3.region_name,
            self.s3.aws_access_key_id,
            self.s3.aws_secret_access_key,
            self.s3.aws_session_token,
        )


def open_book(
    spec: ProductOutcomes, settings: SettingsResource, store: StoreResource
) -> OutcomeBook:
    """A product line's outcomes, in the store of the settings.

    Raises:
        BadInputError: a setting is unusable.
    """
    return OutcomeBook.from_settings(store.open(), spec, settings.load().outcomes)


@lru_cache(maxsize=8)
def _boto3_session(
    profile: str | None,
    region: str | None,
    key_id: str | None,
    secret: str | None,
    token: str | None,
) -> boto3.Session:
    """One session for all steps of a process: it takes 14 ms to make, and renews credentials."""
    try:
        return boto3.Session(
            profile_name=profile,
            region_name=region,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )
    except BotoCoreError as error:
        raise BadInputError(f"the AWS configuration cannot be used: {error}") from None


class ScenesResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where scenes are found and read: the STAC API, the signer of its addresses, the reader.

    Their packages are imported when they are asked for: not every product line has scenes.
    """

    settings: dg.ResourceDependency[SettingsResource]

    def open_source(self) -> "SceneSource":
        """The STAC API that the settings name; nothing is asked yet."""
        from estinel_assets.stac.search import StacApiSource

        settings = self.settings.load()
        return StacApiSource.from_settings(settings.stac, settings.transport)

    def open_signer(self) -> "HrefSigner":
        """What the provider asks of an address before it is read."""
        from estinel_assets.stac.signing import signer_for

        settings = self.settings.load()
        policy = RetryPolicy.from_settings(settings.transport)
        transport = RequestsTransport(policy, timeout_s=settings.transport.timeout_s)
        return signer_for(settings.stac, transport)

    def open_reader(self) -> "RasterReader":
        """The reader of scenes' files; one for all steps of a process, for what it has learnt."""
        from estinel_assets.raster.reader_opening import shared_reader

        settings = self.settings.load()
        return shared_reader(settings.raster, settings.transport)
