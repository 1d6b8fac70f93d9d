"""Why a solar day, or a site's search, ended as it did."""

from estinel_assets.errors import SourceFault
from estinel_assets.outcomes.book import ProductOutcomes
from estinel_assets.outcomes.reason import Reason


class ImageryReason(Reason):
    """The reasons of the imagery product line: word, retryable, fault, meaning."""

    NONE = "none", False, False, "The images stand."
    NO_VALID_PIXELS = (
        "no_valid_pixels",
        False,
        False,
        "No scene of the day has a valid pixel in the site's window.",
    )
    TOO_CLOUDY = (
        "too_cloudy",
        False,
        False,
        "The cloud fraction is above `imagery.max_cloud_fraction`.",
    )
    WITHDRAWN = (
        "withdrawn",
        False,
        False,
        "The source no longer lists any scene of the day.",
    )
    INTERRUPTED = (
        "interrupted",
        True,
        True,
        "A worker stopped while it was replacing the day's images.",
    )
    SOURCE_NOT_FOUND = (
        SourceFault.NOT_FOUND,
        False,
        True,
        "The source answers that a file it lists does not exist.",
    )
    SOURCE_FORBIDDEN = (
        SourceFault.FORBIDDEN,
        True,
        True,
        "The source refused access; a signature or credentials may have expired.",
    )
    SOURCE_TIMEOUT = SourceFault.TIMEOUT, True, True, "The source did not answer in time."
    SOURCE_CORRUPT = (
        SourceFault.CORRUPT,
        True,
        True,
        "A file or answer of the source cannot be decoded.",
    )
    SOURCE_BLANK = (
        SourceFault.BLANK,
        True,
        True,
        "A file has fewer pixels than the footprint of its scene promises.",
    )
    SOURCE_UNAVAILABLE = (
        SourceFault.UNAVAILABLE,
        True,
        True,
        "The source failed, dropped the connection, or returned less than it counted.",
    )
    UNKNOWN_OFFSET = (
        "unknown_offset",
        False,
        True,
        "The scene does not say whether its radiometric offset is applied.",
    )
    MISSING_BAND = "missing_band", False, True, "The scene lists no file for a band we need."
    WRITE_FAILED = "write_failed", True, True, "The object store refused an output."
    INTERNAL_ERROR = "internal_error", True, True, "A bug of ours; the message says where."


IMAGERY = ProductOutcomes(product="imagery", reasons=ImageryReason, field_name="scenes")

SEARCH_KEY = "search"
"""Last part of the key of a site's search outcome: `(SITE_ID, "search")`."""
