"""Locations: which store and which path an address of `datasets.json` means."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.publishing.locations import (
    Location,
    Unwritable,
    open_place,
    parse_location,
    region_of,
    share_roots,
    shown_address,
)
from estinel_assets.publishing.model import Place, StoreAt
from estinel_assets.settings import StoreSettings
from tests.support.s3 import S3Access, s3_server

VALUES = {"id": "AOI_x", "type": "slc", "version": "v1"}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


def place_of(text: str, **values: str) -> Place:
    location = parse_location(text, hostname="node-1", profile="p")
    assert isinstance(location, Location)
    return location.place({**VALUES, **values}, "here")


@pytest.mark.parametrize(
    ("text", "endpoint_url", "bucket", "path"),
    [
        ("s3://bucket/a/{id}", "", "bucket", "a/AOI_x"),
        ("s3://my_bucket/{id}/", "", "my_bucket", "AOI_x"),
        (
            "s3://s3-us-west-2.amazonaws.com:80/my_bucket/products/${version}/${id}",
            "https://s3.us-west-2.amazonaws.com",
            "my_bucket",
            "products/v1/AOI_x",
        ),
        (
            "s3://s3.eu-central-1.amazonaws.com/bucket/{id}",
            "https://s3.eu-central-1.amazonaws.com",
            "bucket",
            "AOI_x",
        ),
        ("s3://s3.amazonaws.com:443/bucket/{id}", "https://s3.amazonaws.com", "bucket", "AOI_x"),
        (
            "s3://s3-fips.us-gov-west-1.amazonaws.com:443/bucket/{id}",
            "https://s3-fips.us-gov-west-1.amazonaws.com",
            "bucket",
            "AOI_x",
        ),
        (
            "s3://s3.cn-north-1.amazonaws.com.cn:80/bucket/{id}",
            "https://s3.cn-north-1.amazonaws.com.cn",
            "bucket",
            "AOI_x",
        ),
        ("s3://minio.local:9000/bucket/{id}", "http://minio.local:9000", "bucket", "AOI_x"),
        ("s3://minio.local:443/bucket/{id}", "https://minio.local", "bucket", "AOI_x"),
        ("s3://[::1]:9000/bucket/{id}", "http://[::1]:9000", "bucket", "AOI_x"),
        ("s3://{hostname}:9000/bucket/{id}", "http://node-1:9000", "bucket", "AOI_x"),
    ],
)
def test_both_forms_of_s3_are_read(text: str, endpoint_url: str, bucket: str, path: str) -> None:
    assert place_of(text) == Place(StoreAt(f"s3://{bucket}", endpoint_url, "p"), path)


@pytest.mark.parametrize(
    ("endpoint_url", "region"),
    [
        ("https://s3.us-west-2.amazonaws.com", "us-west-2"),
        ("https://s3-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://s3.amazonaws.com", None),
        ("http://minio.local:9000", None),
        ("", None),
    ],
)
def test_the_region_is_read_from_the_server(endpoint_url: str, region: str | None) -> None:
    assert region_of(endpoint_url) == region


@pytest.mark.parametrize(
    ("text", "root", "path"),
    [
        ("file:///archive/{type}/{id}", "file:///archive", "slc/AOI_x"),
        ("file:///archive/all/p-{id}", "file:///archive/all", "p-AOI_x"),
        ("file:///archive/all/one", "file:///archive/all", "one"),
        ("file://localhost/archive/{id}", "file:///archive", "AOI_x"),
        ("file:///{hostname}/{id}", "file:///node-1", "AOI_x"),
        ("file:///my%20archive/a%20b{id}", "file:///my%20archive", "a bAOI_x"),
    ],
)
def test_a_folder_has_its_store_at_the_part_without_templates(
    text: str, root: str, path: str
) -> None:
    assert place_of(text) == Place(StoreAt(root), path)


def test_without_a_scheme_it_lies_in_the_store_of_the_settings() -> None:
    assert place_of("published/{type}/{id}") == Place(StoreAt(), "published/slc/AOI_x")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("s3://bucket", "no key"),
        ("s3://bucket/", "no key"),
        ("s3://s3-us-west-2.amazonaws.com:80/bucket", "no key"),
        ("s3:///key/{id}", "bucket"),
        ("s3://{type}/key/{id}", "only {hostname}"),
        ("s3://host:80/{type}/{id}", "only {hostname}"),
        ("s3://{met[host]}:80/bucket/{id}", "only {hostname}"),
        ("s3://host:notaport/bucket/{id}", "server"),
        ("s3://s3-us-west-2.amazonaws.com:8080/bucket/{id}", "write s3://"),
        ("s3://b.s3-website-us-west-2.amazonaws.com/x/{id}", "write s3://"),
        ("s3://bucket/a//{id}", "empty segment"),
        ("s3://bucket/../{id}", ".."),
        ("s3://bucket/{id}?acl", "query"),
        ("file://relative/{id}", "file:///folder"),
        ("file:///{type}/{id}", "first folder"),
        ("file:///one", "first folder"),
        ("file:///a/%2e%2e/{id}", ".."),
        ("/archive/{id}", "file:///archive/{id}"),
        ("{type}/{id}", "published/"),
        ("{id}", "published/"),
        ("", "published/"),
        ("publications/{id}", "published/"),
        (".locks/{id}", "published/"),
        ("published/{id!r}", "not understood"),
    ],
)
def test_bad_locations_are_refused_with_a_remedy(text: str, remedy: str) -> None:
    with pytest.raises(BadInputError) as refused:
        parse_location(text, hostname="node-1")
    assert remedy in str(refused.value)


def test_credentials_in_an_s3_location_are_refused_and_not_shown() -> None:
    with pytest.raises(BadInputError) as refused:
        parse_location("s3://KEY:SECRET@host:80/bucket/{id}", hostname="")
    assert "profile" in str(refused.value)
    assert "SECRET" not in str(refused.value)


def test_other_schemes_are_known_for_what_they_are() -> None:
    found = parse_location("davs://user:pass/word@dav.example.com/a/${id}", hostname="")
    assert found == Unwritable("davs", "davs://dav.example.com/a/${id}")


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("published/{id}", "..", "path_traversal"),
        ("published/{id}{version}", ".", "path_traversal"),
        ("file:///archive/{id}", ".locks", "path_traversal"),
        ("published/.{id}", "x" * 300, "invalid_dataset"),
        ("published/{id}", "x\x00", "invalid_dataset"),
    ],
)
def test_values_cannot_lead_out(text: str, value: str, reason: str) -> None:
    with pytest.raises(PermanentError) as refused:
        place_of(text, id=value)
    assert refused.value.reason == reason


def test_not_even_an_ipath_can_lead_out() -> None:
    with pytest.raises(
        PermanentError, match=r"the path 'published/a/\.\./b' has a segment"
    ) as refused:
        place_of("published/{ipath}", ipath="a/../b")
    assert refused.value.reason == "path_traversal"


def test_folders_in_one_tree_share_a_store() -> None:
    texts = [
        "file:///archive/slc/{id}",
        "file:///archive/{type}/{id}",
        "file:///archives/{id}",
        "s3://bucket/{id}",
        "davs://x/{id}",
        "file:///archive/browse/small/{id}",
    ]
    shared = share_roots([parse_location(text, hostname="") for text in texts])
    found = [it.place(VALUES, "here") if isinstance(it, Location) else it for it in shared]
    assert found == [
        Place(StoreAt("file:///archive"), "slc/AOI_x"),
        Place(StoreAt("file:///archive"), "slc/AOI_x"),
        Place(StoreAt("file:///archives"), "AOI_x"),
        Place(StoreAt("s3://bucket"), "AOI_x"),
        Unwritable("davs", "davs://x/{id}"),
        Place(StoreAt("file:///archive"), "browse/small/AOI_x"),
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("davs://u:p@host/a", "davs://host/a"),
        ("davs://u:p/a@ss@host/a", "davs://host/a"),
        ("https://host/a?token=1", "https://host/a"),
        ("/(?P<id>AOI_.+)$", "/(?P<id>AOI_.+)$"),
    ],
)
def test_messages_show_no_secret(text: str, shown: str) -> None:
    assert shown_address(text) == shown


def test_a_folder_location_can_be_opened_and_written(tmp_path: Path) -> None:
    place = place_of(f"file://{tmp_path}/archive/{{type}}/{{id}}")
    store = open_place(place.store, StoreSettings(url="memory://"))
    store.create(f"{place.path}/a.txt", b"x")
    assert (tmp_path / "archive/slc/AOI_x/a.txt").read_bytes() == b"x"


def test_an_s3_location_with_a_server_can_be_opened_and_written(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    server = s3.endpoint_url.removeprefix("http://")
    location = parse_location(f"s3://{server}/{s3.bucket}/a/{{id}}", hostname="", profile="default")
    assert isinstance(location, Location)
    place = location.place(VALUES, "here")
    store = open_place(place.store, StoreSettings(endpoint_url="http://127.0.0.1:9", region="x-1"))
    store.create(f"{place.path}/a.txt", b"x")
    assert s3.keys("a/") == ["a/AOI_x/a.txt"]


def test_a_location_without_a_server_takes_that_of_the_settings(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    place = place_of(f"s3://{s3.bucket}/b/{{id}}")
    at = StoreAt(place.store.url)
    open_place(at, StoreSettings(endpoint_url=s3.endpoint_url)).create("b/y", b"x")
    assert s3.keys("b/") == ["b/y"]
