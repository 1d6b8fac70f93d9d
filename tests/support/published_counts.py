"""How the checks of a real run over NASA's collections ended, as its published table says."""

from collections.abc import Mapping

TABLE = "cmr/tiling_results-11-24-2025.parquet"
"""Where the table is below the folder of real data."""
REASONS: Mapping[str, int] = {
    "unsupported_format": 6073,
    "no_xy_dimensions": 1349,
    "group_structure": 1208,
    "none": 719,
    "no_granule_found": 312,
    "cant_open_file": 132,
    "timeout": 119,
    "forbidden": 74,
    "decode_error": 25,
    "unrecorded": 24,
    "group_not_aligned_with_parents": 11,
    "failed_to_extract_url": 1,
}
