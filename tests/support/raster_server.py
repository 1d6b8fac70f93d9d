"""The server of `http.RangeServer` in a process of its own.

GDAL keeps the interpreter's lock while it waits for some answers, so that a server in the process
that reads could not give them. Misbehaviour is ordered over the server's standard input.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.support.http import Misbehaviour, RangeServer
from tests.support.real import ROOT


class RasterServer:
    """Serves a folder from another process; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._port = self._said()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # its order to stop
        self._process.wait(30)
        self._process.stdout.close()

    def url(self, path: str = "") -> str:
        """The address of a path below the folder."""
        return f"http://127.0.0.1:{self._port}/{quote(path)}"

    def misbehave(self, path: str, misbehaviour: Misbehaviour) -> None:
        """Spoil the requests for a path from now on."""
        self._ask("misbehave", path=path, misbehaviour=asdict(misbehaviour))

    def behave(self, path: str) -> None:
        """Serve a path properly again."""
        self._ask("behave", path=path)

    def queries(self) -> set[str]:
        """The queries of all requests so far."""
        return set(self._ask("queries"))

    def paths(self) -> list[str]:
        """The paths of all requests so far, oldest first."""
        return list(self._ask("paths"))

    def _ask(self, order: str, **more: Any) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        print(json.dumps({"order": order, **more}), file=self._process.stdin, flush=True)
        return self._said()

    def _said(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _obey(server: RangeServer, order: dict[str, Any]) -> Any:
    match order["order"]:
        case "misbehave":
            server.misbehave(order["path"], Misbehaviour(**order["misbehaviour"]))
        case "behave":
            server.behave(order["path"])
        case "queries":
            return sorted({request.query for request in server.requests})
        case "paths":
            return [request.path for request in server.requests]
    return None


def _main() -> None:
    with RangeServer(Path(sys.argv[1])) as server:
        print(server.port, flush=True)
        for line in sys.stdin:
            print(json.dumps(_obey(server, json.loads(line))), flush=True)


if __name__ == "__main__":
    _main()
