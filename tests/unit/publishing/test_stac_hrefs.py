"""Addresses: what they mean in the folder, and what they become."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.publishing.stac_hrefs import (
    CatalogRoot,
    LocalHref,
    OutsideHref,
    RemoteHref,
    published_href,
    relative_href,
    resolve,
    stated_address,
)
from tests.support.catalog_folders import catalog, touch

OLD = "https://old.example.org/run"


@pytest.fixture
def root(tmp_path: Path) -> CatalogRoot:
    folder = tmp_path / "job" / "made"
    for name in ("x.tif", "in/y.tif", "a b.tif", "c%20d.tif", "e#f.tif", "T12:30.tif"):
        touch(folder / name)
    touch(tmp_path / "job" / "beside.tif")
    return CatalogRoot(folder, f"{OLD}/")


@pytest.mark.parametrize(
    ("href", "relative", "absolute"),
    [
        ("./y.tif", "in/y.tif", False),
        ("y.tif", "in/y.tif", False),
        ("../x.tif", "x.tif", False),
        ("../in/../x.tif", "x.tif", False),
        ("../a%20b.tif", "a b.tif", False),
        ("../a b.tif", "a b.tif", False),
        ("../c%20d.tif", "c%20d.tif", False),
        ("../e#f.tif", "e#f.tif", False),
        ("../x.tif?version=1#part", "x.tif", False),
        ("../T12:30.tif", "T12:30.tif", False),
        ("absent.tif", "in/absent.tif", False),
        (f"{OLD}/in/y.tif", "in/y.tif", True),
        (f"{OLD}/a%20b.tif", "a b.tif", True),
        (f"{OLD}/absent.tif", "absent.tif", True),
    ],
)
def test_an_address_of_the_folder_is_that_file(
    root: CatalogRoot, href: str, relative: str, absolute: bool
) -> None:
    assert resolve(href, document="in/item.json", root=root) == LocalHref(relative, absolute)


@pytest.mark.parametrize(
    "href",
    [
        "s3://bucket/x.tif",
        "https://elsewhere.example.org/x.tif",
        "https://old.example.org/running/x.tif",
        "/vsis3/bucket/x.tif",
        "urn:ogc:def:x",
        "ftp://host/../x",
    ],
)
def test_what_stands_elsewhere_is_left_there(root: CatalogRoot, href: str) -> None:
    assert resolve(href, document="in/item.json", root=root) == RemoteHref()


@pytest.mark.parametrize(
    "href",
    [
        "../../beside.tif",
        "../../../../../etc/passwd",
        "%2e%2e/%2E%2E/beside.tif",
        "..%2f..%2fbeside.tif",
        "/etc/passwd",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        f"{OLD}/../beside.tif",
        f"{OLD}/%2e%2e/beside.tif",
        "//etc/passwd",
        "x\0.tif",
        "x%00/../../../etc",
    ],
)
def test_no_address_leads_out_of_the_folder(root: CatalogRoot, href: str) -> None:
    assert isinstance(resolve(href, document="in/item.json", root=root), OutsideHref)


def test_absolute_paths_inside_the_folder_and_of_the_old_place_are_local(
    root: CatalogRoot,
) -> None:
    here = resolve(f"{root.folder}/x.tif", document="in/item.json", root=root)
    assert here == LocalHref("x.tif", absolute=True)
    url = resolve(f"file://{root.folder}/x.tif", document="in/item.json", root=root)
    assert url == LocalHref("x.tif", absolute=True)
    moved = CatalogRoot(root.folder, "/old/run/")
    assert resolve("/old/run/in/y.tif", document="z.json", root=moved) == LocalHref(
        "in/y.tif", absolute=True
    )
    assert isinstance(resolve("/old/other/y.tif", document="z.json", root=moved), OutsideHref)


def test_a_link_to_the_job_folder_does_not_hide_the_files(root: CatalogRoot) -> None:
    link = root.folder.parent.parent / "link"
    link.symlink_to(root.folder)
    linked = CatalogRoot(link)
    href = f"{root.folder.resolve()}/x.tif"
    assert resolve(href, document="z.json", root=linked) == LocalHref("x.tif", absolute=True)


@given(href=st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_is_local_remote_or_refused(href: str) -> None:
    root = CatalogRoot(Path("/nowhere/made"), f"{OLD}/")
    meant = resolve(href, document="in/item.json", root=root)
    if isinstance(meant, LocalHref):
        assert not meant.relative.startswith(("/", ".."))
        assert (root.folder / meant.relative).is_relative_to(root.folder)


@pytest.mark.parametrize(
    ("links", "address"),
    [
        ([("self", f"{OLD}/catalog.json")], f"{OLD}/"),
        ([("self", f"{OLD}/catalog.json?token=1")], f"{OLD}/"),
        ([("root", f"{OLD}/catalog.json")], f"{OLD}/"),
        ([("self", "/data/run/catalog.json")], "/data/run/"),
        ([("self", "file:///data/run/catalog.json")], "/data/run/"),
        ([("root", "./catalog.json")], None),
        ([("self", "https://host")], None),
        ([("item", f"{OLD}/x.json")], None),
        ([], None),
    ],
)
def test_a_catalogue_says_where_it_stands(
    links: list[tuple[str, str]], address: str | None
) -> None:
    assert stated_address(catalog(*links)) == address


def test_hostile_links_say_nothing() -> None:
    assert stated_address({"links": "x"}) is None
    assert stated_address({"links": [3, {"rel": "self"}, {"rel": "self", "href": 4}]}) is None


def test_published_addresses_are_encoded_where_readers_decode() -> None:
    name = "a b/50%_#1 +.tif"
    encoded = "a%20b/50%25_%231%20%2B.tif"
    assert published_href(name, url="https://host/p/") == f"https://host/p/{encoded}"
    assert published_href(name, url="davs://host/p") == f"davs://host/p/{encoded}"
    assert published_href(name, url="s3://bucket/p") == f"s3://bucket/p/{name}"


@pytest.mark.parametrize(
    ("target", "document", "href"),
    [
        ("x.tif", "item.json", "./x.tif"),
        ("in/y z.tif", "in/item.json", "./y%20z.tif"),
        ("x.tif", "in/item.json", "../x.tif"),
        ("in/y.tif", "other/item.json", "../in/y.tif"),
        ("a:b.tif", "item.json", "./a:b.tif"),
    ],
)
def test_relative_addresses_start_at_the_document(target: str, document: str, href: str) -> None:
    assert relative_href(target, document=document) == href
    root = CatalogRoot(Path("/nowhere/made"))
    found = resolve(href, document=document, root=root)
    assert isinstance(found, LocalHref)
