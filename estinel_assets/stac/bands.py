"""Who offers Sentinel-2 L2A, and what they call the four bands that imagery reads."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

RGB = ("red", "green", "blue")
"""The colour bands, in the order of an image's channels."""
SCL = "scl"
"""The scene classification."""
BANDS = (*RGB, SCL)
"""Every band that imagery reads."""


class Provider(StrEnum):
    """Who offers the scenes; decides band names, offsets and the signing of addresses."""

    EARTH_SEARCH = "earth-search"
    """Element 84's Earth Search v1, and whatever follows its conventions."""
    PLANETARY_COMPUTER = "planetary-computer"
    """Microsoft's Planetary Computer."""


BAND_MAPS: Mapping[Provider, Mapping[str, str]] = MappingProxyType(
    {
        Provider.EARTH_SEARCH: MappingProxyType(
            {"red": "red", "green": "green", "blue": "blue", "scl": "scl"}
        ),
        Provider.PLANETARY_COMPUTER: MappingProxyType(
            {"red": "B04", "green": "B03", "blue": "B02", "scl": "SCL"}
        ),
    }
)
"""For each provider, the asset key of each band."""


def asset_keys(provider: Provider | str) -> Mapping[str, str]:
    """The asset key of each band at a provider.

    Args:
        provider: a `Provider` or its word in the settings.
    """
    return BAND_MAPS[Provider(provider)]
