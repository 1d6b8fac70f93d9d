"""Names of MGRS 100 km squares, which name Sentinel-2 tiles."""

from dataclasses import dataclass

SQUARE_M = 100_000
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"


@dataclass(frozen=True, slots=True)
class MgrsTile:
    """A 100 km square."""

    zone: int
    """UTM zone, 1 to 60."""
    band: str
    """Latitude band, one letter."""
    square: str
    """Column and row letter."""

    @property
    def name(self) -> str:
        """As `55GEN`; zones below 10 have two digits, as in Sentinel-2's names."""
        return f"{self.zone:02d}{self.band}{self.square}"


def tile_at(crs: str, easting: float, northing: float, latitude_deg: float) -> MgrsTile:
    """The square that holds a UTM position.

    Lettering of the WGS 84 ellipsoid after NGA.STND.0037 (Universal Grids): columns repeat
    every three zones, rows every 2000 km and start five letters later in even zones.

    Args:
        crs: as `EPSG:32755`.
        easting: metres.
        northing: metres, with the false northing of the south.
        latitude_deg: between -80 and 84; decides the band.
    """
    zone = int(crs[-2:])
    column = _COLUMNS[(zone - 1) % 3][int(easting // SQUARE_M) - 1]
    row = _ROWS[(int(northing // SQUARE_M) + (0 if zone % 2 else 5)) % len(_ROWS)]
    band = _BANDS[min(int((latitude_deg + 80) // 8), len(_BANDS) - 1)]
    return MgrsTile(zone=zone, band=band, square=column + row)
