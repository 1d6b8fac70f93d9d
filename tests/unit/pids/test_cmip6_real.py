"""CMIP6: real messages."""

import json

import pytest

from estinel_assets.errors import PermanentError
from estinel_assets.pids.announcements import announce
from estinel_assets.pids.messages import parse_message
from estinel_assets.pids.plugins import LookedUp, RecordSet
from estinel_assets.pids.reasons import PidReason
from tests.support.cmip6_messages import (
    assert_links_closed,
    dataset_of,
    files_of,
    maker,
    records_of,
)
from tests.support.real import real_data

PREFIX = "21.14100"


def real_records(body: bytes, *, strict: bool = True) -> RecordSet:
    return maker(prefix=PREFIX, strict=strict).records(announce(parse_message(body)), LookedUp())


def test_a_message_with_a_pid_and_seven_files() -> None:
    body = real_data("cmip6/dc04/MRI.6hrPlevPt.psl.json").read_bytes()

    made = real_records(body)

    assert_links_closed(made)
    assert not made.warnings
    assert made.records[-1].handle == f"{PREFIX}/b06058a6-1077-35cb-9500-1ccbd341d309"
    dataset = dataset_of(made)
    assert dataset["DATASET_VERSION"] == "v20190820"
    assert dataset["DATASET_ID"].endswith(".6hrPlevPt.psl.gn")
    assert json.loads(dataset["HOSTING_NODE"]) == {
        "host": "esgf-data03.diasjp.net",
        "published_on": "2025-08-05T11:35:48.537252",
    }
    files = list(files_of(made).values())
    assert [file["FILE_SIZE"] for file in files][::6] == ["6046567354", "3022803595"]
    assert {file["CHECKSUM_METHOD"] for file in files} == {"sha2-256"}
    assert files[0]["FILE_NAME"].endswith("_gn_195001010000-195912311800.nc")
    assert files[0]["CHECKSUM"].startswith("5e2ccce8")


def test_a_message_whose_checksum_lacks_a_byte() -> None:
    made = real_records(real_data("cmip6/dc04/IPSL.Amon.pr.json").read_bytes())

    assert_links_closed(made)
    (file,) = files_of(made).values()
    assert file["CHECKSUM"] == "0b2f08a46b0e10979560480e85db777e"
    assert file["CHECKSUM_METHOD"] == "md5"
    assert len(made.warnings) == 1
    assert json.loads(dataset_of(made)["HOSTING_NODE"])["host"] == "ceda.ac.uk"


@pytest.mark.parametrize("name", ["Amon.tasmin", "day.tasmin"])
@pytest.mark.parametrize("strict", [False, True])
def test_messages_whose_files_have_neither_size_nor_checksum(name: str, strict: bool) -> None:
    body = real_data(f"cmip6/dc02/{name}.json").read_bytes()

    with pytest.raises(PermanentError, match="data0005") as caught:
        real_records(body, strict=strict)
    assert caught.value.reason == PidReason.MISSING_FILE_SIZE


def test_kept_failures_whose_checksums_are_no_multihash() -> None:
    for line in real_data("cmip6/sample_failures.jsonl").read_bytes().splitlines():
        made = real_records(line, strict=False)
        assert_links_closed(made)
        (file,) = files_of(made).values()
        assert file["CHECKSUM_METHOD"] == "unknown"
        assert file["CHECKSUM"].startswith("sha256:")
        assert len(made.warnings) == 1
        with pytest.raises(PermanentError) as caught:
            real_records(line)
        assert caught.value.reason == PidReason.INVALID_CHECKSUM


def test_an_item_of_a_newer_extension() -> None:
    document = json.loads(real_data("cmip6/stac_ext_cmip6_THU.json").read_bytes())

    made = records_of(document, by=maker(strict=True))

    assert_links_closed(made)
    (file,) = files_of(made).values()
    assert file["FILE_NAME"] == "clcalipso_CFmon_IPSL-CM6A-LR_ssp119_r4i1p1f1_gr_201501-210012.nc"
