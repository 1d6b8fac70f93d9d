"""From TOML and the environment to tables: every fault is found, and every old spelling known."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from estinel_assets.logs import mask_text
from estinel_assets.pids.configuration_kafka import ALWAYS_VERIFIED, PASSWORD, read_kafka
from estinel_assets.pids.configuration_tables import (
    ConsumerConfiguration,
    HandleConfiguration,
    KafkaConfiguration,
    LookupConfiguration,
    StacConfiguration,
    StatsConfiguration,
    TransientConfiguration,
    ValidationConfiguration,
)
from estinel_assets.pids.plugins import plugin_names
from estinel_assets.settings import PidSettings

TABLES: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "consumer": ConsumerConfiguration,
        "consumer.transient": TransientConfiguration,
        "handle": HandleConfiguration,
        "stac": StacConfiguration,
        "lookup": LookupConfiguration,
        "schema": ValidationConfiguration,
        "stats": StatsConfiguration,
    }
)
"""The model of each table that has one."""
TOP: Final = (*(name for name in TABLES if "." not in name), "kafka", "plugins", "elasticsearch")
FLAT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "stop_on_transient_skip": "stop_on_skip",
        "transient_retries": "retries",
        "transient_backoff_initial": "backoff_initial",
        "transient_backoff_max": "backoff_max",
        "preflight_stac": "preflight_stac",
    }
)
"""Keys of `consumer` that are also those of `consumer.transient`."""
_VERIFY: Final = frozenset({"verify", "verify_https", "https_verify", "verify_ssl", "verify_tls"})
_BACKENDS: Final[Mapping[str, str]] = MappingProxyType({"rest": "pyhandle"})
"""Other names of a backend."""
_STATISTICS: Final = ("enable_db", "db_path")
_DEMO: Final = frozenset(
    {
        ("admin", "admin"),
        ("demo", "demo"),
        ("test", "test"),
        ("testuser", "testpass"),
        ("user", "password"),
    }
)
_MOST_SHOWN: Final = 80
Model = TypeVar("Model", bound=BaseModel)


class TableReader:
    """Reads one document, and notes what is wrong with it."""

    def __init__(self, document: Mapping[str, Any], settings: PidSettings) -> None:
        """Remember what is to be read.

        Args:
            document: the TOML file; empty where there is none.
            settings: their secrets go before those of the file.
        """
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self._document = document
        self._settings = settings

    def read(self) -> dict[str, Any]:
        """The tables by the names of `PidConfiguration`; whole where there is no fault."""
        plugins = self._plugins()
        consumer = self._consumer()
        tables = {
            "consumer": consumer,
            "kafka": self._kafka(),
            "handle": self._handle(),
            "stac": self._model("stac", StacConfiguration, self._without_verify("stac")),
            "lookup": self._model("lookup", LookupConfiguration, self._table("lookup")),
            "validation": self._model("schema", ValidationConfiguration, self._table("schema")),
            "stats": self._stats(),
            "plugins": plugins,
        }
        named = () if consumer is None else (consumer.processor,)
        self._top(frozenset((*plugin_names(), *plugins, *named)))
        return tables

    def _top(self, plugins: frozenset[str]) -> None:
        for name, value in self._document.items():
            if name in plugins and name not in TOP:
                self.warnings.append(
                    f"[{name}] is not read: the options of a plugin belong in [plugins.{name}]"
                )
            elif name not in TOP:
                what = (
                    f"[{name}] is no table" if isinstance(value, Mapping) else f"{name} is no table"
                )
                self.faults.append(f"{what} of the configuration{nearest(name, TOP)}")
        if "elasticsearch" in self._document:
            self.warnings.append(
                "[elasticsearch] is not used: versions are looked up in the STAC API"
            )

    def _table(self, name: str) -> dict[str, Any]:
        """A table; an empty one where it is absent or none."""
        value = self._document.get(name, {})
        if isinstance(value, Mapping):
            return dict(value)
        self.faults.append(f"{name} must be a table: write [{name}] and its keys below")
        return {}

    def _model(self, name: str, model: type[Model], table: Mapping[str, Any]) -> Model | None:
        """A table as its model; None where it has a fault."""
        known = model.model_fields
        for key in table:
            if key not in known:
                there_are = (*known, *FLAT) if name == "consumer" else tuple(known)
                self.faults.append(f"{name}.{key} is no key{nearest(key, there_are, name)}")
        try:
            return model.model_validate({key: table[key] for key in table if key in known})
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False):
                keys = [name, *map(str, problem["loc"])]
                said = problem["msg"].removeprefix("Value error, ")
                value = "" if len(keys) == 1 else _shown(keys[-1], problem["input"])
                self.faults.append(f"{'.'.join(keys)}{value}: {said[:1].lower()}{said[1:]}")
            return None

    def _consumer(self) -> ConsumerConfiguration | None:
        table = self._table("consumer")
        transient = self._transient(table)
        read = self._model("consumer.transient", TransientConfiguration, transient)
        self._one_project(table)
        consumer = self._model("consumer", ConsumerConfiguration, table)
        if consumer is None or read is None:
            return None
        return consumer.model_copy(update={"transient": read})

    def _transient(self, consumer: dict[str, Any]) -> dict[str, Any]:
        """Take the keys of `consumer.transient` out of `consumer`, in both spellings."""
        nested = consumer.pop("transient", {})
        if not isinstance(nested, Mapping):
            self.faults.append("consumer.transient must be a table: write [consumer.transient]")
            nested = {}
        both = dict(nested)
        for flat, key in FLAT.items():
            if flat not in consumer:
                continue
            value = consumer.pop(flat)
            if key in nested and nested[key] != value:
                self.faults.append(
                    f"consumer.{flat} = {value!r} and consumer.transient.{key} = "
                    f"{nested[key]!r} are the same setting: leave one of them out"
                )
            both[key] = value
        return both

    def _one_project(self, consumer: dict[str, Any]) -> None:
        """Read the list `projects` as the one plugin that a consumer has."""
        projects = consumer.pop("projects", None)
        if projects is None:
            return
        match projects:
            case [str(one)] if one != "all":
                if consumer.setdefault("processor", one) != one:
                    self.faults.append(
                        f"consumer.projects = {projects!r} and consumer.processor = "
                        f"{consumer['processor']!r} are the same setting: leave one of them out"
                    )
            case _:
                self.faults.append(
                    f"consumer.projects = {projects!r}: a consumer has one plugin: name it in "
                    "consumer.processor, and start one consumer a project, each with a group"
                )

    def _kafka(self) -> KafkaConfiguration:
        options, faults, warnings = read_kafka(self._table("kafka"), self._settings.kafka_password)
        self.faults += faults
        self.warnings += warnings
        if _is_demo(str(options.get("sasl.username", "")), options.get(PASSWORD)):
            self.warnings.append("kafka.sasl.username and its password are those of a demo")
        return KafkaConfiguration(options=options)

    def _handle(self) -> HandleConfiguration | None:
        table = self._without_verify("handle")
        table["backend"] = _BACKENDS.get(
            str(table.get("backend")), table.get("backend", "pyhandle")
        )
        if self._settings.handle_username is not None:
            table["username"] = self._settings.handle_username
        if self._settings.handle_password is not None:
            table["password"] = self._settings.handle_password
        handle = self._model("handle", HandleConfiguration, table)
        if handle is not None and handle.username is not None:
            name = handle.username.get_secret_value()
            if _is_demo(name.rpartition("/")[2], handle.password):
                self.warnings.append("handle.username and handle.password are those of a demo")
            if handle.server_url is not None and _is_open(handle.server_url):
                self.warnings.append(
                    "handle.server_url begins with http://, so the password travels unencrypted: "
                    "use https://"
                )
        return handle

    def _without_verify(self, name: str) -> dict[str, Any]:
        """A table without the switches of certificates: there is nothing to switch."""
        table = self._table(name)
        for key in [key for key in table if key.lower() in _VERIFY]:
            if table.pop(key) is True:
                self.warnings.append(f"{name}.{key} = true may go: {ALWAYS_VERIFIED}")
            else:
                self.faults.append(
                    f"{name}.{key}: {ALWAYS_VERIFIED}; name a private authority's file in the "
                    "environment variable SSL_CERT_FILE"
                )
        return table

    def _stats(self) -> StatsConfiguration | None:
        table = self._table("stats")
        unused = {key: table.pop(key) for key in _STATISTICS if key in table}
        if unused and unused.get("enable_db") is not False:
            self.warnings.append(
                f"{' and '.join(f'stats.{key}' for key in unused)}: not used, counts are in the "
                "outcomes"
            )
        return self._model("stats", StatsConfiguration, table)

    def _plugins(self) -> dict[str, Mapping[str, object]]:
        plugins: dict[str, Mapping[str, object]] = {}
        for name, options in self._table("plugins").items():
            if isinstance(options, Mapping):
                plugins[name] = MappingProxyType(dict(options))
            else:
                self.faults.append(
                    f"plugins.{name} must be a table: write [plugins.{name}] and its options below"
                )
        return plugins


def nearest(word: str, known: Sequence[str], table: str = "") -> str:
    """The end of a sentence that says what may have been meant.

    Args:
        word: what is unknown.
        known: what there is.
        table: its name, for keys.
    """
    lower = {one.lower(): one for one in known}
    if found := get_close_matches(word.lower(), lower, 1):
        return f": did you mean {lower[found[0]]}?"
    elsewhere = [f"{name}.{word}" for name, model in TABLES.items() if word in model.model_fields]
    if table and elsewhere:
        return f": did you mean {elsewhere[0]}?"
    return f"; there are: {', '.join(known)}"


def _shown(key: str, value: object) -> str:
    """` = value`; nothing of what may hold a secret."""
    if key in ("username", "password") or not isinstance(value, str | int | float):
        return ""
    text = repr(value)
    if "@" in text or "?" in text:
        return ""
    return f" = {mask_text(text[:_MOST_SHOWN])}"


def _is_demo(user: str, password: object) -> bool:
    secret = password.get_secret_value() if isinstance(password, SecretStr) else ""
    return (user.lower(), secret.lower()) in _DEMO


def _is_open(url: str) -> bool:
    """Whether what is sent there can be read on its way."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True
