"""Files of STAC items for the embedded API."""

import json
from pathlib import Path

import pytest
import stac_geoparquet.arrow

from estinel_assets.cli.stac_files import load_files, read_documents
from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.items import ItemRepository
from tests.support.stac_api import stac_collection, stac_item


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (stac_item("a"), ["a"]),
        ([stac_item("a"), stac_item("b")], ["a", "b"]),
        ({"type": "FeatureCollection", "features": [stac_item("a")]}, ["a"]),
        ([stac_collection("scenes"), [stac_item("a")]], ["scenes", "a"]),
        ([], []),
    ],
)
def test_json(tmp_path: Path, content: object, ids: list[str]) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(content))
    assert [document["id"] for document in read_documents(file)] == ids


def test_geoparquet(tmp_path: Path) -> None:
    items = [stac_item("a", bbox=(1.0, 2.0, 3.0, 4.0), assets={"B04": {"href": "x.tif"}})]
    items.append(stac_item("b"))
    batches = stac_geoparquet.arrow.parse_stac_items_to_arrow(items)
    stac_geoparquet.arrow.to_parquet(batches, tmp_path / "x.parquet")
    first, second = read_documents(tmp_path / "x.parquet")
    assert (first["id"], second["id"]) == ("a", "b")
    assert first["assets"] == {"B04": {"href": "x.tif"}}
    assert list(first["bbox"]) == [1.0, 2.0, 3.0, 4.0]
    assert load_files(tmp_path / "s.sqlite", [tmp_path / "x.parquet"]) == 2


@pytest.mark.parametrize(
    "content", ['{"type": "Point"}', "3", '"x"', '{"type": "FeatureCollection"}']
)
def test_other_documents_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(BadInputError, match=r"x\.json"):
        read_documents(tmp_path / "x.json")


def test_collections_are_kept_and_missing_ones_made(tmp_path: Path) -> None:
    database = tmp_path / "s.sqlite"
    described = {**stac_collection("mine"), "description": "Described."}
    (tmp_path / "1.json").write_text(json.dumps([described, stac_item("a", collection="mine")]))
    (tmp_path / "2.json").write_text(
        json.dumps([stac_item("b", collection="mine"), stac_item("c", collection="other")])
    )
    assert load_files(database, [tmp_path / "1.json"]) == 1
    assert load_files(database, [tmp_path / "2.json"]) == 2
    assert load_files(database, []) == 0
    with Database(database) as opened:
        repository = ItemRepository(opened)
        assert repository.collection_ids() == ["mine", "other"]
        kept = repository.get_collection("mine")
    assert kept is not None
    assert kept["description"] == "Described."
