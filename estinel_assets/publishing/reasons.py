"""How a publication ended."""

from estinel_assets.outcomes.book import ProductOutcomes
from estinel_assets.outcomes.reason import Reason


class PublishingReason(Reason):
    """The reasons of the publishing product line: word, retryable, fault, meaning."""

    NONE = "none", False, False, "It stands in object store, index and STAC API."
    NO_MATCH = (
        "no_match",
        False,
        True,
        "No entry of datasets.json takes a dataset or catalogue of the folder.",
    )
    NOTHING_FOUND = (
        "nothing_found",
        False,
        True,
        "The folder holds neither a dataset nor a STAC catalogue.",
    )
    NOT_ENABLED = (
        "not_enabled",
        False,
        False,
        "A dataset's type is not among `publishing.types`, so the folder waits.",
    )
    INVALID_CATALOG = "invalid_catalog", False, True, "A STAC document is not valid."
    INVALID_DATASET = "invalid_dataset", False, True, "A dataset's own documents are not usable."
    MISSING_ASSET = "missing_asset", False, True, "A file that a document names is not there."
    PATH_TRAVERSAL = "path_traversal", False, True, "A file lies outside the folder."
    CHECKSUM_MISMATCH = (
        "checksum_mismatch",
        False,
        True,
        "A file has another size or checksum than its documents say.",
    )
    ALREADY_PUBLISHED = (
        "already_published",
        False,
        True,
        "Something else stands there, and the policy is not to replace it.",
    )
    BUSY = "busy", True, True, "Another worker publishes the same publication."
    STORE_FAILED = "store_failed", True, True, "The object store failed; everything was undone."
    INDEX_FAILED = "index_failed", True, True, "The dataset index failed; everything was undone."
    STAC_FAILED = "stac_failed", True, True, "The STAC API failed; everything was undone."
    UNDO_INCOMPLETE = (
        "undo_incomplete",
        True,
        True,
        "Something could not be undone; it is named, and the journal stays open.",
    )
    INTERNAL_ERROR = "internal_error", True, True, "A bug of ours; the message says where."


PUBLISHING = ProductOutcomes(product="publishing", reasons=PublishingReason, partition_depth=0)
"""Key: `(publication id,)`. Partition depth 0: one index for all; each publication has a lease of
its own."""
