"""What a job's folder was found to hold, before it is decided where it goes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.datasets_config import Route
from estinel_assets.publishing.model import (
    CollectionEntry,
    DocumentEntry,
    ItemEntry,
    Place,
)
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.spool import Spool

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a folder."""

    reason: PublishingReason
    where: str
    """Path relative to the folder, or an id."""
    what: str
    """What is wrong, with the value, and the remedy."""


class FolderRefusedError(PermanentError):
    """A folder cannot be published; all its faults are known, and nothing was written.

    Attributes:
        faults: all of them; the first one's reason is the publication's.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        shown = "\n".join(f"  {fault.where}: {fault.what}" for fault in faults[:SHOWN])
        more = f"\n  and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        super().__init__(faults[0].reason, f"the folder cannot be published:\n{shown}{more}")
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[type["FolderRefusedError"], tuple[tuple[Fault, ...]]]:  # type: ignore[override]
        """Pickle with the faults."""
        return type(self), (self.faults,)


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file of a product that is to be copied."""

    relative: str
    """Path relative to the product's folder, with `/`."""
    source: Path
    """Absolute."""
    size: int
    """Bytes."""
    sha256: str
    """Hex."""
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a product goes, as decided from its route, the policy and what stands."""

    publication: str
    """Id of the publication."""
    place: Place
    """Prefix of its objects."""
    urls: tuple[str, ...]
    """Addresses of that prefix for readers; the store's own address where the route has none."""
    browse_place: Place | None
    browse_urls: tuple[str, ...]
    suffix: str = ""
    """Added to ids under the policy `version`, such as `-v2`."""


Part: TypeAlias = ScannedFile | DocumentEntry | CollectionEntry | ItemEntry
"""What a product adds to a store, the index or the STAC API."""


class Product(Protocol):
    """A dataset or a STAC catalogue of the folder."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def folder(self) -> Path:
        """Absolute."""
        ...

    @property
    def route(self) -> Route:
        """Where `datasets.json` sends it."""
        ...

    @property
    def files(self) -> Iterable[ScannedFile]:
        """All files to copy, sorted by their relative paths; may be read more than once."""
        ...

    @property
    def browse_files(self) -> Sequence[ScannedFile]:
        """Small browse images, copied to the browse location too, if the route has one."""
        ...

    def parts(self, placement: Placement, spool: Spool) -> Iterator[Part]:
        """Make documents, collections and items for a place; bodies go into the spool.

        The files are among them, some of them made anew for their new place.
        """
        ...


@dataclass(frozen=True, slots=True)
class Scan:
    """A folder that can be published."""

    folder: Path
    products: tuple[Product, ...]
    """Catalogues first."""
    fingerprint: str
    """Digest of all files, ids and routes: 64 hex digits. Times of files do not matter, nor does
    `_datasets.json`."""
    warnings: tuple[str, ...] = field(default=())
