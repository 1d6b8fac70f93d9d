"""From digital numbers to reflectance times 10,000, whatever a catalogue has done to them already.

Since processing baseline 04.00 (25 January 2022) Sentinel-2 L2A products carry an offset: the
reflectance is (DN - 1000) / 10,000 (ESA, "Sentinel-2 Products Specification Document",
BOA_ADD_OFFSET). Catalogues differ in what they do about it, and their metadata contradicts itself
in places, so the rule depends on who offers the scene:

=====================================  ======================================================
Earth Search `sentinel-2-c1-l2a`       what `raster:bands` says
Earth Search `sentinel-2-l2a`          `earthsearch:boa_offset_applied`: true, nothing is left
                                       to do although `raster:bands` says -0.1; false, subtract
                                       1000 from baseline 04.00 on
Planetary Computer `sentinel-2-l2a`    subtract 1000 from baseline 04.00 on
anything else                          refused: a guess would be wrong by 0.1 in reflectance
=====================================  ======================================================
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estinel_assets.errors import PermanentError
from estinel_assets.stac.bands import RGB, Provider, asset_keys
from estinel_assets.stac.fields import as_list, as_mapping, as_number
from estinel_assets.stac.scenes import processing_baseline

HARMONISATION_VERSION = "1"
"""Changes whenever the rules or the arithmetic do, so that images are made anew."""
UNKNOWN_OFFSET = "unknown_offset"
"""The reason of a scene whose offset cannot be told."""

_FLAG = "earthsearch:boa_offset_applied"
_FIRST_WITH_OFFSET = (4, 0)
_BOA_ADD_OFFSET = -1000
_SCALE = 1e-4


@dataclass(frozen=True, slots=True)
class OffsetDecision:
    """What is to be added to a scene's numbers, and why."""

    offset_dn: int
    """Added to every valid digital number: 0 or -1000, or what `raster:bands` asks for."""
    rule: str
    """The rule that decided, for records and tags."""
    zero_is_nodata: bool = True
    """False where a catalogue has subtracted the offset already: dark pixels have become 0, too."""


def boa_offset(
    item: Mapping[str, Any], provider: Provider | str, keys: Mapping[str, str] | None = None
) -> OffsetDecision:
    """Decide what turns a scene's digital numbers into reflectance times 10,000.

    Args:
        item: a Sentinel-2 L2A item.
        provider: who offers it.
        keys: for each band that is used the key of its asset; None for red, green and blue.

    Raises:
        PermanentError: `unknown_offset`: the item does not say enough.
    """
    provider = Provider(provider)
    collection = item.get("collection")
    if provider is Provider.EARTH_SEARCH and collection == "sentinel-2-c1-l2a":
        return _from_raster_bands(item, keys or _rgb_keys(provider))
    if provider is Provider.EARTH_SEARCH and collection == "sentinel-2-l2a":
        return _from_flag(item)
    if provider is Provider.PLANETARY_COMPUTER and collection == "sentinel-2-l2a":
        if _FLAG in as_mapping(item.get("properties")):
            raise _unknown(item, f"it carries {_FLAG}, so it is not {provider}'s")
        return _from_baseline(item, "")
    raise _unknown(item, f"there is no rule for collection {collection!r} of {provider}")


def harmonise(dn: NDArray[np.uint16], decision: OffsetDecision) -> NDArray[np.uint16]:
    """Turn digital numbers into reflectance times 10,000.

    Args:
        dn: any shape; 0 is nodata.
        decision: of `boa_offset`.

    Returns:
        The same shape. Nodata stays 0; a valid pixel never falls below 1, so that it does not
        become nodata, nor wraps around. The same array where there is nothing to add.
    """
    added, most = decision.offset_dn, int(np.iinfo(np.uint16).max)
    if added == 0:
        return dn
    # Within 16 bits: limited first, so that nothing wraps around.
    if added < 0:
        by = min(-added, most - 1)
        shifted = np.maximum(dn, np.uint16(by + 1)) - np.uint16(by)
    else:
        by = min(added, most)
        shifted = np.minimum(dn, np.uint16(most - by)) + np.uint16(by)
    if dn.size and dn.min() == 0:
        np.copyto(shifted, np.uint16(0), where=dn == 0)
    return shifted


def _from_flag(item: Mapping[str, Any]) -> OffsetDecision:
    flag = as_mapping(item.get("properties")).get(_FLAG)
    if flag is True:
        return OffsetDecision(0, f"{_FLAG} is true", zero_is_nodata=False)
    if flag is False:
        return _from_baseline(item, f"{_FLAG} is false, ")
    raise _unknown(item, f"{_FLAG} is {flag!r}, neither true nor false")


def _from_baseline(item: Mapping[str, Any], because: str) -> OffsetDecision:
    baseline = processing_baseline(as_mapping(item.get("properties")))
    if baseline is None:
        raise _unknown(item, "it has no processing baseline")
    if baseline >= _FIRST_WITH_OFFSET:
        return OffsetDecision(_BOA_ADD_OFFSET, f"{because}baseline from 04.00 on")
    return OffsetDecision(0, f"{because}baseline before 04.00")


def _rgb_keys(provider: Provider) -> Mapping[str, str]:
    keys = asset_keys(provider)
    return {band: keys[band] for band in RGB}


def _from_raster_bands(item: Mapping[str, Any], keys: Mapping[str, str]) -> OffsetDecision:
    assets = as_mapping(item.get("assets"))
    offsets: set[int] = set()
    for band, key in keys.items():
        asset = assets.get(key)
        if not isinstance(asset, Mapping):
            # The band's absence is reported when it is read.
            continue
        scale, offset = _scale_and_offset(asset)
        if scale is None or offset is None:
            raise _unknown(item, f"{band} has no scale and offset in raster:bands")
        if not math.isclose(scale, _SCALE, rel_tol=1e-6):
            raise _unknown(item, f"{band} has scale {scale:g} in raster:bands, not {_SCALE:g}")
        if abs(offset) > 1:
            raise _unknown(
                item, f"{band} has offset {offset:g} in raster:bands, beyond reflectance"
            )
        offsets.add(round(offset / scale))
    if len(offsets) != 1:
        said = ", ".join(map(str, sorted(offsets))) or "nothing"
        *others, last = keys
        raise _unknown(item, f"raster:bands of {', '.join(others)} and {last} say {said}")
    return OffsetDecision(offsets.pop(), "raster:bands")


def _scale_and_offset(asset: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Of the first band: the raster extension 1.x, else 2.0 with STAC 1.1's `bands`."""
    for key, prefix in (("raster:bands", ""), ("bands", "raster:")):
        for first in as_list(asset.get(key))[:1]:
            scale = as_mapping(first).get(f"{prefix}scale")
            if scale is not None:
                return as_number(scale), as_number(first.get(f"{prefix}offset"))
    return as_number(asset.get("raster:scale")), as_number(asset.get("raster:offset"))


def _unknown(item: Mapping[str, Any], why: str) -> PermanentError:
    return PermanentError(
        UNKNOWN_OFFSET, f"the offset of {item.get('id')} cannot be told: {why}; it is not used"
    )
