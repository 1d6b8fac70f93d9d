"""Every setting, in one model.

A value comes from an `ESTINEL_*` environment variable, else from a TOML file, else from the
default here. The first word after the prefix is the group: `ESTINEL_STORE_URL` is `url` in
`[store]`. Nothing reads the environment at import: resources and commands call `load_settings`.
"""

import os
import tomllib
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from estinel_assets.errors import BadInputError


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreSettings(_Group):
    """Where everything is kept."""

    url: str = "file://./estinel-store"
    """`file://`, `memory://` or `s3://bucket/prefix`."""
    endpoint_url: str | None = None
    """Endpoint of an S3 server other than AWS."""
    region: str | None = None
    """S3 region; else the AWS configuration decides."""
    profile: str | None = None
    """Profile of the AWS configuration to take credentials from."""
    public_url: str | None = None
    """Address under which readers of the catalogue reach the store's root; else its own URL."""


class StacSettings(_Group):
    """Where scenes are found."""

    provider: Literal["earth-search", "planetary-computer"] = "earth-search"
    """Decides band names, offsets and the signing of addresses."""
    url: str = "https://earth-search.aws.element84.com/v1"
    """Root of the STAC API."""
    collection: str = "sentinel-2-c1-l2a"
    """Collection to search."""
    page_size: int = Field(default=100, ge=1, le=100)
    """Items a page; halved on a 502."""
    searches_at_once: int = Field(default=4, ge=1, le=32)
    """Windows of a long search that are asked at once."""
    api_key: SecretStr | None = None
    """Subscription key of the Planetary Computer, for longer-lived signatures."""


class TransportSettings(_Group):
    """How requests over the network are retried."""

    attempts: int = Field(default=5, ge=1)
    """Tries of one request, the first included."""
    backoff_s: float = Field(default=0.5, ge=0)
    """Upper bound of the first wait; doubled after each try, with full jitter."""
    backoff_max_s: float = Field(default=30.0, ge=0)
    """Longest wait between two tries."""
    deadline_s: float = Field(default=180.0, gt=0)
    """Longest time for one request with all its tries."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Longest wait for one answer."""


class RasterSettings(_Group):
    """How the pixels of scenes are read."""

    reader: Literal["blocks", "gdal"] = "blocks"
    """`blocks` reads with range requests and leaves to GDAL what it cannot; `gdal` reads all."""
    requests_at_once: int = Field(default=32, ge=1, le=256)
    """Requests for pixels in flight."""
    memory_mib: int = Field(default=512, ge=16)
    """Memory that reads under way may use together."""
    s3_access: Literal["signed", "anonymous", "requester-pays"] = "signed"
    """How scenes at `s3://` are read: with AWS credentials, without, or paying for it."""
    s3_region: str | None = None
    """Region of their buckets; else the AWS configuration decides."""
    s3_endpoint_url: str | None = None
    """Endpoint of their S3 server, if it is not AWS."""


class ComputeSettings(_Group):
    """How many things happen at once."""

    workers: int = Field(default=4, ge=1, le=256)
    """Solar days in flight in one run."""


class OutcomeSettings(_Group):
    """How outcomes are kept and retried."""

    prefix: str = "outcomes"
    """Folder of the store that holds them."""
    max_attempts: int = Field(default=3, ge=1)
    """Attempts of a unit with an unchanged input before a retryable failure is final."""
    backoff_s: float = Field(default=3600.0, ge=0)
    """Pause after the first failed attempt; doubled after each further one."""
    backoff_max_s: float = Field(default=86400.0, ge=0)
    """Longest pause between two attempts."""
    lease_ttl_s: float = Field(default=60.0, gt=0)
    """A worker that has not renewed its lease for this long counts as dead."""
    lease_wait_s: float = Field(default=30.0, ge=0)
    """How long to wait for another worker that holds the same partition."""


class ImagerySettings(_Group):
    """The imagery product line."""

    sites: str | None = None
    """CSV or Parquet of sites, local or in the store; else the table that is shipped."""
    window_rule: Literal["estinel", "estinel-r"] = "estinel"
    """`estinel-r` repeats the square windows of the R pipeline."""
    solarday_rule: Literal["estinel", "estinel-r"] = "estinel"
    """`estinel-r` repeats the day of the R pipeline."""
    max_window_pixels: int = Field(default=25_000_000, ge=1)
    """A site with a larger window is refused."""
    start: date = date(2015, 1, 1)
    """First solar day of a site that has no marker."""
    rescan_days: int = Field(default=30, ge=0)
    """Days before the marker that every search looks at again, for late and changed scenes."""
    max_cloud_fraction: float | None = Field(default=None, ge=0, le=1)
    """A cloudier day ends as `too_cloudy`; off by default."""


class ArdSettings(_Group):
    """The ARD product line."""

    tile_table: str | None = None
    """Parquet table of the tile grid (`X, Y, X_tile, Y_tile`): `s3://`, `file://`, a path, or a
    path in the store."""
    sources: tuple[Literal["dem", "s1", "s2"], ...] = ("dem", "s1", "s2")
    """What is made of a tile-year, unless told otherwise."""
    inbox: str = "ard/inbox"
    """Folder of the store whose requests a sensor resolves."""
    engine: Literal["threads", "processes", "dask", "lithops"] = "threads"
    """What tiles are fanned out over."""
    workers: int = Field(default=2, ge=1, le=1000)
    """Groups of tiles in flight."""
    tiles_together: int = Field(default=16, ge=1, le=64)
    """Neighbouring tiles that are made together at most, so that what they share of a scene is
    read once; each takes up to 4.2 MB of temporary disk for a clear day of Sentinel-2."""
    retries: int = Field(default=3, ge=0, le=10)
    """Times that a group is tried again within a run, when the error may pass."""
    time_limit_s: float = Field(default=900.0, gt=0)
    """A group that takes longer is stopped; not by the engine `threads`."""
    memory_mib: int = Field(default=4096, ge=256)
    """Memory of a worker: a limit for `processes`, and what the cost is reckoned with."""
    dask_address: str | None = None
    """Address of a Dask scheduler; else a cluster of this machine."""
    lithops_config: Path | None = None
    """Configuration of Lithops; else this machine. One for each source goes before it."""
    lithops_dem_config: Path | None = None
    """Configuration of Lithops for DEM, next to its data."""
    lithops_s1_config: Path | None = None
    """Likewise for Sentinel-1."""
    lithops_s2_config: Path | None = None
    """Likewise for Sentinel-2."""
    dem_provider: Literal["earth-search", "planetary-computer"] = "planetary-computer"
    """Decides how the addresses of the elevation model are signed."""
    dem_url: str = "https://planetarycomputer.microsoft.com/api/stac/v1"
    """STAC API that lists the elevation model."""
    dem_collection: str = "cop-dem-glo-30"
    """Its collection."""
    dem_region: str = "eu-central-1"
    """Where the work on it runs, for reports."""
    s1_provider: Literal["earth-search", "planetary-computer"] = "planetary-computer"
    """Decides how the addresses of Sentinel-1 are signed."""
    s1_url: str = "https://planetarycomputer.microsoft.com/api/stac/v1"
    """STAC API that lists Sentinel-1 RTC."""
    s1_collection: str = "sentinel-1-rtc"
    """Its collection."""
    s1_region: str = "eu-central-1"
    """Where the work on it runs, for reports."""
    s2_provider: Literal["earth-search", "planetary-computer"] = "earth-search"
    """Decides band names, offsets and the signing of Sentinel-2's addresses."""
    s2_url: str = "https://earth-search.aws.element84.com/v1"
    """STAC API that lists Sentinel-2 L2A."""
    s2_collection: str = "sentinel-2-c1-l2a"
    """Its collection."""
    s2_region: str = "us-west-2"
    """Where the work on it runs, for reports."""
    s1_orbit: Literal["AUTO", "ASC", "DESC", "BOTH"] = "AUTO"
    """Orbit of Sentinel-1; `AUTO` takes the one with the most days."""
    s1_days_per_quarter: int = Field(default=3, ge=1)
    """Most days whose median a quarter is."""
    s1_min_coverage: float = Field(default=0.95, ge=0, le=1)
    """Share of the tile that a day must cover."""
    s2_max_scene_cloud_percent: float = Field(default=50.0, ge=0, le=100)
    """A cloudier scene is not looked at."""
    s2_min_coverage: float = Field(default=0.95, ge=0, le=1)
    """Share of the tile that a day must cover."""
    s2_hard_drop_above: float = Field(default=0.5, ge=0, le=1)
    """A day whose cloud share is above this is dropped at once."""
    s2_max_weighted: float = Field(default=0.4, ge=0, le=1)
    """Highest weighted cloud share of a day."""
    s2_max_bad: float = Field(default=0.2, ge=0, le=1)
    """Highest share of unusable pixels over the tile itself."""
    s2_max_per_month: int = Field(default=2, ge=1)
    """Most days of a month."""
    s2_max_per_year: int = Field(default=24, ge=1)
    """Most days of a year."""
    model: str | None = None
    """ONNX model of tree cover: `s3://`, `file://` or a path; none by default."""


class CompatibilitySettings(_Group):
    """The compatibility product line."""

    cmr_url: str = "https://cmr.earthdata.nasa.gov/search"
    """Search API of NASA's Common Metadata Repository."""
    providers: tuple[str, ...] = ()
    """CMR providers whose collections are checked; empty for the EOSDIS archives."""
    access: Literal["direct", "external"] = "external"
    """`direct` reads from S3, which works only in the archive's region, and falls back to
    `external`: HTTPS."""
    endpoint: str | None = None
    """A running TiTiler-CMR through which tiles are asked for, too."""
    engine: Literal["processes", "threads", "dask", "lithops"] = "processes"
    """`processes` isolates each check, and so do `dask` and `lithops` on other machines; `threads`
    is for debugging: nothing stops a check there."""
    dask_address: str | None = None
    """Address of a Dask scheduler; else a cluster of this machine."""
    lithops_config: Path | None = None
    """Configuration of Lithops; else this machine."""
    workers: int = Field(default=2, ge=1, le=256)
    """Checks in flight in one run."""
    time_limit_s: float = Field(default=60.0, gt=0)
    """A check that takes longer is stopped and ends as `timeout`."""
    memory_limit_mib: int = Field(default=4096, ge=256)
    """Memory that a check may use beyond what its process starts with."""
    seed: int = 0
    """Together with the collection it decides which granule is tried."""
    outage_share: float = Field(default=0.5, gt=0, le=1)
    """A run pauses when this share of its latest checks fails anew for one network reason."""
    outage_window: int = Field(default=40, ge=2)
    """Latest checks that are looked at; with fewer no outage is assumed."""
    stale_days: float = Field(default=90.0, gt=0)
    """Results older than this are reported by the asset check `results_age`."""


class PublishingSettings(_Group):
    """The publishing product line."""

    config: Path | None = None
    """`datasets.json` as HySDS writes it; else everything goes below `published/` in the store."""
    types: tuple[str, ...] = ()
    """Dataset types that are published, for a rollout in steps; empty for all. STAC catalogues
    have the type of their entry, such as `stac_catalog`."""
    policy: Literal["fail", "skip", "replace", "version"] = "fail"
    """What to do where other content stands under the same publication."""
    allow_extractors: bool = False
    """Run the `extractor` commands of `datasets.json`; they are other people's programs."""
    inbox: Path | None = None
    """Folder of job folders, which a sensor watches; each is published under its own name."""
    quiet_s: float = Field(default=60.0, ge=0)
    """A job folder counts as complete when nothing in it changed for this long."""
    index_url: SecretStr | None = None
    """Dataset index as an SQLAlchemy URL, such as `postgresql+psycopg://user@host/index`; else an
    SQLite file beside a local store. It is a secret where it holds a password."""
    stac_url: str | None = None
    """Root of a STAC API with the Transaction extension."""
    stac_key: SecretStr | None = None
    """API key that is sent with every request to it."""
    stac_key_header: str = "X-Api-Key"
    """Header that carries the key."""
    stac_at_once: int = Field(default=8, ge=1, le=64)
    """Requests to the STAC API in flight."""
    stac_per_second: float | None = Field(default=None, gt=0)
    """Most requests a second to the STAC API; no limit by default."""
    stac_bulk_items: int = Field(default=500, ge=1, le=10_000)
    """Items in one bulk request."""
    images_collection: str = "estinel-images"
    """STAC collection that imagery's images are published in."""
    uploads_at_once: int = Field(default=16, ge=1, le=256)
    """Objects in flight to an object store."""


class PidSettings(_Group):
    """The PID line. Everything else about it stands in the file that `config` names."""

    config: Path | None = None
    """TOML file with the tables and keys of piddiplatsch; relative to the working folder."""
    handle_username: SecretStr | None = None
    """User of the Handle service, as in `300:21.TEST/USER`; goes before `handle.username`."""
    handle_password: SecretStr | None = None
    """Secret key of that user; goes before `handle.password`."""
    kafka_password: SecretStr | None = None
    """Password for Kafka; goes before `sasl.password` in the table `kafka`."""


class EarthdataSettings(_Group):
    """Earthdata Login, asked for only by files that need it; else ~/.netrc is looked at."""

    token: SecretStr | None = None
    """Bearer token."""
    username: str | None = None
    """Name for the login."""
    password: SecretStr | None = None
    """Password for the login."""
    login_hosts: tuple[str, ...] = ("urs.earthdata.nasa.gov",)
    """Hosts of the login."""


class AlertSettings(_Group):
    """Who is told when something fails."""

    url: SecretStr | None = None
    """Address that gets a JSON document with a Slack-compatible `text`; without it nothing is
    sent. It is a secret: whoever has it can post."""


class LogSettings(_Group):
    """What is logged."""

    format: Literal["text", "json"] = "text"
    """One line for people or one JSON document a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level shown."""


class Settings(BaseSettings):
    """All settings. Frozen; load with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="ESTINEL_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        frozen=True,
        extra="forbid",
    )

    store: StoreSettings = StoreSettings()
    stac: StacSettings = StacSettings()
    transport: TransportSettings = TransportSettings()
    raster: RasterSettings = RasterSettings()
    compute: ComputeSettings = ComputeSettings()
    outcomes: OutcomeSettings = OutcomeSettings()
    imagery: ImagerySettings = ImagerySettings()
    ard: ArdSettings = ArdSettings()
    compatibility: CompatibilitySettings = CompatibilitySettings()
    publishing: PublishingSettings = PublishingSettings()
    pids: PidSettings = PidSettings()
    earthdata: EarthdataSettings = EarthdataSettings()
    alert: AlertSettings = AlertSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no .env files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over arguments: `load_settings` hands the file's values in as arguments."""
        return env_settings, init_settings


CONFIG_VARIABLE = "ESTINEL_CONFIG"
"""Environment variable that names the TOML file."""


def load_settings(config: Path | None = None) -> Settings:
    """Read the environment and the TOML file.

    Args:
        config: the TOML file; else the one that `ESTINEL_CONFIG` names, if any.

    Raises:
        BadInputError: the file is absent or no TOML, or settings are unknown or out of range; all
            of them are listed. Values are not shown: one of them may be a secret.
    """
    if config is None and (named := os.environ.get(CONFIG_VARIABLE)):
        config = Path(named)
    try:
        return Settings(**_read_toml(config) if config is not None else {})
    except (ValidationError, SettingsError) as error:
        raise BadInputError(_explain(error)) from None


def _read_toml(config: Path) -> dict[str, Any]:
    try:
        with config.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise BadInputError(
            f"settings file {config} cannot be read ({error.strerror}); name another with --config"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"settings file {config} is not TOML: {error}") from None


def _explain(error: ValidationError | SettingsError) -> str:
    if not isinstance(error, ValidationError):
        return f"settings cannot be read: {error}"
    problems = [
        f"  [{'.'.join(map(str, problem['loc'][:1]))}] "
        f"{'.'.join(map(str, problem['loc'][1:])) or '(group)'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
    return "these settings are not usable:\n" + "\n".join(problems)
