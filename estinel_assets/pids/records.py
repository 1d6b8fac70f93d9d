"""Handle records of datasets and files, ready to be registered.

A type always has the same index, so that a field that comes or goes leaves the others where they
are. Lists and mappings are JSON, all else is text; what is empty is left out. When a record was
announced is no field of it: the Handle service writes that (`ANNOUNCED_AT`).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from estinel_assets.pids.ports import STAMP_INDEX, HandleRecord, HandleValue

URL = "URL"
URL_INDEX = 1
_RESERVED = range(STAMP_INDEX, 200)
"""Where stamp and administrators of a handle stand."""
_FIRST_INDEX = 2

DATASET_TYPES = (
    "ESGF",
    URL,
    "AGGREGATION_LEVEL",
    "DATASET_ID",
    "DATASET_VERSION",
    "PREVIOUS_VERSION",
    "IS_PART_OF",
    "HAS_PARTS",
    "HOSTING_NODE",
    "REPLICA_NODES",
    "RETRACTED_ON",
)
"""The types of a dataset's record, in order."""
FILE_TYPES = (
    "ESGF",
    URL,
    "AGGREGATION_LEVEL",
    "FILE_NAME",
    "IS_PART_OF",
    "CHECKSUM",
    "CHECKSUM_METHOD",
    "FILE_SIZE",
    "DOWNLOAD_URL",
    "REPLICA_DOWNLOAD_URLS",
)
"""The types of a file's record, in order."""


def handle_uri(handle: str) -> str:
    """A handle with its scheme: `hdl:prefix/suffix`."""
    return f"hdl:{handle}"


def make_record(handle: str, types: Sequence[str], fields: Mapping[str, object]) -> HandleRecord:
    """Encode a record.

    Args:
        handle: `prefix/suffix`.
        types: all types that such a record may have, in order; they fix the indexes.
        fields: text, numbers, times, lists and mappings by type; empty ones are left out.

    Returns:
        The record, which owns all of the types; its values are in the order of their indexes.

    Raises:
        ValueError: a field's type is not among the types, or a type is there twice.
    """
    places = _places(tuple(types))
    unknown = sorted(fields.keys() - places.keys())
    if unknown:
        raise ValueError(f"a record of {handle} has no type {', '.join(unknown)}")
    kept = ((kind, index, without_empties(fields.get(kind))) for kind, index in places.items())
    return HandleRecord(
        handle,
        tuple(
            HandleValue(index, kind, _text(value))
            for kind, index, value in kept
            if not is_empty(value)
        ),
        frozenset(places),
    )


def is_empty(value: object) -> bool:
    """Whether a value says nothing: None, an empty text, list or mapping. 0 and False do."""
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)


def without_empties(value: object) -> Any:
    """A value without what is empty in its lists and mappings, at any depth."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        pairs = ((key, without_empties(one)) for key, one in value.items())
        return {key: one for key, one in pairs if not is_empty(one)}
    if isinstance(value, list | tuple):
        return [one for one in map(without_empties, value) if not is_empty(one)]
    return value.isoformat() if isinstance(value, datetime) else value


@lru_cache(maxsize=64)
def _places(types: tuple[str, ...]) -> dict[str, int]:
    """The index of each type, in their order."""
    if len(set(types)) != len(types):
        raise ValueError(f"a type stands twice in {', '.join(types)}")
    others = [kind for kind in types if kind != URL]
    free = (
        index
        for index in range(_FIRST_INDEX, _RESERVED.stop + len(types))
        if index not in _RESERVED
    )
    return {URL: URL_INDEX, **dict(zip(others, islice(free, len(others)), strict=True))}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
