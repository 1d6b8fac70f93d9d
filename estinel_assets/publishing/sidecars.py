"""Checksum files beside other files, such as `a.nc.md5` beside `a.nc`."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from estinel_assets.publishing.reading import UnusableFileError, is_text, unread
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.shelves import plain
from estinel_assets.publishing.spool import Spool


class Sidecars:
    """The checksum files of a job's folder; each folder is listed once."""

    def __init__(self, spool: Spool) -> None:
        """Nothing is listed yet."""
        self._names = spool.shelf(plain(2))
        self._listed = spool.shelf(plain(2))

    def beside(self, path: Path, relative: str) -> Iterator[tuple[str, str]]:
        """Algorithm and name of the checksum files beside a file.

        Args:
            path: of the file, absolute.
            relative: to the job's folder, with `/`.

        Raises:
            UnusableFileError: its folder cannot be listed.
        """
        folder = relative.rpartition("/")[0]
        if self._listed.get("", folder) is None:
            self._list(path.parent, folder)
        for _, name in self._names.of(relative):
            yield name.rpartition(".")[2].lower(), name

    def _list(self, folder: Path, relative: str) -> None:
        below = f"{relative}/" if relative else ""
        try:
            with os.scandir(folder) as entries:
                self._names.put(
                    (below + entry.name.rpartition(".")[0], entry.name)
                    for entry in entries
                    if _is_sidecar(entry.name)
                )
        except OSError as error:
            raise UnusableFileError(PublishingReason.MISSING_ASSET, unread(error)) from None
        self._listed.put([("", relative)])


def _is_sidecar(name: str) -> bool:
    return name.rpartition(".")[2].lower() in hashlib.algorithms_available and is_text(name)
