"""CMIP6: from an announced item to the Handle records of its dataset and files.

A dataset's HAS_PARTS names exactly the files that are registered with it, and each file's
IS_PART_OF names the dataset, whichever way their handles came about. Assets are taken in the order
of their keys, because a STAC API does not keep the order of a message.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from estinel_assets.errors import PermanentError
from estinel_assets.pids.announcements import Announcement
from estinel_assets.pids.cmip6_files import FilePart, UnusableFile, alternates, read_file_part
from estinel_assets.pids.cmip6_settings import Cmip6Settings, read_settings
from estinel_assets.pids.identifiers import (
    NamedHandle,
    dataset_suffix,
    file_suffix,
    read_handle,
)
from estinel_assets.pids.messages import Item, parse_time
from estinel_assets.pids.plugins import (
    HandleRules,
    LeftOut,
    LookedUp,
    RecordMaker,
    RecordSet,
    VersionQuery,
)
from estinel_assets.pids.ports import HandleRecord
from estinel_assets.pids.reasons import PidReason
from estinel_assets.pids.records import (
    DATASET_TYPES,
    FILE_TYPES,
    handle_uri,
    make_record,
)

_ID_PARTS = (
    "mip_era",
    "activity_id",
    "institution_id",
    "source_id",
    "experiment_id",
    "variant_label",
    "table_id",
    "variable_id",
    "grid_label",
)
"""What an id is made of, before its version."""
_PART = re.compile(r"[A-Za-z0-9_-]+")
_VERSION = re.compile(r"v([0-9]{1,18})")
_UNKNOWN_HOST = "unknown"
_SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class DatasetId:
    """The id of an item, taken apart."""

    dataset_id: str
    """Without the version."""
    version: str
    """Such as `v20190119`."""
    properties: Mapping[str, str]

    @property
    def number(self) -> int:
        """The version as a number; greater is newer."""
        return int(self.version[1:])


def split_id(item_id: str) -> DatasetId | None:
    """Take an item's id apart.

    Args:
        item_id: at least ten parts between dots, the last one the version.

    Returns:
        The parts; None where it has not that form.
    """
    *parts, version = item_id.split(".")
    if len(parts) < len(_ID_PARTS) or not _VERSION.fullmatch(version):
        return None
    if not all(map(_PART.fullmatch, parts)):
        return None
    named = dict(zip(_ID_PARTS, parts, strict=False))
    return DatasetId(".".join(parts), version, named)


@dataclass(frozen=True, slots=True)
class Cmip6Plugin:
    """The project CMIP6."""

    name: str = "cmip6"
    description: str = "CMIP6 and CMIP6+ datasets and their files"

    def configure(self, rules: HandleRules, options: Mapping[str, object]) -> RecordMaker:
        """Check the options of `plugins.cmip6`.

        Raises:
            BadInputError: an option is unknown or unusable; the message lists every one.
        """
        return Cmip6Records(rules, read_settings(options))


PLUGIN = Cmip6Plugin()


@dataclass(frozen=True, slots=True)
class Cmip6Records:
    """The rules of CMIP6 with their settings."""

    rules: HandleRules
    settings: Cmip6Settings

    def version_query(self, item: Item, collection_id: str | None) -> VersionQuery | None:
        """Which other versions of the dataset to look up; None where that is turned off.

        Raises:
            PermanentError: the item's id has not the form of CMIP6 (`invalid_item`).
        """
        named = _dataset_id(item.id)
        if not self.settings.enable_previous_version_lookup:
            return None
        return VersionQuery(collection_id, named.dataset_id, named.properties)

    def records(self, announcement: Announcement, found: LookedUp) -> RecordSet:
        """The records of an announcement, those of the files first.

        Args:
            announcement: the item.
            found: versions of the dataset that are known elsewhere.

        Raises:
            PermanentError: the item cannot be registered; the reason says why.
        """
        item = announcement.item
        named = _dataset_id(item.id)
        parts, left_out, warnings = self._parts(item)
        dataset = self._handle(item.properties.get("pid"), "pid", dataset_suffix(item.id))
        handles = [
            self._handle(
                item.assets[part.asset_key].get("tracking_id"),
                f"asset {part.asset_key}: tracking_id",
                file_suffix(item.id, part.asset_key),
            )
            for part in parts
        ]
        _check_distinct([dataset, *handles])
        warnings += [one.warning for one in (dataset, *handles) if one.warning]
        files = [
            self._record(
                handle.handle, FILE_TYPES, {**part.fields, "IS_PART_OF": handle_uri(dataset.handle)}
            )
            for part, handle in zip(parts, handles, strict=True)
        ]
        nodes = self._nodes(announcement, warnings)
        previous, following = self._neighbours(named, found)
        fields = {
            "AGGREGATION_LEVEL": "DATASET",
            "DATASET_ID": named.dataset_id,
            "DATASET_VERSION": named.version,
            "PREVIOUS_VERSION": previous,
            "HAS_PARTS": [handle_uri(record.handle) for record in files],
            "HOSTING_NODE": nodes.host,
            "REPLICA_NODES": nodes.replicas,
            "RETRACTED_ON": _retracted_on(announcement),
        }
        return RecordSet(
            records=(*files, self._record(dataset.handle, DATASET_TYPES, fields)),
            warnings=tuple(warnings),
            left_out=tuple(left_out),
            retracted=is_retracted(item),
            replicas=len(nodes.replicas),
            next_version=following,
        )

    def _parts(self, item: Item) -> tuple[list[FilePart], list[LeftOut], list[str]]:
        """The files to register, those left out, and what to warn of."""
        excluded = set(self.settings.excluded_asset_keys)
        read = [
            read_file_part(key, asset)
            for key, asset in sorted(item.assets.items())
            if key not in excluded
        ]
        parts = [one for one in read if isinstance(one, FilePart)]
        unusable = [one for one in read if isinstance(one, UnusableFile)]
        doubts = [doubt for part in parts for doubt in part.doubts]
        problems = [(one.reason, one.problem) for one in unusable] + doubts
        limit = self.settings.max_parts
        none_usable = bool(unusable) and not parts and limit != 0
        if problems and (self.rules.strict or none_usable):
            raise PermanentError(problems[0][0], f"{item.id}: {_listed(p for _, p in problems)}")
        warnings = [f"{one.problem}; it is left out" for one in unusable]
        warnings += [problem for _, problem in doubts]
        warnings += [warning for part in parts for warning in part.warnings]
        if 0 <= limit < len(parts):
            warnings.append(f"{item.id} has {len(parts)} files; the first {limit} are registered")
            parts = parts[:limit]
        if not parts and limit != 0:
            problem = f"{item.id} has no file that can be registered"
            if self.rules.strict:
                raise PermanentError(PidReason.MISSING_PARTS, problem)
            warnings.append(problem)
        left_out = [LeftOut(one.asset_key, one.reason, one.problem) for one in unusable]
        return parts, left_out, warnings

    def _handle(self, value: object, field: str, suffix: str) -> NamedHandle:
        named = read_handle(
            value, field=field, prefix=self.rules.prefix, foreign=self.rules.foreign_prefix
        )
        return named or NamedHandle(f"{self.rules.prefix}/{suffix}")

    def _record(
        self, handle: str, types: tuple[str, ...], fields: Mapping[str, object]
    ) -> HandleRecord:
        url = f"{self.settings.landing_page_url.rstrip('/')}/{handle}"
        return make_record(handle, types, {"ESGF": self.settings.esgf, "URL": url, **fields})

    def _nodes(self, announcement: Announcement, warnings: list[str]) -> "_Nodes":
        """Where the dataset is; adds to the warnings what could not be read."""
        assets = announcement.item.assets
        preferred = [
            (key, assets[key]) for key in self.settings.preferred_asset_keys if key in assets
        ]
        hosts = (asset.get("alternate:name") for _, asset in preferred)
        host = next((one for one in hosts if isinstance(one, str) and one), _UNKNOWN_HOST)
        times = (_published_on(asset, f"asset {key}", warnings) for key, asset in preferred)
        published_on = next((one for one in times if one), announcement.announced_at)
        replicas: dict[str, datetime | None] = {}
        for key, asset in preferred:
            for name, copy in alternates(asset):
                where = f"asset {key}: copy on {name}"
                at = _published_on(copy, where, warnings) if name not in replicas else None
                replicas.setdefault(name, at or published_on)
        return _Nodes(
            _node(host, published_on), [_node(name, at) for name, at in sorted(replicas.items())]
        )

    def _neighbours(self, named: DatasetId, found: LookedUp) -> tuple[str | None, str | None]:
        """The version before and the one after, among those found."""
        if not self.settings.enable_previous_version_lookup:
            return None, None
        read = ((item_id, split_id(item_id)) for item_id in found.versions)
        versions = sorted(
            (other.number, item_id)
            for item_id, other in read
            if other and other.dataset_id == named.dataset_id
        )
        older = [item_id for number, item_id in versions if number < named.number]
        newer = [item_id for number, item_id in versions if number > named.number]
        return (older[-1] if older else None), (newer[0] if newer else None)


@dataclass(frozen=True, slots=True)
class _Nodes:
    host: dict[str, object]
    replicas: list[dict[str, object]]


def is_retracted(item: Item) -> bool:
    """Whether an item says that its dataset is retracted: true, 1 or "yes"."""
    return str(item.properties.get("retracted")).strip().lower() in {"true", "1", "yes"}


def _retracted_on(announcement: Announcement) -> datetime | None:
    if not is_retracted(announcement.item):
        return None
    if announcement.announced_at is None:
        raise PermanentError(
            PidReason.INVALID_MESSAGE,
            f"{announcement.item.id} is retracted, and nothing says when: give metadata.time",
        )
    return announcement.announced_at


def _dataset_id(item_id: str) -> DatasetId:
    named = split_id(item_id)
    if named is None:
        raise PermanentError(
            PidReason.INVALID_ITEM,
            f"the id {item_id[:300]!r} is not that of a CMIP6 dataset: "
            f"{'.'.join(_ID_PARTS)}.vYYYYMMDD",
        )
    return named


def _check_distinct(handles: Iterable[NamedHandle]) -> None:
    counted = Counter(one.handle.lower() for one in handles)
    twice = [handle for handle, count in counted.items() if count > 1]
    if twice:
        raise PermanentError(
            PidReason.INVALID_PID,
            f"{_listed(twice)}: named for more than one of the dataset and its files; "
            "give each a pid or tracking_id of its own, or none",
        )


def _node(host: str, published_on: datetime | None) -> dict[str, object]:
    return {"host": host, "published_on": published_on}


def _published_on(asset: Mapping[str, Any], where: str, warnings: list[str]) -> datetime | None:
    value = asset.get("published_on")
    try:
        return parse_time(value or None)
    except ValueError:
        warnings.append(f"{where}: published_on {repr(value)[:60]} is no time in ISO 8601")
        return None


def _listed(problems: Iterable[str]) -> str:
    found = list(problems)
    shown = "; ".join(found[:_SHOWN_PROBLEMS])
    more = len(found) - _SHOWN_PROBLEMS
    return f"{shown}; and {more} more" if more > 0 else shown
