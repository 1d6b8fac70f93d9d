"""The CMR client on recordings of the real CMR, and on the local one, which runs as a process."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.cmr import Collection, Granule
from estinel_assets.compatibility.cmr_records import read_granule
from estinel_assets.demo.cmr import (
    COLLECTIONS,
    LocalCmr,
    collection_item,
    granule_item,
    main,
    running_cmr,
)
from estinel_assets.demo.cmr_files import range_of
from estinel_assets.errors import EstinelError, RetryableError
from tests.support.cmr import RecordedCmr, cmr_client
from tests.support.real import real_data

Json = dict[str, Any]

COLLECTIONS_RECORDING = "cmr/collections_poclod_20_of_834.exchanges.json"
GRANULES_RECORDING = "cmr/granules_TELLUS_163.exchanges.json"


# The real CMR, recorded.


def test_the_recorded_collections() -> None:
    collections: list[Collection] = []
    with RecordedCmr(real_data(COLLECTIONS_RECORDING)) as server, cmr_client(server.url) as client:
        # The recording stops after the first of 42 pages, and the client says so.
        with pytest.raises(RetryableError, match="counts 834 collections and listed 20"):
            collections.extend(client.collections(providers=["POCLOUD"]))
        assert len(server.requests) == 2
        sent = {name.lower(): value for name, value in server.requests[1].headers.items()}
        assert sent["cmr-search-after"] == '[0.0,400.0,"CYGNSS_L2_V3.1","3.1",2183155461,16]'
        items = server.items
    # The generator had given all twenty before it complained.
    assert len(collections) == len(items) == 20
    for collection, item in zip(collections, items, strict=True):
        _check_collection(collection, item)
    assert [one.short_name_and_version for one in collections][:2] == [
        "SWOT_L2_HR_RiverSP_1.1.1.1",
        "MUR-JPL-L4-GLOB-v4.1.4.1",
    ]
    assert {one.data_center for one in collections} == {"PODAAC"}


def _check_collection(collection: Collection, item: Json) -> None:
    """Field by field against another way to read the same JSON: by patterns in its text."""
    meta, umm = item["meta"], json.dumps(item["umm"])
    assert collection.concept_id == meta["concept-id"]
    assert collection.provider == collection.concept_id.split("-")[1] == "POCLOUD"
    assert collection.granule_count == meta["granule-count"] > 0
    assert collection.revision_id == meta["revision-id"] > 0
    assert (
        collection.short_name_and_version == f"{item['umm']['ShortName']}.{item['umm']['Version']}"
    )
    assert collection.entry_title == item["umm"]["EntryTitle"]
    level = re.search(r'"ProcessingLevel": \{"Id": "([^"]+)"', umm)
    assert level is not None
    assert collection.processing_level == level[1]
    kept = json.dumps(item["umm"]["ArchiveAndDistributionInformation"])
    named = set(re.findall(r'"Format": "([^"]+)"', kept))
    assert set(collection.formats) == named
    assert len(collection.formats) == len(named) == 1


def test_the_recorded_granules() -> None:
    granules: list[Granule] = []
    with RecordedCmr(real_data(GRANULES_RECORDING)) as server, cmr_client(server.url) as client:
        for offset in range(163):
            granule = client.granule_at("C2077042612-POCLOUD", offset)
            assert granule is not None
            granules.append(granule)
        assert client.granule_at("C2077042612-POCLOUD", 163) is None
        items = server.items
    assert len(items) == 163
    for granule, item in zip(granules, items, strict=True):
        name = item["umm"]["GranuleUR"]
        assert granule.concept_id == item["meta"]["concept-id"]
        assert granule.collection_concept_id == "C2077042612-POCLOUD"
        # Three files, each at two places; neither credentials nor OPeNDAP.
        below = "TELLUS_GRAC_L3_JPL_RL06_LND_v04"
        expected = []
        for extension, bucket in (("nc", "protected"), ("tif", "public"), ("txt", "public")):
            path = f"podaac-ops-cumulus-{bucket}/{below}/{name}.{extension}"
            expected.append(("external", f"https://archive.podaac.earthdata.nasa.gov/{path}"))
            expected.append(("direct", f"s3://{path}"))
        assert [(link.access, link.url) for link in granule.links] == expected
        assert granule.formats == ()
        # Two halves of the world that leave out a degree at Greenwich.
        assert granule.bounds == (0.5, -89.5, -0.5, 89.5)
    assert len({granule.concept_id for granule in granules}) == 163


def test_the_probe_in_the_recording_counts_other_granules_than_came() -> None:
    """Why the client holds on to the count that came with the list."""
    probe, listed = json.loads(real_data(GRANULES_RECORDING).read_text())
    hits = [exchange["response"]["headers"]["cmr-hits"] for exchange in (probe, listed)]
    assert hits == [["652"], ["163"]]


@pytest.mark.parametrize(
    ("name", "links", "bounds"),
    [
        (
            "GPM_3IMERGHH",
            {
                "external": "https://data.gesdisc.earthdata.nasa.gov/data/GPM_L3/GPM_3IMERGHH.06/"
                "2019/051/3B-HHR.MS.MRG.3IMERG.20190220-S000000-E002959.0000.V06B.HDF5",
                "direct": "s3://gesdisc-cumulus-prod-protected/GPM_L3/GPM_3IMERGHH.06/"
                "2019/051/3B-HHR.MS.MRG.3IMERG.20190220-S000000-E002959.0000.V06B.HDF5",
            },
            (-180, -90, 180, 90),
        ),
        (
            "atl06",
            {
                "external": "https://n5eil01u.ecs.nsidc.org/DP7/ATLAS/ATL06.005/2019.02.21/"
                "ATL06_20190221121851_08410203_005_01.h5"
            },
            None,
        ),
    ],
)
def test_granules_agree_with_cmrs_other_format(
    name: str, links: dict[str, str], bounds: object
) -> None:
    (item,) = json.loads(real_data(f"cmr/{name}_umm.json").read_text())["items"]
    (entry,) = json.loads(real_data(f"cmr/{name}.json").read_text())["feed"]["entry"]
    granule = read_granule(item, entry["collection_concept_id"])
    assert granule.concept_id == entry["id"]
    assert granule.collection_concept_id == entry["collection_concept_id"]
    assert {link.access: link.url for link in granule.links} == links
    assert len(granule.links) == len(links)
    offered = {
        link["href"]
        for link in entry["links"]
        if link["rel"].endswith(("data#", "s3#")) and not link.get("inherited")
    }
    assert set(links.values()) <= offered
    assert granule.bounds == bounds


# The local CMR.


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five collections of two providers, seven granules, two files."""
    folder = tmp_path_factory.mktemp("cmr")
    files = folder / "granules"
    (files / "protected").mkdir(parents=True)
    (files / "a b.bin").write_bytes(bytes(range(256)) * 10)
    (files / "protected" / "secret.nc").write_bytes(b"CDF" + bytes(97))
    (files / "empty.nc").write_bytes(b"")
    (folder / "outside.txt").write_text("not served")
    (files / "way-out").symlink_to(folder / "outside.txt")
    LocalCmr(
        collections=[
            collection_item("C1-ONE", "A", "1", format="netCDF-4"),
            collection_item("C2-TWO", "B", "2", processing_level="3"),
            collection_item("C3-ONE", "EMPTY", "1"),
            collection_item("C4-ONE", "CLAIMS", "1", granule_count=9),
            collection_item("C5-TWO", "Ünicode", "1"),
        ],
        granules={
            "C1-ONE": [
                granule_item(f"G{n}-ONE", "C1-ONE", "files/a%20b.bin", bounds=(n, 0, n + 1, 1))
                for n in range(5)
            ],
            "C2-TWO": [
                granule_item(
                    "G10-TWO",
                    "C2-TWO",
                    "https://elsewhere.example/a.nc",
                    direct_url="s3://bucket/a.nc",
                    format="HDF5",
                )
            ],
            "C5-TWO": [granule_item("G11-TWO", "C5-TWO", None)],
        },
        files=files,
        token="open-sesame",
    ).write(folder / "records")
    return folder / "records"


@pytest.fixture(scope="module")
def base_url(world: Path) -> Iterator[str]:
    with running_cmr(world) as address:
        yield address


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


def test_the_client_finds_its_way_around(base_url: str) -> None:
    with cmr_client(base_url) as client:
        for page_size in (1, 2, 3, 2000):
            found = [one.concept_id for one in client.collections(page_size=page_size)]
            assert found == ["C1-ONE", "C2-TWO", "C4-ONE", "C5-TWO"]
        of_two = client.collections(providers=["TWO"])
        assert [one.short_name for one in of_two] == ["B", "Ünicode"]
        assert list(client.collections(providers=["NOBODY"])) == []

        first, empty = client.collection("C1-ONE"), client.collection("C3-ONE")
        claims = client.collection("C4-ONE")
        assert first is not None
        assert empty is not None
        assert claims is not None
        assert (first.granule_count, empty.granule_count, claims.granule_count) == (5, 0, 9)
        assert client.collection("C0-UNKNOWN") is None

        assert client.granule_at("C4-ONE", 0) is None
        assert client.granule_at("C1-ONE", 5) is None
        at, by_id = client.granule_at("C1-ONE", 3), client.granule("G3-ONE")
        assert at is not None
        assert at == by_id
        assert (at.concept_id, at.bounds) == ("G3-ONE", (3, 0, 4, 1))
        assert [link.url for link in at.links] == [f"{base_url}/files/a%20b.bin"]
        other = client.granule("G10-TWO")
        assert other is not None
        assert [link.url for link in other.links] == [
            "https://elsewhere.example/a.nc",
            "s3://bucket/a.nc",
        ]
        assert client.granule("G0-UNKNOWN") is None


def test_a_listing_does_not_count_granules_as_cmrs_does_not(base_url: str) -> None:
    with cmr_client(base_url) as client:
        assert {one.granule_count for one in client.collections()} == {None}


@pytest.mark.parametrize(
    ("query", "hits", "names"),
    [
        ("", 5, ["A", "B", "EMPTY", "CLAIMS", "Ünicode"]),
        ("has_granules=false", 1, ["EMPTY"]),
        ("consortium[]=GEOSS", 0, []),
        ("consortium=EOSDIS&provider=ONE", 3, ["A", "EMPTY", "CLAIMS"]),
        ("concept_id[]=C5-TWO&concept_id[]=C1-ONE", 2, ["Ünicode", "A"]),
        ("concept_id=C1-ONE&provider=TWO", 0, []),
        ("page_size=2&page_num=2", 5, ["EMPTY", "CLAIMS"]),
        ("page_size=2&offset=4", 5, ["Ünicode"]),
        ("page_size=0", 5, []),
    ],
)
def test_searches(
    http: httpx.Client, base_url: str, query: str, hits: int, names: Sequence[str]
) -> None:
    answer = http.get(f"{base_url}/search/collections.umm_json?{query}")
    assert answer.headers["CMR-Hits"] == str(hits)
    assert [item["umm"]["ShortName"] for item in answer.json()["items"]] == names
    assert ("CMR-Search-After" in answer.headers) == bool(names)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/search/collections.umm_json?providers=A", 400, "Parameter [providers] was not"),
        ("/search/granules.umm_json?has_granules=true", 400, "[has_granules] was not recognized"),
        ("/search/collections.umm_json?concept_id=MUR", 400, "Concept-id [MUR] is not valid."),
        ("/search/collections.umm_json?page_size=2001", 400, "between 0 and 2000"),
        ("/search/collections.umm_json?page_size=-1", 400, "page_size must be a number"),
        ("/search/collections.json", 404, "nothing"),
        ("/", 404, "nothing"),
    ],
)
def test_refusals(http: httpx.Client, base_url: str, path: str, status: int, message: str) -> None:
    answer = http.get(base_url + path)
    assert answer.status_code == status
    assert message in answer.json()["errors"][0]


def test_search_after_is_refused_where_cmr_refuses_it(http: httpx.Client, base_url: str) -> None:
    url = f"{base_url}/search/collections.umm_json"
    for query, after in (
        ("?offset=1", '["local-cmr",1]'),
        ("", "{}"),
        ("", "no JSON"),
        ("", '["x"]'),
    ):
        assert http.get(url + query, headers={"CMR-Search-After": after}).status_code == 400


# Its files.


WHOLE = bytes(range(256)) * 10


@pytest.mark.parametrize(
    ("asked", "status", "expected", "content_range"),
    [
        (None, 200, WHOLE, None),
        ("bytes=0-0", 206, WHOLE[:1], "bytes 0-0/2560"),
        ("bytes=100-299", 206, WHOLE[100:300], "bytes 100-299/2560"),
        ("bytes=2550-", 206, WHOLE[2550:], "bytes 2550-2559/2560"),
        ("bytes=-5", 206, WHOLE[-5:], "bytes 2555-2559/2560"),
        ("bytes=-9999", 206, WHOLE, "bytes 0-2559/2560"),
        ("bytes=2000-9999", 206, WHOLE[2000:], "bytes 2000-2559/2560"),
        ("bytes=2560-", 416, b"", "bytes */2560"),
        ("bytes=-0", 416, b"", "bytes */2560"),
        ("bytes=0-1,5-6", 200, WHOLE, None),
        ("bytes=-", 200, WHOLE, None),
        ("bytes=9-3", 200, WHOLE, None),
        ("items=0-1", 200, WHOLE, None),
    ],
)
def test_ranges(
    http: httpx.Client,
    base_url: str,
    asked: str | None,
    status: int,
    expected: bytes,
    content_range: str | None,
) -> None:
    headers = {} if asked is None else {"Range": asked}
    url = f"{base_url}/files/a%20b.bin"
    got = http.get(url, headers=headers)
    assert (got.status_code, got.content) == (status, expected)
    assert got.headers.get("Content-Range") == content_range
    head = http.head(url, headers=headers)
    assert (head.status_code, head.content) == (status, b"")
    for name in ("Content-Length", "Content-Range", "ETag", "Accept-Ranges"):
        assert head.headers.get(name) == got.headers.get(name)


@given(
    size=st.integers(0, 50),
    first=st.none() | st.integers(0, 60),
    last=st.none() | st.integers(0, 60),
)
def test_a_range_is_what_slicing_gives(size: int, first: int | None, last: int | None) -> None:
    asked = f"bytes={'' if first is None else first}-{'' if last is None else last}".encode()
    content = bytes(range(size))
    span = range_of(asked, size)
    if (first is None and last is None) or (
        first is not None and last is not None and last < first
    ):
        assert span is None
        return
    content = bytes(range(size))
    if first is None:
        expected = content[max(0, size - (last or 0)) :]
    else:
        expected = content[first : None if last is None else last + 1]
    assert span is not None
    assert content[span[0] : span[1]] == expected
    assert (span[0] < span[1]) == bool(expected)


def test_files_that_are_not_there(http: httpx.Client, base_url: str) -> None:
    for path in ("none.nc", "", "protected", "way-out", "%2e%2e/records/local-cmr.json", "a%00b"):
        expected = 401 if path == "protected" else 404
        assert http.get(f"{base_url}/files/{path}").status_code == expected, path
    assert http.get(f"{base_url}/files/empty.nc").content == b""
    assert http.post(f"{base_url}/files/a%20b.bin").status_code == 405


def test_protected_files_need_the_token(http: httpx.Client, base_url: str) -> None:
    url = f"{base_url}/files/protected/secret.nc"
    refused = http.get(url)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    for wrong in ("Bearer wrong", "open-sesame", "Basic open-sesame"):
        assert http.get(url, headers={"Authorization": wrong}).status_code == 401
    opened = http.get(url, headers={"Authorization": "Bearer open-sesame", "Range": "bytes=0-2"})
    assert (opened.status_code, opened.content) == (206, b"CDF")


def test_many_ask_at_once(base_url: str) -> None:
    wrong: list[object] = []

    def ask() -> None:
        with cmr_client(base_url) as client:
            for number in range(5):
                granule = client.granule_at("C1-ONE", number)
                if granule is None or granule.concept_id != f"G{number}-ONE":
                    wrong.append(granule)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# Its process.


def test_it_ends_with_the_context_and_says_nothing_of_requests(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_cmr(world) as address:
        assert httpx.get(f"{address}/search/collections.umm_json").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/search/collections.umm_json")
    assert capfd.readouterr() == ("", "")


def test_it_ends_when_its_parent_is_killed(world: Path) -> None:
    program = (
        "import pathlib, time\n"
        "from estinel_assets.demo.cmr import running_cmr\n"
        f"with running_cmr(pathlib.Path({str(world)!r})) as address:\n"
        "    print(address, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().strip()
        parent.kill()
    patience = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"{address}/search/collections.umm_json?page_size=0")
        except httpx.TransportError:
            break
        assert time.monotonic() < patience, "the orphan lives on"
        time.sleep(0.05)


def test_a_folder_without_records_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 3
    assert "holds no records of a local CMR" in capsys.readouterr().err
    LocalCmr([], {}).write(tmp_path)
    (tmp_path / COLLECTIONS).write_text("{half")
    assert main([str(tmp_path)]) == 3
    assert "are no JSON" in capsys.readouterr().err
    with pytest.raises(EstinelError, match="did not start"), running_cmr(tmp_path):
        pass


def test_a_port_in_use_is_refused(
    world: Path, base_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = base_url.rsplit(":", 1)[1]
    assert main([str(world), "--port", port]) == 3
    assert f"cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err
