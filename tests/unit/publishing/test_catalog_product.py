"""A catalogue as it is published: items, collections, documents and files for a place."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pystac
import pystac.validation
import pytest

from estinel_assets.publishing.model import DIGEST, PUBLICATION
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import FolderRefusedError, Product
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.stac_validation import schema_problems
from tests.support.catalog_folders import (
    FILE_EXTENSION,
    URL,
    Document,
    Parts,
    absolute,
    catalog,
    collection,
    edit,
    item,
    nested,
    parts_of,
    placement,
    product,
    touch,
    unity,
    write,
)


@pytest.fixture
def spool() -> Iterator[Spool]:
    with Spool() as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return nested(tmp_path / "job" / "made")


def items_of(parts: Parts) -> dict[str, Document]:
    return {entry.id: entry.body.read() for entry in parts.items}


def test_a_catalogue_is_a_product(folder: Path, spool: Spool) -> None:
    found: Product = product(folder)
    parts = parts_of(found, placement(), spool)
    assert parts.files == list(found.files)
    assert not found.browse_files
    assert [(entry.collection, entry.id) for entry in parts.items] == [
        ("things", "one"),
        ("things", "two"),
        ("made", "lone"),
    ]
    assert [entry.id for entry in parts.collections] == ["made", "things"]
    assert [entry.id for entry in parts.documents] == ["one@things", "two@things", "lone@made"]


def test_items_belong_to_the_publication_and_have_absolute_addresses(
    folder: Path, spool: Spool
) -> None:
    parts = parts_of(product(folder), placement(), spool)
    for entry in parts.items:
        made = entry.body.read()
        assert made["collection"] == entry.collection
        assert made["properties"][PUBLICATION] == "job-7"
        assert made["properties"][DIGEST] == entry.digest
        assert made["links"] == []
        assert schema_problems(made, "Feature") == []
    assert items_of(parts)["one"]["assets"]["data"]["href"] == f"{URL}/things/one.tif"


def test_pystac_finds_what_is_published_valid(folder: Path, spool: Spool) -> None:
    parts = parts_of(product(folder), placement(), spool)
    for entry in parts.collections:
        pystac.validation.validate_dict(entry.body.read())
    for made in items_of(parts).values():
        made["links"] = [{"rel": "collection", "href": "https://api.example.org/c"}]
        pystac.validation.validate_dict(made)


def test_digests_tell_place_publication_and_content_apart(folder: Path, spool: Spool) -> None:
    found = product(folder)
    first = parts_of(found, placement(), spool)
    again = parts_of(product(folder), placement(), spool)
    assert [entry.digest for entry in first.items] == [entry.digest for entry in again.items]
    assert [entry.digest for entry in first.documents] == [
        entry.digest for entry in again.documents
    ]
    moved = parts_of(found, placement(urls=("https://other.example.org/made",)), spool)
    for former, other in zip(first.items, moved.items, strict=True):
        assert former.digest != other.digest
    edit(folder / "things/one.json", lambda one: one["properties"].update(note="new"))
    changed = parts_of(product(folder), placement(), spool)
    same = [
        former.digest == other.digest
        for former, other in zip(first.items, changed.items, strict=True)
    ]
    assert same == [False, True, True]


def test_a_former_publication_leaves_no_trace(folder: Path, spool: Spool) -> None:
    plain = parts_of(product(folder), placement(), spool)
    edit(
        folder / "lone.json",
        lambda lone: lone["properties"].update({PUBLICATION: "old", DIGEST: "0" * 64}),
    )
    again = parts_of(product(folder), placement(), spool)
    assert again.items[-1].digest == plain.items[-1].digest


def test_collections_keep_the_links_that_lead_somewhere(folder: Path, spool: Spool) -> None:
    edit(
        folder / "things/collection.json",
        lambda things: things["links"].extend(
            [{"rel": "about", "href": "./gone.html"}, {"rel": "about", "href": "/home/me/x"}]
        ),
    )
    parts = parts_of(product(folder), placement(), spool)
    assert parts.collections[1].body.read()["links"] == [
        {"rel": "license", "href": f"{URL}/things/LICENCE.txt"},
        {"rel": "about", "href": "https://example.org/things"},
    ]


def test_assets_of_collections_are_published(folder: Path, spool: Spool) -> None:
    touch(folder / "things/look.png")
    edit(
        folder / "things/collection.json",
        lambda things: things.update(assets={"thumbnail": {"href": "./look.png"}}),
    )
    parts = parts_of(product(folder), placement(), spool)
    assets = parts.collections[1].body.read()["assets"]
    assert assets == {"thumbnail": {"href": f"{URL}/things/look.png"}}


def test_a_collection_is_made_for_items_without_one(tmp_path: Path, spool: Spool) -> None:
    folder = tmp_path / "job" / "made"
    write(
        folder / "catalog.json", catalog(("item", "./a.json"), ("item", "./b.json"), title="Made")
    )
    first = item("a", bbox=[10, 20, 11, 21])
    second = item("b", bbox=[-5, -2, 1, 3], geometry={"type": "Point", "coordinates": [0, 0]})
    second["properties"] = {
        "datetime": None,
        "start_datetime": "2022-01-01T00:00:00Z",
        "end_datetime": "2024-01-01T00:00:00Z",
    }
    for document in (first, second):
        write(folder / f"{document['id']}.json", document)
        touch(folder / f"{document['id']}.tif")
    parts = parts_of(product(folder), placement(), spool)
    assert [entry.body.read() for entry in parts.collections] == [
        {
            "type": "Collection",
            "stac_version": "1.1.0",
            "stac_extensions": [],
            "id": "made",
            "title": "Made",
            "description": "Made for a test",
            "license": "other",
            "extent": {
                "spatial": {"bbox": [[-5.0, -2.0, 11.0, 21.0]]},
                "temporal": {"interval": [["2022-01-01T00:00:00Z", "2024-01-01T00:00:00Z"]]},
            },
            "links": [],
        }
    ]


@pytest.mark.parametrize(
    ("changes", "box"),
    [
        ({"bbox": [170, -2, -170, 3]}, [-180.0, -2.0, 180.0, 3.0]),
        ({"geometry": None, "bbox": ...}, [-180.0, -90.0, 180.0, 90.0]),
        ({"bbox": [1, 2, 0, 3, 4, 9]}, [1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_extents_of_odd_items(
    tmp_path: Path, spool: Spool, changes: dict[str, Any], box: list[float]
) -> None:
    folder = tmp_path / "job" / "made"
    write(folder / "catalog.json", catalog(("item", "./a.json")))
    changed = {**item("a"), **changes}
    write(folder / "a.json", {key: value for key, value in changed.items() if value is not ...})
    touch(folder / "a.tif")
    parts = parts_of(product(folder), placement(), spool)
    extent = parts.collections[0].body.read()["extent"]
    assert extent["spatial"]["bbox"] == [box]


def test_a_version_has_ids_and_links_of_its_own(folder: Path, spool: Spool) -> None:
    edit(
        folder / "lone.json",
        lambda lone: lone["links"].append({"rel": "predecessor-version", "href": "https://x/y"}),
    )
    second = items_of(parts_of(product(folder), placement("-v2"), spool))["lone-v2"]
    assert second["properties"]["version"] == "2"
    assert second["assets"]["data"]["href"] == f"{URL}-v2/lone.tif"
    assert second["links"] == [
        {
            "rel": "predecessor-version",
            "href": f"{URL}/lone.json",
            "type": "application/geo+json",
        }
    ]
    assert schema_problems(second, "Feature") == []
    assert (
        "https://stac-extensions.github.io/version/v1.2.0/schema.json"
        in (second["stac_extensions"])
    )
    parts = parts_of(product(folder), placement("-v3"), spool)
    third = items_of(parts)["lone-v3"]
    assert third["links"][0]["href"] == f"{URL}-v2/lone.json"
    assert [entry.id for entry in parts.collections] == ["made", "things"]
    document = parts.documents[-1].body.read()
    assert (document["id"], document["version"]) == ("lone-v3@made", "3")


def test_a_version_at_another_kind_of_place_has_no_predecessor(folder: Path, spool: Spool) -> None:
    parts = parts_of(product(folder), placement("-v2", urls=(URL,)), spool)
    assert items_of(parts)["lone-v2"]["links"] == []


@pytest.mark.parametrize("base", ["https://old.example.org/run", "/old/run"])
def test_an_absolute_catalogue_works_where_it_is_published(
    tmp_path: Path, spool: Spool, base: str
) -> None:
    folder = absolute(tmp_path / "job" / "made", base)
    found = product(folder)
    parts = parts_of(found, placement(), spool)
    assert [file.relative for file in parts.files] == [file.relative for file in found.files]
    copy = tmp_path / "copy"
    for file in parts.files:
        content = touch(copy / file.relative, file.source.read_bytes()).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
        assert base.encode() not in content
    opened = pystac.Catalog.from_file(copy / "catalog.json")
    items = list(opened.get_items(recursive=True))
    assert {each.id for each in items} == {"lone", "one", "two"}
    for each in items:
        href = each.assets["data"].get_absolute_href()
        assert href is not None
        assert Path(href).read_bytes() == b"pixels"
    assert items_of(parts) == items_of(
        parts_of(product(nested(tmp_path / "self" / "made")), placement(), spool)
    )


def test_a_self_contained_catalogue_is_copied_as_it_is(folder: Path, spool: Spool) -> None:
    parts = parts_of(product(folder), placement(), spool)
    assert all(file.source == folder / file.relative for file in parts.files)


def test_only_documents_with_old_addresses_are_rewritten(folder: Path, spool: Spool) -> None:
    own = {"rel": "self", "href": "https://old.example.org/run/catalog.json"}
    edit(folder / "catalog.json", lambda document: document["links"].append(own))
    parts = parts_of(product(folder), placement(), spool)
    changed = [file for file in parts.files if file.source != folder / file.relative]
    assert [file.relative for file in changed] == ["catalog.json"]
    links = json.loads(changed[0].source.read_text())["links"]
    assert {link["rel"] for link in links} == {"child", "item"}


def test_a_rewritten_document_loses_its_old_checksum(tmp_path: Path, spool: Spool) -> None:
    folder = absolute(tmp_path / "job" / "made", "/old/run")
    raw = (folder / "things/one.json").read_bytes()
    asset = {
        "href": "/old/run/things/one.json",
        "file:size": len(raw),
        "file:checksum": "1220" + hashlib.sha256(raw).hexdigest(),
    }
    edit(
        folder / "lone.json",
        lambda lone: lone.update(
            stac_extensions=[FILE_EXTENSION], assets={**lone["assets"], "about": asset}
        ),
    )
    parts = parts_of(product(folder), placement(), spool)
    published = items_of(parts)["lone"]["assets"]["about"]
    assert published == {"href": f"{URL}/things/one.json"}
    static = next(file for file in parts.files if file.relative == "lone.json")
    assert json.loads(static.source.read_text())["assets"]["about"] == {"href": "./things/one.json"}


def test_older_documents_are_published_as_stac_1_1(tmp_path: Path, spool: Spool) -> None:
    parts = parts_of(product(unity(tmp_path / "job" / "made")), placement(), spool)
    for made in items_of(parts).values():
        assert made["stac_version"] == "1.1.0"
        assert schema_problems(made, "Feature") == []
    document = parts.documents[0].body.read()
    assert document["starttime"] == "2023-01-01T00:00:00Z"
    assert document["endtime"] == "2023-01-01T00:06:00Z"
    assert document["dataset_type"] == "urn:nasa:unity:unity:dev:unity-dev-output___1"
    assert not parts.collections


def test_names_are_encoded_in_addresses(tmp_path: Path, spool: Spool) -> None:
    folder = tmp_path / "job" / "made"
    write(folder / "catalog.json", catalog(("item", "./a.json")))
    write(folder / "a.json", item("a", assets={"data": {"href": "./50% of #1.tif"}}))
    touch(folder / "50% of #1.tif")
    parts = parts_of(product(folder), placement(), spool)
    assert items_of(parts)["a"]["assets"]["data"]["href"] == f"{URL}/50%25%20of%20%231.tif"


def test_the_index_tells_items_of_one_id_apart(folder: Path, spool: Spool) -> None:
    links = [{"rel": "item", "href": "./one.json"}]
    write(folder / "more" / "collection.json", collection("more", links=links))
    write(folder / "more" / "one.json", item("one", collection="more"))
    touch(folder / "more" / "one.tif")
    edit(
        folder / "catalog.json",
        lambda document: document["links"].append(
            {"rel": "child", "href": "./more/collection.json"}
        ),
    )
    parts = parts_of(product(folder), placement(), spool)
    assert [entry.id for entry in parts.documents] == [
        "one@things",
        "two@things",
        "one@more",
        "lone@made",
    ]
    assert {entry.body.read()["stac_item_id"] for entry in parts.documents} == {
        "one",
        "two",
        "lone",
    }


@pytest.mark.parametrize("gone", [False, True])
def test_a_document_that_changes_meanwhile_is_refused(
    folder: Path, spool: Spool, gone: bool
) -> None:
    found = product(folder)
    if gone:
        (folder / "things/one.json").unlink()
    else:
        edit(folder / "things/one.json", lambda one: one.update(id="other"))
    with pytest.raises(FolderRefusedError, match="changed while") as refused:
        parts_of(found, placement(), spool)
    assert refused.value.faults[0].reason is PublishingReason.INVALID_CATALOG
