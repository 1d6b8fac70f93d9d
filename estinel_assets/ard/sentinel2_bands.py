"""Under which keys catalogues list the bands of Sentinel-2 L2A."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from estinel_assets.stac.bands import Provider

S2_10_BANDS: Final = ("B02", "B03", "B04", "B08")
"""The bands of 10 m, in the order of the group `s2_10`."""
S2_20_BANDS: Final = ("B05", "B06", "B07", "B8A", "B11", "B12")
"""The bands of 20 m, in the order of the group `s2_20`."""
SCL_BAND: Final = "SCL"
"""The scene classification."""

_BANDS: Final = (*S2_10_BANDS, *S2_20_BANDS, SCL_BAND)
_EARTH_SEARCH: Final = (
    *("blue", "green", "red", "nir"),
    *("rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22"),
    "scl",
)

S2_ASSET_KEYS: Final[Mapping[Provider, Mapping[str, str]]] = MappingProxyType(
    {
        Provider.EARTH_SEARCH: MappingProxyType(dict(zip(_BANDS, _EARTH_SEARCH, strict=True))),
        Provider.PLANETARY_COMPUTER: MappingProxyType({band: band for band in _BANDS}),
    }
)
"""For each provider, the asset key of each band."""
