"""The configuration in force under the names of its file, without its secrets."""

from collections.abc import Mapping
from datetime import date, datetime, time
from math import isfinite
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from estinel_assets.errors import BadInputError
from estinel_assets.pids.configuration import PidConfiguration
from estinel_assets.pids.configuration_kafka import is_secret
from estinel_assets.pids.configuration_reading import nearest

HIDDEN: Final = "(hidden)"
"""In place of a secret."""


def effective(configuration: PidConfiguration) -> dict[str, Any]:
    """Every value in force, by table and key, as JSON has it; None where one is not set."""
    return {
        "consumer": _shown(configuration.consumer),
        "kafka": _shown(dict(sorted(configuration.kafka.options.items()))),
        "handle": _shown(configuration.handle),
        "stac": _shown(configuration.stac),
        "lookup": _shown(configuration.lookup),
        "schema": _shown(configuration.validation),
        "stats": _shown(configuration.stats),
        "plugins": _shown(configuration.plugins),
    }


def select(document: Mapping[str, Any], section: str, key: str | None) -> Any:
    """A table, or one of its values.

    Args:
        document: what `effective` gave.
        section: a table, such as `kafka` or `consumer.transient`.
        key: one of its keys; None for all of them.

    Raises:
        BadInputError: there is no such table or key.
    """
    tables = dict(_tables(document, ""))
    if section not in tables:
        raise BadInputError(
            f"{section!r} is no table of the configuration" + nearest(section, [*tables])
        )
    table = tables[section]
    if key is None:
        return table
    if key not in table:
        raise BadInputError(f"{section}.{key} is no key" + nearest(key, [*table]))
    return table[key]


def without_unset(value: Any) -> Any:
    """A value without the keys that are not set: TOML has no word for them."""
    if isinstance(value, Mapping):
        return {key: without_unset(one) for key, one in value.items() if one is not None}
    return value


def _tables(document: Mapping[str, Any], before: str) -> list[tuple[str, Mapping[str, Any]]]:
    found = []
    for name, value in document.items():
        if isinstance(value, Mapping):
            found += [(f"{before}{name}", value), *_tables(value, f"{before}{name}.")]
    return found


def _shown(value: object, key: str = "") -> Any:
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name), name) for name in type(value).model_fields}
    if isinstance(value, SecretStr) or (value is not None and is_secret(key)):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(name): _shown(one, str(name)) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Path) or (isinstance(value, float) and not isfinite(value)):
        return str(value)
    return value
