"""Opening stores: folders, credentials, endpoints."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from estinel_assets.errors import BadInputError, StoreError
from estinel_assets.storage import open_store
from tests.support.s3 import S3Access, s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of AWS."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def test_a_folder_is_made_and_found_again(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/a/b%20c")
    store.put("x/y", b"1")
    assert store.url == f"file://{tmp_path}/a/b%20c"
    assert (tmp_path / "a" / "b c" / "x" / "y").read_bytes() == b"1"
    assert open_store(str(tmp_path / "a" / "b c")).get("x/y").data == b"1"
    assert open_store(store.url).get("x/y").data == b"1"


def test_each_memory_store_is_its_own() -> None:
    open_store("memory://").put("a", b"1")
    assert list(open_store("memory://").list()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for url in (f"file://{tmp_path}/file", f"file://{tmp_path}/file/below"):
        with pytest.raises(BadInputError, match="name a folder"):
            open_store(url)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(StoreError, match=r"file:///proc/.*check its permissions"):
        open_store("file:///proc/estinel")


def test_credentials_come_from_the_environment(s3: S3Access, no_aws: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment().items():
        no_aws.setenv(name, value)
    store = open_store(s3.url("from-environment"))
    store.put("a", b"1", content_type="text/plain")
    head = s3.client().head_object(Bucket=s3.bucket, Key="from-environment/a")
    assert head["ContentType"] == "text/plain"


def test_credentials_come_from_a_profile(
    s3: S3Access, no_aws: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[polar]\naws_access_key_id = {s3.access_key_id}\n"
        f"aws_secret_access_key = {s3.secret_access_key}\nregion = eu-central-1\n"
    )
    no_aws.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    store = open_store(s3.url("profile"), endpoint_url=s3.endpoint_url, profile="polar")
    store.put("a", b"1")
    assert s3.keys("profile") == ["profile/a"]
    with pytest.raises(BadInputError, match="tropical"):
        open_store(s3.url(), profile="tropical")
    with pytest.raises(BadInputError, match="give one"):
        open_store(s3.url(), profile="polar", session=s3.session())


def test_the_endpoint_given_overrules_the_environment(
    s3: S3Access, no_aws: pytest.MonkeyPatch
) -> None:
    no_aws.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    no_aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = s3.open("overruled", max_retries=0)
    store.put("a", b"1")
    assert s3.keys("overruled") == ["overruled/a"]


def test_no_credentials_are_refused_with_a_remedy(no_aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInputError, match="AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket/x")


def test_an_endpoint_with_secrets_is_refused(s3: S3Access) -> None:
    with pytest.raises(BadInputError, match="credentials") as caught:
        open_store(s3.url(), endpoint_url="http://user:hidden@127.0.0.1:9", session=s3.session())
    assert "hidden" not in str(caught.value)


def test_a_local_store_costs_no_import_of_boto3_or_pyarrow(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from estinel_assets.storage import open_store\n"
        "import estinel_assets.storage.lease\n"
        f"open_store({str(tmp_path)!r}).put('a', b'1')\n"
        "print(sorted({'boto3', 'botocore', 'pyarrow', 'pandas'} & set(sys.modules)))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_s3_carries_the_content_type_and_the_raw_key(s3: S3Access) -> None:
    store = s3.open("kinds")
    etag = store.create("a%2Fb/c=d", b"{}", content_type="application/json").etag
    store.replace("a%2Fb/c=d", b"[]", etag=etag, content_type="application/geo+json")
    head = s3.client().head_object(Bucket=s3.bucket, Key="kinds/a%2Fb/c=d")
    assert head["ContentType"] == "application/geo+json"
    assert head["ETag"] == store.head("a%2Fb/c=d").etag


def test_a_whole_bucket_is_a_store(s3: S3Access) -> None:
    store = s3.open()
    store.put("whole/a", b"1")
    assert store.url == f"s3://{s3.bucket}"
    assert store.uri("whole/a") == f"s3://{s3.bucket}/whole/a"
    assert [meta.path for meta in store.list("whole")] == ["whole/a"]
    assert "whole" in store.list_folders()


def test_listings_are_streamed(s3: S3Access) -> None:
    s3.fill((f"stream/{number:05d}" for number in range(2500)), b"x")
    listing = s3.open("stream").list()
    assert next(listing).path == "00000"
    # What is made now, behind the pages that may have been fetched already, is still seen.
    s3.fill(["stream/99999"], b"x")
    paths = [meta.path for meta in listing]
    assert len(paths) == 2500
    assert paths[-1] == "99999"
