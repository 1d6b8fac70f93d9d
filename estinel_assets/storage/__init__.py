"""The object store: the port, its adapter on obstore, leases, tables and JSON documents."""

from estinel_assets.storage.opening import open_store

__all__ = ["open_store"]
