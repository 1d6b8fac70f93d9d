"""Which paths `estinel browse` answers, and which part of an object a request means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.imagery.browse_paths import (
    Asked,
    ByteRange,
    asked_for,
    matches,
    parse_range,
    quoted_etag,
    store_type,
)
from estinel_assets.storage.paths import check_path

DAY = "sentinel-2-c1-l2a/2024/12/04/Hobart_2024-12-04"


@pytest.mark.parametrize(
    ("target", "kind", "name"),
    [
        ("/", "redirect", "/catalog/"),
        ("/catalog", "redirect", "/catalog/"),
        ("/catalog?location=Hobart", "redirect", "/catalog/"),
        ("/catalog/", "page", "index.html"),
        ("/catalog/?location=a/b&date=2024-12-04", "page", "index.html"),
        ("/catalog/index.html", "page", "index.html"),
        ("/catalog/app/main.js?v=1", "page", "app/main.js"),
        ("/catalog/index.json", "store", "catalog/index.json"),
        ("/catalog/index.json?v=%22a%22", "store", "catalog/index.json"),
        ("/catalog/image-catalog.json", "store", "catalog/image-catalog.json"),
        ("/catalog/image-catalog.json.gz", "store", "catalog/image-catalog.json.gz"),
        ("/catalog/fragments/site_1.json", "store", "catalog/fragments/site_1.json"),
        ("/catalog/ratings/site_1.json", "store", "catalog/ratings/site_1.json"),
        (f"/{DAY}.tif", "store", f"{DAY}.tif"),
        (f"/{DAY}_scl.tif", "store", f"{DAY}_scl.tif"),
        (f"/{DAY}.json", "store", f"{DAY}.json"),
        (f"/thumbs/{DAY}_q128.png", "store", f"thumbs/{DAY}_q128.png"),
        # The name holds a percent sign, which an address encodes once more.
        ("/c/2024/12/04/%2525_2024.png", "store", "c/2024/12/04/%25_2024.png"),
    ],
)
def test_what_is_answered(target, kind, name):
    assert asked_for(target) == Asked(kind, name)


@pytest.mark.parametrize(
    "target",
    [
        "/leases/imagery-catalog.json",
        "/outcomes/imagery/site_1/2024-12-04/status=true/reason=none/result.json",
        "/outcome-index/imagery/site_1.parquet",
        "/markers/site_1.json",
        "/stac/site_1.parquet",
        "/assets/web_catalog.json",
        "/dataset-index.sqlite",
        # The shape of an image, in a folder that holds none.
        "/outcomes/2024/12/04/x.json",
        "/published/2024/12/04/x.tif",
        "/leases/2024/12/04/x.json",
        "/thumbs/2024/12/04/x.png",
        "/thumbs/outcomes/2024/12/04/x.png",
        "/c/2024/12/04/x.html",
        "/c/2024/12/x.png",
        "/c/2024/12/04/05/x.png",
        "/c/2024/12/04/",
        # Ways out.
        f"/x/../{DAY}.tif",
        f"/./{DAY}.tif",
        f"//{DAY}.tif",
        "/c/2024/12/04/..%2f..%2fx.png",
        "/c/2024/12/04/..%5cx.png",
        "/c/2024/12/04\\x.png",
        "/c/2024/12/04/x%00.png",
        "/c/2024/12/04/x%0a.png",
        "/c/2024/12/04/%ff.png",
        "/.locks/2024/12/04/x.png",
        "/c/2024/12/04/x.png#1.png/../x.png",
        f"/c/2024/12/04/{'x' * 300}.png",
        "/catalog/fragments/../merged.json",
        "/catalog/fragments/%2e%2e/merged.json",
        "/catalog/../leases/imagery-catalog.json",
        "http://elsewhere.example/catalog/",
        "*",
        "catalog/",
        "/catalog//index.json",
        "/catalogue/index.json",
    ],
)
def test_what_is_not(target):
    asked = asked_for(target)
    assert asked.kind == "nothing" or asked == Asked("page", asked.name)
    if asked.kind == "page":
        raise AssertionError(f"{target} was taken for the page's {asked.name}")


@pytest.mark.parametrize(
    "name", ["merged.json", "page.json", "fragments/x.txt", "fragments/a/b.json"]
)
def test_documents_that_no_page_reads_are_looked_for_in_the_page_only(name):
    assert asked_for(f"/catalog/{name}") == Asked("page", name)


@given(st.text(max_size=60) | st.from_regex(r"(/(\.\.|%2e%2e|c|catalog|2024|12|x\.png))+"))
def test_whatever_is_asked_for_is_a_path_below_the_root(text):
    asked = asked_for(text)
    if asked.kind == "store":
        assert check_path(asked.name) == asked.name
        assert ".." not in asked.name.split("/")
        assert asked.name.split("/")[0] not in {"leases", "outcomes", "markers"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"{DAY}.tif", "image/tiff"),
        (f"{DAY}.json", "application/geo+json"),
        (f"thumbs/{DAY}_q128.png", "image/png"),
        ("catalog/index.json", "application/json"),
        ("catalog/image-catalog.json.gz", "application/gzip"),
    ],
)
def test_content_types(path, kind):
    assert store_type(path) == kind


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 6)),
        ("bytes=8-100", ByteRange(8, 10)),
        ("bytes=3-", ByteRange(3, 10)),
        ("bytes=-4", ByteRange(6, 10)),
        ("bytes=-100", ByteRange(0, 10)),
        ("bytes=10-", "unsatisfiable"),
        ("bytes=-0", "unsatisfiable"),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("bytes=a-b", None),
        ("items=0-1", None),
        ("bytes=" + "9" * 40 + "-", None),
        ("", None),
    ],
)
def test_ranges_of_ten_bytes(header, expected):
    assert parse_range(header, 10) == expected


def test_nothing_has_no_part():
    assert parse_range("bytes=0-", 0) == "unsatisfiable"
    assert parse_range("bytes=-5", 0) == "unsatisfiable"
    assert parse_range(None, 0) is None


@pytest.mark.parametrize(
    ("version", "etag"),
    [
        ("d41d8", '"d41d8"'),
        ('"d41d8"', '"d41d8"'),
        ('W/"d41d8"', '"d41d8"'),
        ('a"b c\r\nX: y', '"a_b_c__X:_y"'),
    ],
)
def test_etags_are_quoted_once_and_cannot_break_a_header(version, etag):
    assert quoted_etag(version) == etag


@pytest.mark.parametrize(
    ("header", "same"),
    [
        (None, False),
        ("", False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ('"b"', False),
        ("*", True),
        ("a", False),
    ],
)
def test_whether_a_browser_has_it(header, same):
    assert matches(header, '"a"') is same
