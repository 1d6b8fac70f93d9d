"""Messages about made CMIP6 datasets, for the demo of the PID line; nothing in them is real.

The datasets are those of institutes, models and files that do not exist. Most messages are as they
should be, some are not, on purpose. The same ones are made each time.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

COLLECTION: Final = "CMIP6"
PREFIX: Final = "21.DEMO"
FIRST_VERSION: Final = "v20230301"
SECOND_VERSION: Final = "v20240115"

_BEGIN: Final = datetime(2024, 2, 1, 9, 0, tzinfo=UTC)
_MODELS: Final = (
    ("ScenarioMIP", "POLARIS", "POLARIS-ESM1", "ssp245"),
    ("CMIP", "HALLEY", "HALLEY-CM2-LR", "historical"),
    ("HighResMIP", "TASMAN", "TASMAN-AGCM4", "highresSST-present"),
)
_VARIABLES: Final = (
    ("Amon", "tas"),
    ("Amon", "pr"),
    ("SImon", "siconc"),
    ("day", "tasmin"),
    ("Omon", "tos"),
)
_HOME: Final = "node-a.example"
_OTHERS: Final = ("node-b.example", "node-c.example")

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MadeMessage:
    """A message of the demo."""

    kind: str
    """What it stands for, such as `new dataset`."""
    key: bytes
    """The id of its item, or what stands for it."""
    body: bytes


def dataset_id(model: int, variable: int) -> str:
    """The id of a made dataset, without its version.

    Args:
        model: number of the model, from 0.
        variable: number of the variable, from 0.
    """
    activity, institute, source, experiment = _MODELS[model]
    table, name = _VARIABLES[variable]
    return f"CMIP6.{activity}.{institute}.{source}.{experiment}.r1i1p1f1.{table}.{name}.gn"


VERSIONED: Final = f"{dataset_id(0, 0)}.{SECOND_VERSION}"
"""The item that is a second version."""
PATCHED: Final = f"{dataset_id(0, 1)}.{FIRST_VERSION}"
"""The item that a patch gives one more file."""
RETRACTED: Final = f"{dataset_id(1, 0)}.{FIRST_VERSION}"
"""The item that is retracted in the end."""


def first_messages() -> list[MadeMessage]:
    """What the topic has at first: good ones and bad ones, as they would come in."""
    return list(_first())


def later_messages() -> list[MadeMessage]:
    """What comes while the Handle service fails: new datasets."""
    return [
        _full("new dataset", _item(f"{dataset_id(2, variable)}.{SECOND_VERSION}"), number)
        for number, variable in enumerate(range(len(_VARIABLES)), start=60)
    ]


def collection() -> dict[str, Any]:
    """The collection of the items, for a STAC API."""
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": COLLECTION,
        "description": "Made CMIP6 datasets of the demo",
        "license": "CC-BY-4.0",
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [["2015-01-01T00:00:00Z", "2100-12-31T00:00:00Z"]]},
        },
        "links": [],
    }


def items() -> list[Item]:
    """The items as a STAC API has them, before the patch and the retraction."""
    known: dict[str, Item] = {}
    for message in (*first_messages(), *later_messages()):
        if message.kind in ("new dataset", "replicas", "new version"):
            item = json.loads(message.body)["data"]["payload"]["item"]
            known.setdefault(item["id"], item)
    return [known[name] for name in sorted(known)]


def repair(document: dict[str, Any]) -> bool:
    """Mend what a message of the demo lacks, as somebody would do it by hand.

    Args:
        document: a message as a file of failures keeps it; it is changed.

    Returns:
        Whether there was something to mend.
    """
    payload = document.get("data", {}).get("payload", {})
    mended = False
    for name, asset in payload.get("item", {}).get("assets", {}).items():
        good = _asset(payload["item"]["id"], int(name.removeprefix("data")))
        for field in ("file:size", "file:checksum"):
            if asset.get(field) != good[field]:
                asset[field] = good[field]
                mended = True
    return mended


def _first() -> Iterator[MadeMessage]:
    number = 0
    for model in range(len(_MODELS)):
        for variable in range(len(_VARIABLES)):
            name = f"{dataset_id(model, variable)}.{FIRST_VERSION}"
            number += 1
            if variable == len(_VARIABLES) - 1:
                yield _full("replicas", _item(name, nodes=_OTHERS[: model % 2 + 1]), number)
            else:
                yield _full("new dataset", _item(name, named=model == 1), number)
    yield MadeMessage("not JSON", b"half-written", b'{"data": {"type": "STAC", "payload"')
    again = _item(f"{dataset_id(0, 2)}.{FIRST_VERSION}")
    yield _full("duplicate", again, 3)
    yield _full("new version", _item(VERSIONED), 20)
    yield _patch("patch", PATCHED, _add(PATCHED, 2), 21)
    yield _full("wrong id", _item("CMIP6.POLARIS.tas.v1"), 22)
    yield _full("missing size", _item(f"{dataset_id(2, 0)}.v20230401", without="file:size"), 23)
    unknown = _item(f"{dataset_id(2, 1)}.v20230401", checksum="crc32:8d3a5f21")
    yield _full("unknown checksum", unknown, 24)
    yield _patch("patch of nothing", f"{dataset_id(1, 1)}.v20220101", _add(PATCHED, 2), 25)
    yield _full("retraction", _item(RETRACTED, named=True, retracted=True), 26)


def _full(kind: str, item: Item, number: int) -> MadeMessage:
    payload = {"method": "POST", "collection_id": COLLECTION, "item": item}
    return _message(kind, item["id"], payload, number)


def _patch(kind: str, item_id: str, operation: Mapping[str, Any], number: int) -> MadeMessage:
    payload = {
        "method": "PATCH",
        "collection_id": COLLECTION,
        "item_id": item_id,
        "patch": {"operations": [operation]},
    }
    return _message(kind, item_id, payload, number)


def _message(kind: str, item_id: str, payload: Mapping[str, Any], number: int) -> MadeMessage:
    document = {
        "data": {"type": "STAC", "payload": payload},
        "metadata": {"time": (_BEGIN + timedelta(minutes=number)).isoformat()},
    }
    return MadeMessage(kind, item_id.encode(), json.dumps(document).encode())


def _add(item_id: str, number: int) -> dict[str, Any]:
    """An operation that adds a file."""
    return {"op": "add", "path": f"/assets/data{number:04}", "value": _asset(item_id, number)}


def _item(
    item_id: str,
    *,
    nodes: tuple[str, ...] = (),
    named: bool = False,
    retracted: bool = False,
    without: str = "",
    checksum: str = "",
) -> Item:
    """An item with two files.

    Args:
        item_id: its id.
        nodes: that have copies.
        named: whether it says the handles of itself and of its files.
        retracted: whether it is.
        without: a field that its first file lacks.
        checksum: of its first file.
    """
    assets = {f"data{number:04}": _asset(item_id, number) for number in range(2)}
    first = assets["data0000"]
    first["alternate"] = {node: {"href": _href(node, item_id, 0)} for node in nodes}
    first.pop(without, None)
    if checksum:
        first["file:checksum"] = checksum
    properties: dict[str, Any] = {
        "title": item_id,
        "datetime": "2015-01-16T12:00:00Z",
        "retracted": retracted,
    }
    if named:
        properties["pid"] = f"hdl:{PREFIX}/{_uuid(item_id)}"
        for name, asset in assets.items():
            asset["tracking_id"] = f"hdl:{PREFIX}/{_uuid(item_id + name)}"
    corners = [[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "collection": COLLECTION,
        "bbox": [-180.0, -90.0, 180.0, 90.0],
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": properties,
        "links": [],
        "assets": assets,
    }


def _asset(item_id: str, number: int) -> dict[str, Any]:
    digest = sha256(f"{item_id}/{number}".encode()).hexdigest()
    return {
        "href": _href(_HOME, item_id, number),
        "type": "application/netcdf",
        "roles": ["data"],
        # A multihash: the method's code (SHA2-256), the length, the digest.
        "file:checksum": f"1220{digest}",
        "file:size": 40_000_000 + int(digest[:6], 16),
        "alternate:name": _HOME,
        "published_on": _BEGIN.isoformat(),
    }


def _href(node: str, item_id: str, number: int) -> str:
    return f"https://{node}/{item_id.replace('.', '/')}/part-{number}.nc"


def _uuid(text: str) -> str:
    digest = sha256(text.encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
