"""Identifiers of sites: those that the original's archives carry."""

import csv
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.site_id import site_id
from tests.support.real import real_data

WORD = 0xFFFFFFFF


def rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & WORD


def murmur3(payload: bytes) -> int:
    """MurmurHash3 x86 32 with seed 0, from its published definition, as an independent oracle."""

    def mixed(block: int) -> int:
        return (rotated((block * 0xCC9E2D51) & WORD, 15) * 0x1B873593) & WORD

    state, whole = 0, len(payload) // 4 * 4
    for (block,) in struct.iter_unpack("<I", payload[:whole]):
        state = (rotated(state ^ mixed(block), 13) * 5 + 0xE6546B64) & WORD
    state ^= mixed(int.from_bytes(payload[whole:], "little"))
    state ^= len(payload)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        state = ((state ^ (state >> shift)) * factor) & WORD
    return state


def test_hobart() -> None:
    assert site_id("Hobart") == "site_af38900f"


def test_every_real_site_reproduces() -> None:
    with real_data("sites/locations_clean.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 72
    assert {row["location"]: site_id(row["location"]) for row in rows} == {
        row["location"]: row["SITE_ID"] for row in rows
    }


def test_the_bytes_of_an_ascii_name() -> None:
    header = bytes.fromhex("00000010 00000001 00040009 0000000b")
    assert site_id("Kingston HQ") == f"site_{murmur3(header + b'Kingston HQ'):08x}"
    assert site_id("Kingston HQ") == "site_0887733e"


def test_the_bytes_of_another_name() -> None:
    name = b"Terre Ad\xc3\xa9lie"
    header = bytes.fromhex("00000010 00000001 00008009 0000000d")
    assert len(name) == 0x0D
    assert site_id("Terre Adélie") == f"site_{murmur3(header + name):08x}"


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_name_hashes_as_defined(name: str) -> None:
    payload = name.encode()
    flags = 0x00040009 if len(payload) == len(name) else 0x00008009
    expected = murmur3(struct.pack(">iiii", 16, 1, flags, len(payload)) + payload)
    assert site_id(name) == f"site_{expected:08x}"
    assert len(site_id(name)) == 13


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(BadInputError, match="lone surrogate"):
        site_id("Hobart\ud800")
