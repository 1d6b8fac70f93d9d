"""The offset rule: a table, and every real item."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from estinel_assets.errors import PermanentError
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.offsets import UNKNOWN_OFFSET, OffsetDecision, boa_offset, harmonise
from tests.unit.stac.stac_items import (
    ALL_COLLECTIONS,
    C1,
    PC_1000,
    PC_2020,
    TWO_COLLECTIONS,
    V0,
    V1_MARCH_2020,
    all_real_items,
    made_item,
)

EARTH_SEARCH, PC = Provider.EARTH_SEARCH, Provider.PLANETARY_COMPUTER
FLAG = "earthsearch:boa_offset_applied"
REFUSED = None


def decide(item: dict[str, Any], provider: Provider) -> int | None:
    try:
        return boa_offset(item, provider).offset_dn
    except PermanentError as error:
        refusal = error
    assert refusal.reason == UNKNOWN_OFFSET
    assert item["id"] in str(refusal)
    return REFUSED


def with_bands(item: dict[str, Any], *scales_and_offsets: tuple[object, object]) -> dict[str, Any]:
    for band, (scale, offset) in zip(("red", "green", "blue"), scales_and_offsets, strict=True):
        item["assets"][band]["raster:bands"] = [{"scale": scale, "offset": offset}]
    return item


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ([(0.0001, -0.1)] * 3, -1000),
        ([(0.0001, 0)] * 3, 0),
        ([(0.0001, 0.05)] * 3, 500),
        ([(0.0001, -0.1), (0.0001, -0.1), (0.0001, 0)], REFUSED),
        ([(0.0002, -0.1)] * 3, REFUSED),
        ([(1, -1000)] * 3, REFUSED),
        ([(0.0001, None)] * 3, REFUSED),
        ([(None, -0.1)] * 3, REFUSED),
        ([(0, -0.1)] * 3, REFUSED),
        ([(0.0001, -1000)] * 3, REFUSED),
        ([(0.0001, 10**400)] * 3, REFUSED),
        ([(0.0001, float("nan"))] * 3, REFUSED),
        ([("0.0001", "-0.1")] * 3, REFUSED),
    ],
)
def test_collection_1_follows_raster_bands(
    bands: list[tuple[object, object]], expected: int | None
) -> None:
    for baseline in ("02.14", "05.10", None):
        item = with_bands(made_item(**{"s2:processing_baseline": baseline}), *bands)
        assert decide(item, EARTH_SEARCH) == expected


def test_collection_1_without_raster_bands_is_refused() -> None:
    item = made_item()
    del item["assets"]["green"]["raster:bands"]
    assert decide(item, EARTH_SEARCH) is REFUSED
    item = made_item()
    item["assets"] = {"scl": item["assets"]["scl"]}
    assert decide(item, EARTH_SEARCH) is REFUSED


def test_collection_1_in_the_words_of_stac_1_1() -> None:
    item = made_item()
    for band in ("red", "green", "blue"):
        del item["assets"][band]["raster:bands"]
        item["assets"][band] |= {"raster:scale": 0.0001, "raster:offset": -0.1}
    item["assets"]["red"]["bands"] = [{"raster:scale": 0.0001, "raster:offset": -0.1}]
    assert decide(item, EARTH_SEARCH) == -1000


@pytest.mark.parametrize(
    ("flag", "baseline", "expected"),
    [
        (True, "05.10", 0),
        (True, "02.14", 0),
        (True, None, 0),
        (False, "05.10", -1000),
        (False, "04.00", -1000),
        (False, "03.01", 0),
        (False, "02.14", 0),
        (False, None, REFUSED),
        (None, "05.10", REFUSED),
        (None, "02.14", REFUSED),
        ("true", "05.10", REFUSED),
        (1, "05.10", REFUSED),
    ],
)
def test_earth_search_l2a_trusts_the_flag_and_not_raster_bands(
    flag: object, baseline: str | None, expected: int | None
) -> None:
    item = made_item(
        collection="sentinel-2-l2a", **{FLAG: flag, "s2:processing_baseline": baseline}
    )
    assert item["assets"]["red"]["raster:bands"][0]["offset"] == -0.1
    assert decide(item, EARTH_SEARCH) == expected
    if flag is None:
        del item["properties"][FLAG]
        assert decide(item, EARTH_SEARCH) is REFUSED


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("02.12", 0),
        ("03.01", 0),
        ("04.00", -1000),
        ("05.11", -1000),
        ("10.00", -1000),
        (None, None),
    ],
)
def test_planetary_computer_subtracts_from_baseline_4_on(
    baseline: str | None, expected: int | None
) -> None:
    item = made_item(collection="sentinel-2-l2a", **{"s2:processing_baseline": baseline})
    assert decide(item, PC) == expected


def test_an_item_of_another_provider_is_not_guessed_at() -> None:
    item = made_item(collection="sentinel-2-l2a", **{FLAG: True})
    assert decide(item, PC) is REFUSED


# What every item of the real files must give: (file, collection, provider) -> decisions.
EXPECTED = {
    (C1, "sentinel-2-c1-l2a", EARTH_SEARCH): {("05.10", None, -1000): 10},
    (ALL_COLLECTIONS, "sentinel-2-c1-l2a", EARTH_SEARCH): {("05.10", None, -1000): 6},
    (ALL_COLLECTIONS, "sentinel-2-l2a", EARTH_SEARCH): {("05.10", True, 0): 5},
    (ALL_COLLECTIONS, "sentinel-2-l1c", EARTH_SEARCH): {("05.10", None, REFUSED): 5},
    (ALL_COLLECTIONS, "sentinel-1-grd", EARTH_SEARCH): {(None, None, REFUSED): 4},
    (TWO_COLLECTIONS, "sentinel-2-l2a", EARTH_SEARCH): {("05.09", True, 0): 1},
    (TWO_COLLECTIONS, "landsat-c2-l2", EARTH_SEARCH): {(None, None, REFUSED): 1},
    (V1_MARCH_2020, "sentinel-2-l2a", EARTH_SEARCH): {
        ("05.00", True, 0): 8,
        ("02.14", False, 0): 8,
    },
    (V0, "sentinel-s2-l2a-cogs", EARTH_SEARCH): {(None, None, REFUSED): 3},
    (V0, "sentinel-s2-l2a", EARTH_SEARCH): {(None, None, REFUSED): 7},
    ("S2A_17SPR_20221106_0_L2A.json", "sentinel-s2-l2a-cogs", EARTH_SEARCH): {
        (None, None, REFUSED): 1
    },
    ("S2B_T37MGP_20240710T073012_L2A_C1.json", "s2_l2a_c1", EARTH_SEARCH): {
        ("05.10", None, REFUSED): 1
    },
    ("world-wrapping.stac-item.json", "dep_ls_geomad", EARTH_SEARCH): {(None, None, REFUSED): 1},
    (PC_2020, "sentinel-2-l2a", PC): {("02.12", None, 0): 13},
    (PC_1000, "sentinel-2-l2a", PC): {
        ("05.10", None, -1000): 262,
        ("05.11", None, -1000): 738,
    },
    ("rustac_search-page-1.json", "sentinel-2-l2a", PC): {("04.00", None, -1000): 1},
    ("rustac_search-page-2.json", "sentinel-2-l2a", PC): {("04.00", None, -1000): 1},
}


def test_every_real_item() -> None:
    found: dict[tuple[str, str, Provider], Counter[tuple[str | None, object, int | None]]] = {}
    for name, item in all_real_items():
        properties = item["properties"]
        provider = PC if name.startswith(("rustac_s", "rustac_1", "odcstac")) else EARTH_SEARCH
        decision = (
            properties.get("s2:processing_baseline"),
            properties.get(FLAG),
            decide(item, provider),
        )
        found.setdefault((name, item["collection"], provider), Counter())[decision] += 1
    assert found == EXPECTED


DN = arrays(np.uint16, array_shapes(max_dims=3, max_side=5))


@settings(deadline=None)
@given(DN, st.integers(-70000, 70000))
def test_harmonising_never_makes_or_loses_nodata_and_never_wraps(dn: Any, offset: int) -> None:
    result = harmonise(dn, OffsetDecision(offset, "made"))
    assert result.dtype == np.uint16
    assert result.shape == dn.shape
    for before, after in zip(dn.ravel().tolist(), result.ravel().tolist(), strict=True):
        # Python's own integers are the oracle: they do not overflow.
        assert after == (0 if before == 0 else min(max(before + offset, 1), 65535))


def test_nothing_to_add_leaves_the_numbers() -> None:
    dn = np.array([0, 1, 65535], dtype=np.uint16)
    assert harmonise(dn, OffsetDecision(0, "made")).tolist() == [0, 1, 65535]
