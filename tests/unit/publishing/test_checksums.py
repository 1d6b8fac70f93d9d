"""Checksums as producers write them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.storage.checksums import Checksum, UnreadChecksum, parse_checksum

BODY = b"what a file holds"
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("start", "name", "method"),
    [
        ("d50110", "md5", "md5"),
        ("1114", "sha1", "sha1"),
        ("1220", "sha256", "sha2-256"),
        ("1340", "sha512", "sha2-512"),
        ("1620", "sha3_256", "sha3-256"),
        ("1440", "sha3_512", "sha3-512"),
        ("c0e40240", "blake2b", "blake2b-512"),
    ],
)
def test_multihash_of_each_method(start: str, name: str, method: str) -> None:
    digest = hashlib.new(name, BODY).hexdigest()

    read = parse_checksum((start + digest).upper())

    assert read == Checksum(method, digest)
    hasher = read.hasher()
    hasher.update(BODY)
    assert hasher.hexdigest() == digest
    assert read.multihash == start + digest


def test_blake2b_256() -> None:
    digest = hashlib.blake2b(BODY, digest_size=32).hexdigest()

    assert parse_checksum("a0e40220" + digest) == Checksum("blake2b-256", digest)


@pytest.mark.parametrize("text", [EMPTY_MD5, "d510" + EMPTY_MD5])
def test_md5_in_other_forms_is_read_with_a_warning(text: str) -> None:
    read = parse_checksum(text)

    assert isinstance(read, Checksum)
    assert (read.method, read.digest) == ("md5", EMPTY_MD5)
    assert text in read.warning
    assert read.multihash == "d50110" + EMPTY_MD5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not multihash hex"),
        ("12z0", "not multihash hex"),
        ("122", "not multihash hex"),
        ("ff" * 300, "not multihash hex"),
        ("80" * 40, "no multihash"),
        ("9999" * 16, "no multihash"),
        ("1220" + "aa" * 31, "not as long"),
        ("1220" + "aa" * 33, "not as long"),
        ("1214" + "aa" * 20, "not as long"),
        ("1e20" + "aa" * 32, "blake3"),
        ("0000", "identity"),
    ],
)
def test_others_say_why(text: str, said: str) -> None:
    read = parse_checksum(text)

    assert isinstance(read, UnreadChecksum)
    assert said in read.why


@given(st.one_of(st.text(max_size=80), st.binary(max_size=80).map(bytes.hex)))
def test_any_text_is_read_or_refused(text: str) -> None:
    read = parse_checksum(text)

    if isinstance(read, Checksum):
        assert parse_checksum(read.multihash) == Checksum(read.method, read.digest)
    else:
        assert read.why
