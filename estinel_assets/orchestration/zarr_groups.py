"""Zarr v3 groups on the object store, published whole.

A group is many objects, and no store writes many at once. So each is written into a folder of its
own, and one small object, the pointer, says which folder counts::

    {path}                               the pointer, JSON
    {folder}/{version}/dataset.zarr/…    the group
    {folder}/{version}/manifest.json     its objects, with byte counts and checksums

where `{path}` is `{folder}.json`. A crash before the pointer is written leaves the former group in
force. Zarr takes an absent chunk for one that is full of the fill value; here the manifest tells
the two apart, so that a group which is replaced under its reader gives an error and never wrong
numbers.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.storage.documents import JSON_TYPE, dump_json, read_json
from estinel_assets.storage.port import ObjectStore

GROUP = "dataset.zarr"
MANIFEST = "manifest.json"

_ABANDONED_AFTER = timedelta(days=1)
"""A folder without a pointer that nothing was written into for this long is of a crashed run."""
_READ_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a group."""

    n_bytes: int
    sha256: str
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class Published:
    """A group that was published."""

    group: str
    """Path of the folder that other Zarr libraries open."""
    n_bytes: int
    n_objects: int
    sha256: str
    """Of the manifest, hexadecimal: the same for equal objects."""


class GroupStore(Store):
    """One group as zarr sees it, over the object store port.

    What is absent is known from the entries, without a request.
    """

    def __init__(
        self,
        store: ObjectStore,
        folder: str,
        entries: dict[str, Entry],
        *,
        read_only: bool,
    ) -> None:
        """See the attributes.

        Args:
            store: the object store.
            folder: path of the group.
            entries: the group's objects by key; writing adds to them.
            read_only: whether zarr may write.
        """
        super().__init__(read_only=read_only)
        self.store = store
        self.folder = folder
        self.entries = entries

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, GroupStore)
            and (self.store, self.folder, self.read_only)
            == (other.store, other.folder, other.read_only)
            and self.entries == other.entries
        )

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.store.uri(self.folder)

    def with_read_only(self, read_only: bool = False) -> "GroupStore":  # noqa: FBT001, FBT002
        """The same group, writable or not."""
        return GroupStore(self.store, self.folder, self.entries, read_only=read_only)

    @property
    def supports_writes(self) -> bool:
        """See `zarr.abc.store.Store`."""
        return True

    @property
    def supports_deletes(self) -> bool:
        """See `zarr.abc.store.Store`."""
        return True

    @property
    def supports_listing(self) -> bool:
        """See `zarr.abc.store.Store`."""
        return True

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """See `zarr.abc.store.Store`.

        Raises:
            StoreError: the object belongs to the group and is gone, or the store refuses.
        """
        entry = self.entries.get(key)
        if entry is None:
            return None
        body = await asyncio.to_thread(self._read, key, _span(byte_range, entry.n_bytes))
        return prototype.buffer.from_bytes(body)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """See `zarr.abc.store.Store`."""
        return list(
            await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))
        )

    async def exists(self, key: str) -> bool:
        """See `zarr.abc.store.Store`."""
        return key in self.entries

    async def set(self, key: str, value: Buffer) -> None:
        """See `zarr.abc.store.Store`."""
        self._check_writable()
        body = value.to_bytes()
        await asyncio.to_thread(self.store.put, f"{self.folder}/{key}", body)
        self.entries[key] = Entry(len(body), sha256(body).hexdigest())

    async def delete(self, key: str) -> None:
        """See `zarr.abc.store.Store`."""
        self._check_writable()
        if self.entries.pop(key, None) is not None:
            await asyncio.to_thread(self.store.delete, f"{self.folder}/{key}")

    async def list(self) -> AsyncIterator[str]:
        """See `zarr.abc.store.Store`."""
        for key in sorted(self.entries):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """See `zarr.abc.store.Store`."""
        for key in sorted(self.entries):
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """See `zarr.abc.store.Store`."""
        above = f"{prefix.rstrip('/')}/" if prefix else ""
        below = (key.removeprefix(above) for key in self.entries if key.startswith(above))
        for name in sorted({rest.split("/", 1)[0] for rest in below}):
            yield name

    def _read(self, key: str, span: tuple[int, int] | None) -> bytes:
        path = f"{self.folder}/{key}"
        try:
            if span is None:
                return self.store.get(path).data
            return self.store.get_range(path, *span)
        except NotFoundError:
            raise StoreError(
                f"{self.store.uri(path)} is gone: its dataset was replaced while it was being "
                "read; load it again"
            ) from None


def publish(store: ObjectStore, path: str, written: GroupStore, version: str) -> Published:
    """Make a written group the one that readers get, then remove those before it.

    Args:
        store: where the group was written.
        path: the pointer's; ends in `.json`.
        written: the group, complete.
        version: the name of its folder.

    Raises:
        StoreError: the store refuses; without a pointer, the former group stays in force.
    """
    entries = {
        key: {"bytes": entry.n_bytes, "sha256": entry.sha256}
        for key, entry in sorted(written.entries.items())
    }
    manifest = dump_json(entries)
    store.put(f"{_folder(path)}/{version}/{MANIFEST}", manifest, content_type=JSON_TYPE)
    published = Published(
        group=written.folder,
        n_bytes=sum(entry.n_bytes for entry in written.entries.values()),
        n_objects=len(entries),
        sha256=sha256(manifest).hexdigest(),
    )
    former = _version_in_force(store, path)
    pointer = {
        "version": version,
        "group": published.group,
        "bytes": published.n_bytes,
        "objects": published.n_objects,
        "sha256": published.sha256,
    }
    put = store.put(path, dump_json(pointer), content_type=JSON_TYPE)
    if former is not None and former != version:
        _remove_folder(store, f"{_folder(path)}/{former}")
    _remove_abandoned(store, path, version, put.last_modified - _ABANDONED_AFTER)
    return published


def group_folder(path: str, version: str) -> str:
    """Where a version of a group is written."""
    return f"{_folder(path)}/{version}/{GROUP}"


def open_group(store: ObjectStore, path: str) -> GroupStore:
    """The group that a pointer names, to be read.

    Raises:
        NotFoundError: there is no pointer.
        StoreError: what stands there is no pointer, or the store refuses.
    """
    for _ in range(_READ_ATTEMPTS):
        pointer = read_json(store, path)
        version = _version_of(store, path, pointer)
        try:
            entries = read_json(store, f"{_folder(path)}/{version}/{MANIFEST}")
        except NotFoundError:  # replaced between the two requests
            continue
        known = {key: Entry(entry["bytes"], entry["sha256"]) for key, entry in entries.items()}
        return GroupStore(store, group_folder(path, version), known, read_only=True)
    raise StoreError(
        f"{store.uri(path)} names a dataset that is not there; materialize its asset again"
    )


def remove_group(store: ObjectStore, path: str) -> None:
    """Remove a group, its pointer first; nothing there is no error."""
    version = _version_in_force(store, path)
    store.delete(path)
    if version is not None:
        _remove_folder(store, f"{_folder(path)}/{version}")


def _folder(path: str) -> str:
    return path.removesuffix(".json")


def _version_of(store: ObjectStore, path: str, pointer: Any) -> str:
    version = pointer.get("version") if isinstance(pointer, dict) else None
    if not isinstance(version, str):
        raise StoreError(f"{store.uri(path)} does not name a dataset; materialize its asset again")
    return version


def _version_in_force(store: ObjectStore, path: str) -> str | None:
    try:
        return _version_of(store, path, read_json(store, path))
    except NotFoundError:
        return None


def _remove_folder(store: ObjectStore, folder: str) -> None:
    for found in list(store.list(folder)):
        store.delete(found.path)


def _remove_abandoned(store: ObjectStore, path: str, version: str, before: datetime) -> None:
    """Remove what crashed runs left. A folder that is still written into is left alone."""
    for name in store.list_folders(_folder(path)):
        folder = f"{_folder(path)}/{name}"
        if name != version and all(found.last_modified < before for found in store.list(folder)):
            _remove_folder(store, folder)


def _span(part: ByteRequest | None, size: int) -> tuple[int, int] | None:
    """Start and length of a request within an object of `size` bytes; None for the whole."""
    if part is None:
        return None
    if isinstance(part, RangeByteRequest):
        return part.start, part.end - part.start
    if isinstance(part, OffsetByteRequest):
        return part.offset, max(size - part.offset, 0)
    if isinstance(part, SuffixByteRequest):
        length = min(part.suffix, size)
        return size - length, length
    raise TypeError(f"zarr asks for an unknown kind of range, {type(part).__name__}")
