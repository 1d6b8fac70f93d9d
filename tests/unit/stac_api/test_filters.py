"""CQL2 filters against a reading of them in Python, where None is neither true nor false."""

import operator
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.database import Database
from estinel_assets.stac.api.filters import MAX_DEPTH, MAX_OPERATIONS, parse_filter
from estinel_assets.stac.api.items import ItemRepository, load_items
from estinel_assets.stac.api.parameters import parse_search
from tests.support.examples import examples
from tests.support.stac_api import stac_collection, stac_item

COMPARISONS = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TIMES = ["2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00", "2024-06-01T12:30:00.5Z"]
VALUES = st.sampled_from(
    [0, 1, 1.5, -2, "a", "b", "1", "now", "2024-01-01", "", True, False, None, ["a"], {"b": 1}]
)
LITERALS = st.sampled_from([0, 1, 1.5, "a", "b", "1", "", True, False])


@st.composite
def items(draw):
    properties = draw(st.dictionaries(st.sampled_from(["x", "eo:y", "a.b c'"]), VALUES, max_size=3))
    if draw(st.booleans()):
        properties["updated"] = draw(st.sampled_from(TIMES))
    when = draw(st.none() | st.sampled_from(TIMES))
    if when is None:
        properties |= {"start_datetime": TIMES[0], "end_datetime": TIMES[2]}
    return stac_item("?", datetime=when, **properties)


def test_a_text_that_is_no_date_has_no_time(tmp_path):
    texts = ["1", "2460311", "now", "12:30", "2024-01-01", "2024-01-01T00:00:00Z", "soon"]
    stored = [stac_item(str(number), x=text) for number, text in enumerate(texts)]
    with Database(tmp_path / "stac.db") as database:
        load_items(database, [stac_collection("scenes")], stored)
        repository = ItemRepository(database)
        for operation, expected in (("=", ["4", "5"]), ("<>", [])):
            expression = {
                "op": operation,
                "args": [{"property": "x"}, {"timestamp": "2024-01-01T00:00:00Z"}],
            }
            assert found(repository, filter_expr=expression) == expected
            negated = {"op": "not", "args": [expression]}
            assert found(repository, filter_expr=negated) == (["4", "5"] if not expected else [])


def comparisons():
    named = st.sampled_from(["x", "eo:y", "properties.x", "a.b c'", "absent"])
    times = st.sampled_from(TIMES).map(lambda text: {"timestamp": text})
    dates = st.sampled_from(["2024-01-01", "2024-06-02"]).map(lambda text: {"date": text})
    pairs = (
        st.tuples(named, LITERALS)
        | st.tuples(st.just("id"), st.sampled_from(["0", "1", "11", "~"]))
        | st.tuples(st.just("collection"), st.sampled_from(["scenes", "t"]))
        | st.tuples(st.sampled_from(["datetime", "updated", "x"]), times | dates)
    )
    return st.builds(
        lambda op, pair: {"op": op, "args": [{"property": pair[0]}, pair[1]]},
        st.sampled_from(list(COMPARISONS)),
        pairs,
    )


def nulls():
    names = st.sampled_from(["x", "datetime", "id", "updated"])
    return names.map(lambda name: {"op": "isNull", "args": [{"property": name}]})


FILTERS = st.recursive(
    comparisons() | nulls(),
    lambda inner: (
        st.builds(
            lambda op, args: {"op": op, "args": args},
            st.sampled_from(["and", "or"]),
            st.lists(inner | st.booleans(), min_size=2, max_size=3),
        )
        | inner.map(lambda one: {"op": "not", "args": [one]})
    ),
    max_leaves=6,
)


def value_of(item, name):
    name = name.removeprefix("properties.")
    if name in ("id", "collection"):
        return item[name]
    return item["properties"].get(name)


def kind_of(value):
    if isinstance(value, bool | str):
        return type(value)
    return float if isinstance(value, int | float) else None


def instant(text):
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00Z").timestamp()
    except ValueError:
        return None


def truth(expression, item):
    if isinstance(expression, bool):
        return expression
    op, args = expression["op"], expression["args"]
    if op == "isNull":
        return value_of(item, args[0]["property"]) is None
    if op == "not":
        inner = truth(args[0], item)
        return None if inner is None else not inner
    if op in ("and", "or"):
        inner = [truth(arg, item) for arg in args]
        decisive = op == "or"
        if decisive in inner:
            return decisive
        return None if None in inner else not decisive
    value, literal = value_of(item, args[0]["property"]), args[1]
    if isinstance(literal, dict):
        value, literal = instant(value), instant(*literal.values())
        return None if value is None else COMPARISONS[op](value, literal)
    if kind_of(value) is not kind_of(literal):
        return None
    return COMPARISONS[op](value, literal)


@examples(60)
@given(st.lists(items(), max_size=12), st.lists(FILTERS, min_size=1, max_size=8))
def test_filters_find_what_their_meaning_says(stored, filters):
    for number, item in enumerate(stored):
        item["id"] = f"{number}"
    with tempfile.TemporaryDirectory() as folder, Database(Path(folder) / "stac.db") as database:
        load_items(database, [stac_collection("scenes")], stored)
        repository = ItemRepository(database)
        for expression in filters:
            wanted = [item["id"] for item in stored if truth(expression, item)]
            assert found(repository, filter_expr=expression) == sorted(wanted)
            everywhere = found(repository, filter_expr=expression, bbox=[-180, -90, 180, 90])
            assert everywhere == sorted(wanted)


def found(repository, **parameters):
    """Ids in order, three a page."""
    ids, token = [], None
    while True:
        asked = parse_search(**parameters, sortby="id,x", limit=3, token=token)
        page = repository.search(asked)
        ids += [repository_id(text) for text in page.texts]
        token = page.token
        if token is None:
            assert page.matched == len(ids)
            return ids


def repository_id(text):
    return text.partition('"id":"')[2].partition('"')[0]


def test_both_forms_of_a_request_give_the_same_search():
    expression = {"op": "=", "args": [{"property": "x"}, 1]}
    text = '{"op": "=", "args": [{"property": "x"}, 1]}'

    assert parse_search(filter_expr=text) == parse_search(filter_expr=expression)
    assert parse_search(filter_expr="").condition is None


def compare(name, literal, op="="):
    return {"op": op, "args": [{"property": name}, literal]}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({}, "an object with op and args"),
        ({"op": "and", "args": {}}, "an object with op and args"),
        ({"op": "and", "args": [True]}, "two or more"),
        ({"op": "not", "args": []}, "takes 1 argument$"),
        ({"op": "=", "args": [{"property": "x"}]}, "takes 2 arguments"),
        ({"op": "like", "args": [{"property": "x"}, "a%"]}, "'like' is not supported"),
        ({"op": "=", "args": ["a", {"property": "x"}]}, "must be a property"),
        ({"op": "isNull", "args": [1]}, "must be a property"),
        (compare("", 1), "cannot be the name"),
        (compare('a"b', 1), "cannot be the name"),
        (compare("\ud800", 1), "cannot be the name"),
        (compare("x", None), "second argument"),
        (compare("x", [1]), "second argument"),
        (compare("x", {"property": "y"}), "second argument"),
        (compare("x", "\ud800"), "second argument"),
        (compare("x", 2**70), "second argument"),
        (compare("x", {"date": "2024-13-01"}), "second argument"),
        (compare("x", {"date": "20240101"}), "second argument"),
        (compare("x", {"timestamp": "2024-01-01"}), "no RFC 3339"),
        (compare("id", 1), "id can only be compared with a text"),
        (compare("id", {"date": "2024-01-01"}), "id can only be compared with a text"),
        (compare("datetime", 1), "datetime can only be compared with a timestamp"),
        (compare("datetime", "yesterday"), "no RFC 3339"),
    ],
)
def test_bad_filters_are_refused(expression, message):
    with pytest.raises(BadInputError, match=message):
        parse_filter(expression)


@pytest.mark.parametrize("text", ["{", "[]", "1", "id = 'a'"])
def test_texts_that_are_no_filters_are_refused(text):
    with pytest.raises(BadInputError, match=r"^filter: this is no"):
        parse_search(filter_expr=text)


def test_filters_beyond_all_measure_are_refused():
    deep: object = True
    for _ in range(MAX_DEPTH + 1):
        deep = {"op": "not", "args": [deep]}
    with pytest.raises(BadInputError, match="20 levels"):
        parse_filter({"op": "not", "args": [deep]})
    with pytest.raises(BadInputError, match="500 operations"):
        parse_filter({"op": "or", "args": [compare("x", 1)] * MAX_OPERATIONS})


@pytest.mark.parametrize("area", [{}, {"bbox": [-180, -90, 180, 90]}])
def test_the_largest_filter_that_is_taken_can_be_asked(tmp_path, area):
    deep: object = {"op": "or", "args": [compare("x", 1)] * (MAX_OPERATIONS - MAX_DEPTH)}
    for _ in range(MAX_DEPTH - 2):
        deep = {"op": "not", "args": [deep]}
    with Database(tmp_path / "stac.db") as database:
        items = [stac_item(name, x=1) for name in "abcde"]
        load_items(database, [stac_collection("scenes")], items)
        assert found(ItemRepository(database), filter_expr=deep, **area) == list("abcde")
