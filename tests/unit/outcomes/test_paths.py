import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.paths import (
    MAX_SEGMENT_BYTES,
    OutcomePath,
    decode_key,
    decode_segment,
    encode_key,
    encode_segment,
    format_path,
    parse_path,
)

short_text = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_SEGMENT_BYTES // 12
)
keys = st.lists(short_text, min_size=1, max_size=4).map(tuple)


@given(short_text)
def test_any_text_survives_as_a_safe_segment(text):
    segment = encode_segment(text)

    assert decode_segment(segment) == text
    assert re.fullmatch(r"[A-Za-z0-9_%-]+", segment)
    assert len(segment) <= MAX_SEGMENT_BYTES


@given(short_text, short_text)
def test_different_texts_have_different_segments(one, other):
    assert (encode_segment(one) == encode_segment(other)) == (one == other)


@given(keys)
def test_keys_come_back(key):
    assert decode_key(encode_key(key)) == key


@given(keys, st.booleans(), short_text, st.none() | short_text)
def test_paths_come_back(key, status, reason, field):
    at = OutcomePath(key, status, reason, field)

    assert parse_path("a/b", format_path("a/b", at, "scenes"), "scenes") == at


@pytest.mark.parametrize("text", ["", "x" * 201, "é" * 34, "\ud800"])
def test_what_cannot_be_a_segment_is_refused(text):
    with pytest.raises(BadInputError):
        encode_segment(text)


@pytest.mark.parametrize("text", ["..", ".", "a/b", "status=true", "%2e", "a b", "~"])
def test_hostile_texts_stay_in_their_segment(text):
    segment = encode_segment(text)

    assert "/" not in segment
    assert "=" not in segment
    assert "." not in segment


@pytest.mark.parametrize("segment", ["", "a b", "%2e", "%zz", "%", "é", "%ff", "a.b", "%41"])
def test_what_is_no_segment_is_refused(segment):
    with pytest.raises(BadInputError):
        decode_segment(segment)


def test_the_path_is_the_published_one():
    at = OutcomePath(("site_af38900f", "2024-12-04"), True, "none", "9f3a")

    assert format_path("outcomes/imagery", at, "scenes") == (
        "outcomes/imagery/site_af38900f/2024-12-04/status=true/reason=none/scenes=9f3a/result.json"
    )
    assert format_path("collections", OutcomePath(("C1234",), False, "timeout")) == (
        "collections/C1234/status=false/reason=timeout/result.json"
    )


@pytest.mark.parametrize(
    "path",
    [
        "other/a/status=true/reason=none/result.json",
        "root/a/status=true/reason=none/other.json",
        "root/a/status=maybe/reason=none/result.json",
        "root/a/reason=none/status=true/result.json",
        "root/status=true/reason=none/result.json",
        "root/a b/status=true/reason=none/result.json",
        "root/a/status=true/reason=/result.json",
        "rooted/a/status=true/reason=none/result.json",
    ],
)
def test_other_objects_are_not_taken_for_outcomes(path):
    assert parse_path("root", path) is None
