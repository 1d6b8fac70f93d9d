"""Publishing the catalogue's page: its files, beside the catalogue, where they changed.

A manifest says which files stand and with which bytes. Whatever is not as the manifest of this
release says, because it is of another release, was lost, or was changed by somebody, is written
again; files that only another release's manifest names are deleted.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from estinel_assets.errors import NotFoundError, StoreError
from estinel_assets.imagery.layout import CATALOG_LEASE, PAGE, PAGE_MANIFEST
from estinel_assets.imagery.page_files import START, PageFile, is_of_page, page_files
from estinel_assets.logs import get_logger
from estinel_assets.storage.documents import JSON_TYPE, dump_json, load_json
from estinel_assets.storage.lease import Lease, hold_lease
from estinel_assets.storage.port import ObjectStore

MANIFEST_VERSION = 1

_DATA = frozenset({"index.json", "image-catalog.json", "merged.json", "page.json"})
_DATA_FOLDERS = ("fragments/", "ratings/")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PagePublished:
    """What publishing the page did."""

    page_files: int
    """Files of the page."""
    page_files_written: int
    """Those that were new or changed."""
    page_files_deleted: int
    """Files of another release."""
    page_bytes: int
    """Size of all files of the page."""

    def counts(self) -> dict[str, int]:
        """The numbers, for metadata."""
        return asdict(self)


def publish_page(
    store: ObjectStore,
    *,
    lease_ttl_s: float,
    lease_wait_s: float,
    files: Mapping[str, PageFile] | None = None,
) -> PagePublished:
    """Bring the page in the store up to date with the package.

    `index.html` is written last, so that whoever opens the page finds all that it asks for; what
    an earlier release needs is deleted only then.

    Args:
        store: where the catalogue is.
        lease_ttl_s: a merge silent for this long counts as dead, in seconds.
        lease_wait_s: how long to wait for a merge of the catalogue, in seconds.
        files: the page's files by name; None for those of the package.

    Raises:
        LeaseHeldError: a merge of the catalogue went on for longer than that.
        LeaseLostError: another worker took over; it publishes the page itself.
    """
    files = page_files() if files is None else files
    with hold_lease(store, CATALOG_LEASE, ttl_s=lease_ttl_s, wait_s=lease_wait_s) as lease:
        former = _manifest(store)
        standing = _etags(store, {*files, *former})
        written = _write_changed(store, files, former, standing, lease)
        stale = sorted(former.keys() - files.keys())
        if stale:
            lease.check()
            store.delete_many([f"{PAGE}/{name}" for name in stale])
        entries = {
            name: {"sha256": files[name].sha256, "etag": (standing | written)[name]}
            for name in sorted(files)
        }
        if entries != former:
            lease.check()
            document = {"version": MANIFEST_VERSION, "files": entries}
            store.put(PAGE_MANIFEST, dump_json(document), content_type=JSON_TYPE)
    n_bytes = sum(len(file.body) for file in files.values())
    return PagePublished(len(files), len(written), len(stale), n_bytes)


def page_fingerprint() -> str:
    """Of all files of the package's page: another release's differs where its page does."""
    return " ".join(f"{name}:{file.sha256[:16]}" for name, file in page_files().items())


def _write_changed(
    store: ObjectStore,
    files: Mapping[str, PageFile],
    former: Mapping[str, Mapping[str, Any]],
    standing: Mapping[str, str],
    lease: Lease,
) -> dict[str, str]:
    """Write what is not as the manifest says; the new versions by name."""
    written: dict[str, str] = {}
    for name in sorted(files, key=lambda name: (name == START, name)):
        file = files[name]
        known = former.get(name, {})
        if known.get("sha256") == file.sha256 and known.get("etag") == standing.get(name):
            continue
        lease.check()
        meta = store.put(f"{PAGE}/{name}", file.body, content_type=file.content_type)
        written[name] = meta.etag
    return written


def _etags(store: ObjectStore, names: set[str]) -> dict[str, str]:
    """The versions that stand of these files, by name."""
    folders = {name.partition("/")[0] for name in names if "/" in name}
    standing = {
        meta.path.removeprefix(f"{PAGE}/"): meta.etag
        for folder in sorted(folders)
        for meta in store.list(f"{PAGE}/{folder}")
    }
    for name in names:
        if "/" not in name:
            try:
                standing[name] = store.head(f"{PAGE}/{name}").etag
            except NotFoundError:
                continue
    return standing


def _manifest(store: ObjectStore) -> Mapping[str, Mapping[str, Any]]:
    """What the manifest says of each file; nothing where there is none that can be read."""
    try:
        stored = store.get(PAGE_MANIFEST)
    except NotFoundError:
        return {}
    try:
        document = load_json(stored.data, what=store.uri(PAGE_MANIFEST))
    except StoreError as error:
        log.warning("the page is published anew", problem=str(error))
        return {}
    entries = document.get("files") if isinstance(document, dict) else None
    if not isinstance(entries, dict) or document.get("version") != MANIFEST_VERSION:
        return {}
    return {
        name: entry
        for name, entry in entries.items()
        if isinstance(entry, dict) and _may_be_of_a_page(name)
    }


def _may_be_of_a_page(name: str) -> bool:
    """Whether a file of that name may be deleted: a manifest from elsewhere deletes no data."""
    return is_of_page(name) and name not in _DATA and not name.startswith(_DATA_FOLDERS)
