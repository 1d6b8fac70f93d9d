"""Ratings in a store: one object a user, others that write meanwhile, and exports from anywhere."""

import json
from pathlib import Path

import pytest

from estinel_assets.errors import BadInputError, StoreError, UnansweredError, UnitError
from estinel_assets.imagery.rating_store import (
    import_user,
    read_exports,
    read_user,
    read_users,
    user_path,
)
from estinel_assets.imagery.ratings import MergeCounts
from estinel_assets.settings import TransportSettings
from estinel_assets.storage.opening import open_store
from tests.support.hostile import HOSTILE_NAMES
from tests.support.http import Misbehaviour, RangeServer
from tests.support.racing import race_threads
from tests.support.ratings import NOW, ImportRatings, entry, export
from tests.support.recording_store import RecordingStore

TRANSPORT = TransportSettings(attempts=2, backoff_s=0.01, timeout_s=5)


@pytest.fixture
def store():
    return RecordingStore()


class MeddlingStore(RecordingStore):
    """Another import writes before each of the first writes."""

    def __init__(self, meddle, times):
        super().__init__()
        self.meddle, self.left = meddle, times

    def _write(self, path):
        if self.left:
            self.left -= 1
            self.meddle(self.store, self.left)
        super()._write(path)


def test_an_import_is_an_export_again(store):
    given = {"b": entry("good"), "a": entry("bad"), "c": entry(None)}

    assert import_user(store, "user_1", given) == MergeCounts(new=3)

    document = json.loads(store.get("ratings/users/user_1.json").data)
    assert document == {
        "user_id": "user_1",
        "timestamp": "2024-12-20T11:00:00.000Z",
        "location": "",
        "ratings": [
            {"image_id": "a", "rating": "bad", "timestamp": "2024-12-20T11:00:00.000Z"},
            {"image_id": "b", "rating": "good", "timestamp": "2024-12-20T11:00:00.000Z"},
        ],
        "cleared": [{"image_id": "c", "timestamp": "2024-12-20T11:00:00.000Z"}],
    }
    assert read_user(store, "user_1").ratings == given


def test_the_same_import_writes_nothing(store):
    import_user(store, "user_1", {"a": entry("bad")})
    store.forget()

    assert import_user(store, "user_1", {"a": entry("bad")}) == MergeCounts(unchanged=1)
    assert import_user(store, "user_1", {"a": entry("ok", -90)}) == MergeCounts(older=1)
    assert store.writes == []
    assert import_user(store, "user_1", {"a": entry("ok", -5)}) == MergeCounts(updated=1)
    assert store.writes == [user_path("user_1")]


@pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if len(name) < 50])
def test_each_user_has_an_object_of_its_own(store, name):
    import_user(store, name, {"a": entry("ok")})
    import_user(store, "user_1", {"a": entry("bad")})

    paths = [meta.path for meta in store.list()]
    assert all(path.startswith("ratings/users/") and path.count("/") == 2 for path in paths)
    assert {one.user_id: one.ratings["a"] for one in read_users(store)} == {
        name: entry("ok"),
        "user_1": entry("bad"),
    }


def test_nobody_loses_what_another_import_writes_meanwhile():
    def meddle(store, left):
        import_user(store, "user_1", {f"other-{left}": entry("ok")})

    store = MeddlingStore(meddle, times=5)
    import_user(store, "user_1", {"a": entry("good")})

    found = read_user(store, "user_1").ratings
    assert found.keys() == {"a", *(f"other-{number}" for number in range(5))}


def test_an_import_that_never_comes_to_its_turn_says_so():
    def meddle(store, left):
        import_user(store, "user_1", {f"other-{left}": entry("ok")})

    store = MeddlingStore(meddle, times=10_000)
    with pytest.raises(StoreError, match="keeps changing; import again"):
        import_user(store, "user_1", {"a": entry("good")})


class Unanswering(RecordingStore):
    """The answers of the first writes are lost, whether these happened or not."""

    def __init__(self, times, *, happens):
        super().__init__()
        self.left, self.happens = times, happens

    def create(self, path, data, *, content_type=None):
        return self._lost(super().create, path, data, content_type=content_type)

    def replace(self, path, data, *, etag, content_type=None):
        return self._lost(super().replace, path, data, etag=etag, content_type=content_type)

    def _lost(self, write, *arguments, **named):
        if not self.left:
            return write(*arguments, **named)
        self.left -= 1
        if self.happens:
            write(*arguments, **named)
        raise UnansweredError("the connection broke")


@pytest.mark.parametrize("happens", [True, False])
def test_a_lost_answer_is_asked_after(happens):
    store = Unanswering(1, happens=happens)

    assert import_user(store, "user_1", {"a": entry("good")}) == MergeCounts(new=1)
    assert read_user(store, "user_1").ratings == {"a": entry("good")}


def test_a_store_that_never_answers():
    with pytest.raises(UnansweredError):
        import_user(Unanswering(50, happens=False), "user_1", {"a": entry("good")})


def test_many_imports_at_once(store):
    assert race_threads(store.store, ImportRatings("user_1", 3)) == ["done"] * 20

    found = read_user(store, "user_1").ratings
    assert len(found) == 20 * 3 + 1
    assert found["shared"] == entry("ok", 19)


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", json.dumps(export("user_2", {"a": "ok"})).encode(),
     json.dumps(export("user_1", {"a": "great"})).encode()],
)  # fmt: skip
def test_what_is_not_this_users_is_not_written_over(store, body):
    store.put(user_path("user_1"), body)

    for work in (
        lambda: import_user(store, "user_1", {"a": entry("ok")}),
        lambda: read_users(store),
    ):
        with pytest.raises(StoreError, match=r"user_1\.json holds no ratings of one user"):
            work()
    assert store.get(user_path("user_1")).data == body


def test_an_export_of_several_users_is_no_users_object(store):
    document = export("user_1", {"a": "ok"})
    document["ratings"][0]["user_id"] = "user_2"
    store.put(user_path("user_1"), json.dumps(document).encode())

    with pytest.raises(StoreError, match="ratings of several users"):
        read_users(store)


# --- where exports come from -------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path):
    for user in ("one", "two"):
        document = export(user, {"a": "ok", f"of-{user}": "bad"})
        (tmp_path / f"{user}.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


def test_exports_from_files_and_the_web(files):
    with RangeServer(files) as server:
        sources = [str(files / "one.json"), server.url("two.json") + "?signature=secret"]
        found = read_exports(sources, TRANSPORT, NOW)

    assert [one.user_id for one in found.values()] == ["one", "two"]
    assert list(found) == sources


def test_every_source_with_a_problem_is_named(files):
    (files / "bad.json").write_text('{"user_id": "u", "ratings": [1]}')
    (files / "half.json").write_text('{"user_id": "u", "rat')
    with RangeServer(files) as server:
        sources = [
            str(files / "one.json"),
            str(files / "bad.json"),
            str(files / "half.json"),
            str(files / "absent.json"),
            str(files),
            server.url("absent.json") + "?signature=secret",
            "s3://bucket/ratings.json",
            "http://",
            "a\0b",
        ]
        with pytest.raises(BadInputError) as caught:
            read_exports(sources, TRANSPORT, NOW)

    message = str(caught.value)
    for said in (
        "ratings[0] is no rating but 1",
        "half.json is not JSON",
        "there is no file " + str(files / "absent.json"),
        f"the file {files} cannot be read (Is a directory)",
        "404",
        "s3://bucket/ratings.json cannot be read: give a local file",
        "embedded null byte",
    ):
        assert said in message
    assert "one.json" not in message
    assert "secret" not in message
    assert message.endswith("nothing was imported")


def test_an_address_that_fails_now_may_work_later(files):
    with RangeServer(files) as server:
        server.misbehave("one.json", Misbehaviour(status=503))
        with pytest.raises(UnitError, match="503"):
            read_exports([server.url("one.json")], TRANSPORT, NOW)
        server.misbehave("two.json", Misbehaviour(status=503, times=1))
        assert read_exports([server.url("two.json")], TRANSPORT, NOW)


def test_a_folder_as_a_store(tmp_path):
    store = open_store(tmp_path.as_uri())
    import_user(store, "user_1", {"a": entry("ok")})

    assert (tmp_path / "ratings/users/user_1.json").is_file()
    assert [one.user_id for one in read_users(store)] == ["user_1"]
