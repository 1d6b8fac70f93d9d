"""Writing to a STAC API through its Transaction extension, and reading back what stands.

From the bottom up:

- `limits`: how many requests are in flight, and how many a second;
- `calls`: one request, with the key, under the retry policy;
- `documents`: what comes back, as it was written, and whether two documents are the same;
- `reading`: items by id, and page by page;
- `writing`: items in bulk, halved where a call fails, until each item that fails is known;
- `probing`: whether the API takes what we write;
- `client`: all of it together, `StacTransactions`.

It needs httpx, which comes with the extra `publishing`.
"""

from estinel_assets.stac.transactions.client import StacTransactions
from estinel_assets.stac.transactions.documents import same_document

__all__ = ["StacTransactions", "same_document"]
