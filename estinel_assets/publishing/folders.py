"""Which job folders wait, and where the folder of a publication is."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.index import Index
from estinel_assets.outcomes.paths import encode_key
from estinel_assets.outcomes.record import Outcome
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.publishing.inbox import Waiting, waiting
from estinel_assets.publishing.model import Policy
from estinel_assets.publishing.opening import check_inbox
from estinel_assets.publishing.publications import Request
from estinel_assets.publishing.site_images import site_of
from estinel_assets.settings import Settings


def waiting_folders(settings: Settings, standing: Index, now: datetime) -> Iterator[Waiting]:
    """The job folders in the inbox that are to be published, by name.

    Args:
        settings: name the inbox.
        standing: how publications ended so far.
        now: UTC, aware.

    Raises:
        BadInputError: there is no inbox, or it cannot be read.
    """
    at = settings.publishing
    retry = RetryRule.from_settings(settings.outcomes)
    yield from waiting(check_inbox(at), standing, now, quiet_s=at.quiet_s, retry=retry)


def request_of(publication: str, settings: Settings, last: Outcome | None) -> Request:
    """What is to be published under an id: the inbox's folder of that name, else the last one.

    Args:
        publication: its id.
        settings: name the inbox and the policy.
        last: how it ended last; None where it never did.

    Raises:
        BadInputError: it has no folder.
    """
    at = settings.publishing
    policy = Policy(at.policy)
    if at.inbox is not None and is_folder_name(publication):
        folder = at.inbox / publication
        if folder.is_dir():
            return Request.of(folder, publication, policy)
    if last is not None and "folder" in last.detail:
        return Request.of(Path(last.detail["folder"]), publication, policy)
    where = "publishing.inbox is not set" if at.inbox is None else f"{at.inbox} has none"
    came = "it was never published" if last is None else "it was not published from a folder"
    raise BadInputError(f"{publication} has no job folder: {where}, and {came}")


def is_folder_name(publication: str) -> bool:
    """Whether an id names a folder directly in the inbox, and not one elsewhere."""
    plain = publication == Path(publication).name and publication != ".."
    return plain and "\0" not in publication and site_of(publication) is None


def is_id(name: str) -> bool:
    """Whether the outcome of a publication of this name can be stored."""
    try:
        encode_key((name,))
    except BadInputError:
        return False
    return True
