"""Files of a job's folder: listed, kept inside the folder, each hashed once, in threads.

Links to files are followed where they stay inside the folder; links to folders are not. Hidden
files, `_datasets.json` and folders that the job was given are left out. What is read is remembered
with size, time and inode, so that `changed` can say at the end what was not left alone meanwhile.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from estinel_assets.compute.threads import Threads
from estinel_assets.errors import BadInputError
from estinel_assets.publishing.model import JsonObject
from estinel_assets.publishing.reading import (
    CHANGED,
    Stamp,
    UnusableFileError,
    digest_in,
    read_digests,
    read_start,
    readable,
    regular,
    unread,
    why,
)
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault, ScannedFile
from estinel_assets.publishing.stac_documents import Problem, read_document
from estinel_assets.storage.checksums import SHA256, Hasher, UnreadChecksum, parse_checksum
from estinel_assets.storage.paths import check_path

DATASETS_FILE = "_datasets.json"
"""What HySDS leaves in a job's folder after publishing."""
LOCALIZED = ".localized"
"""Marks a folder that a job was given, and did not make."""

_AT_ONCE = 4
_SIDECAR_BYTES = 4096
_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".geojson": "application/geo+json",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".kml": "application/vnd.google-earth.kml+xml",
    ".nc": "application/x-netcdf",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".txt": "text/plain",
    ".xml": "application/xml",
    ".zip": "application/zip",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a product's folder holds."""

    paths: tuple[Path, ...]
    """Files, and links to files of the job's folder, in the order of their names."""
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What became of one path."""

    result: ScannedFile | Fault
    stamp: Stamp | None = None


class JobFiles:
    """The files of one job's folder; `catalogs.FolderFiles`. Safe to use from many threads."""

    def __init__(self, folder: Path, *, at_once: int = _AT_ONCE) -> None:
        """Take a folder.

        Args:
            folder: of the job; a link to it is followed.
            at_once: files that are hashed at the same time.

        Raises:
            BadInputError: it is no folder that can be read.
        """
        try:
            self._folder = folder.resolve(strict=True)
            os.listdir(self._folder)  # noqa: PTH208 - a folder's rights, not its names, matter
        except (OSError, RuntimeError) as error:
            raise BadInputError(
                f"job folder {folder} cannot be read ({why(error)}); name a folder"
            ) from None
        self._at_once = at_once
        self._seen: dict[Path, _Seen] = {}
        self._documents: dict[Path, str] = {}
        self._names: dict[Path, frozenset[str]] = {}
        self._lock = Lock()

    @property
    def folder(self) -> Path:
        """The job's folder, absolute, without links."""
        return self._folder

    def where(self, path: Path) -> str:
        """A path relative to the folder, fit for a message."""
        inside = path.is_relative_to(self._folder)
        return readable(str(path.relative_to(self._folder) if inside else path))

    def list_product(self, folder: Path, *, skip: Collection[Path] = ()) -> Listing:
        """List all files below a product's folder that are to be copied.

        Args:
            folder: inside the job's folder.
            skip: folders below it that are not part of the product.

        Returns:
            Files and faults: a name that no store takes, a link out of the job's folder or to a
            folder, a link to nothing, a pipe, socket or device, a folder that cannot be read.
        """
        paths: list[Path] = []
        faults: list[Fault] = []
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            try:
                names = sorted(os.listdir(here))  # noqa: PTH208 - names, not paths, are sorted
            except OSError as error:
                faults.append(self._fault(PublishingReason.MISSING_ASSET, here, unread(error)))
                continue
            if LOCALIZED in names and here != folder:
                continue
            for name in names:
                if name.startswith(".") or name == DATASETS_FILE:
                    continue
                path = here / name
                try:
                    check_path(path.relative_to(folder).as_posix())
                    kind = self._kind(path)
                except BadInputError as error:
                    what = readable(str(error))
                    faults.append(self._fault(PublishingReason.INVALID_DATASET, path, what))
                except UnusableFileError as error:
                    faults.append(self._fault(error.reason, path, error.what))
                except OSError as error:
                    faults.append(self._fault(PublishingReason.MISSING_ASSET, path, unread(error)))
                else:
                    if kind == "file":
                        paths.append(path)
                    elif path not in skip:
                        waiting.append(path)
        return Listing(tuple(sorted(paths)), tuple(faults))

    def hash_all(self, paths: Iterable[Path]) -> None:
        """Read many files, so that `find` has them at hand."""
        for done in Threads(self._at_once).map(self.find, paths):
            if done.error is not None:
                raise done.error

    def find(self, path: Path) -> ScannedFile | Fault:
        """A regular file that lies inside the folder once all links are followed.

        Its sidecar checksum files are compared too. `relative` is relative to the job's folder.

        Args:
            path: absolute; `..` is followed as far as it stays inside.

        Returns:
            The file, or what is wrong: `missing_asset`, `path_traversal`, `checksum_mismatch`, or
            `invalid_catalog` for a name that no store takes.
        """
        plain = Path(os.path.normpath(path))
        seen = self._seen.get(plain)
        if seen is None:
            try:
                seen = self._look(plain)
            except UnusableFileError as error:
                seen = _Seen(self._fault(error.reason, plain, error.what))
            with self._lock:
                seen = self._seen.setdefault(plain, seen)
        return seen.result

    def check_declared(
        self, file: ScannedFile, declared: Mapping[str, Any]
    ) -> tuple[Fault | None, str | None]:
        """Compare a file with the `file:size` and `file:checksum` that a document gives it.

        Args:
            file: found before.
            declared: such as a STAC asset.

        Returns:
            A fault, a warning, or neither. A checksum of an unknown method is a warning.
        """
        where = self.where(file.source)
        size = declared.get("file:size")
        if size is not None and size != file.size:
            return self._mismatch(file, f"has {file.size} bytes, file:size says {size!r}"), None
        text = declared.get("file:checksum")
        if text is None:
            return None, None
        if not isinstance(text, str):
            return self._mismatch(file, f"file:checksum is {text!r}; write multihash hex"), None
        checksum = parse_checksum(text)
        if isinstance(checksum, UnreadChecksum):
            return None, f"{where}: {checksum.why}; it is not checked"
        try:
            found = (
                file.sha256
                if checksum.method == SHA256
                else read_digests(file.source, {checksum.method: checksum.hasher()})[0][
                    checksum.method
                ]
            )
        except UnusableFileError as error:
            return self._fault(error.reason, file.source, error.what), None
        warning = f"{where}: {checksum.warning}" if checksum.warning else None
        if found != checksum.digest:
            what = f"{checksum.method} is {found}, file:checksum says {checksum.digest}"
            return self._mismatch(file, what), warning
        return None, warning

    def read_json(self, path: Path) -> JsonObject | list[Fault]:
        """Read a document of a dataset.

        Returns:
            The object, or what is wrong: `invalid_dataset`, `missing_asset`, `path_traversal`.
        """
        try:
            real = self._inside(path)
            regular(real.stat().st_mode)
            reading = read_document(real)
        except UnusableFileError as error:
            return [self._fault(error.reason, path, error.what)]
        except OSError as error:
            return [self._fault(PublishingReason.MISSING_ASSET, path, unread(error))]
        with self._lock:
            self._documents[path] = reading.digest.hex()
        if reading.document is None or reading.problems:
            return [
                self._fault(PublishingReason.INVALID_DATASET, path, _said(problem))
                for problem in reading.problems
            ]
        return reading.document

    def changed(self) -> list[Fault]:
        """What is no longer as it was when it was read; empty where all was left alone."""
        faults = []
        for path, seen in sorted(self._seen.items()):
            if not isinstance(seen.result, ScannedFile):
                continue
            try:
                same = Stamp.of(path.stat()) == seen.stamp
            except OSError:
                same = False
            read = self._documents.get(path)
            if not same or (read is not None and read != seen.result.sha256):
                faults.append(self._fault(PublishingReason.CHECKSUM_MISMATCH, path, CHANGED))
        return faults

    def _look(self, path: Path) -> _Seen:
        real = self._inside(path)
        relative = path.relative_to(self._folder).as_posix()
        try:
            check_path(relative)
        except BadInputError as error:
            raise UnusableFileError(
                PublishingReason.INVALID_CATALOG, readable(str(error))
            ) from None
        sidecars = self._sidecars(path)
        hashers: dict[str, Hasher] = {
            name: hashlib.new(name, usedforsecurity=False) for name in sidecars
        }
        hashers[SHA256] = hashlib.sha256()
        lengths = {name: len(said) // 2 for name, (_, said) in sidecars.items()}
        digests, stamp = read_digests(real, hashers, lengths)
        for name, (sidecar, said) in sidecars.items():
            if digests[name] != said:
                raise UnusableFileError(
                    PublishingReason.CHECKSUM_MISMATCH,
                    f"{name} is {digests[name]}, {readable(sidecar)} says {said}; "
                    "one of the two is damaged",
                )
        media_type = _MEDIA_TYPES.get(path.suffix.lower())
        file = ScannedFile(relative, real, stamp.size, digests[SHA256], media_type)
        return _Seen(file, stamp)

    def _kind(self, path: Path) -> str:
        """`file` or `folder`."""
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            return "folder"
        if not stat.S_ISLNK(mode):
            regular(mode)
            return "file"
        target = self._inside(path).stat().st_mode
        if stat.S_ISDIR(target):
            raise UnusableFileError(
                PublishingReason.INVALID_DATASET,
                "is a link to a folder; put the folder itself there",
            )
        regular(target)
        return "file"

    def _inside(self, path: Path) -> Path:
        """A path with all links followed, if it stays inside the folder."""
        if not path.is_relative_to(self._folder):
            raise UnusableFileError(
                PublishingReason.PATH_TRAVERSAL, "lies outside the folder; put it inside"
            )
        try:
            real = path.resolve(strict=True)
        except FileNotFoundError:
            what = "is a link to nothing" if path.is_symlink() else "is not there"
            raise UnusableFileError(PublishingReason.MISSING_ASSET, f"{what}; add it") from None
        except (OSError, RuntimeError, ValueError) as error:  # a loop, a long name, NUL
            raise UnusableFileError(PublishingReason.MISSING_ASSET, unread(error)) from None
        if not real.is_relative_to(self._folder):
            raise UnusableFileError(
                PublishingReason.PATH_TRAVERSAL,
                f"is a link that leads out of the folder, to {readable(str(real))}; "
                "put the file itself there",
            )
        return real

    def _sidecars(self, path: Path) -> dict[str, tuple[str, str]]:
        """Name and digest (lower-case hex) of the checksum files beside a file, by algorithm."""
        found = {}
        for sidecar in self._names_beside(path):
            if not sidecar.startswith(f"{path.name}."):
                continue
            algorithm = sidecar[len(path.name) + 1 :].lower()
            if algorithm not in hashlib.algorithms_available:
                continue
            start = read_start(self._inside(path.with_name(sidecar)), _SIDECAR_BYTES)
            said = digest_in(start, algorithm)
            if said is None:
                raise UnusableFileError(
                    PublishingReason.CHECKSUM_MISMATCH,
                    f"{readable(sidecar)} beside it holds no {algorithm}",
                )
            found[algorithm] = (sidecar, said)
        return found

    def _names_beside(self, path: Path) -> Collection[str]:
        """Names of possible checksum files in a file's folder."""
        names = self._names.get(path.parent)
        if names is None:
            try:
                beside = os.listdir(path.parent)  # noqa: PTH208
            except OSError as error:
                raise UnusableFileError(PublishingReason.MISSING_ASSET, unread(error)) from None
            names = frozenset(
                name
                for name in beside
                if name.rpartition(".")[2].lower() in hashlib.algorithms_available
            )
            with self._lock:
                self._names[path.parent] = names
        return names

    def _mismatch(self, file: ScannedFile, what: str) -> Fault:
        return self._fault(PublishingReason.CHECKSUM_MISMATCH, file.source, what)

    def _fault(self, reason: PublishingReason, path: Path, what: str) -> Fault:
        return Fault(reason, self.where(path), what)


def _said(problem: Problem) -> str:
    return f"{problem.at}: {problem.what}" if problem.at else problem.what
