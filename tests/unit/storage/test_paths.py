"""Paths and store URLs: what is taken as it is, and what is refused."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.storage.paths import (
    BucketRoot,
    LocalRoot,
    MemoryRoot,
    check_endpoint,
    check_path,
    check_prefix,
    object_uri,
    parse_root,
)

_segments = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=30)
_paths = st.lists(_segments, min_size=1, max_size=4).map("/".join)


def _usable(path: str) -> bool:
    try:
        check_path(path)
    except BadInputError:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:///srv/store", LocalRoot(Path("/srv/store"))),
        ("file:///srv/store/", LocalRoot(Path("/srv/store"))),
        ("file://localhost/srv/store", LocalRoot(Path("/srv/store"))),
        ("file:///srv/a%20b", LocalRoot(Path("/srv/a b"))),
        ("/srv/a%20b", LocalRoot(Path("/srv/a%20b"))),
        ("/srv/x/../a b", LocalRoot(Path("/srv/a b"))),
        ("memory://", MemoryRoot()),
        ("memory:///", MemoryRoot()),
        ("s3://bucket", BucketRoot("bucket", "")),
        ("s3://bucket/", BucketRoot("bucket", "")),
        ("s3://bucket/a/b/", BucketRoot("bucket", "a/b")),
        ("s3://my.bucket-1/a%20b", BucketRoot("my.bucket-1", "a%20b")),
    ],
)
def test_a_store_url_is_read(url: str, expected: LocalRoot | MemoryRoot | BucketRoot) -> None:
    root = parse_root(url)
    assert root == expected
    assert parse_root(root.url) == root


@pytest.mark.parametrize("url", ["file://./x/y", "./x/y", "x/y", "file://../here/x/y"])
def test_a_relative_folder_is_taken_from_the_working_directory(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    root = parse_root(url)
    assert root == LocalRoot(tmp_path.resolve() / "here/x/y")
    assert root.url.startswith("file:///")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "  ",
        "file://",
        "file://estinel-store",
        "file://host/folder",
        "memory://name",
        "s3://",
        "s3:///prefix",
        "s3://ab/prefix",
        "s3://bucket/../x",
        "s3://bucket/a//b",
        "gs://bucket/x",
        "https://bucket.example.org/x",
        "a\x00b",
    ],
)
def test_another_url_is_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(BadInputError, match=r"write .*(file:///|s3://)"):
        parse_root(url)


@pytest.mark.parametrize("scheme", ["s3", "gs", "file", "https"])
def test_a_refusal_shows_no_secret(scheme: str) -> None:
    url = f"{scheme}://user:hidden@bucket/x?sig=hidden#hidden"
    with pytest.raises(BadInputError) as caught:
        parse_root(url)
    assert "hidden" not in str(caught.value)
    assert "bucket/x" in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "https://s3.example.org/"])
def test_a_plain_endpoint_is_taken(url: str) -> None:
    assert check_endpoint(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9000",
        "ftp://host",
        "http://",
        "http://user:hidden@host",
        "https://host/?key=hidden",
        "https://host/#hidden",
        "",
    ],
)
def test_another_endpoint_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(BadInputError, match="endpoint") as caught:
        check_endpoint(url)
    assert "hidden" not in str(caught.value)


@given(_paths)
def test_a_usable_path_stays_as_it_is(path: str) -> None:
    if _usable(path):
        assert check_path(path) is path
        assert check_prefix(path) == check_prefix(f"{path}/") == path
        segments = path.split("/")
        assert all(segment not in ("", ".", "..") for segment in segments)
        assert len(path.encode()) <= 1024


@given(_paths)
def test_a_file_uri_leads_to_the_file(path: str) -> None:
    uri = object_uri(LocalRoot(Path("/srv/a b%")), path)
    assert url2pathname(urlsplit(uri).path) == f"/srv/a b%/{path}"
    assert uri.isascii()


def test_what_a_path_may_hold_stays_readable_in_its_uri() -> None:
    path = "imagery/site_af38900f/2024-12-04/status=true/reason=none/result.json"
    assert object_uri(LocalRoot(Path("/srv")), path) == f"file:///srv/{path}"
    assert object_uri(LocalRoot(Path("/")), path) == f"file:///{path}"
    assert object_uri(BucketRoot("bucket", "p"), "a%20b c") == "s3://bucket/p/a%20b c"
    assert object_uri(BucketRoot("bucket", ""), "a") == "s3://bucket/a"
    assert object_uri(MemoryRoot(), "a/b") == "memory:///a/b"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "is empty"),
        ("a//b", "empty segment"),
        ("a/", "slash at an end"),
        ("a/..", "segment that is"),
        ("a#7", "unfinished"),
        ("a\tb", "control character"),
        (".locks/a", "lock files"),
        ("é" * 128, "over 255 bytes"),
        ("/".join(["a"] * 513), "over 1024 bytes"),
        ("\ud800", "Unicode"),
    ],
)
def test_a_refusal_names_path_and_problem(path: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said) as caught:
        check_path(path)
    assert repr(path) in str(caught.value)


def test_limits_are_reached_not_exceeded() -> None:
    assert _usable("é" * 127 + "a")
    assert _usable("/".join(["a"] * 512) + "b")
    assert _usable("a#b7")
    assert _usable("a#7/b")
    assert _usable("a/.locks")
