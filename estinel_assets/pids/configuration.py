"""The configuration of the PID line: one TOML file with the keys of piddiplatsch, and ours.

Reading asks nobody, and asks for nothing that a command may do without: a command calls what it
needs, such as `need_kafka`, and then hears what is missing and how to give it. Secrets may come
from the environment, which goes before the file, and are never shown.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from estinel_assets.errors import BadInputError
from estinel_assets.pids.configuration_kafka import plain_options
from estinel_assets.pids.configuration_reading import TableReader
from estinel_assets.pids.configuration_tables import (
    BOOTSTRAP,
    ConsumerConfiguration,
    HandleAddress,
    HandleConfiguration,
    KafkaConfiguration,
    LookupConfiguration,
    StacConfiguration,
    StatsConfiguration,
    ValidationConfiguration,
)
from estinel_assets.pids.plugins import HandleRules
from estinel_assets.settings import PidSettings

if TYPE_CHECKING:
    from estinel_assets.pids.handle_calls import HandleLogin

__all__ = [
    "HandleAddress",
    "PidConfiguration",
    "Reading",
    "handle_login",
    "handle_rules",
    "kafka_options",
    "load_configuration",
    "read_configuration",
]

_FILE = "in the file that ESTINEL_PIDS_CONFIG names"


class PidConfiguration(BaseModel):
    """The whole configuration, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path | None
    """Where it comes from; None where no file is named."""
    warnings: tuple[str, ...]
    """What somebody should look at, one sentence each."""
    consumer: ConsumerConfiguration
    kafka: KafkaConfiguration
    handle: HandleConfiguration
    stac: StacConfiguration
    lookup: LookupConfiguration
    validation: ValidationConfiguration
    """The table `schema`."""
    stats: StatsConfiguration
    plugins: Mapping[str, Mapping[str, object]]
    """The options of each plugin, by its name; the plugin checks them."""

    @property
    def plugin_options(self) -> Mapping[str, object]:
        """The options of the plugin that makes the records."""
        return self.plugins.get(self.consumer.processor, {})

    def need_kafka(self) -> str:
        """The servers of Kafka, `host:port`, separated by commas.

        Raises:
            BadInputError: none is named.
        """
        servers = self.kafka.bootstrap_servers
        return self._needed(f"kafka.{BOOTSTRAP}", servers, "host:port, with quotes round the key")

    def need_handle(self) -> HandleAddress:
        """Where records are registered.

        Raises:
            BadInputError: address or prefix is not set.
        """
        url = self._needed("handle.server_url", self.handle.server_url, "its address")
        return HandleAddress(url, self.need_prefix())

    def need_prefix(self) -> str:
        """Under which handles are registered; a dry run needs it, too.

        Raises:
            BadInputError: it is not set.
        """
        return self._needed("handle.prefix", self.handle.prefix, "such as 21.14100")

    def need_stac(self) -> str:
        """The root of the STAC API.

        Raises:
            BadInputError: it is not set.
        """
        return self._needed("stac.base_url", self.stac.base_url, "the root of a STAC API")

    def missing(self) -> tuple[str, ...]:
        """All that a run lacks, one sentence each."""
        needs = [self.need_kafka, self.need_prefix]
        if not self.handle.is_dry:
            needs.append(lambda: self.need_handle().server_url)
            if self.lookup.enabled:
                needs.append(self.need_stac)
        found = []
        for need in needs:
            try:
                need()
            except BadInputError as error:
                found.append(str(error))
        return tuple(dict.fromkeys(found))

    def _needed(self, key: str, value: str | None, what: str) -> str:
        if value is None:
            where = f"in {self.file}" if self.file else _FILE
            raise BadInputError(f"{key} is not set: set it {where} ({what})")
        return value


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a configuration."""

    configuration: PidConfiguration | None
    """None where there are faults."""
    faults: tuple[str, ...]
    """Why it cannot be used, one sentence each."""
    warnings: tuple[str, ...]


def read_configuration(settings: PidSettings) -> Reading:
    """Read the configuration, and find all that is wrong with it.

    Args:
        settings: they name the file, and their secrets go before those in it.

    Raises:
        BadInputError: the file cannot be read, or is no TOML.
    """
    reader = TableReader(_document(settings.config), settings)
    tables = reader.read()
    warnings = tuple(reader.warnings)
    if reader.faults:
        return Reading(None, tuple(reader.faults), warnings)
    whole = PidConfiguration(file=settings.config, warnings=warnings, **tables)
    return Reading(whole, (), warnings)


def load_configuration(settings: PidSettings) -> PidConfiguration:
    """Read the configuration.

    Args:
        settings: see `read_configuration`.

    Raises:
        BadInputError: it cannot be used; the message lists every fault.
    """
    reading = read_configuration(settings)
    if reading.configuration is None:
        named = str(settings.config or "of the PID line")
        faults = "".join(f"\n  {fault}" for fault in reading.faults)
        raise BadInputError(f"the configuration {named} cannot be used:{faults}")
    return reading.configuration


def handle_rules(configuration: PidConfiguration) -> HandleRules:
    """What holds for the records of every project.

    Raises:
        BadInputError: the prefix is not set.
    """
    return HandleRules(
        prefix=configuration.need_prefix(),
        strict=configuration.validation.strict_mode,
        foreign_prefix=configuration.handle.foreign_prefix,
    )


def handle_login(configuration: PidConfiguration) -> "HandleLogin | None":
    """Who writes; None where nobody is named, for a server that asks nobody."""
    from estinel_assets.pids.handle_calls import HandleLogin

    at = configuration.handle
    if at.username is None or at.password is None:
        return None
    return HandleLogin(at.username.get_secret_value(), at.password.get_secret_value())


def kafka_options(configuration: PidConfiguration) -> dict[str, str | int | float]:
    """The properties of a consumer, with their secrets, as confluent-kafka takes them.

    Raises:
        BadInputError: no server is named.
    """
    configuration.need_kafka()
    return plain_options(configuration.kafka.options)


def _document(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except OSError as error:
        raise BadInputError(
            f"the configuration {file} of the PID line cannot be read ({error.strerror}): name "
            "another in ESTINEL_PIDS_CONFIG"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"the configuration {file} of the PID line is not TOML: {error}"
        ) from None
