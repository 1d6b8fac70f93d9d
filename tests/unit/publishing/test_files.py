"""The files of a job's folder: what is taken, what is refused, and what is noticed."""

import hashlib
import os
import socket
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.publishing.files import JobFiles
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault, ScannedFile
from estinel_assets.publishing.spool import Spool
from tests.support.job_folders import JobFolder
from tests.support.unprivileged import as_nobody

R = PublishingReason


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    folder = tmp_path / "job"
    folder.mkdir()
    return JobFolder(folder)


def found(job: JobFolder, relative: str) -> ScannedFile | Fault:
    return JobFiles(job.root, Spool()).find(job.root / relative)


def fault(job: JobFolder, relative: str) -> Fault:
    result = found(job, relative)
    assert isinstance(result, Fault)
    return result


def test_a_file_with_size_and_digest(job: JobFolder) -> None:
    body = os.urandom(3_000_000)
    path = job.write("a/b.nc", body)

    assert found(job, "a/b.nc") == ScannedFile(
        "a/b.nc", path, len(body), hashlib.sha256(body).hexdigest(), "application/x-netcdf"
    )


def test_memory_does_not_grow_with_a_file(job: JobFolder) -> None:
    path = job.write("big.bin", b"")
    with path.open("r+b") as file:
        file.truncate(64 * 1024 * 1024)
    tracemalloc.start()
    try:
        result = found(job, "big.bin")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(result, ScannedFile)
    assert peak < 4 * 1024 * 1024


def test_links_inside_are_followed_to_their_end(job: JobFolder) -> None:
    path = job.write("store/real.bin", b"1")
    (job.root / "linked.bin").symlink_to("store/real.bin")
    (job.root / "again.bin").symlink_to("linked.bin")

    result = found(job, "again.bin")

    assert isinstance(result, ScannedFile)
    assert (result.relative, result.source) == ("again.bin", path)


@pytest.mark.parametrize(
    ("relative", "reason"),
    [
        ("../outside.txt", R.PATH_TRAVERSAL),
        ("a/../../outside.txt", R.PATH_TRAVERSAL),
        ("/etc/passwd", R.PATH_TRAVERSAL),
        ("out", R.PATH_TRAVERSAL),
        ("folder_out/outside.txt", R.PATH_TRAVERSAL),
        ("broken", R.MISSING_ASSET),
        ("loop", R.MISSING_ASSET),
        ("absent.nc", R.MISSING_ASSET),
        ("n" * 300, R.MISSING_ASSET),
        ("with\0nul", R.MISSING_ASSET),
        ("pipe", R.MISSING_ASSET),
        ("socket", R.MISSING_ASSET),
        ("device", R.PATH_TRAVERSAL),
        ("a", R.MISSING_ASSET),
        ("tab\there", R.INVALID_CATALOG),
        ("name#1", R.INVALID_CATALOG),
    ],
)
def test_what_is_refused(
    job: JobFolder, relative: str, reason: PublishingReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job.root.parent / "outside.txt").write_text("secret")
    job.write("a/b.nc", b"1")
    job.write("tab\there", b"1")
    job.write("name#1", b"1")
    (job.root / "out").symlink_to("../outside.txt")
    (job.root / "folder_out").symlink_to("..")
    (job.root / "broken").symlink_to("nowhere")
    (job.root / "loop").symlink_to("loop")
    (job.root / "device").symlink_to("/dev/zero")
    os.mkfifo(job.root / "pipe")
    monkeypatch.chdir(job.root)  # a socket's path may have 107 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")

        result = fault(job, relative)

    assert result.reason is reason
    assert (result.where + result.what).isprintable()


def test_dots_that_stay_inside_are_followed(job: JobFolder) -> None:
    job.write("a/b.nc", b"1")

    result = found(job, "a/c/../../a/b.nc")

    assert isinstance(result, ScannedFile)
    assert result.relative == "a/b.nc"


def test_permissions_are_named() -> None:
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        job = JobFolder(Path(made))
        job.write("closed.nc", b"1").chmod(0)
        job.write("closed.json", {}).chmod(0)
        job.write("folder/x.nc", b"1").parent.chmod(0)
        try:
            with as_nobody():
                files = JobFiles(job.root, Spool())
                listing = files.list_product(job.root)
                unread = files.find(job.root / "closed.nc")
                document = files.read_json(job.root / "closed.json")
        finally:
            (job.root / "folder").chmod(0o755)

    assert isinstance(unread, Fault)
    assert "Permission denied" in unread.what
    assert isinstance(document, list)
    assert [(one.where, one.reason) for one in document] == [("closed.json", R.MISSING_ASSET)]
    assert [(one.where, one.reason) for one in listing.faults] == [("folder", R.MISSING_ASSET)]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    for name in ("absent", "file"):
        (tmp_path / "file").write_text("")
        with pytest.raises(BadInputError, match="cannot be read"):
            JobFiles(tmp_path / name, Spool())


def test_what_a_product_consists_of(job: JobFolder) -> None:
    for name in ("x/a.nc", "x/z/b.nc", "x/.hidden", "x/.git/c", "x/_datasets.json", "x/apart/d"):
        job.write(name, b"1")
    job.write("x/given/.localized", b"")
    job.write("x/given/big.nc", b"1")
    (job.root / "x/link.nc").symlink_to("a.nc")

    listing = JobFiles(job.root, Spool()).list_product(job.root / "x", skip=[job.root / "x/apart"])

    assert [path.relative_to(job.root).as_posix() for path in listing.paths] == [
        "x/a.nc",
        "x/link.nc",
        "x/z/b.nc",
    ]
    assert listing.faults == ()


def test_every_fault_of_a_product_is_listed(job: JobFolder) -> None:
    job.write("x/good.nc", b"1")
    job.write("x/line\nbreak", b"1")
    (job.root / "x/out").symlink_to("/etc/passwd")
    (job.root / "x/folder").symlink_to(".")
    (job.root / "x/gone").symlink_to("nothing")
    os.mkfifo(job.root / "x/pipe")
    Path(os.fsdecode(os.fsencode(job.root) + b"/x/latin\xe9.nc")).write_bytes(b"1")

    listing = JobFiles(job.root, Spool()).list_product(job.root / "x")

    assert {one.where: one.reason for one in listing.faults} == {
        "x/line\\nbreak": R.INVALID_DATASET,
        "x/out": R.PATH_TRAVERSAL,
        "x/folder": R.INVALID_DATASET,
        "x/gone": R.MISSING_ASSET,
        "x/pipe": R.MISSING_ASSET,
        "x/latin\\xe9.nc": R.INVALID_DATASET,
    }
    assert [path.name for path in listing.paths] == ["good.nc"]


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"])
@pytest.mark.parametrize("form", ["{0}", "{0}\n", "{0}  x.nc\n", "X (x.nc) = {0}", "\\{0}  x.nc"])
def test_sidecars_are_verified(job: JobFolder, algorithm: str, form: str) -> None:
    job.write("x.nc", b"body")
    digest = hashlib.new(algorithm, b"body").hexdigest()
    job.write(f"x.nc.{algorithm}", form.format(digest.upper()))

    assert isinstance(found(job, "x.nc"), ScannedFile)

    job.write("x.nc", b"damaged")
    assert fault(job, "x.nc").reason is R.CHECKSUM_MISMATCH
    assert digest in fault(job, "x.nc").what


def test_a_sidecar_without_a_length_of_its_own(job: JobFolder) -> None:
    job.write("x.nc", b"body")
    job.write("x.nc.shake_128", hashlib.shake_128(b"body").hexdigest(20))

    assert isinstance(found(job, "x.nc"), ScannedFile)


@pytest.mark.parametrize("said", ["", "no checksum", "d41d8cd9", "\xff"])
def test_a_sidecar_that_holds_none(job: JobFolder, said: str) -> None:
    job.write("x.nc", b"body")
    job.write("x.nc.md5", said.encode("latin-1"))

    assert "holds no md5" in fault(job, "x.nc").what


def test_a_sidecar_that_leads_out(job: JobFolder) -> None:
    job.write("x.nc", b"body")
    (job.root / "x.nc.md5").symlink_to("/etc/passwd")

    assert fault(job, "x.nc").reason is R.PATH_TRAVERSAL


def test_a_checksum_file_of_no_file_is_a_file(job: JobFolder) -> None:
    job.write("all.md5", "0" * 32)

    assert isinstance(found(job, "all.md5"), ScannedFile)


SHA256 = "1220" + hashlib.sha256(b"body").hexdigest()
MD5 = hashlib.md5(b"body", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("declared", "is_fault", "warned"),
    [
        ({}, False, None),
        ({"file:size": 4, "file:checksum": SHA256}, False, None),
        ({"file:checksum": "d50110" + MD5}, False, None),
        ({"file:checksum": MD5}, False, "read as an MD5"),
        ({"file:checksum": "d510" + MD5}, False, "lacks the second byte"),
        ({"file:checksum": "1e20" + "00" * 32}, False, "not checked"),
        ({"file:checksum": "nonsense"}, False, "not checked"),
        ({"file:size": 5}, True, None),
        ({"file:size": "4"}, True, None),
        ({"file:checksum": SHA256[:-2] + "00"}, True, None),
        ({"file:checksum": "0" * 32}, True, "read as an MD5"),
        ({"file:checksum": 7}, True, None),
    ],
)
def test_what_documents_declare(
    job: JobFolder, declared: dict[str, object], is_fault: bool, warned: str | None
) -> None:
    job.write("x.nc", b"body")
    files = JobFiles(job.root, Spool())
    file = files.find(job.root / "x.nc")
    assert isinstance(file, ScannedFile)

    wrong, warning = files.check_declared(file, declared)

    assert (wrong is not None) == is_fault
    assert wrong is None or (wrong.reason, wrong.where) == (R.CHECKSUM_MISMATCH, "x.nc")
    assert warning is None if warned is None else warned in (warning or "")


@pytest.mark.parametrize("change", ["content", "time", "gone", "replaced", "linked"])
def test_a_change_is_noticed(job: JobFolder, change: str) -> None:
    path = job.write("x.nc", b"body")
    job.write("still.nc", b"body")
    files = JobFiles(job.root, Spool())
    files.hash_all([path, job.root / "still.nc"])
    assert files.changed() == []

    if change == "content":
        path.write_bytes(b"others")
    elif change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "gone":
        path.unlink()
    elif change == "replaced":
        stamp = path.stat()
        other = job.write("new", b"BODY")
        os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        other.replace(path)
    else:
        path.unlink()
        path.symlink_to("still.nc")

    assert [(one.where, one.reason) for one in files.changed()] == [("x.nc", R.CHECKSUM_MISMATCH)]


def test_a_document_that_changed_between_reading_and_hashing(job: JobFolder) -> None:
    path = job.write("x.json", {"a": 1})
    files = JobFiles(job.root, Spool())
    assert files.read_json(path) == {"a": 1}
    path.write_text('{"a": 2}')
    files.hash_all([path])

    assert [one.where for one in files.changed()] == ["x.json"]


def test_many_files_with_one_thread_or_many(job: JobFolder) -> None:
    paths = [job.write(f"{number}.bin", bytes([number]) * number) for number in range(60)]
    several, single = (JobFiles(job.root, Spool(), at_once=number) for number in (8, 1))

    several.hash_all(paths)
    single.hash_all(paths)

    assert [several.find(path) for path in paths] == [single.find(path) for path in paths]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[1]", "object"),
        (b"null", "object"),
        (b"{", "JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1e999}', "large"),
        (b'{"a": 123456789012345678901234567890}', "64 bits"),
        (b'{"a": ' + b"1" * 5000 + b"}", "JSON"),
        (b'{"a": "\\u0000"}', "U+0000"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "nested"),
        (b'{"a":' * 100_000, "nested"),
    ],
)
def test_documents_that_no_target_can_hold(job: JobFolder, body: bytes, said: str) -> None:
    path = job.write("x.json", body)

    read = JobFiles(job.root, Spool()).read_json(path)

    assert isinstance(read, list)
    assert {one.reason for one in read} == {R.INVALID_DATASET}
    assert said in read[0].what


def test_a_document_that_is_a_pipe_is_not_waited_for(job: JobFolder) -> None:
    os.mkfifo(job.root / "x.json")

    read = JobFiles(job.root, Spool()).read_json(job.root / "x.json")

    assert isinstance(read, list)
    assert "pipe" in read[0].what
