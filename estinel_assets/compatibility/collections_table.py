"""The table of collections: what CMR lists, a row each."""

from collections.abc import Iterable, Sequence
from contextlib import closing

import pandas as pd
import pyarrow as pa

from estinel_assets.compatibility.cmr import CmrClient, Collection
from estinel_assets.errors import NotFoundError, RetryableError, SourceFault, public_url
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore
from estinel_assets.storage.tables import table_from_bytes
from estinel_assets.transport import RetryPolicy
from estinel_assets.transport.httpx_transport import HttpxTransport

PATH = "assets/cmr_collections.parquet"
"""Where the asset `cmr_collections` is kept."""

SCHEMA = pa.schema(
    [
        ("concept_id", pa.string()),
        ("short_name", pa.string()),
        ("version", pa.string()),
        ("provider", pa.string()),
        ("data_center", pa.string()),
        ("formats", pa.list_(pa.string())),
        ("processing_level", pa.string()),
        ("entry_title", pa.string()),
        ("revision_id", pa.int64()),
    ]
)


def fetch_collections(settings: Settings) -> Sequence[Collection]:
    """All collections of the providers in the settings.

    Raises:
        RetryableError: CMR failed, gave less than it counted, or nothing.
        PermanentError: CMR refuses.
    """
    at = settings.compatibility
    policy = RetryPolicy.from_settings(settings.transport)
    with closing(HttpxTransport(policy, timeout_s=settings.transport.timeout_s)) as transport:
        found = list(CmrClient(transport, at.cmr_url).collections(providers=at.providers))
    if not found:
        asked = ", ".join(at.providers) or "the EOSDIS archives"
        raise RetryableError(
            SourceFault.UNAVAILABLE,
            f"CMR at {public_url(at.cmr_url)} lists no collection of {asked}; what is known of "
            "collections was left as it is. Check compatibility.providers, or try again",
        )
    return found


def collections_frame(collections: Iterable[Collection]) -> pd.DataFrame:
    """The table, in CMR's order (most used first), without repetitions."""
    unique = {one.concept_id: one for one in collections}
    columns = {
        name: [_plain(getattr(one, name)) for one in unique.values()] for name in SCHEMA.names
    }
    table = pa.table(columns, schema=SCHEMA)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def known_collections(store: ObjectStore) -> list[str] | None:
    """The concept ids that CMR listed last, in its order; None where it was never asked.

    Raises:
        StoreError: the store refuses, or what stands there is no such table.
    """
    try:
        payload = store.get(PATH).data
    except NotFoundError:
        return None
    table = table_from_bytes(payload, columns=["concept_id"], what=store.uri(PATH))
    found: list[str] = table.column("concept_id").to_pylist()
    return found


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
