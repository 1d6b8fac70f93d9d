"""The table `kafka`: properties of librdkafka with our own, checked where we know them."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import IPv6Address
from math import isfinite
from typing import Any, Final

from pydantic import SecretStr

from estinel_assets.pids.configuration_tables import BROKERS, GROUP, KafkaValue

PASSWORD: Final = "sasl.password"  # noqa: S105 - the name of a property
DEFAULTS: Final[Mapping[str, KafkaValue]] = {
    GROUP: "piddiplatsch-001",
    "auto.offset.reset": "earliest",
    "session.timeout.ms": 45_000,
}
FORCED: Final[Mapping[str, KafkaValue]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
}
"""Offsets are committed by us, after outcomes are stored."""
_RESET: Final = "auto.offset.reset"
_FROM_THE_START: Final = frozenset({"earliest", "beginning", "smallest", "error"})
ALWAYS_VERIFIED: Final = "the certificates of servers are always verified"
_VERIFICATION: Final = "enable.ssl.certificate.verification"
_HOST_NAMES: Final = "ssl.endpoint.identification.algorithm"
_COMMON: Final = (*BROKERS, *DEFAULTS, *FORCED, PASSWORD, "sasl.username", "security.protocol")
"""Properties that are looked for behind misspelt ones; librdkafka knows the others."""
_PROPERTY = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)*|log_level")
_SECRET = re.compile(
    r"passw|passphrase|secret|token|credential|(^|\.)pem(\.|$)|oauthbearer\.config", re.IGNORECASE
)
_BROKER = re.compile(
    r"(?:[A-Za-z_]+://)?(?P<host>\[[^\[\]]*\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})"
)
_TRUE: Final = frozenset({"true", "t", "1", "on", "yes"})
_FALSE: Final = frozenset({"false", "f", "0", "off", "no"})
_MOST_PORT: Final = 65_535


def is_secret(key: str) -> bool:
    """Whether what stands under a key is never shown."""
    return _SECRET.search(key) is not None


def read_kafka(
    table: Mapping[str, Any], password: SecretStr | None
) -> tuple[dict[str, KafkaValue], list[str], list[str]]:
    """Read the table.

    Args:
        table: as TOML gives it; a key without quotes, which is a table in a table, is put together.
        password: goes before `sasl.password`.

    Returns:
        The properties with our own, its faults, and its warnings.
    """
    flat, faults = _flat(table, "")
    options: dict[str, KafkaValue] = {}
    for key, value in flat.items():
        if fault := _fault(key, value):
            faults.append(fault)
        elif is_secret(key):
            options[key] = SecretStr(str(value))
        else:
            options[key] = value
    if password is not None:
        options[PASSWORD] = password
    named = {str(options[key]) for key in BROKERS if key in options}
    if len(named) > 1:
        faults.append(f"kafka.{BROKERS[0]} and kafka.{BROKERS[1]} differ: leave one of them out")
    warnings = _warnings(options)
    return {**DEFAULTS, **options, **FORCED}, faults, warnings


def plain_options(options: Mapping[str, KafkaValue]) -> dict[str, str | int | float]:
    """Properties with their secrets, as confluent-kafka takes them."""
    return {key: _plain(value) for key, value in options.items()}


def broker_faults(servers: str) -> list[str]:
    """What is wrong with a list of servers.

    Args:
        servers: `host:port`, separated by commas; an IPv6 address in brackets.
    """
    return [
        # What stands before an @ could be a login.
        f"{one.rpartition('@')[2]!r} must be host:port, as in broker.example:9092 or [::1]:9092"
        for one in map(str.strip, servers.split(","))
        if not _is_broker(one)
    ]


def _is_broker(text: str) -> bool:
    found = _BROKER.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= _MOST_PORT:
        return False
    host = found["host"]
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            return False
    return True


def _flat(table: Mapping[str, Any], before: str) -> tuple[dict[str, Any], list[str]]:
    """The table's keys with dots; a key that is there in both spellings is a fault."""
    flat: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in table.items():
        name = f"{before}{key}"
        inner, more = (
            _flat(value, f"{name}.") if isinstance(value, Mapping) else ({name: value}, [])
        )
        faults += more
        faults += [
            f"kafka.{one} is there twice, with quotes and without: leave one of them out"
            for one in inner
            if one in flat
        ]
        flat.update(inner)
    return flat, faults


def _fault(key: str, value: object) -> str:
    """What is wrong with a property; empty where nothing is that we know of."""
    name = f"kafka.{key}"
    if not _PROPERTY.fullmatch(key):
        written = key.lower().replace("_", ".")
        right = f": write {written}" if _PROPERTY.fullmatch(written) else ""
        return f"{name} is no property of librdkafka{right}"
    if key not in _COMMON and (near := get_close_matches(key, _COMMON, 1, 0.92)):
        return f"{name} is no property of librdkafka: write {near[0]}"
    if not isinstance(value, str | int | float) or (
        isinstance(value, float) and not isfinite(value)
    ):
        return f"{name} must be a text, a number, true or false; separate several by commas"
    if key in BROKERS:
        return "; ".join(f"{name}: {fault}" for fault in broker_faults(str(value)))
    if key == GROUP and not (isinstance(value, str) and value.strip()):
        return f"{name} must be the name of a group"
    if key == _VERIFICATION and _word(value) not in _TRUE:
        return f"{name}: {ALWAYS_VERIFIED}; name a private authority's file in ssl.ca.location"
    if key == _RESET and _word(value) not in _FROM_THE_START:
        return (
            f"{name} = {value!r} would pass over messages: a group that stops before its first "
            "commit would begin behind what has come since. Write earliest; to begin later, set "
            "the group's offsets with Kafka's own tools"
        )
    if key == _HOST_NAMES and _word(value) == "none":
        return f"{name}: the names in certificates are always verified; leave it out"
    return ""


def _warnings(options: Mapping[str, KafkaValue]) -> list[str]:
    return [
        f"kafka.{key} = true is not followed: offsets are committed when outcomes are stored"
        for key in FORCED
        if key in options and _word(options[key]) not in _FALSE
    ]


def _word(value: object) -> str:
    return str(value).strip().lower()


def _plain(value: KafkaValue) -> str | int | float:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return int(value) if isinstance(value, float) and value.is_integer() else value
