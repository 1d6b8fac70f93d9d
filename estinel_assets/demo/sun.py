"""Where the sun stands."""

import math
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Sun:
    """Direction of the sun at a place and time."""

    azimuth_deg: float
    """Clockwise from north."""
    elevation_deg: float
    """Above the horizon; negative at night."""

    @property
    def vector(self) -> tuple[float, float, float]:
        """Unit vector towards the sun: (east, north, up)."""
        azimuth, elevation = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        flat = math.cos(elevation)
        return flat * math.sin(azimuth), flat * math.cos(azimuth), math.sin(elevation)


def sun_at(moment: datetime, longitude_deg: float, latitude_deg: float) -> Sun:
    """The sun's direction, good to about half a degree.

    Cooper's formula for the declination and mean solar time for the hour angle (Duffie and
    Beckman, Solar Engineering of Thermal Processes, chapter 1); the equation of time is left
    out, which the pictures do not show.

    Args:
        moment: timezone-aware UTC time.
        longitude_deg: east of Greenwich.
        latitude_deg: north of the equator.
    """
    day = moment.timetuple().tm_yday
    hours = moment.hour + moment.minute / 60 + moment.second / 3600 + longitude_deg / 15
    hour_angle = math.radians(15 * (hours - 12))
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day) / 365)
    latitude = math.radians(latitude_deg)
    up = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(
        declination
    ) * math.cos(hour_angle)
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.cos(latitude) * math.sin(declination) - math.sin(latitude) * math.cos(
        declination
    ) * math.cos(hour_angle)
    azimuth = math.degrees(math.atan2(east, north)) % 360
    return Sun(azimuth_deg=azimuth, elevation_deg=math.degrees(math.asin(up)))
