"""The files of the catalogue's page, as the package ships them in `estinel_assets/web/`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from estinel_assets.errors import EstinelError

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""By the ending of a file's name. A module is refused by browsers under any other type."""

START = "index.html"
"""The page itself; it asks for all other files."""

_SEGMENT = "[A-Za-z0-9][A-Za-z0-9_.-]*"
_NAME = re.compile(f"(?:{_SEGMENT}/)*{_SEGMENT}")


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page."""

    name: str
    """Relative to the page's folder, such as `app/main.js`; its ending is in `CONTENT_TYPES`."""
    body: bytes

    @property
    def content_type(self) -> str:
        """What servers and browsers call it."""
        return CONTENT_TYPES[_ending(self.name)]

    @property
    def sha256(self) -> str:
        """Of the body, as hexadecimal digits."""
        return sha256(self.body).hexdigest()


def page_files() -> dict[str, PageFile]:
    """Read the page: its files by name, sorted. Editors' leftovers and unknown endings are not it.

    Raises:
        EstinelError: the package was installed without the page.
    """
    found = {name: PageFile(name, entry.read_bytes()) for name, entry in sorted(_entries().items())}
    if START not in found:
        raise EstinelError(
            f"the package holds no web/{START}, which shows the catalogue; "
            "install estinel-assets again"
        )
    return found


def page_file(name: str) -> PageFile | None:
    """Read one file of the page; None where the page has no such file.

    Args:
        name: such as `app/main.js`; anything else, such as `../settings.py`, is no file of it.
    """
    entry = _entries().get(name)
    return None if entry is None else PageFile(name, entry.read_bytes())


def is_of_page(name: str) -> bool:
    """Whether a file of this name would be published; editors' leftovers would not."""
    return _NAME.fullmatch(name) is not None and _ending(name) in CONTENT_TYPES


def _entries() -> dict[str, Traversable]:
    return dict(_below(files("estinel_assets").joinpath("web"), ""))


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _below(entry, f"{name}/")
        elif is_of_page(name):
            yield name, entry


def _ending(name: str) -> str:
    return f".{name.rpartition('.')[2]}"
