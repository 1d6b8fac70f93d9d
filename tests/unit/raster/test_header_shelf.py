"""Heads of TIFFs as they are stored: the same bytes for the same heads, bounded, never damaged."""

import hashlib
import json
import struct

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.raster.header_shelf import (
    MOST_UNPACKED,
    DamagedShelfError,
    Head,
    Item,
    Shelf,
    pack,
    pack_within,
    read_head,
    unpack,
)
from estinel_assets.raster.tiff import MalformedTiffError, Tiff, read_tiff
from estinel_assets.storage import open_store
from tests.support.tiff_bytes import Image, tiff

PIXELS = np.random.default_rng(0).integers(0, 60_000, (200, 300)).astype(np.uint16)
FULL, HALF = Image(PIXELS), Image(PIXELS[::2, ::2].copy(), kind=1)

heads = st.builds(
    Head,
    pieces=st.lists(
        st.tuples(st.integers(0, 2**63), st.binary(max_size=60)),
        max_size=3,
        unique_by=lambda p: p[0],
    ).map(lambda pieces: tuple(sorted(pieces))),
    size=st.integers(0, 2**63),
    etag=st.none() | st.text(max_size=20),
)
shelves = st.dictionaries(st.text(max_size=40), heads, max_size=8).map(lambda d: list(d.items()))


def random_items(count: int, length: int = 1000) -> list[Item]:
    rng = np.random.default_rng(1)
    return [(f"k{n:04d}", Head(((0, rng.bytes(length)),), n, None)) for n in range(count)]


def same(one: Tiff, other: Tiff) -> bool:
    assert len(one.images) == len(other.images)
    for left, right in zip(one.images, other.images, strict=True):
        np.testing.assert_array_equal(left.offsets, right.offsets)
        np.testing.assert_array_equal(left.byte_counts, right.byte_counts)
        assert (left.shape, left.dtype, left.nodata) == (right.shape, right.dtype, right.nodata)
    return (one.transform, one.crs) == (other.transform, other.crs)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("directories_last", [False, True])
def test_a_head_tells_the_structure_without_pixels(
    order: str, big: bool, directories_last: bool
) -> None:
    content = tiff([FULL, HALF], order=order, big=big, directories_last=directories_last)
    head, found = read_head(lambda at, n: content[at : at + n], len(content), '"v1"')
    assert same(found, read_tiff(lambda at, n: content[at : at + n]))
    assert same(found, read_tiff(head.read))
    assert (head.size, head.etag) == (len(content), '"v1"')
    assert head.length == sum(len(body) for _, body in head.pieces) < 2_000 < len(content)
    for offset, body in head.pieces:
        assert content[offset : offset + len(body)] == body
    ends = [offset + len(body) for offset, body in head.pieces]
    # Sorted, and none touches the next.
    assert all(end < start for end, (start, _) in zip(ends, head.pieces[1:], strict=False))


def test_a_head_reads_across_pieces_that_touch_or_overlap_and_over_no_gap() -> None:
    head = Head(((0, b"abcd"), (4, b"ef"), (5, b"fgh"), (20, b"xyz")), 100, None)
    assert head.read(0, 8) == b"abcdefgh"
    assert head.read(3, 3) == b"def"
    assert head.read(6, 14) == b"gh"
    assert head.read(8, 4) == b""
    assert head.read(21, 99) == b"yz"


def test_a_head_that_lacks_a_piece_is_no_tiff() -> None:
    content = tiff([FULL])
    head, _ = read_head(lambda at, n: content[at : at + n], len(content), None)
    cut = Head(tuple((at, body[: len(body) // 2]) for at, body in head.pieces), head.size, None)
    with pytest.raises(MalformedTiffError):
        read_tiff(cut.read)


@given(shelves)
def test_what_is_stored_comes_back(items: list[Item]) -> None:
    assert unpack(pack(items)) == items
    assert pack(unpack(pack(items))) == pack(items)


@given(st.data())
def test_any_damage_is_noticed(data: st.DataObject) -> None:
    content = bytearray(pack(random_items(3, 50)))
    how = data.draw(st.sampled_from(["change", "cut", "add"]))
    if how == "change":
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content += data.draw(st.binary(min_size=1, max_size=20))
    with pytest.raises(DamagedShelfError):
        unpack(bytes(content))


def sealed(unpacked: bytes, *, length: int | None = None) -> bytes:
    """What has a right digest, whatever it holds."""
    rest = struct.pack("<Q", len(unpacked) if length is None else length)
    rest += imagecodecs.zstd_encode(unpacked)
    return b"ESTHEAD\x01" + hashlib.blake2b(rest, digest_size=32).digest() + rest


def with_table(table: object, bodies: bytes = b"") -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + bodies


def test_sealed_is_what_pack_makes() -> None:
    item = ("k", Head(((7, b"abc"),), 9, "e"))
    assert unpack(sealed(with_table([["k", 9, "e", [[7, 3]]]], b"abc"))) == [item]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ESTHEAD\x01",
        b"ESTHEAD\x02" + pack([])[8:],
        b"PAR1" * 30,
        sealed(b""),
        sealed(b"\xff" * 8),
        sealed(with_table(b"[")),
        sealed(with_table(b"\xff\xfe")),
        sealed(with_table({"k": 1})),
        sealed(with_table([["k", -1, None, []]])),
        sealed(with_table([["k", 9, None, [[-7, 3]]]], b"abc")),
        sealed(with_table([["k", 9, None, [[7, 4]]]], b"abc")),
        sealed(with_table([["k", 9, None, [[7, 2]]]], b"abc")),
        sealed(with_table([["k", 9, None, [[7, 10**30]]]], b"abc")),
        sealed(with_table(b"[" * 100_000)),
        sealed(with_table([]), length=5),
        sealed(with_table([]), length=10**6),
        sealed(with_table([]), length=2**63),
        sealed(bytes(1000), length=2**20),
    ],
    ids=lambda content: hashlib.sha256(content).hexdigest()[:6],
)
def test_content_that_is_none(content: bytes) -> None:
    with pytest.raises(DamagedShelfError):
        unpack(content)


def test_a_few_bytes_that_become_many_are_not_unpacked() -> None:
    with pytest.raises(DamagedShelfError):
        unpack(sealed(bytes(65 * 1024 * 1024)))


@pytest.mark.parametrize("most_bytes", [200, 5_000, 20_000, 60_000, 10**6])
def test_there_is_room_for_the_last_ones(most_bytes: int) -> None:
    items = random_items(100, 500)
    content = pack_within(items, most_bytes)
    kept = unpack(content)
    assert len(content) <= most_bytes
    assert kept == items[len(items) - len(kept) :]
    if most_bytes > 60_000:
        assert kept == items
    elif most_bytes >= 5_000:
        assert len(kept) * 600 > 0.8 * most_bytes


def test_one_large_head_puts_out_no_others() -> None:
    items = random_items(20, 100)
    large = ("large", Head(((0, np.random.default_rng(2).bytes(9_000)),), 1, None))
    assert unpack(pack_within([*items, large], 10_000)) == items


def test_heads_that_pack_well_are_bounded_too() -> None:
    body = bytes(400_000)
    items = [(f"k{n:03d}", Head(((0, body),), n, None)) for n in range(100)]
    kept = unpack(pack_within(items, 4 * 1024 * 1024))
    assert kept == items[len(items) - len(kept) :]
    assert 30 * 1024 * 1024 < sum(head.length for _, head in kept) <= MOST_UNPACKED


def test_an_open_shelf_holds_those_used_last() -> None:
    store = open_store("memory://")
    shelf = Shelf(store, "heads", 4 * 1024 * 1024, owner=None)
    body = bytes(400_000)
    for number in reversed(range(100)):
        shelf.use(f"k{number:03d}", Head(((0, body),), number, None))
    shelf.write()
    kept = [head.size for _, head in unpack(store.get("heads").data)]
    assert kept == list(range(len(kept)))
    assert len(kept) > 75
