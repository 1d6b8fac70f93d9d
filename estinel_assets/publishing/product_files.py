"""The files of a product: named first, then read, and kept on shelves however many they are."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from estinel_assets.publishing.batches import batches
from estinel_assets.publishing.reading import is_text
from estinel_assets.publishing.scanned import Fault, ScannedFile
from estinel_assets.publishing.shelves import AT_ONCE, Form, Row, Shelf
from estinel_assets.publishing.spool import Spool


@dataclass(frozen=True, slots=True)
class Names:
    """Paths of a product's files, relative to its folder, with `/` and sorted."""

    shelf: Shelf[Row]
    group: str

    def __iter__(self) -> Iterator[str]:
        return (name for _, name in self.shelf.of(self.group))

    def __contains__(self, name: str) -> bool:
        return is_text(name) and self.shelf.get(self.group, name) is not None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a product's folder holds."""

    folder: Path
    """Absolute."""
    names: Names
    """Of its files, and links to files of the job's folder."""
    faults: tuple[Fault, ...]

    @property
    def paths(self) -> Iterator[Path]:
        """Of its files, absolute."""
        return (self.folder / name for name in self.names)


class ProductFiles:
    """The files of a product that were read, sorted by their relative paths."""

    def __init__(self, shelf: Shelf["Filed"], types: Shelf["Typed"], group: str) -> None:
        """Begin with none.

        Args:
            shelf: of a job's folder.
            types: likewise.
            group: of the product alone.
        """
        self._shelf = shelf
        self._types = types
        self._group = group

    def __iter__(self) -> Iterator[ScannedFile]:
        for batch in batches(self._shelf.of(self._group), AT_ONCE):
            types = self._types.look_up((self._group, one.file.relative) for one in batch)
            for one in batch:
                named = types.get((self._group, one.file.relative))
                yield replace(one.file, media_type=named.media_type) if named else one.file

    def get(self, relative: str) -> ScannedFile | None:
        """A file by its path; its media type is that of its name."""
        one = self._shelf.get(self._group, relative)
        return None if one is None else one.file

    def has_folder(self, relative: str) -> bool:
        """Whether a folder has files in it."""
        return self._shelf.holds_below(self._group, relative)

    def put(self, files: Iterable[ScannedFile]) -> None:
        """Take files in."""
        self._shelf.put(Filed(self._group, file) for file in files)

    def set_type(self, relative: str, media_type: str) -> None:
        """Note the media type that a document gives a file; the first one counts."""
        self._types.put([Typed(self._group, relative, media_type)])


@dataclass(frozen=True, slots=True)
class Filed:
    """A file of a product."""

    group: str
    file: ScannedFile


@dataclass(frozen=True, slots=True)
class Typed:
    """The media type that a document gives a file."""

    group: str
    relative: str
    media_type: str


def file_shelf(spool: Spool) -> Shelf[Filed]:
    """A shelf for the files of many products."""
    return spool.shelf(Form(6, lambda one: (one.group, *file_row(one.file)), _filed))


def type_shelf(spool: Spool) -> Shelf[Typed]:
    """A shelf for media types of files of many products."""
    return spool.shelf(
        Form(3, lambda one: (one.group, one.relative, one.media_type), lambda row: Typed(*row))
    )


def file_row(file: ScannedFile) -> Row:
    """A file as a row of five columns, its relative path first."""
    source = os.fsencode(file.source)
    return file.relative, source, file.size, file.sha256, file.media_type


def file_of(row: Row) -> ScannedFile:
    """A file from such a row."""
    relative, source, size, sha256, media_type = row
    return ScannedFile(relative, Path(os.fsdecode(source)), size, sha256, media_type)


def _filed(row: Row) -> Filed:
    return Filed(row[0], file_of(row[1:]))
