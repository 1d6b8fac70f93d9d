"""Imports every module of the package and tells what that did besides importing.

Run as a script in a process of its own (`python -P`), with the folder of the repository as
argument; prints one JSON document. Network calls are refused and told; so are environment
variables that the package reads, and threads. A process of the fork server, which has imported
what the package stands on, takes a tenth of the time.
"""

import importlib
import json
import os
import runpy
import sys
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

PACKAGE = "estinel_assets"
NETWORK = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.sendmsg",
    "socket.sendto",
}
HARMLESS = {"DAGSTER_RECORD_DEFENSIVE_CHECKS", "PYDANTIC_DISABLE_PLUGINS"}
"""Read by Dagster and pydantic whenever an asset or a model is declared."""


def modules_of(root: Path) -> list[str]:
    """The dotted names of all modules of the package, from its files."""
    names = []
    for file in sorted((root / PACKAGE).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if parts[-1] != "__main__":
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def _read_by_the_package(root: Path) -> bool:
    """Whether a module of the package reads, itself or through what it calls.

    What a library reads when it is imported itself is the library's affair.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and "importlib._bootstrap" not in frame.f_code.co_filename:
        if frame.f_code.co_filename.startswith(str(root / PACKAGE)):
            return True
        frame = frame.f_back
    return False


def watch(root: Path) -> dict[str, list[str]]:
    """Import everything; what happened, by kind. Empty lists mean that nothing did."""
    seen: dict[str, list[str]] = {"network": [], "environment": [], "threads": [], "imported": []}

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event in NETWORK:
            seen["network"].append(f"{event}{arguments[1:]}")
            raise OSError(f"{event} while importing")

    read = type(os.environ).__getitem__

    def read_and_note(environment: os._Environ[str], name: str) -> str:
        if name not in HARMLESS and _read_by_the_package(root):
            seen["environment"].append(name)
        return read(environment, name)

    sys.addaudithook(refuse)
    setattr(type(os.environ), "__getitem__", read_and_note)  # noqa: B010 - mypy forbids the other
    for name in modules_of(root):
        importlib.import_module(name)
        seen["imported"].append(name)
    runpy.run_path(str(root / "definitions.py"))
    seen["threads"] = [
        thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
    ]
    return seen


def watch_again(root: Path, home: Path, environment: Mapping[str, str], said: Path) -> None:
    """Import everything of the package anew, in a process where the libraries are imported.

    Args:
        root: the folder of the repository.
        home: the working directory.
        environment: all variables.
        said: gets what `watch` saw.
    """
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(home)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    warnings.simplefilter("ignore")
    said.write_text(json.dumps(watch(root)), encoding="utf-8")


if __name__ == "__main__":
    repository = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(repository))
    print(json.dumps(watch(repository)))
