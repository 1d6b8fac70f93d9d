"""Templates: what they may say, and what may be put into them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.publishing.templates import parse_template, unknown_names
from tests.support.hostile import HOSTILE_NAMES

VALUES = {
    "id": "AOI_x",
    "version": "v0.1",
    "year": "2024",
    "ipath": "hysds::data/aoi",
    "met": {"sensor": "SAR", "orbit": {"track": 42, "pass": "asc"}, "tiles": ["a", "b"]},
    "dataset": {"label": "Sacramento"},
    "gone": None,
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("a/{id}", "a/AOI_x"),
        ("a/${version}/${id}", "a/v0.1/AOI_x"),
        ("{year}${id}", "2024AOI_x"),
        ("{met[sensor]}/{dataset[label]}", "SAR/Sacramento"),
        ("t{met[orbit][track]}-{met[tiles][1]}", "t42-b"),
        ("{ipath}/x", "hysds::data/aoi/x"),
        ("costs 5$", "costs 5$"),
        ("", ""),
    ],
)
def test_values_are_filled_in(text: str, filled: str) -> None:
    assert parse_template(text).fill(VALUES, "here") == filled


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("a/{id", "brace"),
        ("a/id}", "brace"),
        ("{}", "not understood"),
        ("{id:>10}", "not understood"),
        ("{id!r}", "not understood"),
        ("{met.__class__}", "not understood"),
        ("{met}", "write {met[key]}"),
        ("{version[0]}", "write {version}"),
        ("a/$id", "write ${id}"),
        ("a\nb", "control character"),
    ],
)
def test_what_is_no_template_is_refused(text: str, remedy: str) -> None:
    with pytest.raises(BadInputError) as refused:
        parse_template(text)
    assert remedy in str(refused.value)


def test_every_fault_of_a_template_is_named() -> None:
    with pytest.raises(BadInputError) as refused:
        parse_template("{met}/{id!r}/$year")
    message = str(refused.value)
    assert "{met[key]}" in message
    assert "{id!r}" in message
    assert "${year}" in message


def test_names_that_nothing_gives_are_found() -> None:
    template = parse_template("{id}/{yaer}/{met[x]}/${day}")
    assert unknown_names(template, ["id", "met", "year"]) == ("day", "yaer")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("..", "path_traversal"),
        (".", "path_traversal"),
        ("", "path_traversal"),
        ("a/../../b", "path_traversal"),
        ("/etc", "path_traversal"),
        ("a/b", "path_traversal"),
        ("a\x00b", "invalid_dataset"),
        ("a\nb", "invalid_dataset"),
        ("a\u2028b", "invalid_dataset"),
        ("\ud800", "invalid_dataset"),
        (None, "invalid_dataset"),
        (["a"], "invalid_dataset"),
        ({"a": 1}, "invalid_dataset"),
    ],
)
@pytest.mark.parametrize("text", ["x/{id}/y", "{met[key]}"])
def test_hostile_values_are_refused(text: str, value: object, reason: str) -> None:
    with pytest.raises(PermanentError) as refused:
        parse_template(text).fill({"id": value, "met": {"key": value}}, "entry 1, location")
    assert refused.value.reason == reason
    assert str(refused.value).startswith("entry 1, location: ")
    assert str(refused.value).isprintable()


def test_an_absent_key_is_named() -> None:
    with pytest.raises(PermanentError, match=r"\{met\[orbit\]\[frame\]\} has no value: met.json"):
        parse_template("{met[orbit][frame]}").fill(VALUES, "here")
    with pytest.raises(PermanentError, match=r"\{gone\} has no value"):
        parse_template("{gone}").fill(VALUES, "here")


def test_http_addresses_carry_values_percent_encoded() -> None:
    template = parse_template("https://host/x y/{id}")
    filled = template.fill({"id": "a b?c#d%2e=é"}, "here", address=True)
    assert filled == "https://host/x y/a%20b%3Fc%23d%252e=%C3%A9"


@given(st.text() | st.sampled_from(HOSTILE_NAMES))
def test_no_value_leads_out(value: str) -> None:
    try:
        filled = parse_template("keep/{id}").fill({"id": value}, "here")
    except PermanentError:
        return
    assert filled == f"keep/{value}"
    assert filled.count("/") == 1
    assert value not in ("", ".", "..")
