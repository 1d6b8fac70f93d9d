"""The files of one catalogue's folder, and what was found wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from estinel_assets.publishing.files import DATASETS_FILE
from estinel_assets.publishing.product_files import Listing, ProductFiles
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault, ScannedFile
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.stac_documents import Problem

_WARNINGS = 100
"""Kinds of warnings that are told; the others are counted."""


class FolderFiles(Protocol):
    """The files of a job's folder."""

    @property
    def folder(self) -> Path:
        """The job's folder, absolute, without links; `Fault.where` is relative to it."""
        ...

    @property
    def spool(self) -> Spool:
        """Keeps what grows with the number of items."""
        ...

    def list_product(self, folder: Path) -> Listing:
        """List all files below a product's folder that are to be copied."""
        ...

    def take(self, listing: Listing) -> tuple[ProductFiles, dict[str, Fault]]:
        """Read the files of a product.

        Returns:
            Those that can be published, and what is wrong with the others, by relative path.
        """
        ...

    def find(self, path: Path) -> ScannedFile | Fault:
        """A regular file that lies inside the folder once all links are followed.

        Args:
            path: absolute.

        Returns:
            The file with size and digest, or what is wrong.
        """
        ...

    def check_declared(
        self, file: ScannedFile, declared: Mapping[str, Any]
    ) -> tuple[Fault | None, str | None]:
        """Compare a file with the `file:size` and `file:checksum` that a document gives it.

        Returns:
            A fault, a warning, or neither.
        """
        ...


class Findings:
    """Faults, and warnings of which each is told once with its number.

    Attributes:
        prefix: path of the catalogue's folder, relative to the job's, with `/`; may be empty.
        faults: all of them.
    """

    def __init__(self, prefix: str) -> None:
        """Begin with none.

        Args:
            prefix: path of the catalogue's folder, relative to the job's; empty for that itself.
        """
        self.prefix = f"{prefix}/" if prefix else ""
        self._warned: dict[str, tuple[int, str]] = {}
        self._more = 0
        self.faults: list[Fault] = []

    def where(self, relative: str, at: str = "") -> str:
        """A place: path relative to the job's folder, `#`, JSON Pointer."""
        named = f"{self.prefix}{relative}"
        return f"{named}#{at}" if at else named

    def fault(
        self,
        relative: str,
        problem: Problem,
        reason: PublishingReason = PublishingReason.INVALID_CATALOG,
    ) -> None:
        """Add what is wrong with a document."""
        self.faults.append(Fault(reason, self.where(relative, problem.at), problem.what))

    def file_fault(self, relative: str, at: str, fault: Fault) -> None:
        """Add what is wrong with a file, at the place in the document that names it."""
        what = f"{fault.where} {fault.what}"
        self.faults.append(Fault(fault.reason, self.where(relative, at), what))

    def warn(self, what: str, relative: str, at: str = "") -> None:
        """Add what is odd."""
        if what not in self._warned and len(self._warned) >= _WARNINGS:
            self._more += 1
            return
        count, first = self._warned.get(what, (0, self.where(relative, at)))
        self._warned[what] = count + 1, first

    @property
    def warnings(self) -> list[str]:
        """Each kind once, with the first place."""
        told = [
            f"{first}: {what}" + (f" (and {count - 1:,} more like it)" if count > 1 else "")
            for what, (count, first) in self._warned.items()
        ]
        return [*told, f"and {self._more:,} more warnings"] if self._more else told


class CatalogFiles:
    """All files of a catalogue's folder, each read once.

    Attributes:
        folder: absolute.
        published: all of them, with their media types.
        spool: keeps what grows with the number of items.
    """

    def __init__(self, folder: Path, files: FolderFiles, findings: Findings) -> None:
        """List and read them."""
        self.folder = folder
        self.spool = files.spool
        self._files = files
        self._told: set[str] = set()
        listing = files.list_product(folder)
        self.published, self._broken = files.take(listing)
        for fault in listing.faults:
            self._broken[fault.where.removeprefix(findings.prefix)] = fault

    def __contains__(self, relative: str) -> bool:
        """Whether it is published: a file, or a folder with files in it."""
        return self.published.get(relative) is not None or self.is_folder(relative)

    def is_folder(self, relative: str) -> bool:
        """Whether it is a folder with files in it, such as a Zarr store."""
        return self.published.has_folder(relative)

    def find(self, relative: str) -> ScannedFile | Fault:
        """A file that a document names, or what is wrong with it."""
        published = self.published.get(relative)
        if published is not None:
            return published
        if relative in self._broken:
            self._told.add(relative)
            return self._broken[relative]
        path = self.folder / relative
        found = self._files.find(path)
        if isinstance(found, Fault):
            return found
        named = path.relative_to(self._files.folder).as_posix()
        hidden = any(part.startswith(".") for part in relative.split("/"))
        what = "is hidden, and hidden files are not published: give it another name"
        if not hidden:
            what = "is not published: name the file itself, by its own path and not through a link"
        if path.name == DATASETS_FILE:
            what = "is not published: it is HySDS' record of the job"
        return Fault(PublishingReason.MISSING_ASSET, named, what)

    def check_declared(
        self, file: ScannedFile, declared: Mapping[str, Any]
    ) -> tuple[Fault | None, str | None]:
        """See `FolderFiles.check_declared`."""
        return self._files.check_declared(file, declared)

    def untold(self) -> list[Fault]:
        """What is wrong with files that no document names."""
        return [fault for name, fault in self._broken.items() if name not in self._told]
