"""Where publishing keeps its own records in the store of the settings."""

from hashlib import sha256

from estinel_assets.outcomes.paths import encode_key
from estinel_assets.publishing.model import Place

ROOT = "publications"
CLAIMS = f"{ROOT}/claims"
BY_ID = f"{ROOT}/by-id"


def folder_of(publication: str) -> str:
    """Everything about one publication."""
    return f"{BY_ID}/{encode_key((publication,))}"


def current_path(publication: str) -> str:
    """What stands; replacing it is the commit."""
    return f"{folder_of(publication)}/current.json"


def lease_path(publication: str) -> str:
    """Who works on it."""
    return f"{folder_of(publication)}/lease.json"


def state_path(publication: str, txn: str) -> str:
    """All that a publication consists of, as a transaction leaves it."""
    return f"{folder_of(publication)}/states/{txn}.jsonl.gz"


def journals_path(publication: str) -> str:
    """All transactions that are not closed."""
    return f"{folder_of(publication)}/journal"


def journal_path(publication: str, txn: str) -> str:
    """One transaction's journal."""
    return f"{journals_path(publication)}/{txn}"


def claim_path(place: Place) -> str:
    """Who a prefix of an object store belongs to."""
    named = f"{place.store.endpoint_url}\n{place.store.url}\n{place.path}"
    return f"{CLAIMS}/{sha256(named.encode()).hexdigest()[:32]}.json"
