"""Messages that announce CMIP6 items, and what their records say."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from estinel_assets.errors import PermanentError
from estinel_assets.pids.announcements import Announcement, announce
from estinel_assets.pids.cmip6 import PLUGIN
from estinel_assets.pids.identifiers import ForeignPrefix
from estinel_assets.pids.messages import parse_message
from estinel_assets.pids.plugins import HandleRules, LookedUp, RecordMaker, RecordSet
from estinel_assets.pids.ports import HandleRecord

PREFIX = "21.TEST"
DATASET = "CMIP6.ScenarioMIP.IPSL.IPSL-CM6A-LR.ssp245.r1i1p1f1.Amon.pr.gr"
ITEM_ID = f"{DATASET}.v20190119"
TIME = "2025-08-01T15:15:12.441125"
SHA256 = "12205e2ccce818126a752feee5b573514870359de4b6835287d5a8c511333731861e"


def file_asset(name: str = "pr_1.nc", **changes: Any) -> dict[str, Any]:
    """An asset that is a file; a change to None takes a field away, `__` stands for a colon."""
    asset = {
        "href": f"https://dap.ceda.ac.uk/cmip6/{name}",
        "file:size": 67953667,
        "file:checksum": SHA256,
        "alternate:name": "ceda.ac.uk",
    }
    asset |= {key.replace("__", ":"): value for key, value in changes.items()}
    return {key: value for key, value in asset.items() if value is not None}


def item(
    assets: Mapping[str, Any] | None = None, *, item_id: str = ITEM_ID, **properties: Any
) -> dict[str, Any]:
    """An item with two files unless told otherwise."""
    if assets is None:
        assets = {"data0000": file_asset("pr_0.nc"), "data0001": file_asset("pr_1.nc")}
    return {
        "type": "Feature",
        "id": item_id,
        "collection": "CMIP6",
        "properties": {"retracted": False, **properties},
        "assets": dict(assets),
    }


def full_message(of: Mapping[str, Any], *, time: str | None = TIME) -> dict[str, Any]:
    """A message that brings an item."""
    payload = {"method": "POST", "collection_id": "CMIP6", "item": of}
    return {"data": {"type": "STAC", "payload": payload}, "metadata": {"time": time}}


def patch_message(
    *operations: object, item_id: str = ITEM_ID, time: str | None = TIME
) -> dict[str, Any]:
    """A message that patches an item."""
    payload = {
        "method": "PATCH",
        "collection_id": "CMIP6",
        "item_id": item_id,
        "patch": {"operations": list(operations)},
    }
    return {"data": {"type": "STAC", "payload": payload}, "metadata": {"time": time}}


def announced(of: Mapping[str, Any], *, time: str | None = TIME) -> Announcement:
    """An item on the way of its message: bytes, message, announcement."""
    return announce(parse_message(json.dumps(full_message(of, time=time)).encode()))


def maker(
    *,
    prefix: str = PREFIX,
    strict: bool = False,
    foreign_prefix: ForeignPrefix = ForeignPrefix.REFUSE,
    **options: object,
) -> RecordMaker:
    """The rules of CMIP6."""
    return PLUGIN.configure(HandleRules(prefix, strict, foreign_prefix), options)


def records_of(
    of: Mapping[str, Any],
    *,
    versions: tuple[str, ...] = (),
    time: str | None = TIME,
    by: RecordMaker | None = None,
) -> RecordSet:
    """What an item registers."""
    return (by or maker()).records(announced(of, time=time), LookedUp(versions))


@contextmanager
def refused_at_most(*reasons: str) -> Iterator[None]:
    """Let what is inside end well, or be refused for one of these reasons."""
    try:
        yield
    except PermanentError as error:
        if error.reason not in reasons:
            raise AssertionError(f"{error.reason} is none of {reasons}: {error}") from error


def fields_of(record: HandleRecord) -> dict[str, str]:
    """A record's values by type."""
    return {value.type: value.data for value in record.values}


def dataset_of(made: RecordSet) -> dict[str, str]:
    """The values of the dataset's record."""
    return fields_of(made.records[-1])


def files_of(made: RecordSet) -> dict[str, dict[str, str]]:
    """The values of the files' records by handle."""
    return {record.handle: fields_of(record) for record in made.records[:-1]}


def assert_links_closed(made: RecordSet) -> None:
    """HAS_PARTS names exactly the files that are registered, and they name the dataset."""
    dataset = made.records[-1]
    named = json.loads(fields_of(dataset).get("HAS_PARTS", "[]"))
    assert named == [f"hdl:{record.handle}" for record in made.records[:-1]]
    assert len({record.handle.lower() for record in made.records}) == len(made.records)
    for record in made.records[:-1]:
        assert fields_of(record)["IS_PART_OF"] == f"hdl:{dataset.handle}"
        assert fields_of(record)["AGGREGATION_LEVEL"] == "FILE"
    assert fields_of(dataset)["AGGREGATION_LEVEL"] == "DATASET"
