"""Lines under gzip come back, whatever pieces they are read in."""

import gzip
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.publishing.lines import read_lines, write_lines

_text = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=8)


def _written(lines: list[str]) -> bytes:
    file = BytesIO()
    write_lines(file, lines)
    return file.getvalue()


@given(st.lists(_text, max_size=120), st.integers(1, 40))
def test_lines_come_back(lines: list[str], size: int) -> None:
    packed = _written(lines)
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert list(read_lines(pieces)) == lines
    assert gzip.decompress(packed).decode() == "\n".join(lines)


def test_large_lines_come_back() -> None:
    lines = ["x" * 1_000_000, "", "y" * 700_000]
    assert list(read_lines([_written(lines)])) == [lines[0], lines[2]]


def test_the_same_lines_are_the_same_bytes() -> None:
    assert _written(["a", "b"]) == _written(["a", "b"])


def test_what_is_cut_off_or_something_else_is_an_error() -> None:
    packed = _written(["a line", "another"])
    with pytest.raises(EOFError):
        list(read_lines([packed[:-9]]))
    with pytest.raises(zlib.error):
        list(read_lines([b"no gzip at all"]))
