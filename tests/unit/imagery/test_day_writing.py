"""A day's objects are written together, the item when all others stand, and a failure is told."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import StoreError
from estinel_assets.imagery.day_writing import AT_ONCE, NewObject, write_together
from estinel_assets.imagery.reasons import ImageryReason
from estinel_assets.storage.opening import open_store
from tests.support.days import PATHS, SITE, WINDOW, ArrayReader, day_input, maker, pixels
from tests.support.watched_store import WatchedStore, Write

PATIENCE_S = 30
IMAGES = {PATHS.scl, PATHS.rgb, *PATHS.views.values(), *PATHS.thumbnails.values()}


def make(store):
    return maker(store, ArrayReader(pixels())).make(
        SITE, WINDOW, day_input(), before_writing=lambda: None
    )


def objects(names, encode=lambda name: name.encode()):
    return [NewObject(name, "text/plain", lambda name=name: encode(name)) for name in names]


def test_all_images_of_a_day_are_on_their_way_at_once():
    together = threading.Barrier(len(IMAGES), timeout=PATIENCE_S)

    def wait_for_the_others(write: Write) -> None:
        if write.path in IMAGES:
            together.wait()

    store = WatchedStore(open_store("memory://"), before=wait_for_the_others)

    assert make(store).reason is ImageryReason.NONE  # a broken barrier would have raised
    assert len(IMAGES) == AT_ONCE == 8


@pytest.mark.parametrize("late", sorted(IMAGES))
def test_the_item_is_written_when_all_others_stand(late):
    inner = open_store("memory://")
    standing = []

    def linger(write: Write) -> None:
        if write.path == late:
            time.sleep(0.05)
        if write.path == PATHS.item:
            standing.extend(meta.path for meta in inner.list())

    store = WatchedStore(inner, before=linger)
    make(store)

    assert set(standing) == IMAGES
    assert store.writes[-1].path == PATHS.item
    assert len(store.writes) == 9


@pytest.mark.parametrize("refused", [*sorted(IMAGES), None])
def test_a_refusal_lets_the_others_end_and_the_item_wait(refused):
    """None: all are refused, and the one that is told of is always the same."""

    def refuse(write: Write) -> None:
        if write.path == (refused or write.path):
            time.sleep(0 if write.path != PATHS.rgb else 0.02)
            raise StoreError(f"no room for {write.path}")

    inner = open_store("memory://")
    store = WatchedStore(inner, before=refuse)

    with pytest.raises(StoreError) as caught:
        make(store)

    assert str(caught.value) == f"no room for {refused or PATHS.rgb}"
    assert {meta.path for meta in inner.list()} == (IMAGES - {refused} if refused else set())
    assert {write.path for write in store.writes} == IMAGES


def test_what_cannot_be_encoded_is_told_as_it_is():
    def encode(name):
        if name == "b":
            raise ZeroDivisionError(name)
        return name.encode()

    store = open_store("memory://")
    with pytest.raises(ZeroDivisionError, match="b"):
        write_together(store, objects("abc", encode))
    assert {meta.path for meta in store.list()} == {"a", "c"}


@given(st.lists(st.booleans(), max_size=20))
def test_of_several_failures_the_first_in_order_is_told(fails):
    def encode(name):
        if fails[int(name)]:
            raise StoreError(name)
        return name.encode()

    names = [str(number) for number in range(len(fails))]
    store = open_store("memory://")
    told = None
    try:
        write_together(store, objects(names, encode))
    except StoreError as error:
        told = str(error)

    assert told == next((name for name in names if fails[int(name)]), None)
    expected = {name for name in names if not fails[int(name)]}
    assert {meta.path for meta in store.list()} == expected
    assert all(store.get(name).data == name.encode() for name in expected)


def test_no_more_are_encoded_than_are_on_their_way():
    """However many there are, memory holds the content of `AT_ONCE` at most."""
    held = most = 0
    lock = threading.Lock()

    def encode(name):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        time.sleep(0.001)
        return name.encode()

    def stored(_):
        nonlocal held
        with lock:
            held -= 1

    store = WatchedStore(open_store("memory://"), after=stored)
    write_together(store, objects(map(str, range(40)), encode))

    assert 1 < most <= AT_ONCE
    assert len(store.writes) == 40


def test_images_say_what_they_are():
    seen = {}

    class Typed(WatchedStore):
        def put(self, path, data, *, content_type=None):
            seen[path.rsplit(".", 1)[1], content_type] = data[:4]
            return super().put(path, data, content_type=content_type)

    make(Typed(open_store("memory://")))

    assert {kind: bytes(start) for kind, start in seen.items()} == {
        ("tif", "image/tiff"): b"II*\0",
        ("png", "image/png"): b"\x89PNG",
        ("json", "application/geo+json"): seen["json", "application/geo+json"],
    }


def test_the_same_day_gives_the_same_bytes_in_whatever_order_they_are_written():
    def late_in(order):
        delays = dict(zip(sorted(IMAGES), order, strict=True))
        inner = open_store("memory://")
        make(WatchedStore(inner, before=lambda write: time.sleep(delays.get(write.path, 0) / 500)))
        return {meta.path: inner.get(meta.path).data for meta in inner.list()}

    shuffled = np.random.default_rng(5).permutation(8)
    assert late_in(range(8)) == late_in(shuffled)
