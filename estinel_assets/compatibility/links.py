"""Which of a granule's addresses is opened."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.record import AccessType
from estinel_assets.compatibility.remote_file import SCHEMES, scheme_of

if TYPE_CHECKING:
    from estinel_assets.compatibility.cmr import DataLink, Granule

BESIDE_THE_DATA = frozenset(
    {"md5", "sha256", "sha512", "xml", "met", "dmrpp", "json", "jpg", "jpeg", "png", "gif", "html"}
)
"""Extensions of what accompanies data in many granules: checksums, metadata, browse images."""


def choose_link(granule: "Granule", access: AccessType) -> "DataLink":
    """The link to open.

    Links of the access type come first; without one, `direct` falls back to `external`. Of those
    the first counts that is not a checksum, metadata or a browse image, and that has a scheme
    which can be read. Where all are such, it is the first of them: its format, or failing that
    its scheme, then says why it cannot be tiled.

    Args:
        granule: with its links in CMR's order.
        access: `direct` for S3, `external` for HTTPS.

    Raises:
        CheckEndedError: `failed_to_extract_url`, the granule has no link of that access type.
    """
    links = [link for link in granule.links if link.access == access]
    if not links and access == "direct":
        links = [link for link in granule.links if link.access == "external"]
    if not links:
        raise CheckEndedError(
            CompatibilityReason.FAILED_TO_EXTRACT_URL,
            f"granule {granule.concept_id} has no address of its data for {access} access",
            "its links are for direct access: ask for that, in the archive's region"
            if granule.links
            else "the archive may hand its files out in another way",
        )
    return min(links, key=_rank)  # the first of equals


def extension_of(url: str) -> str:
    """What stands behind the last dot of a file's name, in its case; empty where there is none.

    A query does not count, and neither does a slash at the end, as of a Zarr store.
    """
    try:
        path = urlsplit(url).path
    except ValueError:  # such as a host with one bracket
        return ""
    return PurePosixPath(unquote(path)).suffix.removeprefix(".")


def _rank(link: "DataLink") -> tuple[bool, bool]:
    return (
        extension_of(link.url).lower() in BESIDE_THE_DATA,
        scheme_of(link.url) not in SCHEMES,
    )
