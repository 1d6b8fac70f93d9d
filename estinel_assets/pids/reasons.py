"""How a message ended."""

from estinel_assets.outcomes.book import ProductOutcomes
from estinel_assets.outcomes.reason import Reason
from estinel_assets.pids.batch_names import covers


class PidReason(Reason):
    """The reasons of the PID product line: word, retryable, fault, meaning."""

    NONE = "none", False, False, "Its handles are registered."
    INVALID_MESSAGE = (
        "invalid_message",
        False,
        True,
        "The message is too large, not JSON, or not of a known form.",
    )
    INVALID_PATCH = (
        "invalid_patch",
        False,
        True,
        "The JSON Patch is not valid, or does not fit the item.",
    )
    INVALID_ITEM = (
        "invalid_item",
        False,
        True,
        "The item breaks a rule of its project, such as the form of its id.",
    )
    INVALID_PID = (
        "invalid_pid",
        False,
        True,
        "A `pid` or `tracking_id` is no handle of ours, or two records share one.",
    )
    INVALID_CHECKSUM = (
        "invalid_checksum",
        False,
        True,
        "A file's checksum is missing, or of a method that is not known.",
    )
    MISSING_FILE_SIZE = "missing_file_size", False, True, "A file's size is missing or unusable."
    MISSING_DOWNLOAD_URL = (
        "missing_download_url",
        False,
        True,
        "A file has no address from which it can be downloaded.",
    )
    MISSING_PARTS = "missing_parts", False, True, "The dataset has no file that can be registered."
    ITEM_NOT_FOUND = (
        "item_not_found",
        False,
        True,
        "The STAC API has no item to which the patch could be applied.",
    )
    HANDLE_UNAVAILABLE = (
        "handle_unavailable",
        True,
        True,
        "The Handle service did not answer, or failed.",
    )
    HANDLE_REFUSED = (
        "handle_refused",
        False,
        True,
        "The Handle service refused a record or the credentials.",
    )
    STAC_UNAVAILABLE = "stac_unavailable", True, True, "The STAC API did not answer, or failed."
    STAC_REFUSED = (
        "stac_refused",
        False,
        True,
        "The STAC API refused a request, or answered with something else than an item.",
    )
    KAFKA_UNAVAILABLE = "kafka_unavailable", True, True, "Kafka did not answer, or failed."
    KAFKA_REFUSED = (
        "kafka_refused",
        False,
        True,
        "Kafka refused the topic, the credentials or a request.",
    )
    CONFLICT = "conflict", True, True, "Another writer changed the same handle at the same time."
    INTERNAL_ERROR = "internal_error", True, True, "A bug of ours; the message says where."


PIDS = ProductOutcomes("pids", PidReason, partition_depth=0, packed=True, covers=covers)
"""Key: `(topic, partition, offset)`, or `("files", digest)` of a message that another program kept
without its place."""
