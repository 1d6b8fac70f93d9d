import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.stac.api.documents import (
    collection_text,
    document,
    feature_collection,
    item_text,
    merged,
    published,
)
from tests.support.stac_api import stac_collection, stac_item

ROOT = "http://stac.example/root/"

# All but the marking character and lone surrogates, which UTF-8 cannot say.
texts = st.text(st.characters(min_codepoint=2, codec="utf-8"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=10,
)


def links_of(parsed):
    return {link["rel"]: link["href"] for link in parsed["links"]}


def test_an_item_leaves_with_its_own_links():
    item = stac_item("a b", collection="c")
    item["links"] = [
        {"rel": "self", "href": "https://elsewhere.example/a"},
        {"rel": "license", "href": "https://licence.example/"},
        {"rel": "derived_from", "href": "collections/d/items/1"},
    ]

    links = links_of(json.loads(published(item_text(item), ROOT)))

    assert links == {
        "self": f"{ROOT}collections/c/items/a%20b",
        "parent": f"{ROOT}collections/c",
        "collection": f"{ROOT}collections/c",
        "root": ROOT,
        "license": "https://licence.example/",
        "derived_from": f"{ROOT}collections/d/items/1",
    }


def test_a_collection_leaves_with_its_own_links():
    links = links_of(json.loads(published(collection_text(stac_collection("c")), ROOT)))

    assert links == {
        "self": f"{ROOT}collections/c",
        "parent": ROOT,
        "root": ROOT,
        "items": f"{ROOT}collections/c/items",
    }


@pytest.mark.parametrize(
    ("stored", "given_out"),
    [
        ("scenes/a/B04.tif", f"{ROOT}scenes/a/B04.tif"),
        ("./scenes/a/B04.tif", f"{ROOT}scenes/a/B04.tif"),
        ("s3://bucket/B04.tif", "s3://bucket/B04.tif"),
        ("https://x.example/B04.tif?a=1", "https://x.example/B04.tif?a=1"),
        ("/vsis3/bucket/B04.tif", "/vsis3/bucket/B04.tif"),
    ],
)
def test_relative_asset_addresses_come_out_absolute(stored, given_out):
    item = stac_item("a", assets={"red": {"href": stored, "title": "scenes/a/B04.tif"}})

    red = json.loads(published(item_text(item), ROOT))["assets"]["red"]

    assert red == {"href": given_out, "title": "scenes/a/B04.tif"}


@given(json_values)
def test_what_was_stored_comes_back(value):
    item = stac_item("a", assets={"red": {"href": "scenes/B04.tif"}}, extra=value)

    assert document(item_text(item)) == item
    assert json.loads(published(item_text(item), ROOT))["properties"] == item["properties"]


@pytest.mark.parametrize("hostile", ["\x01", "a\x01b", "\\u0001"])
def test_the_character_that_marks_the_address_is_refused_elsewhere(hostile):
    with pytest.raises(ValueError, match=r"U\+0001"):
        item_text(stac_item("a", title=hostile))


def test_not_a_number_becomes_null():
    text = item_text(stac_item("a", cloud=float("nan")))

    assert document(text)["properties"]["cloud"] is None


def test_an_address_with_a_quote_cannot_break_the_answer():
    text = published(item_text(stac_item("a")), 'http://x.example/"/')

    assert links_of(json.loads(text))["root"] == 'http://x.example/"/'


def test_a_page_counts_what_it_holds():
    texts = [item_text(stac_item(name)) for name in ("a", "b")]

    page = json.loads(feature_collection(texts, [], matched=7, base_url=ROOT))

    assert [feature["id"] for feature in page["features"]] == ["a", "b"]
    assert (page["numberMatched"], page["numberReturned"]) == (7, 2)


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        # The examples of RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch(document, patch, expected):
    before = json.dumps(document)
    assert merged(document, patch) == expected
    assert json.dumps(document) == before
