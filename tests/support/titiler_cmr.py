"""A stand-in of TiTiler-CMR for tests: TiTiler's own factories, in a process of its own.

It serves tiles at the address that TiTiler-CMR has, with its parameters `concept_id`, `backend` and
`variable`, of a local file a collection. Below `/broken` it answers 500, below `/blank` with
pictures that are transparent throughout, below `/page` with a page for people.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Query
from PIL import Image
from rio_tiler.io import Reader
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers
from titiler.core.factory import TilerFactory
from titiler.xarray.factory import TilerFactory as ArrayTilerFactory
from titiler.xarray.io import FsReader

from tests.support.real import ROOT


@contextmanager
def running_titiler_cmr(files: Mapping[str, Path]) -> Iterator[str]:
    """Serve tiles of these files, by concept id; yields the root's address."""
    named = json.dumps({concept_id: str(path) for concept_id, path in files.items()})
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", __name__, named],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address, "the stand-in of TiTiler-CMR does not start"
        yield address
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(30)
        process.stdout.close()


class _TiTilerCmr:
    """Chooses by the parameter `backend`, as TiTiler-CMR does, and by what a path begins with."""

    def __init__(self, files: Mapping[str, str]) -> None:
        def path_of(concept_id: Annotated[str, Query()]) -> str:
            return files[concept_id]

        self._backends = {
            "rasterio": _application(TilerFactory(reader=Reader, path_dependency=path_of)),
            "xarray": _application(ArrayTilerFactory(reader=FsReader, path_dependency=path_of)),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode())
        answer: ASGIApp = self._backends[query["backend"][0]]
        _, first, _ = scope["path"].split("/", 2)
        if first == "broken":
            answer = PlainTextResponse("the sky has fallen", status_code=500)
        elif first == "page":
            answer = HTMLResponse("<html>We are moving house.</html>")
        elif first == "blank":
            answer = Response(_transparent(), media_type="image/png")
        await answer(scope, receive, send)


def _application(factory: TilerFactory | ArrayTilerFactory) -> FastAPI:
    application = FastAPI()
    application.include_router(factory.router)
    add_exception_handlers(application, DEFAULT_STATUS_CODES)
    return application


def _transparent() -> bytes:
    sink = BytesIO()
    Image.new("RGBA", (256, 256)).save(sink, "PNG")
    return sink.getvalue()


def _main() -> None:
    config = uvicorn.Config(
        _TiTilerCmr(json.loads(sys.argv[1])), port=0, log_config=None, lifespan="off"
    )
    listener = config.bind_socket()
    listener.listen()  # so that whoever asks at once waits, and is not refused
    print("http://{}:{}".format(*listener.getsockname()[:2]), flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    _main()
