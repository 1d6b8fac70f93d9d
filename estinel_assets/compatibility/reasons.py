"""Why a collection can be tiled or not."""

from estinel_assets.outcomes.book import ProductOutcomes
from estinel_assets.outcomes.reason import Reason


class CompatibilityReason(Reason):
    """The reasons of the compatibility product line: word, retryable, fault, meaning."""

    NONE = "none", False, False, "Both tiles were made: the collection can be tiled."
    UNSUPPORTED_FORMAT = (
        "unsupported_format",
        False,
        False,
        "TiTiler's readers have no way into files of this format or extension.",
    )
    NO_GRANULE_FOUND = "no_granule_found", False, False, "CMR lists no granule of the collection."
    FAILED_TO_EXTRACT_URL = (
        "failed_to_extract_url",
        False,
        False,
        "The granule's metadata names no address of its data.",
    )
    GROUP_STRUCTURE = (
        "group_structure",
        False,
        False,
        "The variables lie in groups, and the root group has none.",
    )
    GROUP_NOT_ALIGNED_WITH_PARENTS = (
        "group_not_aligned_with_parents",
        False,
        False,
        "A group's dimensions contradict those of the group above it.",
    )
    CANT_EXTRACT_VARIABLES = (
        "cant_extract_variables",
        False,
        False,
        "The file opens, but holds no variable.",
    )
    NO_XY_DIMENSIONS = (
        "no_xy_dimensions",
        False,
        False,
        "The variable has no pair of dimensions that are x and y, or longitude and latitude.",
    )
    DECODE_ERROR = (
        "decode_error",
        False,
        False,
        "The file opens, but what it holds cannot be decoded.",
    )
    TILE_GENERATION_FAILED = (
        "tile_generation_failed",
        False,
        False,
        "The reader failed to make a tile, for another reason than the ones above.",
    )
    BLANK_TILE = (
        "blank_tile",
        False,
        False,
        "The tile inside the granule's bounds was made, but has no valid pixel.",
    )
    TIMEOUT = "timeout", True, True, "The check did not end within its time limit."
    FORBIDDEN = (
        "forbidden",
        True,
        True,
        "The server refused the file; credentials or a licence may be missing.",
    )
    CANT_OPEN_FILE = "cant_open_file", True, True, "The file could not be fetched or opened."
    OUT_OF_MEMORY = (
        "out_of_memory",
        False,
        True,
        "The check needed more memory than a worker may use.",
    )
    INTERNAL_ERROR = "internal_error", True, True, "A bug of ours; the message says where."
    UNRECORDED = (
        "unrecorded",
        False,
        False,
        "An imported result says that the collection failed, but not why. Only imports write it.",
    )


COMPATIBILITY = ProductOutcomes(
    product="compatibility",
    reasons=CompatibilityReason,
    partition_depth=0,
    contract_root="collections",
)
"""Key: `(concept_id,)`. Partition depth 0: one index for all, and no lease, because a check
replaces nothing but its own record."""

NETWORK_REASONS = frozenset(
    {
        CompatibilityReason.TIMEOUT,
        CompatibilityReason.FORBIDDEN,
        CompatibilityReason.CANT_OPEN_FILE,
    }
)
"""What an outage between us and the files looks like."""
