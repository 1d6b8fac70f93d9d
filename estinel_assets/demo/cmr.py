"""A CMR on this machine: UMM records from a folder, searched and paged as NASA's, and their files.

For the demo, tests and benchmarks. `LocalCmr.write` fills a folder, `running_cmr` serves it from a
process of its own for as long as a context lasts::

    LocalCmr(collections, granules, files=folder_of_granules).write(folder)
    with running_cmr(folder) as base_url:
        CmrClient(transport, f"{base_url}/search")

GDAL keeps Python's global lock while it waits for some answers, so that a server in the process
that reads could not give them; hence the process. It ends when its parent does, however that ends.

As a program: `python -m estinel_assets.demo.cmr FOLDER [--host HOST] [--port PORT]` prints its
address once it answers, and logs no requests.
"""

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from estinel_assets.demo.cmr_items import Item, collection_item, granule_item
from estinel_assets.demo.server_process import server_process
from estinel_assets.errors import BadInputError, MissingDependencyError

if TYPE_CHECKING:
    import uvicorn

__all__ = ["LocalCmr", "collection_item", "granule_item", "running_cmr", "serve"]

COLLECTIONS: Final = "collections.jsonl"
GRANULES: Final = "granules.jsonl"
SETTINGS: Final = "local-cmr.json"


@dataclass(frozen=True, slots=True)
class LocalCmr:
    """What a local CMR holds."""

    collections: Sequence[Item]
    """UMM-C items, most used first."""
    granules: Mapping[str, Sequence[Item]]
    """UMM-G items by the concept id of their collection; links without a scheme, such as
    `files/a.nc`, are below the server's root."""
    files: Path | None = None
    """Folder served at `/files/`; what lies below `protected/` needs the token."""
    token: str | None = None
    """Bearer token; without one the protected files are shut."""

    def write(self, folder: Path) -> None:
        """Write the records into a folder, for `serve`; the files stay where they are.

        Args:
            folder: made where absent; records in it are replaced.
        """
        folder.mkdir(parents=True, exist_ok=True)
        _write_lines(folder / COLLECTIONS, self.collections)
        pairs = [[key, item] for key, items in self.granules.items() for item in items]
        _write_lines(folder / GRANULES, pairs)
        files = None if self.files is None else str(self.files.resolve())
        settings = json.dumps({"files": files, "token": self.token})
        (folder / SETTINGS).write_text(settings, encoding="utf-8")


def serve(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ready: Callable[[str], None] | None = None,
    until: Callable[[], None] | None = None,
) -> None:
    """Serve a folder that `LocalCmr.write` filled, until interrupted.

    Args:
        folder: with the records.
        host: address to listen at.
        port: port to listen at; 0 takes a free one.
        ready: called with the root's address once it answers; the search is at `/search`.
        until: called in a thread; serving ends when it returns.

    Raises:
        MissingDependencyError: the extra `serve` is not installed.
        BadInputError: folder or address cannot be used.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the local CMR needs uvicorn, which is not installed: install the extra `serve`, as "
            "in `pip install 'estinel-assets[serve]'`"
        ) from error
    from estinel_assets.demo.cmr_app import LocalCmrApp

    with _listen(host, port) as listener:
        base_url = "http://{}:{}".format(*listener.getsockname()[:2])
        settings, collections, granules = _read(folder)
        app = LocalCmrApp(
            collections,
            granules,
            base_url=base_url,
            files=None if settings["files"] is None else Path(settings["files"]),
            token=settings["token"],
        )
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            date_header=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        if until is not None:
            _stop_when_over(until, server)
        # The socket listens already: whoever asks now waits for a moment.
        if ready is not None:
            ready(base_url)
        server.run(sockets=[listener])


@contextmanager
def running_cmr(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own for as long as the context lasts.

    Args:
        folder: with the records; see `LocalCmr.write`.

    Yields:
        The root's address, without a slash at the end: the search is at `/search`, the files are
        at `/files`.

    Raises:
        EstinelError: it does not start; why is on standard error.
    """
    command = [sys.executable, "-m", "estinel_assets.demo.cmr", str(folder)]
    with server_process([*command, "--until-input-ends"], f"the local CMR of {folder}") as address:
        yield address


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; see the module's docstring.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m estinel_assets.demo.cmr")
    parser.add_argument("folder", type=Path, help="folder with the records")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=0, help="port to listen at; 0 takes a free one")
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="stop when standard input ends, as it does with the process that started this one",
    )
    asked = parser.parse_args(arguments)
    try:
        serve(
            asked.folder,
            asked.host,
            asked.port,
            ready=_say,
            until=_until_input_ends if asked.until_input_ends else None,
        )
    except KeyboardInterrupt:
        return 0
    except BadInputError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except MissingDependencyError as error:
        sys.stderr.write(f"{error}\n")
        return 4
    return 0


def _say(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


def _until_input_ends() -> None:
    # Not through `sys.stdin`, whose lock a waiting thread would keep while Python ends.
    while os.read(0, 1024):
        pass


def _stop_when_over(until: Callable[[], None], server: "uvicorn.Server") -> None:
    def wait() -> None:
        until()
        server.should_exit = True

    threading.Thread(target=wait, name="local-cmr-end", daemon=True).start()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        raise BadInputError(
            f"the local CMR cannot listen at {host}, port {port} ({error}): choose another port, "
            "or 0 for a free one"
        ) from error
    return listener


def _read(folder: Path) -> tuple[dict[str, str | None], list[Item], list[tuple[str, Item]]]:
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        collections = [json.loads(line) for line in _lines(folder / COLLECTIONS)]
        granules = [tuple(json.loads(line)) for line in _lines(folder / GRANULES)]
    except OSError as error:
        raise BadInputError(
            f"{folder} holds no records of a local CMR ({error.strerror}): write them with "
            "LocalCmr.write"
        ) from error
    except ValueError as error:
        raise BadInputError(
            f"the records of a local CMR in {folder} are no JSON ({error}): write them anew with "
            "LocalCmr.write"
        ) from error
    return settings, collections, granules


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def _write_lines(file: Path, documents: Sequence[object]) -> None:
    with file.open("w", encoding="utf-8") as lines:
        for document in documents:
            lines.write(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    sys.exit(main())
