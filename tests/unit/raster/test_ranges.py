"""Which addresses are read by ranges."""

import pytest

from estinel_assets.raster.ranges import NotByRangesError, RangeFiles


@pytest.mark.parametrize("path", ["a%2Bb.tif", "a%2bb.tif", "a%2Fb.tif", "%FF.tif", "a//b.tif"])
def test_an_address_that_would_be_sent_as_another_one_is_left_to_others(path):
    with pytest.raises(NotByRangesError, match="unusual path"):
        RangeFiles().open(f"https://host/{path}")


@pytest.mark.parametrize(
    ("path", "text"),
    [("a%20b.tif", "a b.tif"), ("%C3%A9%25.tif", "é%.tif"), ("a+b.tif", "a+b.tif")],
)
def test_other_addresses_are_taken_as_text(path, text):
    assert RangeFiles().open(f"https://host/{path}").path == text
