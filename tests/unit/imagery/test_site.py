"""One site: what it may be, and its name in files."""

import math
import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.site import Site, file_stem
from estinel_assets.imagery.site_id import site_id
from estinel_assets.storage.opening import open_store
from tests.support.hostile import HOSTILE_NAMES


def test_an_impossible_site_cannot_be_made() -> None:
    with pytest.raises(BadInputError, match=r"lat 91.0 is out of range.*radiusx nan is not"):
        Site("Hobart", 147.0, 91.0, radiusx=math.nan)
    with pytest.raises(BadInputError, match="location ' ' is empty"):
        Site(" ", 147.0, -42.0)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_safe_in_paths(name: str) -> None:
    stem = Site(name, 1.0, 2.0).file_stem
    assert re.fullmatch(r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+", stem)
    assert len(stem) <= 100
    store = open_store("memory://")
    path = f"sentinel-2-c1-l2a/2024/12/04/{stem}_2024-12-04_scl.tif"
    store.put(path, b"image")
    assert [meta.path for meta in store.list("sentinel-2-c1-l2a")] == [path]


def test_hostile_names_share_no_stem() -> None:
    assert len({file_stem(name).casefold() for name in HOSTILE_NAMES}) == len(HOSTILE_NAMES)


def test_plain_names_give_plain_stems() -> None:
    assert file_stem("Kingston HQ") == "Kingston_HQ"
    assert file_stem("Heard Island (60m)") == "Heard_Island_60m"
    assert file_stem("Dumont d'Urville") == "Dumont_d%27Urville"
    assert file_stem("Terre Adélie") == "Terre_Ad%C3%A9lie"
    assert file_stem("a.b") == "a%2Eb"


def test_long_names_end_in_their_site_id() -> None:
    for name in ("x" * 101, "é" * 17, "x" * 89 + "éé"):
        stem = file_stem(name)
        assert stem.endswith(f"-{site_id(name)}")
        assert name.startswith(unquote(stem.removesuffix(f"-{site_id(name)}"), errors="strict"))
        assert 94 <= len(stem) <= 100
    assert file_stem("x" * 100) == "x" * 100


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)  # too short to be cut


@given(names, names)
@example("a%20b", "a b")
@example("a_b", "a b")
@example("()", "%28%29")
def test_two_names_share_a_stem_only_where_blanks_and_brackets_differ(a: str, b: str) -> None:
    same = file_stem(a) == file_stem(b)
    plain_a, plain_b = (
        name.replace(" ", "_").replace("(", "").replace(")", "") or name for name in (a, b)
    )
    assert same == (plain_a == plain_b)
    assert unquote(file_stem(a)) == plain_a
