"""Writes to a local folder: locks, staged files, ETags."""

import fcntl
import os
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError, ChangedError, StoreError
from estinel_assets.storage import local_writes, open_store
from estinel_assets.storage.paths import check_path
from estinel_assets.storage.port import ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(tmp_path.as_uri())


def _hold_lock(root: Path, path: str) -> int:
    name = blake2b(path.encode(), digest_size=1).hexdigest()
    (root / ".locks").mkdir(exist_ok=True)
    handle = os.open(root / ".locks" / name, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


@pytest.mark.parametrize(
    ("write", "after"),
    [
        (lambda store, _: store.put("a/b", b"new"), {"a/b": b"new"}),
        (lambda store, _: store.create("a/c", b"new"), {"a/b": b"old", "a/c": b"new"}),
        (lambda store, etag: store.replace("a/b", b"new", etag=etag), {"a/b": b"new"}),
        (lambda store, _: store.delete("a/b"), {}),
    ],
    ids=["put", "create", "replace", "delete"],
)
def test_every_write_waits_for_the_lock_of_its_path(
    store: ObjectStore,
    tmp_path: Path,
    write: Callable[[ObjectStore, str], object],
    after: dict[str, bytes],
) -> None:
    etag = store.put("a/b", b"old").etag
    handles = [_hold_lock(tmp_path, path) for path in ("a/b", "a/c")]
    thread = threading.Thread(target=write, args=(store, etag))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    # Readers and listings do not wait, and see what stood there.
    assert store.get("a/b").data == b"old"
    assert [meta.path for meta in store.list()] == ["a/b"]
    for handle in handles:
        os.close(handle)
    thread.join()
    assert {meta.path: store.get(meta.path).data for meta in store.list()} == after


def test_the_condition_is_checked_under_the_lock(store: ObjectStore, tmp_path: Path) -> None:
    etag = store.put("a", b"old").etag
    handle = _hold_lock(tmp_path, "a")
    failed: list[Exception] = []

    def replace() -> None:
        try:
            store.replace("a", b"mine", etag=etag)
        except ChangedError as error:
            failed.append(error)

    thread = threading.Thread(target=replace)
    thread.start()
    thread.join(0.2)
    # Another writer, that holds the lock, comes first.
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "theirs").replace(tmp_path / "a")
    os.close(handle)
    thread.join()
    assert len(failed) == 1
    assert store.get("a").data == b"theirs"


def test_what_a_dead_writer_left_is_not_seen(store: ObjectStore, tmp_path: Path) -> None:
    store.put("a/b", b"x")
    for folder in ("a", "left"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / ".staged#123456789").write_bytes(b"half")
    assert [meta.path for meta in store.list()] == ["a/b"]
    assert [meta.path for meta in store.list("left")] == []
    assert store.list_folders() == ["a"]
    store.delete("a/b")
    assert store.list_folders() == []
    store.put("left/c", b"x")
    assert store.list_folders() == ["left"]


def test_a_write_that_fails_leaves_nothing_behind(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a/b", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local_writes.os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        store.put("a/b", b"new")
    assert store.get("a/b").data == b"old"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_every_version_is_later_though_the_clock_stands_still_or_steps_back(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime(2024, 12, 4, 14, tzinfo=UTC)
    start_ns = int(start.timestamp()) * 10**9
    monkeypatch.setattr(local_writes.time, "time_ns", lambda: start_ns)
    etags = [store.put("a", b"same").etag for _ in range(30)]
    assert store.head("a").last_modified == start + timedelta(microseconds=29)
    monkeypatch.setattr(local_writes.time, "time_ns", lambda: start_ns - 3600 * 10**9)
    etags.append(store.replace("a", b"same", etag=etags[-1]).etag)
    assert store.head("a").last_modified == start + timedelta(microseconds=30)
    assert len(set(etags)) == 31


def test_files_have_the_usual_permissions(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    store.put("put", b"")
    store.create("created", b"")
    expected = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    for name in ("put", "created"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == expected
        assert (tmp_path / name).stat().st_nlink == 1


def test_deleting_prunes_empty_folders_but_not_the_root(store: ObjectStore, tmp_path: Path) -> None:
    store.put("a/b/c/d", b"x")
    store.put("a/e", b"x")
    store.delete("a/b/c/d")
    assert not (tmp_path / "a/b").exists()
    store.delete("a/e")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".locks"]
    assert list(store.list()) == []
    assert store.list_folders() == []


def test_files_of_other_tools_are_read_listed_and_replaced(
    store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "theirs.txt").write_bytes(b"theirs")
    meta = store.head("theirs.txt")
    store.replace("theirs.txt", b"ours!!", etag=meta.etag)
    assert (tmp_path / "theirs.txt").read_bytes() == b"ours!!"


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=20),
        min_size=1,
        max_size=3,
    ).map("/".join)
)
def test_any_usable_path_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    try:
        check_path(path)
    except BadInputError:
        return
    store = open_store(tmp_path_factory.mktemp("root").as_uri())
    store.create(path, path.encode())
    assert [meta.path for meta in store.list()] == [path]
    assert store.get(path).data == path.encode()
    assert store.list_folders() == ([path.split("/")[0]] if "/" in path else [])
