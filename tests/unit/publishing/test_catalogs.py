"""Catalogues of a job's folder: found, walked, and every fault told at once."""

import json
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.publishing.catalogs import MAX_DEPTH, find_catalogs, read_catalog
from estinel_assets.publishing.content import content_of
from estinel_assets.publishing.datasets_config import load_datasets_config
from estinel_assets.publishing.files import JobFiles
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scan import scan_folder
from estinel_assets.publishing.spool import Spool
from estinel_assets.settings import PublishingSettings
from tests.support.catalog_folders import (
    Document,
    absolute,
    by_where,
    catalog,
    collection,
    config,
    edit,
    item,
    many_items,
    nested,
    parts_of,
    placement,
    product,
    read,
    touch,
    unity,
    write,
)
from tests.support.examples import examples
from tests.support.tracing import tracing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return nested(tmp_path / "job" / "made")


def test_catalogues_are_found_at_any_depth_but_not_within_one_another(tmp_path: Path) -> None:
    for name in ("b/deep/er", "a", "a/within", ".hidden", "c/.git/x", "elsewhere"):
        write(tmp_path / "job" / name / "catalog.json", catalog())
    touch(tmp_path / "job" / "plain" / "x.dataset.json")
    (tmp_path / "job" / "linked").symlink_to(tmp_path / "job" / "elsewhere")
    found = find_catalogs(tmp_path / "job")
    assert [path.relative_to(tmp_path / "job").as_posix() for path in found] == [
        "a",
        "b/deep/er",
        "elsewhere",
    ]
    write(tmp_path / "job" / "catalog.json", catalog())
    assert find_catalogs(tmp_path / "job") == [tmp_path / "job"]


def test_a_catalogue_is_read_whole(folder: Path) -> None:
    found, faults, warnings = read(folder)
    assert faults == []
    assert warnings == []
    assert found is not None
    assert found.id == "made"
    assert found.folder == folder
    assert found.route.place.path == "catalogs/made"
    assert [(each.relative, each.kind, each.id, each.collection) for each in found.documents] == [
        ("catalog.json", "Catalog", "made", None),
        ("things/collection.json", "Collection", "things", None),
        ("things/one.json", "Feature", "one", "things"),
        ("things/two.json", "Feature", "two", "things"),
        ("lone.json", "Feature", "lone", "made"),
    ]
    assert found.missing_collections == ()
    assert not any(each.absolute for each in found.documents)
    assert [file.relative for file in found.files] == [
        "catalog.json",
        "lone.json",
        "lone.tif",
        "notes.txt",
        "things/LICENCE.txt",
        "things/collection.json",
        "things/one.json",
        "things/one.tif",
        "things/two.json",
        "things/two.tif",
    ]
    types = {file.relative: file.media_type for file in found.files}
    assert types["things/one.json"] == "application/geo+json"
    assert types["catalog.json"] == "application/json"
    assert types["lone.tif"] == "image/tiff"


@pytest.mark.parametrize("base", ["https://old.example.org/run", "/old/run", "file:///old/run"])
def test_an_absolute_catalogue_is_mapped_back_to_its_files(tmp_path: Path, base: str) -> None:
    folder = absolute(tmp_path / "job" / "made", base)
    found, faults, warnings = read(folder)
    assert faults == []
    assert warnings == []
    assert found is not None
    assert [each.id for each in found.documents] == ["made", "things", "one", "two", "lone"]
    assert all(each.absolute for each in found.documents)


def test_a_catalogue_with_paths_of_this_machine_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "job" / "made"
    absolute(folder, str(folder))
    edit(folder / "catalog.json", lambda document: document["links"].pop())  # no self
    assert [each.id for each in product(folder).documents] == [
        "made",
        "things",
        "one",
        "two",
        "lone",
    ]


def test_a_real_catalogue_names_a_collection_that_stands_elsewhere(tmp_path: Path) -> None:
    found, faults, warnings = read(unity(tmp_path / "stage_out"))
    assert faults == []
    assert found is not None
    assert found.missing_collections == ("urn:nasa:unity:unity:dev:unity-dev-output___1",)
    assert found.made_collection is None
    assert all("multihash" in warning for warning in warnings)


def test_the_files_of_a_real_catalogue_are_missed(tmp_path: Path) -> None:
    folder = unity(tmp_path / "stage_out")
    (folder / "output_1.nc").unlink()
    (folder / "output_2.nc").write_bytes(b"x")
    found, faults, _ = read(folder)
    assert found is None
    assert {(fault.where, fault.reason) for fault in faults} == {
        ("output_1.nc.stac.json#/assets/output_1.nc/href", PublishingReason.MISSING_ASSET),
        ("output_2.nc.stac.json#/assets/output_2.nc/href", PublishingReason.CHECKSUM_MISMATCH),
    }


def test_places_are_relative_to_the_job_folder(tmp_path: Path) -> None:
    folder = nested(tmp_path / "job" / "deep" / "made")
    (folder / "lone.tif").unlink()
    edit(folder / "things/one.json", lambda document: document.pop("bbox"))
    found, faults, _ = read_catalog(
        folder, config=config(tmp_path / "job"), files=JobFiles(tmp_path / "job", Spool())
    )
    assert found is None
    assert {fault.where for fault in faults} == {
        "deep/made/lone.json#/assets/data/href",
        "deep/made/things/one.json",
    }
    assert (
        "deep/made/lone.tif is not there"
        in by_where(faults)["deep/made/lone.json#/assets/data/href"]
    )


def test_all_faults_are_told_at_once(folder: Path) -> None:
    edit(folder / "things/one.json", lambda one: one.update(id="a/b", bbox=[1]))
    edit(folder / "things/two.json", lambda two: two["properties"].update(datetime="yesterday"))
    (folder / "things/two.tif").unlink()
    (folder / "lone.json").write_text("{")
    edit(folder / "things/collection.json", lambda things: things.pop("license"))
    found, faults, _ = read(folder)
    assert found is None
    assert {fault.where for fault in faults} == {
        "lone.json",
        "things/collection.json",
        "things/one.json#/bbox",
        "things/one.json#/id",
        "things/two.json#/assets/data/href",
        "things/two.json#/properties/datetime",
    }


def _set_href(href: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        document["assets"]["data"]["href"] = href

    return change


@pytest.mark.parametrize(
    ("href", "reason"),
    [
        ("../../secret.tif", PublishingReason.PATH_TRAVERSAL),
        ("/etc/passwd", PublishingReason.PATH_TRAVERSAL),
        ("%2e%2e/%2e%2e/secret.tif", PublishingReason.PATH_TRAVERSAL),
        ("./link.tif", PublishingReason.PATH_TRAVERSAL),
        ("./absent.tif", PublishingReason.MISSING_ASSET),
        ("./.hidden", PublishingReason.MISSING_ASSET),
        ("./_datasets.json", PublishingReason.MISSING_ASSET),
        ("./", PublishingReason.INVALID_CATALOG),
    ],
)
def test_an_asset_that_cannot_be_published(
    folder: Path, href: str, reason: PublishingReason
) -> None:
    touch(folder.parent / "secret.tif")
    touch(folder / "_datasets.json")
    if "link" in href:
        (folder / "link.tif").symlink_to(folder.parent / "secret.tif")
    edit(folder / "lone.json", _set_href(href))
    found, faults, _ = read(folder)
    assert found is None
    assert [(fault.where, fault.reason) for fault in faults] == [
        ("lone.json#/assets/data/href", reason)
    ]


def test_a_link_out_that_no_document_names_is_a_fault_too(folder: Path) -> None:
    (folder / "link.tif").symlink_to("/etc/hostname")
    _, faults, _ = read(folder)
    assert [(fault.where, fault.reason) for fault in faults] == [
        ("link.tif", PublishingReason.PATH_TRAVERSAL)
    ]


def test_links_and_folders_inside_are_assets(folder: Path) -> None:
    (folder / "alias.tif").symlink_to("lone.tif")
    touch(folder / "cube.zarr" / "c" / "0")
    edit(folder / "lone.json", _set_href("./alias.tif"))
    edit(folder / "things/one.json", _set_href("../cube.zarr"))
    found = product(folder)
    assert {"alias.tif", "cube.zarr/c/0"} <= {file.relative for file in found.files}


@pytest.mark.parametrize("href", ["s3://bucket/x.tif", "https://far.example.org/x.tif"])
def test_remote_assets_are_left_where_they_are(folder: Path, href: str) -> None:
    edit(folder / "lone.json", _set_href(href))
    with Spool() as spool:
        parts = parts_of(product(folder), placement(), spool)
        lone = next(entry for entry in parts.items if entry.id == "lone").body.read()
    assert lone["assets"]["data"]["href"] == href


def test_remote_items_are_not_followed(folder: Path) -> None:
    edit(
        folder / "catalog.json",
        lambda document: document["links"].append(
            {"rel": "item", "href": "https://far.example.org/x.json"}
        ),
    )
    _, faults, warnings = read(folder)
    assert faults == []
    assert len(warnings) == 1
    assert "not followed" in warnings[0]


def test_loops_and_doubled_links_end(folder: Path) -> None:
    def add(document: Document) -> None:
        document["links"] += [
            {"rel": "child", "href": "./catalog.json"},
            {"rel": "item", "href": "./things/../lone.json"},
            {"rel": "child", "href": "./loop/catalog.json"},
        ]

    (folder / "loop").mkdir()
    write(folder / "loop" / "catalog.json", catalog(("child", "../catalog.json"), id="loop"))
    edit(folder / "catalog.json", add)
    assert [each.id for each in product(folder).documents].count("lone") == 1


def test_catalogues_are_not_nested_without_end(tmp_path: Path) -> None:
    folder = tmp_path / "job" / "made"
    here = folder
    for _ in range(MAX_DEPTH + 1):
        write(here / "catalog.json", catalog(("child", "./c/catalog.json")))
        here = here / "c"
    write(here / "catalog.json", catalog())
    _, faults, _ = read(folder)
    assert len(faults) == 1
    assert f"{MAX_DEPTH} levels deep" in faults[0].what


def test_a_catalogue_that_nothing_links_to_is_told(folder: Path) -> None:
    write(folder / "stray" / "catalog.json", catalog())
    found, _, warnings = read(folder)
    assert found is not None
    assert len(warnings) == 1
    assert warnings[0].startswith("stray/catalog.json: ")


def test_links_to_nothing_and_of_the_wrong_kind(folder: Path) -> None:
    edit(
        folder / "catalog.json",
        lambda document: document["links"].extend(
            [
                {"rel": "item", "href": "./absent.json"},
                {"rel": "item", "href": "./sub/catalog.json"},
                {"rel": "child", "href": "../outside/catalog.json"},
                {"rel": "about", "href": "./nothing.html"},
            ]
        ),
    )
    write(folder / "sub" / "catalog.json", catalog())
    _, faults, warnings = read(folder)
    told = by_where(faults)
    assert set(told) == {
        "catalog.json#/links/2/href",
        "sub/catalog.json#/type",
        "catalog.json#/links/4/href",
    }
    assert "linked as item" in told["sub/catalog.json#/type"]
    assert len(warnings) == 1
    assert "`about`" in warnings[0]


def test_ids_are_unique(folder: Path) -> None:
    edit(folder / "things/two.json", lambda two: two.update(id="one"))
    write(folder / "more" / "collection.json", collection())
    edit(
        folder / "catalog.json",
        lambda document: document["links"].append(
            {"rel": "child", "href": "./more/collection.json"}
        ),
    )
    _, faults, _ = read(folder)
    assert set(by_where(faults)) == {"things/two.json#/id", "more/collection.json#/id"}


def test_items_and_their_collections_agree(folder: Path) -> None:
    edit(folder / "things/one.json", lambda one: one.update(collection="others"))
    _, faults, _ = read(folder)
    assert [fault.where for fault in faults] == ["things/one.json#/collection"]


def test_an_item_without_collection_gets_the_one_that_links_to_it(folder: Path) -> None:
    def forget(document: Document) -> None:
        del document["collection"]
        document["links"] = []

    edit(folder / "things/one.json", forget)
    found, faults, warnings = read(folder)
    assert faults == []
    assert found is not None
    assert {each.id: each.collection for each in found.documents}["one"] == "things"
    assert len(warnings) == 1


def test_the_collection_that_is_made_needs_an_id_of_its_own(folder: Path) -> None:
    edit(folder / "catalog.json", lambda document: document.update(id="things"))
    _, faults, _ = read(folder)
    assert [fault.where for fault in faults] == ["catalog.json#/id"]
    edit(folder / "catalog.json", lambda document: document.update(id="a/b"))
    _, faults, _ = read(folder)
    assert [fault.where for fault in faults] == ["catalog.json#/id"]


def test_a_collection_may_be_the_root(tmp_path: Path) -> None:
    folder = many_items(tmp_path / "job" / "made", 3)
    found = product(folder)
    assert found.made_collection is None
    assert {each.collection for each in found.documents} == {None, "many"}


def test_extensions_are_told_once(folder: Path) -> None:
    for name in ("one", "two"):
        edit(
            folder / f"things/{name}.json",
            lambda document: document.update(stac_extensions=["https://example.org/x.json"]),
        )
    _, faults, warnings = read(folder)
    assert faults == []
    told = "things/one.json: extension https://example.org/x.json is not validated"
    assert warnings == [f"{told} (and 1 more like it)"]


def test_a_flood_of_warnings_is_counted(folder: Path) -> None:
    uris = [f"https://example.org/{number}.json" for number in range(150)]
    edit(folder / "lone.json", lambda document: document.update(stac_extensions=uris))
    _, faults, warnings = read(folder)
    assert faults == []
    assert len(warnings) == 101
    assert warnings[-1] == "and 50 more warnings"


def test_a_document_that_changed_since_it_was_hashed_is_a_fault(folder: Path) -> None:
    files = JobFiles(folder, Spool())
    files.hash_all(files.list_product(folder).paths)
    edit(folder / "lone.json", lambda document: document["properties"].update(note="new"))
    found, faults, _ = read_catalog(folder, config=config(folder), files=files)
    assert found is None
    assert [fault.where for fault in faults] == ["lone.json"]
    assert "changed" in faults[0].what


def test_a_damaged_file_that_no_document_names_is_a_fault(folder: Path) -> None:
    touch(folder / "notes.txt.md5", b"0" * 32)
    _, faults, _ = read(folder)
    assert [(fault.where, fault.reason) for fault in faults] == [
        ("notes.txt", PublishingReason.CHECKSUM_MISMATCH)
    ]


def test_a_catalogue_that_no_entry_takes_is_a_fault_beside_the_others(folder: Path) -> None:
    path = folder.parent / "datasets.json"
    config(folder)
    path.write_text(path.read_text().replace("(?P<id>[^/]+)", "(?P<id>stac_catalog_.+)"))
    (folder / "lone.tif").unlink()
    found, faults, _ = read_catalog(
        folder, config=load_datasets_config(path, {}), files=JobFiles(folder, Spool())
    )
    assert found is None
    assert [fault.reason for fault in faults] == [
        PublishingReason.MISSING_ASSET,
        PublishingReason.NO_MATCH,
    ]


_OLD = "https://old.example.org/run"
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["Feature", "1.0.0", "0.8.1", "./one.json", "../x", "/", "http://[", "item"]),
    st.sampled_from([f"{_OLD}/one.json", f"{_OLD}/one.tif", f"{_OLD}/../x", f"{_OLD}/%00", _OLD]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["rel", "href", "type", "id", "coordinates", "eo", "bands"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
_MIGRATED = [
    "https://stac-extensions.github.io/projection/v1.0.0/schema.json",
    "https://stac-extensions.github.io/file/v1.0.0/schema.json",
    "https://stac-extensions.github.io/label/v1.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v1.0.0/schema.json",
    "checksum",
    "dtr",
]


def _paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs: list[Any] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    found = [before] if before else []
    for key, part in pairs:
        found += _paths(part, (*before, key))
    return found


@st.composite
def _hostile(draw: st.DrawFn) -> Document:
    version = draw(st.sampled_from(["1.1.0", "1.0.0", "0.9.0", "1.0.0-rc.1"]))
    base = draw(
        st.sampled_from(
            [
                item("one", collection="things"),
                item("one", stac_extensions=_MIGRATED),
                collection(),
                item("one", assets={"data": {"href": f"{_OLD}/one.tif", "file:size": 6}}),
                catalog(("item", "./two.json"), assets={"x": {"href": f"{_OLD}/one.tif"}}),
            ]
        )
    )
    document: Document = json.loads(json.dumps({**base, "stac_version": version}))
    for _ in range(draw(st.integers(0, 3))):
        choices = _paths(document)
        if not choices:
            break
        *path, last = draw(st.sampled_from(choices))
        holder: Any = document
        for key in path:
            holder = holder[key]
        holder[last] = draw(_VALUES)
    return document


def _never_an_error(first: Document, second: Document, root: Document | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "job"
        links = [(rel, f"./{doc}.json") for doc in ("one", "two") for rel in ("item", "child")]
        own = ("self", f"{_OLD}/catalog.json")
        write(folder / "catalog.json", root or catalog(*links, own))
        write(folder / "one.json", first)
        write(folder / "two.json", second)
        touch(folder / "one.tif")
        found, faults, _ = read(folder)
        assert (found is None) == bool(faults)
        assert all(fault.what and isinstance(fault.reason, PublishingReason) for fault in faults)
        if found is not None:
            with Spool() as spool:
                parts = parts_of(found, placement("-v2"), spool)
                made = [(one.id, one.body) for one in parts.items]
                made += [(one.id, one.body) for one in parts.documents]
                made += [(one.id, one.body) for one in parts.collections]
                assert all(body.read()["id"] == name for name, body in made)


_THREE = {"first": _hostile(), "second": _hostile(), "root": st.none() | _hostile()}


@examples(25)
@given(**_THREE)
def test_hostile_documents_are_faults_and_never_errors(
    first: Document, second: Document, root: Document | None
) -> None:
    _never_an_error(first, second, root)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@examples(3000)
@given(**_THREE)
def test_very_many_hostile_documents_are_faults_and_never_errors(
    first: Document, second: Document, root: Document | None
) -> None:
    _never_an_error(first, second, root)


@examples(60)
@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-16")))
def test_any_bytes_as_a_catalogue_are_faults(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        touch(Path(name) / "job" / "catalog.json", raw)
        found, faults, _ = read(Path(name) / "job")
        assert found is None
        assert faults


def _peak_bytes(folder: Path, number: int) -> int:
    """Of looking through a catalogue and making its content."""
    many_items(folder, number)
    taken = config(folder)
    with tracing(), Spool() as spool:
        scan = scan_folder(folder, taken, settings=PublishingSettings(), spool=spool)
        made = content_of(scan, publication="p", spool=spool, open_url=lambda place: place.path)
        assert len(made.items) == len(made.documents) == number
        _, peak = tracemalloc.get_traced_memory()
    return peak


@pytest.mark.soak
def test_memory_does_not_grow_with_the_items(tmp_path: Path) -> None:
    product(nested(tmp_path / "first" / "made"))  # what is loaded and compiled once
    # With fewer, it is chance how much of them waits to be collected as garbage.
    few, many = 1500, 3000
    grown = _peak_bytes(tmp_path / "many", many) - _peak_bytes(tmp_path / "few", few)
    document = (tmp_path / "many" / "00000.json").stat().st_size
    assert document > 10_000
    assert grown / (many - few) < 300
