"""Structures of TIFFs in memory and in the store: bounded, shared by threads, without secrets."""

import logging
import sys
from functools import cache
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compute import Threads
from estinel_assets.errors import BadInputError, LeaseLostError, StoreError
from estinel_assets.raster.header_cache import Head, HeaderCache, header_key, read_head
from estinel_assets.raster.header_shelf import pack, unpack
from estinel_assets.raster.tiff import Tiff
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.recording_store import RecordingStore
from tests.support.tiff_bytes import Image, tiff
from tests.support.watched_store import WatchedStore

PATH = "imagery/headers/SITE"


@cache
def learned(number: int) -> tuple[Head, Tiff]:
    """The head and structure of a file of its own."""
    rng = np.random.default_rng(number)
    content = tiff([Image(rng.poisson(5, (130, 200)).astype(np.uint8), block=(16, 32))])
    return read_head(lambda at, n: content[at : at + n], len(content), f'"{number}"')


def stored(store: ObjectStore, path: str = PATH) -> dict[str, Head]:
    return dict(unpack(store.get(path).data))


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RecordingStore:
    url = "memory://" if request.param == "memory" else f"file://{tmp_path}/store"
    return RecordingStore(open_store(url))


class TestKeys:
    @pytest.mark.parametrize(
        "href",
        [
            "s3://bucket/a/b.tif",
            "/folder/with spaces/ä.tif",
            "file:///folder/@here/b.tif",
            "https://example.org/a/b.tif",
            "https://example.org:8443/a@b/c.tif",
        ],
    )
    def test_a_plain_address_is_its_key(self, href: str) -> None:
        assert header_key(href) == href

    @pytest.mark.parametrize(
        "query",
        [
            "sv=2021-06-08&st=2024-01-01T00%3A00%3A00Z&se=2024-01-02&sr=c&sp=rl&sig=SECRET%2B%3D",
            "skoid=a&sktid=b&skt=c&ske=d&sks=b&skv=2021-06-08&sp=r&sig=SECRET",
            "X-Amz-Credential=SECRET%2F2024&X-Amz-Security-Token=SECRET&X-Amz-Signature=SECRET&x-id=Get",
            "AWSAccessKeyId=SECRET&Expires=1700000000&Signature=SECRET",
            "x-goog-credential=SECRET&x-goog-expires=1&x-goog-signature=SECRET",
            "GoogleAccessId=SECRET&Expires=1&Signature=SECRET",
            "Expires=1&Policy=SECRET&Signature=SECRET&Key-Pair-Id=SECRET",
        ],
    )
    def test_a_signature_makes_no_difference(self, query: str) -> None:
        address = "https://example.org/a/b.tif"
        assert header_key(f"{address}?{query}") == address
        assert header_key(f"{address}?{query}#part") == address
        by_name = header_key(f"{address}?file=a.tif")
        assert header_key(f"{address}?file=a.tif&{query}") == by_name
        assert header_key(f"{address}?{query}&file=a.tif") == by_name

    def test_files_that_differ_by_their_query_differ(self) -> None:
        hrefs = [
            "https://example.org/get",
            "https://example.org/get?file=a.tif",
            "https://example.org/get?file=b.tif",
            "https://example.org/get?file=b.tif&versionId=7",
            # Names that also signatures have, where nothing is signed.
            "https://example.org/get?sr=1",
            "https://example.org/get?sr=2",
            "https://example.org/get?expires=2",
            "https://example.org/get?policy=2",
            "https://example.org/get?snapshot=1&sig=x",
            "https://example.org/get?snapshot=2&sig=x",
            "/folder/a?sig=1.tif",
            "/folder/a?sig=2.tif",
            "/folder/a#1.tif",
            "s3://bucket/a#2.tif",
            "s3://bucket/a#3.tif",
            "/folder/\udce4.tif",
            "/folder/\udce5.tif",
        ]
        assert len({header_key(href) for href in hrefs}) == len(hrefs)

    @given(
        scheme=st.sampled_from(["http://", "HTTPS://", "s3://", "file:///", "/"]),
        name=st.sampled_from(["token", "apikey", "sig", "X-Amz-Signature", "other"]),
        login=st.booleans(),
        mark=st.sampled_from("?#"),
    )
    def test_no_key_has_a_secret(self, scheme: str, name: str, login: bool, mark: str) -> None:
        user = "user:SECRET@" if login and not scheme.endswith("/" * 3) and scheme != "/" else ""
        key = header_key(f"{scheme}{user}host/a.tif{mark}{name}=SECRET")
        assert "SECRET" not in key
        assert key.startswith(f"{scheme}host/a.tif")

    @given(st.text(st.characters(codec=None)))
    def test_every_key_can_be_stored(self, href: str) -> None:
        key = header_key(href)
        head, _ = learned(0)
        assert unpack(pack([(key, head)])) == [(key, head)]


class TestMemory:
    def test_what_was_put_comes_back_until_forgotten(self) -> None:
        kept = HeaderCache()
        assert kept.get("a") is None
        head, found = learned(1)
        kept.put("a", head, found)
        assert kept.get("a") == (head, found)
        kept.put("a", *learned(2))
        assert kept.get("a") == learned(2)
        kept.forget("a")
        kept.forget("a")
        assert kept.get("a") is None

    def test_those_longest_unused_go_first(self) -> None:
        one = size_of_one()
        kept = HeaderCache(max_bytes=3 * one)
        for number in range(3):
            kept.put(str(number), *learned(number))
        assert kept.get("0") is not None
        kept.put("3", *learned(3))
        assert [kept.get(str(number)) is None for number in range(4)] == [False, True, False, False]

    def test_putting_again_and_forgetting_make_room(self) -> None:
        kept = HeaderCache(max_bytes=2 * size_of_one())
        kept.put("0", *learned(0))
        for _ in range(10):
            kept.put("1", *learned(1))
            kept.forget("1")
            kept.put("1", *learned(1))
        assert kept.get("0") is not None

    def test_one_that_is_too_large_puts_out_no_others(self) -> None:
        kept = HeaderCache(max_bytes=2 * size_of_one())
        kept.put("0", *learned(0))
        head, found = learned(1)
        kept.put("large", Head(((0, bytes(10**6)),), head.size, None), found)
        assert kept.get("large") is None
        assert kept.get("0") is not None

    def test_many_threads_see_what_belongs_together(self) -> None:
        kept = HeaderCache(max_bytes=5 * size_of_one())

        def work(seed: int) -> int:
            rng = np.random.default_rng(seed)
            hits = 0
            for number in rng.integers(0, 10, 500).tolist():
                key = str(number)
                found = kept.get(key)
                if found is None:
                    kept.put(key, *learned(number))
                else:
                    assert found == learned(number)
                    hits += 1
                if number == 7:
                    kept.forget(key)
            return hits

        for number in range(10):
            learned(number)
        done = list(Threads(16).map(work, range(16)))
        assert [one.error for one in done] == [None] * 16
        assert sum(one.value or 0 for one in done) > 500
        # Nothing is counted that is not there: all five fit still.
        for number in range(10):
            kept.forget(str(number))
        for number in range(5):
            kept.put(str(number), *learned(number))
        assert all(kept.get(str(number)) for number in range(5))


@cache
def size_of_one() -> int:
    """The least bound that holds one entry, bytes."""
    low, high = 0, 10**6
    while high - low > 1:
        middle = (low + high) // 2
        kept = HeaderCache(middle)
        kept.put("0", *learned(0))
        low, high = (low, middle) if kept.get("0") else (middle, high)
    return high


class TestStore:
    def test_another_process_knows_what_this_one_learned(self, store: RecordingStore) -> None:
        kept = HeaderCache()
        with kept.kept_in(store, PATH):
            kept.put("a", *learned(1))
            kept.put("b", *learned(2))
        assert stored(store) == {"a": learned(1)[0], "b": learned(2)[0]}
        other = HeaderCache()
        assert other.get("a") is None
        with other.kept_in(store, PATH):
            found = other.get("a")
            assert found is not None
            assert found[0] == learned(1)[0]
            np.testing.assert_array_equal(
                found[1].images[0].offsets, learned(1)[1].images[0].offsets
            )
            assert other.get("c") is None
        assert other.get("a") is not None
        assert other.get("b") is None
        assert store.writes == [PATH]

    def test_it_is_parsed_once(self, store: RecordingStore) -> None:
        kept = HeaderCache()
        store.put(PATH, pack([("a", learned(1)[0])]))
        with kept.kept_in(store, PATH):
            first, second = kept.get("a"), kept.get("a")
        assert first is not None
        assert second is not None
        assert first[1] is second[1]

    def test_threads_that_ask_at_once_get_the_same(self, store: RecordingStore) -> None:
        keys = [str(number) for number in range(20)]
        store.put(PATH, pack([(key, learned(int(key))[0]) for key in keys]))
        kept = HeaderCache()
        together = Barrier(8)

        def read(_: int) -> list[Tiff]:
            together.wait(20)
            return [found[1] for key in keys if (found := kept.get(key)) is not None]

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with kept.kept_in(store, PATH):
                done = list(Threads(8).map(read, range(8)))
        finally:
            sys.setswitchinterval(interval)
        assert [one.error for one in done] == [None] * 8
        first = done[0].value or []
        assert len(first) == len(keys)
        for one in done:
            assert all(left is right for left, right in zip(one.value or [], first, strict=True))

    def test_nothing_new_is_not_written(self, store: RecordingStore) -> None:
        kept = HeaderCache()
        with kept.kept_in(store, PATH):
            assert kept.get("a") is None
        assert store.writes == []
        store.put(PATH, pack([("a", learned(1)[0])]))
        store.forget()
        with kept.kept_in(store, PATH):
            kept.get("a")
            # Learned again, and the same.
            kept.put("a", *learned(1))
        assert (store.reads, store.writes) == ([PATH], [])

    def test_what_was_changed_or_forgotten_is_written(self, store: RecordingStore) -> None:
        kept = HeaderCache()
        former = [("a", learned(1)[0]), ("b", learned(2)[0])]
        store.put(PATH, pack(former))
        with kept.kept_in(store, PATH):
            kept.get("a")
            kept.forget("a")
            assert kept.get("a") is None
            kept.put("a", *learned(3))
        assert stored(store) == {"b": learned(2)[0], "a": learned(3)[0]}
        with kept.kept_in(store, PATH):
            kept.forget("b")
        assert stored(store) == {"a": learned(3)[0]}
        with kept.kept_in(store, PATH):
            kept.put("a", *learned(4))
        assert stored(store) == {"a": learned(4)[0]}

    def test_what_memory_knows_already_is_stored_too(self, store: RecordingStore) -> None:
        kept = HeaderCache()
        kept.put("a", *learned(1))
        kept.put("unused", *learned(2))
        with kept.kept_in(store, PATH):
            kept.get("a")
        assert stored(store) == {"a": learned(1)[0]}

    def test_the_same_work_stores_the_same_bytes(self, store: RecordingStore) -> None:
        bodies = []
        for order in ([1, 2, 3], [3, 1, 2]):
            store.put(PATH, pack([("2", learned(2)[0]), ("0", learned(0)[0])]))
            kept = HeaderCache()
            with kept.kept_in(store, PATH):
                for number in order:
                    kept.put(str(number), *learned(number))
                    kept.get(str(order[0]))
            bodies.append(store.get(PATH).data)
        assert bodies[0] == bodies[1]
        assert list(stored(store)) == ["0", "1", "2", "3"]

    def test_those_longest_unused_are_not_stored(self, store: RecordingStore) -> None:
        most = len(pack([(str(number), learned(number)[0]) for number in range(30)]))
        for start in range(0, 60, 10):
            kept = HeaderCache()
            with kept.kept_in(store, PATH, max_stored_bytes=most):
                kept.get("5")
                for number in range(start, start + 10):
                    kept.put(str(number), *learned(number))
            assert store.head(PATH).size <= most
        found = set(stored(store))
        assert found > {"5", *(str(number) for number in range(45, 60))}
        assert not found & {str(number) for number in range(30) if number != 5}

    def test_no_secret_is_stored(self, store: RecordingStore) -> None:
        kept = HeaderCache()
        with kept.kept_in(store, PATH):
            for query in ("se=1&sig=SECRET", "token=SECRET", "file=a.tif&sig=SECRET"):
                key = header_key(f"https://user:SECRET@example.org/a.tif?{query}")
                kept.put(key, *learned(1))
        for key, head in stored(store).items():
            assert "SECRET" not in key
            assert not any(b"SECRET" in body for _, body in head.pieces)
        assert len(stored(store)) == 3

    @pytest.mark.parametrize("path", ["", "/a", "a//b", "../a"])
    def test_a_path_that_cannot_be_is_an_error(self, store: RecordingStore, path: str) -> None:
        entered = False
        with pytest.raises(BadInputError), HeaderCache().kept_in(store, path):
            entered = True
        assert not entered


class TestContexts:
    def test_each_keeps_what_was_used_in_it(self, store: RecordingStore) -> None:
        kept = HeaderCache()
        kept.put("0", *learned(0))
        together = Barrier(4)

        def read(number: int) -> None:
            together.wait(20)
            if kept.get(str(number)) is None:
                kept.put(str(number), *learned(number))

        def site(number: int) -> None:
            with kept.kept_in(store, f"headers/{number}"):
                own = [10 * number + one for one in range(1, 4)]
                for done in Threads(4).map(read, [0, *own]):
                    assert done.error is None

        for done in Threads(6).map(site, range(6)):
            assert done.error is None
        for number in range(6):
            own = {str(10 * number + one) for one in range(1, 4)}
            assert set(stored(store, f"headers/{number}")) == {"0", *own}

    def test_the_innermost_one_counts_and_only_for_its_cache(self, store: RecordingStore) -> None:
        one, other = HeaderCache(), HeaderCache()
        with one.kept_in(store, "outer"):
            one.put("a", *learned(1))
            with one.kept_in(store, "inner"):
                one.put("b", *learned(2))
                other.put("c", *learned(3))
            one.put("d", *learned(4))
        one.put("e", *learned(5))
        assert set(stored(store, "outer")) == {"a", "d"}
        assert set(stored(store, "inner")) == {"b"}

    def test_a_thread_outside_of_it_adds_nothing(self, store: RecordingStore) -> None:
        kept = HeaderCache()
        with kept.kept_in(store, PATH):
            outside = Thread(target=kept.put, args=("a", *learned(1)))
            outside.start()
            outside.join()
            assert kept.get("b") is None
        assert store.writes == []
        assert kept.get("a") == learned(1)

    @pytest.mark.parametrize(
        "error", [LeaseLostError("lost"), ValueError("x"), KeyboardInterrupt()]
    )
    def test_after_an_exception_nothing_is_written(
        self, store: RecordingStore, error: BaseException
    ) -> None:
        kept = HeaderCache()

        def fail() -> None:
            with kept.kept_in(store, PATH):
                kept.put("a", *learned(1))
                raise error

        with pytest.raises(type(error)) as caught:
            fail()
        assert caught.value is error
        assert store.writes == []
        # And what comes after is not taken for a part of it.
        kept.put("b", *learned(2))
        with kept.kept_in(store, PATH):
            kept.get("b")
        assert set(stored(store)) == {"b"}

    def test_many_threads_on_one_object(self, store: RecordingStore) -> None:
        """The last one wins; whatever stands is sound."""
        kept = HeaderCache(max_bytes=4 * size_of_one())

        def work(number: int) -> None:
            for turn in range(5):
                with kept.kept_in(store, PATH):
                    for key in range(number, number + 4):
                        if kept.get(str(key)) is None:
                            kept.put(str(key), *learned(key))
                    if turn == number % 5:
                        kept.forget(str(number))

        for done in Threads(8).map(work, range(8)):
            assert done.error is None
        found = stored(store)
        assert found
        assert all(head == learned(int(key))[0] for key, head in found.items())


class TestTrouble:
    @given(st.data())
    def test_a_damaged_object_is_replaced(self, data: st.DataObject) -> None:
        sound = pack([(str(number), learned(number)[0]) for number in range(3)])
        content = bytearray(sound)
        at = data.draw(st.integers(0, len(sound) - 1))
        if data.draw(st.booleans()):
            content[at] ^= data.draw(st.integers(1, 255))
        else:
            content[at:] = data.draw(st.binary(max_size=30))
        store = RecordingStore()
        store.put(PATH, bytes(content))
        use = data.draw(st.booleans())
        kept = HeaderCache()
        with kept.kept_in(store, PATH):
            if use and kept.get("1") is None:
                kept.put("1", *learned(1))
        if bytes(content) != sound:
            assert stored(store) == ({"1": learned(1)[0]} if use else {})

    def test_the_log_names_a_damaged_object(
        self, store: RecordingStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.put(PATH, b"PAR1")
        with HeaderCache().kept_in(store, PATH):
            pass
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert store.store.uri(PATH) in record.getMessage()
        assert stored(store) == {}

    def test_a_head_that_tells_nothing_is_dropped(
        self, store: RecordingStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        head, _ = learned(1)
        bad = Head(((0, b"not a TIFF at all"),), 17, None)
        strips = tiff([Image(np.zeros((8, 8), np.uint8), tags={322: None})])
        store.put(
            PATH,
            pack([("bad", bad), ("kind", Head(((0, strips),), len(strips), None)), ("good", head)]),
        )
        kept = HeaderCache()
        with kept.kept_in(store, PATH):
            assert kept.get("bad") is None
            assert kept.get("bad") is None
            assert kept.get("kind") is None
            assert kept.get("good") is not None
        assert set(stored(store)) == {"good"}
        said = [record.getMessage() for record in caplog.records if "header" in record.name]
        assert len([text for text in said if " bad " in text]) == 1
        assert {record.levelno for record in caplog.records if "header" in record.name} == {
            logging.DEBUG
        }

    def test_a_store_that_cannot_be_read_is_not_overwritten(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        inner = open_store("memory://")
        inner.put(PATH, pack([("a", learned(1)[0])]))

        def refuse() -> None:
            raise StoreError("no answer from the store")

        watched = WatchedStore(inner, reading=refuse)
        kept = HeaderCache()
        with kept.kept_in(watched, PATH):
            assert kept.get("a") is None
            kept.put("b", *learned(2))
        assert watched.writes == []
        assert set(stored(inner)) == {"a"}
        assert kept.get("b") == learned(2)
        assert "no answer from the store" in caplog.text

    def test_a_store_that_cannot_be_written_fails_nothing(
        self, store: RecordingStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.refused = "SITE"
        kept = HeaderCache()
        with kept.kept_in(store, PATH):
            kept.put("a", *learned(1))
        assert store.writes == []
        assert kept.get("a") == learned(1)
        assert "was refused" in caplog.text

    def test_another_error_of_the_store_is_a_bug(self) -> None:
        def fail() -> None:
            raise RuntimeError("a bug")

        watched = WatchedStore(open_store("memory://"), reading=fail)
        with pytest.raises(RuntimeError, match="a bug"), HeaderCache().kept_in(watched, PATH):
            pass
