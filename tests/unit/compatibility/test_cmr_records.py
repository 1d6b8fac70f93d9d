"""What is read of UMM records, strange ones included."""

import copy
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.cmr_records import (
    check_concept_id,
    data_center_of,
    read_collection,
    read_granule,
)
from estinel_assets.demo.cmr_items import collection_item, granule_item
from estinel_assets.errors import BadInputError, PermanentError, SourceFault
from tests.support.published_counts import TABLE
from tests.support.real import real_data

Json = dict[str, Any]


# Ids.


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", "collection"),
        ("C1", "collection"),
        ("C1-", "collection"),
        ("C-POCLOUD", "collection"),
        ("c1-POCLOUD", "collection"),
        ("C1-POCLOUD ", "collection"),
        ("C1-POCLOUD\n", "collection"),
        ("C1-PO CLOUD", "collection"),
        ("C1-../x", "collection"),
        ("C٣-POCLOUD", "collection"),
        ("G1-POCLOUD", "collection"),
        ("C1-POCLOUD", "granule"),
        ("MUR-JPL-L4-GLOB-v4.1", "collection"),
    ],
)
def test_what_is_no_concept_id(value: str, kind: str) -> None:
    with pytest.raises(
        BadInputError, match=f"no concept id of a {kind}: those look like"
    ) as raised:
        check_concept_id(value, kind)
    assert repr(value) in str(raised.value)


def test_concept_ids() -> None:
    assert check_concept_id("C0-UNKNOWN") == "C0-UNKNOWN"
    assert check_concept_id("G2658326635-POCLOUD", "granule") == "G2658326635-POCLOUD"


def test_every_real_concept_id_is_one() -> None:
    table = pd.read_parquet(real_data(TABLE))
    ids = table["collection_concept_id"]
    assert len([check_concept_id(value) for value in ids]) == 10_047
    granules = table["concept_id"].dropna()
    assert [check_concept_id(value, "granule") for value in granules] == list(granules)


# Collections.


def test_a_collection() -> None:
    item = collection_item(
        "C7-ESTINEL", "NAME", "061", format="netCDF-4", granule_count=3, processing_level="2P"
    )
    read = read_collection(item)
    assert (read.concept_id, read.provider, read.short_name_and_version) == (
        "C7-ESTINEL",
        "ESTINEL",
        "NAME.061",
    )
    assert (read.formats, read.granule_count, read.processing_level) == (("netCDF-4",), 3, "2P")
    assert (read.entry_title, read.revision_id, read.data_center) == (
        "NAME version 061",
        1,
        "ESTINEL",
    )


def test_formats_of_the_archive_come_first_and_once() -> None:
    item = collection_item("C7-ESTINEL", "NAME", "1")
    item["umm"]["ArchiveAndDistributionInformation"] = {
        "FileDistributionInformation": [
            {"Format": "HDF5"},
            {"Format": " netCDF-4 "},
            {"Format": ""},
            {"Media": ["Online"]},
        ],
        "FileArchiveInformation": {"Format": "netCDF-4"},
    }
    assert read_collection(item).formats == ("netCDF-4", "HDF5")


def test_a_collection_of_which_little_is_said() -> None:
    read = read_collection({"meta": {"concept-id": "C1-POCLOUD"}})
    assert (read.provider, read.data_center, read.short_name_and_version) == (
        "POCLOUD",
        "PODAAC",
        "",
    )
    assert (read.formats, read.granule_count, read.processing_level, read.revision_id) == (
        (),
        None,
        None,
        0,
    )


@pytest.mark.parametrize("meta", [None, {}, {"concept-id": None}, {"concept-id": " "}, []])
def test_a_record_without_a_concept_id_is_refused(meta: Any) -> None:
    for read, kind in ((read_collection, "collection"), (read_granule, "granule")):
        with pytest.raises(PermanentError, match=f"a {kind} .* without a concept-id") as raised:
            read({"meta": meta, "umm": {"ShortName": "x"}})
        assert raised.value.reason == SourceFault.CORRUPT


# Data centers.


def test_the_data_center_is_that_of_the_published_table() -> None:
    table = pd.read_parquet(real_data(TABLE))
    named = table[table["data_center"].notna()]
    providers = named["collection_concept_id"].str.split("-", n=1).str[1]
    ours = [data_center_of(provider, []) for provider in providers]
    differing = named[
        [one != theirs for one, theirs in zip(ours, named["data_center"], strict=True)]
    ]
    assert len(named) == 9395
    assert list(differing["collection_short_name_and_version"]) == ["VNP01_NRT.2", "VJ101_NRT.2.1"]
    # Where it names none, there was nothing to look at, or the provider is no DAAC.
    unnamed = table[table["data_center"].isna()]
    found = unnamed[unnamed["data_url"].notna()]
    providers = found["collection_concept_id"].str.split("-", n=1).str[1]
    assert {data_center_of(provider, []) for provider in providers} == {None}


def test_elsewhere_the_archiver_counts_then_the_distributor() -> None:
    centers: list[Json] = [
        {"ShortName": "MAKER", "Roles": ["PROCESSOR"]},
        {"ShortName": "SHOP", "Roles": ["DISTRIBUTOR"]},
        {"ShortName": "STORE", "Roles": ["PROCESSOR", "ARCHIVER"]},
    ]
    assert data_center_of("USGS_EROS", centers) == "STORE"
    assert data_center_of("USGS_EROS", centers[:2]) == "SHOP"
    assert data_center_of("USGS_EROS", centers[:1]) is None
    assert data_center_of("CDDIS", centers) is None


# Granules.


def links(*related: Json) -> list[tuple[str, str]]:
    item = granule_item("G1-X", "C1-X", None)
    item["umm"]["RelatedUrls"] = list(related)
    return [(link.access, link.url) for link in read_granule(item).links]


def test_links_keep_their_order_and_the_scheme_decides() -> None:
    assert links(
        {"Type": "GET DATA", "URL": "https://a.b/c.nc"},
        {"Type": "GET DATA VIA DIRECT ACCESS", "URL": "s3://bucket/c.nc"},
        {"Type": "Get Data", "URL": " s3://bucket/old.nc "},
        {"Type": "GET DATA", "URL": "ftp://a.b/c.Z"},
        {"Type": "GET DATA", "URL": "HTTP://a.b/c.nc", "Subtype": "DIRECT DOWNLOAD"},
        {"Type": "GET DATA VIA DIRECT ACCESS", "URL": "https://a.b/odd.nc"},
    ) == [
        ("external", "https://a.b/c.nc"),
        ("direct", "s3://bucket/c.nc"),
        ("direct", "s3://bucket/old.nc"),
        ("external", "ftp://a.b/c.Z"),
        ("external", "HTTP://a.b/c.nc"),
        ("external", "https://a.b/odd.nc"),
    ]


def test_links_that_are_no_files_are_left_out() -> None:
    assert (
        links(
            {"Type": "USE SERVICE API", "URL": "https://a.b/opendap/c.nc"},
            {"Type": "GET DATA", "Subtype": "OPENDAP DATA", "URL": "https://a.b/opendap/c.nc"},
            {"Type": "GET DATA", "Subtype": "Data Tree", "URL": "https://a.b/"},
            {"Type": "GET RELATED VISUALIZATION", "URL": "https://a.b/c.png"},
            {"Type": "EXTENDED METADATA", "URL": "https://a.b/c.dmrpp"},
            {"Type": "GET DATA", "URL": "gopher://a.b/c.nc"},
            {"Type": "GET DATA", "URL": "c.nc"},
            {"Type": "GET DATA"},
            {"URL": "https://a.b/c.nc"},
            {"Type": ["GET DATA"], "URL": 3},
        )
        == []
    )


BESIDE = [
    "s3://lp-prod-public/MOD11A1.061/BROWSE.MOD11A1.A2001271.h12v13.061.1.jpg",
    "https://a.b/c.nc.md5",
    "https://a.b/c.cmr.json",
    "https://a.b/c.cmr.xml?x=1",
    "https://a.b/c.iso.XML",
    "https://a.b/c_BROWSE.png",
    "https://a.b/BROWSE.c.hdf",
]


def test_what_lies_beside_the_data_counts_only_where_there_is_nothing_else() -> None:
    beside: list[Json] = [{"Type": "GET DATA", "URL": url} for url in BESIDE]
    data = {"Type": "GET DATA", "URL": "https://a.b/c.nc?token=.md5"}
    assert links(*beside, data) == [("external", data["URL"])]
    assert [url for _, url in links(*beside)] == BESIDE


def test_formats_of_a_granule_and_of_the_files_in_its_package() -> None:
    item = granule_item("G1-X", "C1-X", None)
    item["umm"]["DataGranule"] = {
        "ArchiveAndDistributionInformation": [
            {"Name": "a.zip", "Format": "ZIP", "Files": [{"Format": "HDF5"}, {"Format": "ZIP"}]},
            {"Name": "b.nc", "Format": "NetCDF-4"},
            {"Name": "c"},
        ]
    }
    assert read_granule(item).formats == ("ZIP", "HDF5", "NetCDF-4")


def test_the_collection_of_a_granule() -> None:
    item = granule_item("G1-X", "C1-X", "https://a.b/c.nc", bounds=(1, 2, 3, 4))
    assert read_granule(item, "C2-X").collection_concept_id == "C1-X"
    assert read_granule(item).bounds == (1, 2, 3, 4)
    del item["meta"]["collection-concept-id"]
    assert read_granule(item, "C2-X").collection_concept_id == "C2-X"
    assert read_granule(item).collection_concept_id is None


# Anything.


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
FULL = {
    "collection": collection_item("C1-X", "N", "1", format="HDF", processing_level="2"),
    "granule": granule_item(
        "G1-X", "C1-X", "https://a.b/c", direct_url="s3://b/c", bounds=(1, 2, 3, 4), format="HDF"
    ),
}


def paths(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    return [at] * bool(at) + [path for key, one in inner for path in paths(one, (*at, key))]


@given(st.data())
def test_one_strange_field_never_stops_the_reading(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["collection", "granule"]))
    item = copy.deepcopy(FULL[kind])
    path = data.draw(st.sampled_from(paths(item["umm"])))
    place = item["umm"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = data.draw(JSON)
    read = read_collection(item) if kind == "collection" else read_granule(item)
    assert read.concept_id == FULL[kind]["meta"]["concept-id"]
