"""One site: a named location that images are made for, and the name it has in files."""

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from estinel_assets.errors import BadInputError
from estinel_assets.imagery.site_id import site_id

DEFAULT_RESOLUTION_M: Final = 10.0
DEFAULT_RADIUS_M: Final = 3000.0
MAX_STEM_BYTES: Final = 100


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """What a number of a site may be."""

    low: float
    high: float
    unit: str

    def problem(self, value: float) -> str | None:
        """What is wrong with the value, and the remedy; None where nothing is."""
        remedy = f"give {self.unit} from {self.low:g} to {self.high:g}"
        if not math.isfinite(value):
            return f"is not a finite number: {remedy}"
        if not self.low <= value <= self.high:
            return f"is out of range: {remedy}"
        return None


NUMBER_COLUMNS: Final[dict[str, NumberColumn]] = {
    "lon": NumberColumn(-180.0, 180.0, "degrees east"),
    "lat": NumberColumn(-90.0, 90.0, "degrees north"),
    # Finer than a centimetre or coarser than 10 km is a slip of the unit.
    "resolution": NumberColumn(0.01, 10_000.0, "metres"),
    # A UTM zone is at most 668 km wide; a wider window does not belong in one.
    "radiusx": NumberColumn(1.0, 300_000.0, "metres"),
    "radiusy": NumberColumn(1.0, 300_000.0, "metres"),
}
"""The numbers of a site, by the column of the table that holds them."""


@dataclass(frozen=True, slots=True)
class Site:
    """A named location that images are made for.

    Raises:
        BadInputError: a value is not possible.
    """

    location: str
    """The name; what `site_id` is made of."""
    lon: float
    """Degrees east (WGS 84), -180 to 180."""
    lat: float
    """Degrees north (WGS 84), -90 to 90."""
    resolution: float = DEFAULT_RESOLUTION_M
    """Pixel size of its images, in metres."""
    radiusx: float = DEFAULT_RADIUS_M
    """From the site to the window's western and eastern edge, in metres."""
    radiusy: float = DEFAULT_RADIUS_M
    """From the site to the window's southern and northern edge, in metres."""
    purpose: tuple[str, ...] = ()
    """Labels to filter by in the catalogue; may be empty."""

    def __post_init__(self) -> None:
        problems = {"location": name_problem(self.location)}
        for name, column in NUMBER_COLUMNS.items():
            problems[name] = column.problem(getattr(self, name))
        found = [
            f"{name} {getattr(self, name)!r} {problem}"
            for name, problem in problems.items()
            if problem is not None
        ]
        if found:
            raise BadInputError(f"site {self.location!r}: {'; '.join(found)}")

    @property
    def site_id(self) -> str:
        """The stable identifier, such as `site_af38900f`."""
        return site_id(self.location)

    @property
    def file_stem(self) -> str:
        """The name in paths of files, such as `Kingston_HQ`."""
        return file_stem(self.location)


def file_stem(location: str) -> str:
    """The site's name as a part of file names: one path segment of at most 100 bytes.

    A blank becomes an underscore and round brackets are left out, as in the names that archives
    made with R carry: `Heard Island (60m)` gives `Heard_Island_60m`. Every other byte outside
    `[A-Za-z0-9_-]` of the name's UTF-8 is percent-encoded. A longer stem is cut and ends in the
    SITE_ID instead. Two names may share a stem (`Casey 2` and `Casey_2`): a table that holds both
    is refused.
    """
    plain = location.replace(" ", "_").replace("(", "").replace(")", "")
    encoded = _encode(plain or location)
    if len(encoded) <= MAX_STEM_BYTES:
        return encoded
    ending = f"-{site_id(location)}"
    # Whole characters only: half of a percent-encoded one could not be read back.
    kept = ""
    for character in plain:
        longer = kept + _encode(character)
        if len(longer) + len(ending) > MAX_STEM_BYTES:
            break
        kept = longer
    return kept + ending


def name_problem(location: str) -> str | None:
    """What is wrong with a site's name, and the remedy; None where nothing is."""
    if not location.strip():
        return "is empty: give the site a name"
    for character in location:
        if _is_invisible(character):
            return f"holds the invisible character U+{ord(character):04X}: remove it"
    return None


def name_key(location: str) -> str:
    """What two names have in common that people, or file systems, would take for one.

    Letter case, the kind and number of blanks, and the way that accents are composed are levelled.
    """
    return " ".join(unicodedata.normalize("NFKC", location).casefold().split())


def _encode(text: str) -> str:
    return re.sub(
        rb"[^A-Za-z0-9_-]", lambda match: b"%%%02X" % match[0][0], text.encode("utf-8")
    ).decode("ascii")


def _is_invisible(character: str) -> bool:
    """Control characters, line ends, lone surrogates, and marks that reorder or hide text.

    The joiners U+200C and U+200D are part of how some scripts, and emoji, are written.
    """
    category = unicodedata.category(character)
    if category == "Cf":
        return character not in "\u200c\u200d"
    return category in {"Cc", "Cs", "Zl", "Zp"}
