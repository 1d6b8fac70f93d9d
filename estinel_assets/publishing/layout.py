"""Where publishing keeps its own records in the store of the settings."""

from estinel_assets.outcomes.paths import encode_key

ROOT = "publications"
CLAIMS = f"{ROOT}/claims"
CLAIM = "claim.json"
COLLECTIONS = f"{ROOT}/collections"
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


def states_path(publication: str) -> str:
    """All states; one of them stands."""
    return f"{folder_of(publication)}/states"


def state_path(publication: str, txn: str) -> str:
    """All that a publication consists of, as a transaction leaves it."""
    return f"{states_path(publication)}/{txn}.jsonl.gz"


def journals_path(publication: str) -> str:
    """All transactions that are not closed."""
    return f"{folder_of(publication)}/journal"


def journal_path(publication: str, txn: str) -> str:
    """One transaction's journal."""
    return f"{journals_path(publication)}/{txn}"


def claim_folder(address: str) -> str:
    """Where it stands whom a prefix of an object store belongs to.

    Args:
        address: of the prefix, such as `s3://bucket/products/one`.
    """
    scheme, _, rest = address.partition("://")
    return f"{CLAIMS}/{scheme}/{rest.strip('/')}"
