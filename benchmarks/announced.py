"""Messages in the shape of real ones: an item of some 6 kB, nine files and a reference file."""

import json
from collections.abc import Iterator
from hashlib import sha256

FILES = 9
PREFIX = "21.TEST"
LOGIN = ("300:21.TEST/BENCHMARK", "benchmark")
TOPIC = "CMIP6"

_NODES = ("esgf-node.example.org", "dap.example.org")


def messages(number: int, run: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and bodies of messages.

    Args:
        number: how many.
        run: part of each id, so that every run registers handles of its own.
    """
    for one in range(number):
        item_id = f"CMIP6.ScenarioMIP.INST.MODEL-{run}.ssp245.r{one}i1p1f1.Amon.pr.gr.v20240101"
        yield item_id.encode(), json.dumps(_message(item_id, one)).encode()


def _message(item_id: str, number: int) -> dict[str, object]:
    assets = {f"data{file:04}": _file(item_id, file) for file in range(FILES)}
    reference = {
        "href": f"https://{_NODES[0]}/kerchunk/{item_id}.json",
        "type": "application/zstd",
        "roles": ["reference", "data"],
        "alternate:name": _NODES[0],
        "name": "reference",
    }
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "collection": TOPIC,
        "bbox": [-180, -90, 177.5, 90],
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[-180, -90], [177.5, -90], [177.5, 90], [-180, 90], [-180, -90]]],
        },
        "properties": {
            "title": item_id,
            "start_datetime": "2015-01-16T12:00:00Z",
            "end_datetime": "2100-12-16T12:00:00Z",
            "retracted": False,
            "project": "CMIP6",
            **{f"cmip6:{name}": f"{name} of {number}" for name in _PROPERTIES},
        },
        "links": [],
        "assets": {"reference_file": reference, **assets},
    }
    return {
        "metadata": {
            "auth": {"client_id": "benchmark", "server": "auth.example.org"},
            "event_id": f"{number:032x}",
            "publisher": {"package": "benchmark", "version": "1"},
            "request_id": f"{number:032x}",
            "time": "2025-08-01T15:15:12.441125",
            "schema_version": "1.0.0",
        },
        "data": {
            "type": "STAC",
            "payload": {"method": "POST", "collection_id": TOPIC, "item": item},
        },
    }


def _file(item_id: str, file: int) -> dict[str, object]:
    name = f"{item_id}_{file:04}.nc"
    digest = sha256(name.encode()).hexdigest()
    return {
        "href": f"https://{_NODES[0]}/thredds/fileServer/{item_id.replace('.', '/')}/{name}",
        "type": "application/netcdf",
        "description": "HTTPServer Link",
        "roles": ["data"],
        "alternate:name": _NODES[0],
        "file:size": 67_953_667 + file,
        "file:checksum": f"1220{digest}",
        "published_on": "2024-01-19T00:00:00Z",
        "alternate": {
            _NODES[1]: {"href": f"https://{_NODES[1]}/{name}", "name": _NODES[1]},
        },
    }


_PROPERTIES = (
    "activity_id",
    "data_specs_version",
    "frequency",
    "further_info_url",
    "grid",
    "grid_label",
    "institution_id",
    "mip_era",
    "source_id",
    "source_type",
    "experiment_id",
    "sub_experiment_id",
    "nominal_resolution",
    "table_id",
    "variable_id",
    "variant_label",
    "realm",
    "Conventions",
    "creation_date",
    "experiment",
    "forcing_index",
    "institution",
    "license",
    "source",
)
