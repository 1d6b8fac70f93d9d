"""Local files that are written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from estinel_assets.errors import BadInputError


@contextmanager
def replacing(file: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A new file beside the target that takes its place in the end, or vanishes on an error.

    Args:
        file: the target.
        force: replace a file that stands there.

    Raises:
        BadInputError: the file exists or cannot be written.
    """
    if file.exists() and not force:
        raise _exists(file)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        sink = part.open("xb")
    except OSError as error:
        raise BadInputError(
            f"{file} cannot be written ({error.strerror}); name a file in a folder that exists"
        ) from None
    try:
        with sink:
            yield sink
        _settle(part, file, force=force)
    finally:
        part.unlink(missing_ok=True)


def _settle(part: Path, file: Path, *, force: bool) -> None:
    try:
        if force:
            part.replace(file)
        else:
            # Unlike a rename, a link refuses where a file has appeared meanwhile.
            os.link(part, file)
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        raise BadInputError(
            f"{file} cannot be written ({error.strerror}); name another, or give --force"
        ) from None


def _exists(file: Path) -> BadInputError:
    return BadInputError(f"{file} exists already; name another file or give --force to replace it")
