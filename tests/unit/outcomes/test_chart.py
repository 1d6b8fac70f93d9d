import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.outcomes.chart import bar, bars, markdown_bars

COUNTS = {"timeout": 10, "none": 40, "group_structure": 20, "forbidden": 0}
SOME = st.dictionaries(st.text("abc_", min_size=1, max_size=30), st.integers(0, 20_000))


@pytest.mark.parametrize(
    ("share", "drawn"),
    [
        (1, "████"),
        (0.5, "██"),
        (0.53125, "██▏"),
        (0.25 / 8, "▏"),
        (1e-9, "▏"),
        (0, ""),
        (2, "████"),
    ],
)
def test_a_bar_is_drawn_in_eighths(share: float, drawn: str) -> None:
    assert bar(share, 4) == drawn


@pytest.mark.parametrize(("share", "drawn"), [(1, "####"), (0.6, "##"), (0.01, "#"), (0, "")])
def test_a_bar_of_ascii(share: float, drawn: str) -> None:
    assert bar(share, 4, ascii_only=True) == drawn


def test_a_chart() -> None:
    assert bars(COUNTS, width=44) == (
        "none             40   57.1%  ███████████████\n"
        "group_structure  20   28.6%  ███████▌\n"
        "timeout          10   14.3%  ███▊\n"
        "forbidden         0    0.0%"
    )


def test_a_chart_of_ascii() -> None:
    drawn = bars(COUNTS, width=44, ascii_only=True)
    assert drawn.isascii()
    assert drawn.splitlines()[1] == "group_structure  20   28.6%  ########"


def test_no_room_leaves_out_the_bars_and_cuts_nothing() -> None:
    assert bars(COUNTS, width=30).splitlines()[0] == "none             40   57.1%"


@given(SOME, st.integers(0, 120), st.booleans())
def test_a_chart_fits_and_is_in_order(counts: dict[str, int], width: int, ascii_only: bool) -> None:
    lines = bars(counts, width=width, ascii_only=ascii_only).splitlines()
    assert len(lines) == len(counts)
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == sorted(counts.values(), reverse=True)
    with_bar = [line for line in lines if "█" in line or "#" in line]
    assert all(len(line) <= width for line in with_bar)


def test_a_chart_of_nothing() -> None:
    assert bars({}) == ""
    assert markdown_bars({}).splitlines()[-1] == "| **total** | **0** | | |"


def test_a_table_in_markdown() -> None:
    assert markdown_bars({"no_xy": 3, "a|b\n*": 1}, width=4) == (
        "| reason | count | share | |\n"
        "| --- | ---: | ---: | --- |\n"
        "| no\\_xy | 3 | 75.0% | ████ |\n"
        "| a\\|b \\* | 1 | 25.0% | █▍ |\n"
        "| **total** | **4** | | |\n"
    )
