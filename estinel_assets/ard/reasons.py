"""Why a source of a tile-year ended as it did."""

from estinel_assets.errors import SourceFault, UnitError
from estinel_assets.outcomes.book import ProductOutcomes
from estinel_assets.outcomes.reason import Reason, parse_reason


class ArdReason(Reason):
    """The reasons of the ARD product line: word, retryable, fault, meaning."""

    NONE = "none", False, False, "The arrays stand, without a gap."
    INCOMPLETE = (
        "incomplete",
        False,
        False,
        "The source has nothing for a quarter; the arrays stand and name their gaps.",
    )
    NO_SCENES = "no_scenes", False, False, "The source lists no scene that covers the tile."
    NO_CLEAR_SCENES = (
        "no_clear_scenes",
        False,
        False,
        "Every day of the year is too cloudy over the tile.",
    )
    NO_DEM = (
        "no_dem",
        False,
        False,
        "The elevation model has no cell here: the tile lies in the sea.",
    )
    INTERRUPTED = (
        "interrupted",
        True,
        True,
        "A worker stopped while it was replacing the arrays.",
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
        "A file has fewer pixels than its place promises.",
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
        "A scene does not say whether its radiometric offset is applied.",
    )
    MISSING_BAND = "missing_band", False, True, "A scene lists no file for a band we need."
    WRITE_FAILED = "write_failed", True, True, "The object store refused an output."
    TIMEOUT = "timeout", True, True, "The work did not end within its time limit."
    OUT_OF_MEMORY = (
        "out_of_memory",
        False,
        True,
        "The work needed more memory than a worker may use.",
    )
    WORKER_DIED = "worker_died", True, True, "The worker ended in the middle of the work."
    INTERNAL_ERROR = "internal_error", True, True, "A bug of ours; the message says where."


ARD = ProductOutcomes(product="ard", reasons=ArdReason, partition_depth=0)
"""Key: `(year, tile, source)`. Partition depth 0: one index for all, because the three sources of
a tile are written by workers of their own, at the same time and in places far apart."""


def reason_of(error: UnitError) -> ArdReason:
    """The reason that an error's word stands for; `internal_error` where it is none of ours."""
    known = error.reason in set(ArdReason)
    return parse_reason(ArdReason, error.reason) if known else ArdReason.INTERNAL_ERROR
