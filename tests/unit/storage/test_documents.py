"""JSON documents and gzip: stable bytes, and no NaN."""

import gzip
import json
import math
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError, NotFoundError, StoreError
from estinel_assets.storage import open_store
from estinel_assets.storage.documents import (
    dump_json,
    gzip_bytes,
    load_json,
    read_json,
    write_json,
)

_text = st.text(st.characters(codec="utf-8"))
_documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner) | st.dictionaries(_text, inner),
)


@given(_documents)
def test_a_document_comes_back(document: object) -> None:
    body = dump_json(document)
    assert load_json(body) == document
    assert body.endswith(b"\n")
    assert dump_json(load_json(body)) == body


def test_it_is_made_for_people() -> None:
    document = {"z": "Żółw", "a": [1, 2.5, None, True], "t": ("x",), "n": {}}
    assert dump_json(document).decode() == (
        '{\n  "z": "Żółw",\n  "a": [\n    1,\n    2.5,\n    null,\n    true\n  ],\n'
        '  "t": [\n    "x"\n  ],\n  "n": {}\n}\n'
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (math.nan, r"\$ is nan; write null"),
        ({"images": [{}, {"cloud": math.inf}]}, r"\$\.images\[1\]\.cloud is inf"),
        ([-math.inf], r"\$\[0\] is -inf"),
        ({1: "x"}, "key 1, which is not text"),
        ({"a": {2, 3}}, r"\$\.a is a set"),
        ({"a": b"x"}, "is a bytes"),
        (["\ud800"], r"\$\[0\] is not valid Unicode"),
        ({"\ud800": 1}, "not text"),
    ],
)
def test_what_json_cannot_say_is_named(document: object, said: str) -> None:
    with pytest.raises(BadInputError, match=said) as caught:
        dump_json(document, what="catalogue x")
    assert "catalogue x" in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[NaN]", b"[-Infinity]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_named(body: bytes) -> None:
    with pytest.raises(StoreError, match="catalogue x is not JSON"):
        load_json(body, what="catalogue x")


def test_documents_are_stored_and_loaded() -> None:
    store = open_store("memory://")
    meta = write_json(store, "a/b.json", {"b": 1, "a": [2]})
    assert read_json(store, "a/b.json") == {"b": 1, "a": [2]}
    assert list(json.loads(store.get("a/b.json").data)) == ["b", "a"]
    assert store.head("a/b.json").etag == meta.etag
    with pytest.raises(NotFoundError):
        read_json(store, "a/c.json")
    store.put("broken", b"{")
    with pytest.raises(StoreError, match="memory:///broken"):
        read_json(store, "broken")
    with pytest.raises(BadInputError, match=r"memory:///a/c\.json"):
        write_json(store, "a/c.json", math.nan)
    assert [found.path for found in store.list()] == ["a/b.json", "broken"]


@given(st.binary(max_size=2000), st.integers(1, 9))
def test_gzip_comes_back_without_time_and_name(body: bytes, level: int) -> None:
    packed = gzip_bytes(body, level=level)
    assert gzip.decompress(packed) == body
    assert zlib.decompress(packed, wbits=31) == body
    # RFC 1952: flags, then four bytes of time.
    assert packed[3:8] == bytes(5)


def test_another_process_at_another_time_packs_the_same() -> None:
    code = (
        "import sys\n"
        "from estinel_assets.storage.documents import gzip_bytes\n"
        "sys.stdout.buffer.write(gzip_bytes(b'scene' * 1000))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert said.stdout == gzip_bytes(b"scene" * 1000)
