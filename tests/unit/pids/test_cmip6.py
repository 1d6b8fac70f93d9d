"""CMIP6: the rules of datasets and files."""

import hashlib
import json
from typing import Any
from uuid import NAMESPACE_URL, uuid3

import pytest

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.pids.cmip6 import PLUGIN
from estinel_assets.pids.identifiers import ForeignPrefix
from estinel_assets.pids.messages import Item
from estinel_assets.pids.plugins import HandleRules, Plugin
from estinel_assets.pids.reasons import PidReason
from tests.support.cmip6_messages import (
    DATASET,
    ITEM_ID,
    PREFIX,
    SHA256,
    announced,
    assert_links_closed,
    dataset_of,
    file_asset,
    files_of,
    item,
    maker,
    records_of,
)

PID = "b06058a6-1077-35cb-9500-1ccbd341d309"
TRACKED = "0f6cc6b0-dc08-4ce4-9afa-3701a4c60108"


def refused(of: dict[str, Any], **rules: Any) -> tuple[str, str]:
    """The reason and message with which an item is refused."""
    with pytest.raises(PermanentError) as caught:
        records_of(of, by=maker(**rules))
    return caught.value.reason, str(caught.value)


def one_file(**changes: Any) -> dict[str, str]:
    """The record of an item's only file."""
    (record,) = files_of(records_of(item({"data0000": file_asset(**changes)}))).values()
    return record


# --- records -------------------------------------------------------------------------------------


def test_a_dataset_and_its_files() -> None:
    made = records_of(item())

    dataset, file = made.records[-1], made.records[0]
    file_handle = f"{PREFIX}/{uuid3(NAMESPACE_URL, f'{ITEM_ID}#data0000')}"
    assert dataset.handle == f"{PREFIX}/{uuid3(NAMESPACE_URL, ITEM_ID)}"
    assert dataset_of(made) == {
        "URL": f"https://handle-esgf.dkrz.de/lp/{dataset.handle}",
        "ESGF": "ESGF2 TEST",
        "AGGREGATION_LEVEL": "DATASET",
        "DATASET_ID": DATASET,
        "DATASET_VERSION": "v20190119",
        "HAS_PARTS": json.dumps([f"hdl:{record.handle}" for record in made.records[:-1]]),
        "HOSTING_NODE": '{"host": "ceda.ac.uk", "published_on": "2025-08-01T15:15:12.441125"}',
    }
    assert file.handle == file_handle
    assert files_of(made)[file_handle] == {
        "URL": f"https://handle-esgf.dkrz.de/lp/{file_handle}",
        "ESGF": "ESGF2 TEST",
        "AGGREGATION_LEVEL": "FILE",
        "FILE_NAME": "pr_0.nc",
        "IS_PART_OF": f"hdl:{dataset.handle}",
        "CHECKSUM": SHA256[4:],
        "CHECKSUM_METHOD": "sha2-256",
        "FILE_SIZE": "67953667",
        "DOWNLOAD_URL": "https://dap.ceda.ac.uk/cmip6/pr_0.nc",
    }
    assert not made.warnings
    assert not made.left_out


def test_the_dataset_comes_last() -> None:
    made = records_of(item())

    levels = [
        next(value.data for value in record.values if value.type == "AGGREGATION_LEVEL")
        for record in made.records
    ]
    assert levels == ["FILE", "FILE", "DATASET"]


def test_the_order_of_the_assets_in_the_message_does_not_matter() -> None:
    assets = {f"data{n:04}": file_asset(f"{n}.nc") for n in range(12)}
    turned = dict(reversed(assets.items()))

    assert records_of(item(assets)) == records_of(item(turned))


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pid", [None, f"hdl:{PREFIX}/{PID}"])
@pytest.mark.parametrize("tracking_id", [None, f"hdl:{PREFIX}/{TRACKED}"])
def test_links_are_closed_with_and_without_named_handles(
    pid: str | None, tracking_id: str | None
) -> None:
    assets = {"data0000": file_asset(tracking_id=tracking_id), "data0001": file_asset()}

    made = records_of(item(assets, pid=pid))

    assert_links_closed(made)
    assert (made.records[-1].handle == f"{PREFIX}/{PID}") == bool(pid)
    assert (made.records[0].handle == f"{PREFIX}/{TRACKED}") == bool(tracking_id)


def test_a_file_that_cannot_be_registered_is_no_part() -> None:
    made = records_of(item({"data0000": file_asset(), "data0001": file_asset(file__size=None)}))

    assert_links_closed(made)
    assert len(made.records) == 2
    assert [(one.asset_key, one.reason) for one in made.left_out] == [
        ("data0001", PidReason.MISSING_FILE_SIZE)
    ]
    assert "left out" in made.warnings[0]


@pytest.mark.parametrize("limit", [0, 1, 2, 3, -1])
def test_the_parts_beyond_the_limit_are_not_registered_either(limit: int) -> None:
    made = records_of(item(), by=maker(max_parts=limit))

    assert_links_closed(made)
    assert len(made.records) - 1 == (2 if limit == -1 else min(limit, 2))
    assert bool(made.warnings) == (0 <= limit < 2)


def test_an_unusable_file_does_not_use_up_the_limit() -> None:
    assets = {"data0000": file_asset(file__size=0), "data0001": file_asset()}

    made = records_of(item(assets), by=maker(max_parts=1))

    assert_links_closed(made)
    assert len(made.records) == 2


def test_excluded_assets_are_no_files() -> None:
    assets = {"data0000": file_asset(), "globus": {"href": "x"}, "thumbnail": {}, "more": {}}

    made = records_of(item(assets), by=maker(excluded_asset_keys=["globus", "more", "thumbnail"]))

    assert_links_closed(made)
    assert len(made.records) == 2
    assert not made.warnings


@pytest.mark.parametrize("strict", [False, True])
def test_two_records_with_one_handle_are_refused(strict: bool) -> None:
    same = {"tracking_id": TRACKED}
    twice = item({"data0000": file_asset(**same), "data0001": file_asset(**same)})
    both = item({"data0000": file_asset(**same)}, pid=TRACKED.upper())

    for of in (twice, both):
        reason, told = refused(of, strict=strict)
        assert reason == PidReason.INVALID_PID
        assert TRACKED in told


# --- handles -------------------------------------------------------------------------------------


def test_a_handle_of_another_service_is_not_taken_over() -> None:
    foreign = item({"data0000": file_asset(tracking_id=f"hdl:21.14100/{TRACKED}")})

    reason, told = refused(foreign)
    kept = records_of(foreign, by=maker(foreign_prefix=ForeignPrefix.KEEP))
    replaced = records_of(foreign, by=maker(foreign_prefix=ForeignPrefix.REPLACE))

    assert reason == PidReason.INVALID_PID
    assert "asset data0000: tracking_id" in told
    assert kept.records[0].handle == f"21.14100/{TRACKED}"
    assert replaced.records[0].handle == f"{PREFIX}/{TRACKED}"
    assert f"21.14100/{TRACKED}" in replaced.warnings[0]
    assert_links_closed(kept)
    assert_links_closed(replaced)


def test_a_pid_that_is_none() -> None:
    assert refused(item(pid="hdl:21.TEST/admin"))[0] == PidReason.INVALID_PID


@pytest.mark.parametrize(
    "item_id",
    [
        "CMIP6",
        "a.b.c.d.e.f.g.h.v20190119",
        "CMIP6.a.b.c.d.e.f.g.h.20190119",
        "CMIP6.a.b.c.d.e.f.g.h.v2019-01-19",
        "CMIP6.a.b.c.d.e.f.g.h.vlatest",
        "CMIP6.a..c.d.e.f.g.h.v20190119",
        "CMIP6.a.b c.c.d.e.f.g.h.v20190119",
        "CMIP6.a.b/c.c.d.e.f.g.h.v20190119",
        f"CMIP6.a.b.c.d.e.f.g.h.v{'9' * 900}",
        f"{DATASET}.v2019\n",
    ],
)
def test_an_id_that_is_not_of_cmip6(item_id: str) -> None:
    assert refused(item(item_id=item_id))[0] == PidReason.INVALID_ITEM
    with pytest.raises(PermanentError, match="vYYYYMMDD"):
        maker().version_query(Item(id=item_id), "CMIP6")


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "algorithm", "method"),
    [
        ("d50110", "md5", "md5"),
        ("1114", "sha1", "sha1"),
        ("1220", "sha256", "sha2-256"),
        ("1340", "sha512", "sha2-512"),
        ("1620", "sha3_256", "sha3-256"),
        ("1440", "sha3_512", "sha3-512"),
    ],
)
def test_multihash_checksums(start: str, algorithm: str, method: str) -> None:
    digest = hashlib.new(algorithm, b"a file").hexdigest()

    record = one_file(file__checksum=start + digest)

    assert (record["CHECKSUM"], record["CHECKSUM_METHOD"]) == (digest, method)


def test_a_blake2b_checksum() -> None:
    digest = hashlib.blake2b(b"a file", digest_size=32).hexdigest()

    record = one_file(file__checksum=f"a0e40220{digest}")

    assert (record["CHECKSUM"], record["CHECKSUM_METHOD"]) == (digest, "blake2b-256")


@pytest.mark.parametrize("strict", [False, True])
def test_an_md5_without_the_second_byte_of_its_code(strict: bool) -> None:
    digest = hashlib.md5(b"a file", usedforsecurity=False).hexdigest()

    made = records_of(
        item({"data0000": file_asset(file__checksum=f"d510{digest}")}), by=maker(strict=strict)
    )

    (record,) = files_of(made).values()
    assert (record["CHECKSUM"], record["CHECKSUM_METHOD"]) == (digest, "md5")
    assert "lacks the second byte" in made.warnings[0]
    assert_links_closed(made)


@pytest.mark.parametrize(
    ("checksum", "written", "method"),
    [
        ("sha256:abcdef1234567890", "sha256:abcdef1234567890", "unknown"),
        ("zz", "zz", "unknown"),
        (f"7777{'ab' * 16}", f"7777{'ab' * 16}", "unknown"),
        (f"1220{'ab' * 5}", f"1220{'ab' * 5}", "unknown"),
        (
            f"2030{hashlib.sha384(b'a').hexdigest()}",
            hashlib.sha384(b"a").hexdigest(),
            "sha2-384",
        ),
    ],
)
def test_a_checksum_of_an_unknown_method(checksum: str, written: str, method: str) -> None:
    of = item({"data0000": file_asset(file__checksum=checksum)})

    made = records_of(of)

    (record,) = files_of(made).values()
    assert (record["CHECKSUM"], record["CHECKSUM_METHOD"]) == (written, method)
    assert "data0000" in made.warnings[0]
    assert_links_closed(made)
    reason, told = refused(of, strict=True)
    assert reason == PidReason.INVALID_CHECKSUM
    assert "data0000" in told


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file__size": None}, "missing_file_size"),
        ({"file__size": 0}, "missing_file_size"),
        ({"file__size": -5}, "missing_file_size"),
        ({"file__size": 1.5}, "missing_file_size"),
        ({"file__size": True}, "missing_file_size"),
        ({"file__size": "many"}, "missing_file_size"),
        ({"file__size": 10**30}, "missing_file_size"),
        ({"file__checksum": None}, "invalid_checksum"),
        ({"file__checksum": ""}, "invalid_checksum"),
        ({"file__checksum": 12}, "invalid_checksum"),
        ({"file__checksum": "ab" * 400}, "invalid_checksum"),
        ({"href": None}, "missing_download_url"),
        ({"href": "pr.nc"}, "missing_download_url"),
        ({"href": "gsiftp://host/pr.nc"}, "missing_download_url"),
        ({"href": "https://host/folder/"}, "missing_download_url"),
        ({"href": "https://[host/pr.nc"}, "missing_download_url"),
        ({"href": 3}, "missing_download_url"),
    ],
)
def test_a_file_that_cannot_be_registered(changes: dict[str, Any], reason: str) -> None:
    broken = file_asset(**changes)
    with_another = item({"data0000": broken, "data0001": file_asset()})

    made = records_of(with_another)

    assert [one.reason for one in made.left_out] == [reason]
    assert_links_closed(made)
    assert refused(with_another, strict=True)[0] == reason
    assert refused(item({"data0000": broken}))[0] == reason


@pytest.mark.parametrize(("size", "written"), [("12", "12"), (12.0, "12"), (2**40, str(2**40))])
def test_the_ways_to_write_a_size(size: object, written: str) -> None:
    assert one_file(file__size=size)["FILE_SIZE"] == written


def test_all_that_is_wrong_is_named_at_once_and_no_query() -> None:
    assets = {
        "data0000": file_asset(file__size=None),
        "data0001": file_asset(href="https://host/?token=SECRET"),
    }

    reason, told = refused(item(assets), strict=True)

    assert reason == PidReason.MISSING_FILE_SIZE
    assert "data0000" in told
    assert "data0001" in told
    assert "SECRET" not in told


def test_a_dataset_without_files() -> None:
    made = records_of(item({}))

    assert "HAS_PARTS" not in dataset_of(made)
    assert "no file" in made.warnings[0]
    assert refused(item({}), strict=True)[0] == PidReason.MISSING_PARTS


def test_the_query_of_an_address_is_no_part_of_the_file_s_name() -> None:
    assert one_file(href="https://host/a/pr.nc?download=1#x")["FILE_NAME"] == "pr.nc"


# --- nodes and times -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "host"),
    [
        (("reference_file", "data0000", "data0001"), "reference_file.host"),
        (("data0000", "data0001"), "data0000.host"),
        (("data0001",), "data0001.host"),
        ((), "unknown"),
    ],
)
def test_the_hosting_node(named: tuple[str, ...], host: str) -> None:
    keys = ("data0002", "data0001", "data0000", "reference_file")
    assets = {
        key: file_asset(
            alternate__name=f"{key}.host" if key in named or key == "data0002" else None
        )
        for key in keys
    }

    node = json.loads(dataset_of(records_of(item(assets)))["HOSTING_NODE"])

    assert node["host"] == host


def test_the_assets_that_say_where_may_be_chosen() -> None:
    assets = {"a": file_asset(alternate__name="a.host"), "data0000": file_asset()}

    made = records_of(item(assets), by=maker(preferred_asset_keys=["a"]))

    assert json.loads(dataset_of(made)["HOSTING_NODE"])["host"] == "a.host"


@pytest.mark.parametrize(
    ("published_on", "written"),
    [
        ("2019-01-19 00:00:00", "2019-01-19T00:00:00"),
        ("2019-01-19T00:00:00Z", "2019-01-19T00:00:00+00:00"),
        (None, "2025-08-01T15:15:12.441125"),
        ("", "2025-08-01T15:15:12.441125"),
        ("lately", "2025-08-01T15:15:12.441125"),
        (20190119, "2025-08-01T15:15:12.441125"),
    ],
)
def test_when_it_was_published(published_on: object, written: str) -> None:
    made = records_of(item({"data0000": file_asset(published_on=published_on)}))

    assert json.loads(dataset_of(made)["HOSTING_NODE"])["published_on"] == written
    assert bool(made.warnings) == (published_on in {"lately", 20190119})


def test_without_any_time_there_is_none_and_no_clock_is_asked() -> None:
    made = records_of(item(), time=None)

    assert json.loads(dataset_of(made)["HOSTING_NODE"]) == {"host": "ceda.ac.uk"}


def test_replicas() -> None:
    copies = {
        "z.org": {"href": "https://z.org/pr.nc", "published_on": "2020-01-01T00:00:00"},
        "a.org": {"href": "https://a.org/pr.nc"},
        "same.org": {"href": "https://dap.ceda.ac.uk/cmip6/pr_1.nc"},
        "odd.org": {"href": "nowhere"},
        "none.org": "text",
    }
    assets = {
        "data0000": file_asset(alternate=copies),
        "data0001": file_asset(alternate={"z.org": {"published_on": "2021-01-01T00:00:00"}}),
    }

    made = records_of(item(assets))

    assert json.loads(dataset_of(made)["REPLICA_NODES"]) == [
        {"host": "a.org", "published_on": "2025-08-01T15:15:12.441125"},
        {"host": "odd.org", "published_on": "2025-08-01T15:15:12.441125"},
        {"host": "same.org", "published_on": "2025-08-01T15:15:12.441125"},
        {"host": "z.org", "published_on": "2020-01-01T00:00:00"},
    ]
    assert made.replicas == 4
    first = files_of(made)[made.records[0].handle]
    assert json.loads(first["REPLICA_DOWNLOAD_URLS"]) == [
        "https://a.org/pr.nc",
        "https://z.org/pr.nc",
    ]


def test_what_a_file_does_not_say_its_copies_do() -> None:
    whole = {"href": "https://a.org/pr.nc", "file:size": 7, "file:checksum": SHA256}

    (record,) = files_of(
        records_of(item({"data0000": {"alternate": {"b.org": {}, "a.org": whole}}}))
    ).values()

    assert record["DOWNLOAD_URL"] == "https://a.org/pr.nc"
    assert record["FILE_SIZE"] == "7"
    assert record["CHECKSUM"] == SHA256[4:]
    assert "REPLICA_DOWNLOAD_URLS" not in record


@pytest.mark.parametrize("value", [True, 1, "1", "yes", " TRUE ", "true"])
def test_a_retraction(value: object) -> None:
    made = records_of(item(retracted=value))

    assert made.retracted
    assert dataset_of(made)["RETRACTED_ON"] == "2025-08-01T15:15:12.441125"


@pytest.mark.parametrize("value", [False, 0, None, "no", "", [], "false"])
def test_no_retraction(value: object) -> None:
    made = records_of(item(retracted=value))

    assert not made.retracted
    assert "RETRACTED_ON" not in dataset_of(made)


def test_a_retraction_at_no_time_is_not_lost() -> None:
    with pytest.raises(PermanentError, match=r"metadata\.time") as caught:
        records_of(item(retracted=True), time=None)
    assert caught.value.reason == PidReason.INVALID_MESSAGE


# --- versions ------------------------------------------------------------------------------------


def version(number: int) -> str:
    return f"{DATASET}.v{number}"


@pytest.mark.parametrize(
    ("found", "previous", "following"),
    [
        ((), None, None),
        ((20190119,), None, None),
        ((20180101, 20170101, 20190119), 20180101, None),
        ((20170101, 20180101), 20180101, None),
        ((20200101, 20210101), None, 20200101),
        ((20210101, 20180101, 20200101, 20170101), 20180101, 20200101),
    ],
)
def test_the_version_before_wherever_it_stands(
    found: tuple[int, ...], previous: int | None, following: int | None
) -> None:
    made = records_of(item(), versions=tuple(version(number) for number in found))

    assert dataset_of(made).get("PREVIOUS_VERSION") == (version(previous) if previous else None)
    assert made.next_version == (version(following) if following else None)


def test_other_datasets_and_odd_ids_are_no_versions() -> None:
    other = ITEM_ID.replace("Amon", "day").replace("v2019", "v2018")

    made = records_of(item(), versions=(other, "x", f"{DATASET}.vlatest", f"{DATASET}.more.v1"))

    assert "PREVIOUS_VERSION" not in dataset_of(made)


def test_versions_are_compared_as_numbers() -> None:
    of = item(item_id=version(10))

    made = records_of(of, versions=(version(9), version(8)))

    assert dataset_of(made)["PREVIOUS_VERSION"] == version(9)


def test_versions_in_any_order_of_arrival_end_in_the_same_records() -> None:
    numbers = (20170101, 20180101, 20190101)
    known = tuple(map(version, numbers))
    late = {n: records_of(item(item_id=version(n)), versions=known) for n in reversed(numbers)}
    early = {n: records_of(item(item_id=version(n)), versions=known) for n in numbers}

    assert early == late
    assert [dataset_of(early[n]).get("PREVIOUS_VERSION") for n in numbers] == [None, *known[:2]]


def test_an_older_version_that_arrives_late_leaves_the_newer_record_alone() -> None:
    older = records_of(item(item_id=version(20180101)), versions=(ITEM_ID,))
    newer = records_of(item())

    assert older.next_version == ITEM_ID
    assert not {r.handle for r in older.records} & {r.handle for r in newer.records}


def test_what_is_looked_up() -> None:
    told = announced(item())

    query = maker().version_query(told.item, told.collection_id)

    assert query is not None
    assert (query.collection_id, query.dataset_id) == ("CMIP6", DATASET)
    assert query.properties["activity_id"] == "ScenarioMIP"
    assert query.properties["grid_label"] == "gr"
    assert next(iter(query.properties)) == "mip_era"
    assert len(query.properties) == 9


def test_the_lookup_may_be_turned_off() -> None:
    off = maker(enable_previous_version_lookup=False)

    made = records_of(item(), versions=(version(1),), by=off)

    assert off.version_query(announced(item()).item, "CMIP6") is None
    assert "PREVIOUS_VERSION" not in dataset_of(made)


# --- options -------------------------------------------------------------------------------------


def test_the_options_that_are_given_count() -> None:
    made = records_of(
        item(), by=maker(landing_page_url="https://lp.org/x/", esgf="ESGF2", max_parts=1)
    )

    dataset = made.records[-1]
    assert dataset_of(made)["URL"] == f"https://lp.org/x/{dataset.handle}"
    assert dataset_of(made)["ESGF"] == "ESGF2"
    assert len(made.records) == 2


def test_all_unusable_options_are_named() -> None:
    with pytest.raises(BadInputError) as caught:
        PLUGIN.configure(
            HandleRules(PREFIX),
            {
                "max_parts": -2,
                "landing_page_url": "lp",
                "excluded_asset_keys": [1],
                "preferred_asset_keys": "data0000",
                "enable_previous_version_lookup": 1,
                "max_part": 3,
            },
        )
    told = str(caught.value)
    for name in (
        "max_parts = -2",
        "landing_page_url = 'lp'",
        "excluded_asset_keys",
        "preferred_asset_keys",
        "enable_previous_version_lookup = 1",
        "max_part is no option",
    ):
        assert name in told


def test_it_is_a_plugin() -> None:
    assert isinstance(PLUGIN, Plugin)
    assert PLUGIN.name == "cmip6"
