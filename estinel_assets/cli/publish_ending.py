"""How the commands of `estinel publish` end where something went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from estinel_assets.cli.exit_codes import NothingToDoError
from estinel_assets.errors import AbortedError, BadInputError, EstinelError

if TYPE_CHECKING:
    from estinel_assets.outcomes.record import Outcome
    from estinel_assets.storage.port import ObjectStore


def raise_for(outcome: "Outcome") -> None:
    """Raise what an outcome says of a failure; nothing where it ended well.

    Raises:
        NothingToDoError: the publication waits until its type is enabled.
        BadInputError: the folder was refused; all its faults are listed.
        EstinelError: it failed.
    """
    from estinel_assets.outcomes.reason import parse_reason
    from estinel_assets.publishing.reasons import PublishingReason

    if outcome.status:
        return
    faults = outcome.detail.get("faults")
    message = outcome.error or outcome.reason
    if faults:
        listed = "\n".join(f"  {one['where']}: {one['what']}" for one in faults)
        message = f"the folder cannot be published:\n{listed}"
    if not parse_reason(PublishingReason, outcome.reason).fault:
        raise NothingToDoError(message)
    if faults:
        raise BadInputError(message)
    raise EstinelError(f"{outcome.key[0]}: {outcome.reason}: {message}")


@contextmanager
def stopped(publication: str, store: "ObjectStore") -> Iterator[None]:
    """Say what became of a publication that was stopped by Ctrl-C.

    Args:
        publication: its id.
        store: the one of the settings.

    Raises:
        AbortedError: it was.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        notes = "; ".join(getattr(error, "__notes__", ()))
        told = notes or what_stands(publication, store)
        raise AbortedError(f"{publication} was stopped; {told}") from None


def what_stands(publication: str, store: "ObjectStore") -> str:
    """What stands of a publication, in a few words.

    Raises:
        StoreError: the store cannot be read.
    """
    from estinel_assets.publishing.journal import open_journals
    from estinel_assets.publishing.state import read_current

    if open_journals(store, publication):
        return f"run `estinel publish recover {publication}`"
    current = read_current(store, publication).current
    if current is None or current.removed:
        return "nothing of it stands"
    return f"what was published at {current.committed_at:%Y-%m-%dT%H:%M:%SZ} stands"
