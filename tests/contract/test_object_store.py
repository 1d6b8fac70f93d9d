"""What every object store promises, tried on a folder, on memory and on S3."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import pytest

from estinel_assets.errors import (
    AlreadyExistsError,
    BadInputError,
    ChangedError,
    NotFoundError,
)
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.racing import (
    LOST,
    RACERS,
    WON,
    Action,
    Count,
    Create,
    Replace,
    Replay,
    StoreAddress,
    race_processes,
    race_threads,
)
from tests.support.s3 import S3Access, s3_server

ODD_PATHS = [
    "x/a%2Fb/c=d/result.json",
    "a%20b/z",
    "100%/%zz/%",
    "Żółw/été e\u0301/日本.json",
    "spaces in  it/ x /y",
    "q?x=1&y=2/[a]*{b}",
    "h#h/#/f#a",
    "back\\slash/quo\"te's/<tag>",
    "plus+plus/at@/colon:/semi;,!$()~^`|",
    ".hidden/.file",
    "...three/..two",
    "x" * 200 + "/" + "y" * 200,
]


@dataclass(frozen=True)
class Backend:
    """A store that is empty, and a look behind it."""

    store: ObjectStore
    address: StoreAddress | None
    """How other processes open it; None where they cannot."""
    raw_names: Callable[[], list[str]]
    """The names of all objects, sorted, as other tools see them."""
    fill: Callable[[list[str]], None]
    """Puts many one-byte objects, as another tool would."""

    def race(self, action: Action) -> list[str]:
        if self.address is None:
            return race_threads(self.store, action)
        return race_processes(self.address, action)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    with s3_server() as access:
        yield access


@pytest.fixture(params=["file", "memory", "s3"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "file":
        store = open_store(f"file://{tmp_path}/root")
        root = tmp_path / "root"

        def write(paths: list[str]) -> None:
            for path in paths:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(b"x")

        return Backend(store, StoreAddress(store.url), lambda: _files(root), write)
    if request.param == "memory":
        store = open_store("memory://")

        def put(paths: list[str]) -> None:
            for path in paths:
                store.put(path, b"x")

        return Backend(store, None, lambda: _listed(store), put)
    access: S3Access = request.getfixturevalue("s3")
    # A prefix that would change if anything on the way decoded or encoded it.
    prefix = f"pre%20fix é/{uuid4().hex}"
    store = access.open(prefix)

    def raw_names() -> list[str]:
        return [key.removeprefix(f"{prefix}/") for key in access.keys(f"{prefix}/")]

    def fill(paths: list[str]) -> None:
        access.fill([f"{prefix}/{path}" for path in paths], b"x")

    return Backend(store, StoreAddress(store.url, access), raw_names, fill)


@pytest.fixture
def store(backend: Backend) -> ObjectStore:
    return backend.store


def _files(root: Path) -> list[str]:
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if path.parts[0] != ".locks")


def _listed(store: ObjectStore, prefix: str = "") -> list[str]:
    return sorted(meta.path for meta in store.list(prefix))


def test_what_was_put_is_read_back_with_its_metadata(store: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    written = store.put("a/b.json", b"\x00\xffbytes", content_type="application/json")
    stored = store.get("a/b.json")
    assert stored.data == b"\x00\xffbytes"
    assert type(stored.data) is bytes
    assert (stored.meta.path, stored.meta.size) == ("a/b.json", 7)
    assert (written.path, written.size, written.etag) == ("a/b.json", 7, stored.meta.etag)
    assert stored.meta == store.head("a/b.json") == next(iter(store.list("a")))
    after = datetime.now(UTC) + timedelta(seconds=2)
    for moment in (stored.meta.last_modified, written.last_modified):
        assert moment.tzinfo is not None
        assert before <= moment <= after


def test_an_object_may_be_empty(store: ObjectStore) -> None:
    store.put("put", b"")
    store.create("created", b"")
    store.replace("created", b"", etag=store.head("created").etag)
    for path in ("put", "created"):
        assert store.get(path).data == b""
        assert store.head(path).size == 0
        assert store.get_range(path, 0, 10) == b""
    assert _listed(store) == ["created", "put"]


def test_putting_again_replaces_and_changes_the_etag(store: ObjectStore) -> None:
    first = store.put("a", b"one")
    second = store.put("a", b"a longer one")
    assert first.etag != second.etag
    assert store.get("a").data == b"a longer one"
    assert store.head("a") == store.get("a").meta


def test_an_object_larger_than_a_multipart_chunk(store: ObjectStore) -> None:
    body = bytes(range(256)) * 4 * 1024 * 6 + b"end"
    written = store.put("large", body)
    assert store.get("large").data == body
    assert store.head("large").etag == written.etag
    assert store.get_range("large", len(body) - 3, 3) == b"end"


def test_a_file_is_written_as_it_is(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for body in (b"", b"small", bytes(range(256)) * 4 * 1024 * 18 + b"end"):
        source.write_bytes(body)
        written = store.put_file("folder/copied", source, content_type="text/plain")
        assert (written.path, written.size) == ("folder/copied", len(body))
        assert store.get("folder/copied").data == body
        assert store.head("folder/copied").etag == written.etag
    assert _listed(store) == ["folder/copied"]


def test_a_file_that_is_absent_is_no_object(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put_file("copied", tmp_path / "absent")
    assert _listed(store) == []


def test_quick_rewrites_of_one_size_all_have_their_own_etag(store: ObjectStore) -> None:
    etags = [store.put("a", b"%04d" % number).etag for number in range(200)]
    assert len(set(etags)) == 200


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 10, b"0123456789"),
        (3, 4, b"3456"),
        (9, 1, b"9"),
        (8, 100, b"89"),
        (0, 11, b"0123456789"),
        (10, 5, b""),
        (1000, 5, b""),
        (4, 0, b""),
    ],
)
def test_a_range_ends_where_the_object_does(
    store: ObjectStore, start: int, length: int, expected: bytes
) -> None:
    store.put("a", b"0123456789")
    assert store.get_range("a", start, length) == expected


def test_a_negative_range_is_refused(store: ObjectStore) -> None:
    store.put("a", b"0123456789")
    for start, length in ((-1, 2), (0, -1)):
        with pytest.raises(BadInputError, match="negative"):
            store.get_range("a", start, length)


def test_an_absent_object_is_named(store: ObjectStore) -> None:
    store.put("a/b", b"x")
    for path in ("nope", "a/nope", "a", "a/b/c"):
        for read in (
            lambda path: store.get(path),
            lambda path: store.head(path),
            lambda path: store.get_range(path, 0, 1),
            lambda path: store.get_range(path, 0, 0),
            lambda path: store.replace(path, b"x", etag='"etag"'),
        ):
            with pytest.raises(NotFoundError) as caught:
                read(path)
            assert store.uri(path) in str(caught.value)
    assert _listed(store) == ["a/b"]


def test_create_writes_only_where_nothing_stands(store: ObjectStore) -> None:
    written = store.create("a/b", b"first")
    with pytest.raises(AlreadyExistsError, match="a/b"):
        store.create("a/b", b"second")
    assert store.get("a/b").data == b"first"
    assert store.head("a/b").etag == written.etag
    store.delete("a/b")
    store.create("a/b", b"third")
    assert store.get("a/b").data == b"third"


def test_replace_writes_only_over_the_version_that_was_read(store: ObjectStore) -> None:
    first = store.put("a", b"one")
    second = store.replace("a", b"two", etag=first.etag)
    assert store.get("a").data == b"two"
    assert store.head("a").etag == second.etag != first.etag
    with pytest.raises(ChangedError, match="read it again"):
        store.replace("a", b"six", etag=first.etag)
    assert store.get("a").data == b"two"
    store.replace("a", b"ten", etag=second.etag)
    store.delete("a")
    store.put("a", b"new")
    with pytest.raises(ChangedError):
        store.replace("a", b"old", etag=second.etag)
    assert store.get("a").data == b"new"


def test_deleting_twice_is_no_error(store: ObjectStore) -> None:
    store.put("a/b", b"x")
    store.delete("a/b")
    store.delete("a/b")
    store.delete("never/was")
    assert _listed(store) == []
    with pytest.raises(NotFoundError):
        store.get("a/b")


def test_many_are_deleted_and_absent_ones_are_no_error(store: ObjectStore) -> None:
    for name in ("a", "folder/b", "folder/c d%", "kept"):
        store.put(name, b"x")
    store.delete_many(["a", "folder/b", "absent", "folder/c d%"])
    store.delete_many(["a", "folder/b"])
    store.delete_many([])
    assert _listed(store) == ["kept"]


def test_deleting_a_folder_or_below_an_object_deletes_nothing(store: ObjectStore) -> None:
    store.put("a/b", b"x")
    store.delete("a")
    store.delete("a/b/c")
    assert _listed(store) == ["a/b"]


def test_a_prefix_names_whole_segments(store: ObjectStore) -> None:
    for path in ("a/b/c", "a/b/d/e", "a/bc", "a/b%20", "ab/c", "z"):
        store.put(path, b"x")
    assert _listed(store) == ["a/b%20", "a/b/c", "a/b/d/e", "a/bc", "ab/c", "z"]
    assert _listed(store, "a") == ["a/b%20", "a/b/c", "a/b/d/e", "a/bc"]
    assert _listed(store, "a/b") == _listed(store, "a/b/") == ["a/b/c", "a/b/d/e"]
    assert _listed(store, "a/b/d") == ["a/b/d/e"]
    for prefix in ("nope", "a/nope", "a/b/c", "z", "a/b/c/d", "a/b/d/e/f"):
        assert _listed(store, prefix) == []
        assert store.list_folders(prefix) == []


def test_folders_are_listed_by_name(store: ObjectStore) -> None:
    for path in ("p/b/x", "p/a/y/z", "p/a/w", "p/c%2Fd/x", "p/e=f/x", "p/file", "top"):
        store.put(path, b"x")
    assert store.list_folders() == ["p"]
    assert store.list_folders("p") == store.list_folders("p/") == ["a", "b", "c%2Fd", "e=f"]
    assert store.list_folders("p/a") == ["y"]


def test_a_folder_goes_with_its_last_object(store: ObjectStore) -> None:
    store.put("p/status=false/reason=timeout/result.json", b"x")
    store.put("p/status=true/reason=none/result.json", b"x")
    store.delete("p/status=false/reason=timeout/result.json")
    assert store.list_folders("p") == ["status=true"]
    store.delete("p/status=true/reason=none/result.json")
    assert store.list_folders() == []
    # An object may stand where a folder stood.
    store.put("p", b"x")
    assert _listed(store) == ["p"]


def test_odd_characters_come_back_as_they_were(backend: Backend) -> None:
    store = backend.store
    for path in ODD_PATHS:
        store.create(path, path.encode())
    assert _listed(store) == backend.raw_names() == sorted(ODD_PATHS)
    for path in ODD_PATHS:
        assert store.get(path).data == path.encode()
        assert store.get(path).meta.path == path
        folder = path.rsplit("/", 1)[0]
        assert _listed(store, folder) == [path]
        etag = store.head(path).etag
        store.replace(path, b"new", etag=etag)
        assert store.get_range(path, 1, 1) == b"e"
        store.delete(path)
    assert _listed(store) == backend.raw_names() == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a/./b",
        "a\nb",
        "a\x00b",
        "a\x7f",
        "a/b#1",
        "a/bC:",
        "c|",
        ".locks/00",
        "\udcff",
        "x" * 256,
        "/".join(["x" * 200] * 6),
    ],
)
def test_a_path_that_not_every_store_can_hold_is_refused(store: ObjectStore, path: str) -> None:
    for use in (
        lambda: store.get(path),
        lambda: store.head(path),
        lambda: store.get_range(path, 0, 1),
        lambda: store.put(path, b"x"),
        lambda: store.create(path, b"x"),
        lambda: store.replace(path, b"x", etag="e"),
        lambda: store.delete(path),
        lambda: store.uri(path),
    ):
        with pytest.raises(BadInputError, match="path"):
            use()
    assert _listed(store) == []


@pytest.mark.parametrize("prefix", ["/", "/a", "a//", "../a", "a/\n", ".locks"])
def test_a_bad_prefix_is_refused_at_once(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(BadInputError, match="prefix"):
        store.list(prefix)
    with pytest.raises(BadInputError, match="prefix"):
        store.list_folders(prefix)


def test_long_listings_are_complete(backend: Backend) -> None:
    paths = [f"many/{number // 100:02d}/{number:04d}" for number in range(2345)]
    backend.fill(paths)
    assert _listed(backend.store, "many") == paths
    assert len(backend.store.list_folders("many")) == 24
    assert next(backend.store.list("many")).size == 1


def test_readers_see_whole_versions_while_a_writer_replaces(backend: Backend) -> None:
    store, done, torn = backend.store, Event(), []
    size = 300_000
    store.put("a", b"0" * size)

    def read() -> None:
        while not done.is_set():
            stored = store.get("a")
            if len(stored.data) != size or len(set(stored.data)) != 1:
                torn.append(len(stored.data))
            if _listed(store) != ["a"]:
                torn.append(-1)

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 41):
            body = b"%d" % (number % 10) * size
            if number % 2:
                store.put("a", body)
            else:
                store.replace("a", body, etag=store.head("a").etag)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert torn == []
    assert backend.raw_names() == ["a"]


RACED = tuple(f"race/{number:02d}" for number in range(12))


def _one_winner_each(backend: Backend, said: list[str]) -> None:
    by_object = list(zip(*(answer.split() for answer in said), strict=True))
    assert len(by_object) == len(RACED), said
    for path, results in zip(RACED, by_object, strict=True):
        assert sorted(results) == [LOST] * (RACERS - 1) + [WON], path
        assert backend.store.get(path).data == b"%03d" % results.index(WON)
    assert backend.raw_names() == list(RACED)


def test_of_many_racing_creators_one_wins(backend: Backend) -> None:
    _one_winner_each(backend, backend.race(Create(RACED)))


def test_of_many_racing_replacers_one_wins(backend: Backend) -> None:
    versions = tuple((path, backend.store.put(path, b"old").etag) for path in RACED)
    _one_winner_each(backend, backend.race(Replace(versions)))


def test_no_compare_and_swap_is_lost(backend: Backend) -> None:
    backend.store.put("count", b"000000")
    race_threads(backend.store, Count("count", times=5), racers=6)
    assert int(backend.store.get("count").data) == 30


def test_creations_and_deletions_of_one_object_may_cross(backend: Backend) -> None:
    said = race_threads(backend.store, Replay("deep/er/object", times=20), racers=6)
    created = sum(int(counts.split()[0]) for counts in said)
    deleted = sum(int(counts.split()[1]) for counts in said)
    assert created >= 1
    # A deletion may find nothing, since another came first: never fewer than were made and gone.
    assert backend.raw_names() == _listed(backend.store)
    assert len(_listed(backend.store)) >= created - deleted


def test_listing_goes_on_while_objects_come_and_go(backend: Backend) -> None:
    store, done = backend.store, Event()
    stays = [f"stays/{number}" for number in range(5)]
    for path in stays:
        store.put(path, b"x")

    def churn() -> None:
        number = 0
        while not done.is_set():
            number += 1
            store.put(f"goes/{number}/x", b"x")
            store.delete(f"goes/{number}/x")

    churner = Thread(target=churn)
    churner.start()
    try:
        seen = [[meta.path for meta in store.list()] for _ in range(50)]
        folders = [store.list_folders() for _ in range(20)]
    finally:
        done.set()
        churner.join()
    for paths in seen:
        assert sorted(path for path in paths if path.startswith("stays/")) == stays
        assert all(path.startswith(("stays/", "goes/")) for path in paths)
    assert all("stays" in names for names in folders)
    assert store.list_folders() == ["stays"]


def test_the_uri_is_the_url_and_the_path(store: ObjectStore) -> None:
    root = store.url.rstrip("/") if "://" in store.url.rstrip("/") else "memory://"
    assert store.uri("a/b=c.json") == f"{root}/a/b=c.json"
    assert store.url in repr(store)


def test_a_store_travels_to_other_processes_or_says_why_not(
    backend: Backend, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = backend.store
    store.put("a", b"x")
    if backend.address is not None and backend.address.access is not None:
        with pytest.raises(BadInputError, match="session"):
            pickle.dumps(store)
        access = backend.address.access
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        for name, value in access.environment().items():
            monkeypatch.setenv(name, value)
        store = open_store(backend.address.url, endpoint_url=access.endpoint_url)
    elif backend.address is None:
        with pytest.raises(BadInputError, match="another process"):
            pickle.dumps(store)
        return
    again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert again.url == store.url
    assert again.get("a").data == b"x"
