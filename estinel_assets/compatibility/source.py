"""The file that a check opens: where it is, and what opens it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from estinel_assets.compatibility.record import Backend

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees, EPSG:4326; west > east across the antimeridian."""


@dataclass(frozen=True, slots=True)
class Source:
    """A granule's file."""

    url: str
    """`https://…`, `http://…`, `s3://bucket/key` or `file:///…`."""
    extension: str
    """Of the file's name, without the dot, lower case."""
    backend: Backend
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with each HTTP request; secret."""
    s3: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Configuration of obstore's S3 store (`access_key_id`, `endpoint`…); secret."""
