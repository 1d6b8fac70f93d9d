"""CMIP6: real messages, from Kafka to the records of a Handle server, and real failures retried."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.demo.handle_app import LocalHandleApp
from estinel_assets.demo.kafka_broker import KafkaCluster, Produced
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.jsonl_lines import KeptMessage, read_lines
from estinel_assets.pids.message_records import unit_of_body
from estinel_assets.pids.retrying import Retried, retry_files
from tests.support.asgi import serve_asgi
from tests.support.cmip6_messages import SHA256
from tests.support.handles import PREFIX, handle_app
from tests.support.pid_process import Place, check_links, finish, place_of, records_of
from tests.support.real import real_data

REAL_PREFIX = "21.14100"
"""Under which the real messages name handles."""
SENT_AT = datetime(2026, 1, 16, 10, tzinfo=UTC)
NAMES = ["dc02/Amon.tasmin", "dc02/day.tasmin", "dc04/IPSL.Amon.pr", "dc04/MRI.6hrPlevPt.psl"]
MRI_PID = "b06058a6-1077-35cb-9500-1ccbd341d309"
IPSL_PID = "11da5bd1-157f-3158-b775-ba42ed4e193b"


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as running:
        yield running


@pytest.fixture
def app() -> LocalHandleApp:
    return handle_app()


@pytest.fixture
def url(app: LocalHandleApp) -> Iterator[str]:
    with serve_asgi(app) as root:
        yield root


def place_for(tmp_path: Path, cluster: KafkaCluster, url: str, **tables: Any) -> Place:
    return place_of(tmp_path, cluster, url, partitions=1, **tables)


@pytest.mark.parametrize("foreign", ["refuse", "replace", "keep"])
def test_real_messages_become_the_records_that_they_describe(
    tmp_path: Path, cluster: KafkaCluster, url: str, app: LocalHandleApp, foreign: str
) -> None:
    bodies = [real_data(f"cmip6/{name}.json").read_bytes() for name in NAMES]
    bodies.append(real_data("cmip6/stac_ext_cmip6_THU.json").read_bytes())
    place = place_for(tmp_path, cluster, url, handle={"foreign_prefix": foreign})
    written = place.produce([Produced(body, b"key", sent_at=SENT_AT) for body in bodies])
    finish(place)

    ended = place.outcomes()
    outcomes = [ended[one.unit] for one in written]
    refused = foreign == "refuse"
    assert [one.reason for one in outcomes] == [
        "missing_file_size",
        "missing_file_size",
        "none",
        "invalid_pid" if refused else "none",
        "invalid_message",  # an item alone
    ]
    assert {one.message for one in place.kept()} == {
        message for message, one in zip(written, outcomes, strict=True) if not one.status
    }
    ipsl, mri = outcomes[2:4]
    assert (ipsl.detail["created"], ipsl.detail["warnings_count"]) == (2, 1)
    assert "lacks the second byte of MD5's code" in ipsl.detail["warnings"][0]
    stands = records_of(app)
    assert stands[f"{PREFIX}/{IPSL_PID}".lower()]["DATASET_VERSION"] == "v20190119"
    if refused:
        assert f"its prefix is not ours, {PREFIX}" in (mri.error or "")
        assert len(stands) == 2
    else:
        prefix = {"replace": PREFIX, "keep": REAL_PREFIX}[foreign]
        check_mri(mri, stands, f"{prefix}/{MRI_PID}", replaced=foreign == "replace")
    check_links(stands, stands)


def check_mri(
    outcome: Outcome, stands: dict[str, dict[str, str]], handle: str, *, replaced: bool
) -> None:
    """Its dataset has seven files with sizes and checksums."""
    assert (outcome.detail["created"], outcome.detail["handle"]) == (8, handle)
    assert outcome.detail.get("warnings_count", 0) == replaced
    assert len(stands) == 10
    dataset = stands[handle.lower()]
    assert dataset["ESGF"]
    assert dataset["DATASET_ID"].endswith(".6hrPlevPt.psl.gn")
    assert json.loads(dataset["HOSTING_NODE"])["host"] == "esgf-data03.diasjp.net"
    parts = [part.removeprefix("hdl:").lower() for part in json.loads(dataset["HAS_PARTS"])]
    assert len(parts) == 7
    for part in parts:
        assert stands[part]["CHECKSUM_METHOD"] == "sha2-256"
        assert int(stands[part]["FILE_SIZE"]) > 10**9
        assert stands[part]["FILE_NAME"].startswith("psl_6hrPlevPt_MRI")


@pytest.fixture
def failures(tmp_path: Path) -> Path:
    """A copy of what piddiplatsch has kept."""
    path = tmp_path / "kept" / "failed_items_2026-01-16.jsonl"
    path.parent.mkdir()
    shutil.copyfile(real_data("cmip6/sample_failures.jsonl"), path)
    return path


def retry(place: Place, path: Path, **how: Any) -> Retried:
    return retry_files([path], place.settings, store=place.store, **how)


def kept_in(folder: Path) -> list[KeptMessage]:
    lines = list(read_lines([folder]))
    assert all(isinstance(line, KeptMessage) for line in lines)
    return [line for line in lines if isinstance(line, KeptMessage)]


def test_real_failures_that_can_be_registered_now_are_taken_out(
    tmp_path: Path, cluster: KafkaCluster, url: str, app: LocalHandleApp, failures: Path
) -> None:
    place = place_for(tmp_path, cluster, url)
    messages = kept_in(failures)
    retried = retry(place, failures, delete_after=True)
    assert (retried.total, retried.succeeded, retried.removed) == (3, 3, 3)
    assert (retried.success_rate, retried.unreadable) == (1.0, ())
    assert not failures.exists()
    stands = records_of(app)
    assert len(stands) == 6
    check_links(stands, stands)
    for one in messages:
        outcome = place.outcomes()[unit_of_body(one.message.body)]
        assert (outcome.attempts, outcome.detail["retries"]) == (2, 1)
        # What they give as a checksum is none, which is a warning only.
        assert outcome.detail["warnings_count"] == 1
    files = [one for one in stands.values() if one["AGGREGATION_LEVEL"] == "FILE"]
    assert {one["CHECKSUM_METHOD"] for one in files} == {"unknown"}


def test_real_failures_that_fail_again_are_counted_on_and_stay(
    tmp_path: Path, cluster: KafkaCluster, url: str, app: LocalHandleApp, failures: Path
) -> None:
    place = place_for(tmp_path, cluster, url, schema={"strict_mode": True})
    before = failures.read_bytes()
    bodies = [one.message.body for one in kept_in(failures)]
    path = failures
    for number in (1, 2, 3):
        retried = retry(place, path, delete_after=True)
        assert (retried.total, retried.failed, retried.removed) == (3, 3, 0)
        assert retried.reasons == {"invalid_checksum": 3}
        path = place.folder / "outputs" / "failures" / f"r{number}"
        again = kept_in(path)
        assert [one.retries for one in again] == [number] * 3
        assert {one.reason for one in again} == {"invalid_checksum"}
        assert [one.message.body for one in again] == bodies
    assert failures.read_bytes() == before
    assert records_of(app) == {}
    assert {one.attempts for one in place.outcomes().values()} == {4}


def test_of_real_failures_only_those_that_succeed_are_taken_out(
    tmp_path: Path, cluster: KafkaCluster, url: str, app: LocalHandleApp, failures: Path
) -> None:
    place = place_for(tmp_path, cluster, url, schema={"strict_mode": True})
    first, second, third = failures.read_bytes().splitlines(keepends=True)
    mended = second.replace(b"sha256:1234567890abcdef", SHA256.encode())
    assert mended != second
    failures.write_bytes(first + mended + third)
    retried = retry(place, failures, delete_after=True)
    assert retried.reasons == {"none": 1, "invalid_checksum": 2}
    assert retried.removed == 1
    assert failures.read_bytes() == first + third
    assert f"{PREFIX}/{MRI_PID}".lower() in records_of(app)


def test_a_dry_run_over_real_failures_changes_nothing(
    tmp_path: Path, cluster: KafkaCluster, url: str, app: LocalHandleApp, failures: Path
) -> None:
    place = place_for(tmp_path, cluster, url)
    before = failures.read_bytes()
    retried = retry(place, failures, dry_run=True, delete_after=True)
    assert (retried.succeeded, retried.removed) == (3, 0)
    assert failures.read_bytes() == before
    assert records_of(app) == {}
    assert place.outcomes() == {}
    (lines,) = (place.folder / "outputs" / "handles").glob("*.jsonl")
    assert len(lines.read_text().splitlines()) == 6


def test_real_failures_do_not_take_newer_records_back(
    tmp_path: Path, cluster: KafkaCluster, url: str, app: LocalHandleApp, failures: Path
) -> None:
    place = place_for(tmp_path, cluster, url, handle={"foreign_prefix": "replace"})
    document = json.loads(real_data("cmip6/dc04/MRI.6hrPlevPt.psl.json").read_bytes())
    document["metadata"]["time"] = "2026-02-01T00:00:00Z"
    place.produce(
        [Produced(json.dumps(document).encode(), sent_at=datetime(2026, 2, 1, tzinfo=UTC))]
    )
    finish(place)
    before = records_of(app)
    assert retry(place, failures).succeeded == 3
    after = records_of(app)
    assert {name: after[name] for name in before} == before
