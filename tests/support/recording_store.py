"""A store that remembers what was done to it, in order, and may refuse a write."""

from pathlib import Path

from estinel_assets.errors import StoreError
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectMeta, ObjectStore, StoredObject


class RecordingStore:
    """Wraps an `ObjectStore`; everything that is not recorded is the store's own."""

    def __init__(self, store: ObjectStore | None = None) -> None:
        self.store = store or open_store("memory://")
        self.writes: list[str] = []
        """Paths written, oldest first, however."""
        self.reads: list[str] = []
        """Paths read whole, oldest first."""
        self.refused = ""
        """A write to a path that ends in this is refused; empty for none."""

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def get(self, path: str) -> StoredObject:
        self.reads.append(path)
        return self.store.get(path)

    def put(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        self._write(path)
        return self.store.put(path, data, content_type=content_type)

    def put_file(self, path: str, source: Path, *, content_type: str | None = None) -> ObjectMeta:
        self._write(path)
        return self.store.put_file(path, source, content_type=content_type)

    def create(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        self._write(path)
        return self.store.create(path, data, content_type=content_type)

    def replace(
        self, path: str, data: bytes, *, etag: str, content_type: str | None = None
    ) -> ObjectMeta:
        self._write(path)
        return self.store.replace(path, data, etag=etag, content_type=content_type)

    def forget(self) -> None:
        """Start anew."""
        self.writes.clear()
        self.reads.clear()

    def _write(self, path: str) -> None:
        if self.refused and path.endswith(self.refused):
            raise StoreError(f"{path} was refused; make room")
        self.writes.append(path)
