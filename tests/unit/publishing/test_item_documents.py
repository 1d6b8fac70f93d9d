"""Index documents of items: GRQ's fields."""

from datetime import UTC, datetime

from estinel_assets.publishing.item_documents import document_id, item_document, written
from estinel_assets.publishing.model import DIGEST, PUBLICATION
from tests.support.catalog_folders import item


def test_a_document_has_all_fields_of_the_original_and_a_version() -> None:
    source = item("one", collection="things")
    source["properties"] |= {
        "created": "2023-02-01T00:00:00.000000Z",
        PUBLICATION: "job-7",
        DIGEST: "0" * 64,
    }
    source["assets"]["data"]["href"] = "https://host/one.tif"
    source["links"] = [{"rel": "derived_from", "href": "https://host/source.json"}]
    assert item_document(source, version="v0.3") == {
        "id": "one@things",
        "objectid": "one",
        "metadata": {
            "datetime": "2023-01-01T00:00:00Z",
            "created": "2023-02-01T00:00:00.000000Z",
        },
        "dataset": "stac_item",
        "ipath": "stac_item/one",
        "system_version": "v1.0",
        "version": "v0.3",
        "dataset_level": "item",
        "dataset_type": "things",
        "urls": ["https://host/one.tif"],
        "browse_urls": [],
        "images": [],
        "prov": {"wasDerivedFrom": ["https://host/source.json"]},
        "label": "one",
        "stac_version": "1.1.0",
        "stac_item_id": "one",
        "stac_collection": "things",
        "location": source["geometry"],
        "starttime": "2023-01-01T00:00:00Z",
        "endtime": "2023-01-01T00:00:00Z",
        "creation_timestamp": "2023-02-01T00:00:00Z",
    }


def test_what_an_item_does_not_have_is_left_out() -> None:
    source = item("one", collection="things", geometry=None)
    source["properties"] |= {"title": "The first", "version": "2"}
    document = item_document(source, version="")
    assert "location" not in document
    assert "creation_timestamp" not in document
    assert document["label"] == "The first"
    assert document["version"] == "2"
    assert document["id"] == document_id(source) == "one@things"
    assert document["objectid"] == "one"
    assert document["stac_item_id"] == "one"


def test_an_item_of_a_span_has_start_and_end() -> None:
    source = item("one", collection="things")
    source["properties"] = {
        "datetime": None,
        "start_datetime": "2023-01-01T00:00:00.000000Z",
        "end_datetime": "2023-01-01T00:06:00.500000+00:00",
    }
    document = item_document(source, version="")
    assert document["starttime"] == "2023-01-01T00:00:00Z"
    assert document["endtime"] == "2023-01-01T00:06:00.500000Z"
    assert document["version"] == "v1.0"


def test_times_have_one_zone() -> None:
    assert written(datetime(2023, 1, 1, tzinfo=UTC)) == "2023-01-01T00:00:00Z"
