"""The dataset index: documents with GRQ's fields, in SQLite or PostgreSQL.

- `fields`, `boxes`, `words`: what of a document is searched, pure;
- `queries`: what a query asks for, pure;
- `tables`: the tables that both databases share;
- `database`, `sqlite`, `postgres`: what differs between them;
- `sql_index`: the index itself;
- `opening`: an index by its URL.
"""

from estinel_assets.publishing.index.errors import DocumentsChangedError
from estinel_assets.publishing.index.opening import INDEX_FILE, open_index

__all__ = ["INDEX_FILE", "DocumentsChangedError", "open_index"]
