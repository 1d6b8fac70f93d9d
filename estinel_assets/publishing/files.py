"""Files of a job's folder: listed, kept inside the folder, each hashed once, in threads.

Links to files are followed where they stay inside the folder; links to folders are not. Hidden
files, `_datasets.json` and folders that the job was given are left out. What is read is remembered
with size, time and inode, so that `changed` can say at the end what was not left alone meanwhile.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from estinel_assets.compute.threads import Threads
from estinel_assets.errors import BadInputError
from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.model import JsonObject
from estinel_assets.publishing.product_files import (
    Listing,
    Names,
    ProductFiles,
    file_of,
    file_row,
    file_shelf,
    type_shelf,
)
from estinel_assets.publishing.reading import (
    CHANGED,
    Stamp,
    UnusableFileError,
    digest_in,
    is_text,
    media_type_of,
    read_digests,
    read_start,
    readable,
    regular,
    unread,
    why,
)
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault, ScannedFile
from estinel_assets.publishing.shelves import AT_ONCE, Form, Row, plain
from estinel_assets.publishing.sidecars import Sidecars
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.stac_documents import Problem, read_document
from estinel_assets.storage.checksums import SHA256, Hasher, UnreadChecksum, parse_checksum
from estinel_assets.storage.paths import check_path

DATASETS_FILE = "_datasets.json"
"""What HySDS leaves in a job's folder after publishing."""
LOCALIZED = ".localized"
"""Marks a folder that a job was given, and did not make."""

_AT_ONCE = 4
_SIDECAR_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file that was read."""

    file: ScannedFile
    stamp: Stamp


class JobFiles:
    """The files of one job's folder; `catalogs.FolderFiles`. Safe to use from many threads."""

    def __init__(self, folder: Path, spool: Spool, *, at_once: int = _AT_ONCE) -> None:
        """Take a folder.

        Args:
            folder: of the job; a link to it is followed.
            spool: keeps what is found.
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
        self.spool = spool
        self._at_once = at_once
        self._names = spool.shelf(plain(2))
        self._files = file_shelf(spool)
        self._types = type_shelf(spool)
        self._groups = count()
        self._seen = spool.shelf(Form(7, _seen_row, _seen))
        self._documents = spool.shelf(plain(3))
        self._sidecars = Sidecars(spool)
        self._faults: dict[str, Fault] = {}
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
        with self._lock:
            group = str(next(self._groups))
        faults: list[Fault] = []
        self._names.put((group, name) for name in self._walk(folder, skip, faults))
        faults.sort(key=lambda fault: fault.where)
        return Listing(folder, Names(self._names, group), tuple(faults))

    def hash_all(self, paths: Iterable[Path]) -> dict[Path, Fault]:
        """Read many files, so that `find` has them at hand; what is wrong with them."""
        faults: dict[Path, Fault] = {}
        for done in Threads(self._at_once).map(self.find, paths):
            if done.error is not None:
                raise done.error
            if isinstance(done.value, Fault):
                faults[done.item] = done.value
        return faults

    def take(self, listing: Listing) -> tuple[ProductFiles, dict[str, Fault]]:
        """Read the files of a product.

        Returns:
            Those that can be published, and what is wrong with the others, by relative path.
        """
        files = ProductFiles(self._files, self._types, listing.names.group)
        faults: dict[str, Fault] = {}
        prefix = f"{listing.folder}/".removeprefix(f"{self._folder}/")
        for names in batches(listing.names, AT_ONCE):
            seen = self._taken(prefix, names)
            missing = [listing.folder / name for name in names if name not in seen]
            broken = self.hash_all(missing)
            faults |= {str(path.relative_to(listing.folder)): it for path, it in broken.items()}
            if len(broken) < len(missing):
                seen = self._taken(prefix, names)
            files.put(replace(file, relative=name) for name, file in seen.items())
        return files, faults

    def find(self, path: Path) -> ScannedFile | Fault:
        """A regular file that lies inside the folder once all links are followed.

        Its sidecar checksum files are compared too. `relative` is relative to the job's folder.

        Args:
            path: absolute; `..` is followed as far as it stays inside.

        Returns:
            The file, or what is wrong: `missing_asset`, `path_traversal`, `checksum_mismatch`, or
            `invalid_catalog` for a name that no store takes.
        """
        plain = os.path.normpath(path)
        stands = self._standing(plain)
        if stands is not None:
            return stands
        try:
            seen = self._look(Path(plain))
        except UnusableFileError as error:
            fault = self._fault(error.reason, Path(plain), error.what)
            with self._lock:
                return self._faults.setdefault(plain, fault)
        return self._seen.setdefault(seen).file

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
        if (name := self._name(str(path))) is not None:
            self._documents.set([("", name, reading.digest.hex())])
        if reading.document is None or reading.problems:
            return [
                self._fault(PublishingReason.INVALID_DATASET, path, _said(problem))
                for problem in reading.problems
            ]
        return reading.document

    def changed(self) -> list[Fault]:
        """What is no longer as it was when it was read; empty where all was left alone."""
        faults = []
        for batch in batches(self._seen, AT_ONCE):
            documents = self._documents.look_up(("", one.file.relative) for one in batch)
            for seen in batch:
                path = self._folder / seen.file.relative
                try:
                    same = Stamp.of(path.stat()) == seen.stamp
                except OSError:
                    same = False
                read = documents.get(("", seen.file.relative))
                if not same or (read is not None and read[2] != seen.file.sha256):
                    faults.append(self._fault(PublishingReason.CHECKSUM_MISMATCH, path, CHANGED))
        return faults

    def _walk(self, folder: Path, skip: Collection[Path], faults: list[Fault]) -> Iterator[str]:
        """Paths of the files below a folder, relative to it; what is wrong with others."""
        waiting = [""]
        while waiting:
            below = waiting.pop()
            if below and os.path.lexists(folder / below / LOCALIZED):
                continue
            for entry in self._entries(folder / below, faults):
                if entry.name.startswith(".") or entry.name == DATASETS_FILE:
                    continue
                name = f"{below}{entry.name}"
                try:
                    check_path(name)
                    kind = self._kind(entry)
                except BadInputError as error:
                    reason, what = PublishingReason.INVALID_DATASET, readable(str(error))
                except UnusableFileError as error:
                    reason, what = error.reason, error.what
                except OSError as error:
                    reason, what = PublishingReason.MISSING_ASSET, unread(error)
                else:
                    if kind == "file":
                        yield name
                    elif Path(entry.path) not in skip:
                        waiting.append(f"{name}/")
                    continue
                faults.append(self._fault(reason, Path(entry.path), what))

    def _entries(self, folder: Path, faults: list[Fault]) -> Iterator["os.DirEntry[str]"]:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            faults.append(self._fault(PublishingReason.MISSING_ASSET, folder, unread(error)))

    def _name(self, path: str) -> str | None:
        """A path relative to the folder; None outside of it, or where no store takes it."""
        folder = f"{self._folder}/"
        name = path.removeprefix(folder)
        return name if len(name) < len(path) and is_text(name) else None

    def _taken(self, prefix: str, names: Iterable[str]) -> dict[str, ScannedFile]:
        """Files that were read, of those with these names in a folder."""
        if not is_text(prefix):
            return {}
        seen = self._seen.look_up(("", prefix + name) for name in names)
        return {name[len(prefix) :]: one.file for (_, name), one in seen.items()}

    def _standing(self, path: str) -> ScannedFile | Fault | None:
        """What was found before."""
        name = self._name(path)
        seen = self._seen.get("", name) if name is not None else None
        return self._faults.get(path) if seen is None else seen.file

    def _look(self, path: Path) -> _Seen:
        real = self._inside(path)
        relative = path.relative_to(self._folder).as_posix()
        try:
            check_path(relative)
        except BadInputError as error:
            raise UnusableFileError(
                PublishingReason.INVALID_CATALOG, readable(str(error))
            ) from None
        sidecars = {
            algorithm: (name, self._said(path.with_name(name), algorithm))
            for algorithm, name in self._sidecars.beside(path, relative)
        }
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
        media_type = media_type_of(path)
        file = ScannedFile(relative, real, stamp.size, digests[SHA256], media_type)
        return _Seen(file, stamp)

    def _said(self, sidecar: Path, algorithm: str) -> str:
        """The digest in a checksum file, lower-case hex."""
        said = digest_in(read_start(self._inside(sidecar), _SIDECAR_BYTES), algorithm)
        if said is None:
            what = f"{readable(sidecar.name)} beside it holds no {algorithm}"
            raise UnusableFileError(PublishingReason.CHECKSUM_MISMATCH, what)
        return said

    def _kind(self, entry: "os.DirEntry[str]") -> str:
        """`file` or `folder`."""
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        if not entry.is_symlink():
            regular(entry.stat(follow_symlinks=False).st_mode)
            return "file"
        target = self._inside(Path(entry.path)).stat().st_mode
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

    def _mismatch(self, file: ScannedFile, what: str) -> Fault:
        return self._fault(PublishingReason.CHECKSUM_MISMATCH, file.source, what)

    def _fault(self, reason: PublishingReason, path: Path, what: str) -> Fault:
        return Fault(reason, self.where(path), what)


def _said(problem: Problem) -> str:
    return f"{problem.at}: {problem.what}" if problem.at else problem.what


def _seen_row(seen: _Seen) -> Row:
    stamp = seen.stamp
    return "", *file_row(seen.file), f"{stamp.mtime_ns} {stamp.inode}"


def _seen(row: Row) -> _Seen:
    file = file_of(row[1:-1])
    mtime_ns, inode = map(int, row[-1].split())
    return _Seen(file, Stamp(file.size, mtime_ns, inode))
