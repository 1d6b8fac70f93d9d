"""The servers that benchmarks talk to, each in a process of its own.

In the process that is measured, they would share its Python lock and its time.

    python -m benchmarks.servers s3
    python -m benchmarks.servers stac DATABASE
    python -m benchmarks.servers cmr FOLDER

Each prints its address as a line of JSON, answers every line on its standard input with its
counts of requests so far, and stops when that input ends.
"""

import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.processes import Process, started
from estinel_assets.stac.api.app import create_app
from tests.support.s3 import S3Access, s3_server

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@contextmanager
def s3_process() -> Iterator[S3Access]:
    """An S3 server, moto, with one empty bucket."""
    with started("benchmarks.servers", "s3") as server:
        yield S3Access(**server.address)


@contextmanager
def stac_process(database: Path) -> Iterator[Process]:
    """The embedded STAC API over a database; its address is the URL."""
    with started("benchmarks.servers", "stac", str(database)) as server:
        yield server


@contextmanager
def cmr_process(folder: Path) -> Iterator[Process]:
    """A local CMR over what `LocalCmr.write` left in a folder; its address is the root's URL."""
    with started("benchmarks.servers", "cmr", str(folder)) as server:
        yield server


def _serve_s3() -> None:
    with s3_server() as access:
        print(json.dumps(asdict(access)), flush=True)
        for _ in sys.stdin:
            print("{}", flush=True)


def _serve_stac(database: Path) -> None:
    import threading

    counts: Counter[str] = Counter()
    inner = create_app(database)

    async def counting(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "http":
            counts[f"{scope['method']} {scope['path']}"] += 1
        await inner(scope, receive, send)

    config = uvicorn.Config(counting, port=0, log_config=None, access_log=False, lifespan="on")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    # The socket takes connections already; they are answered once the application is up.
    print(json.dumps(f"http://127.0.0.1:{listener.getsockname()[1]}"), flush=True)
    for _ in sys.stdin:
        print(json.dumps(dict(counts)), flush=True)
    server.should_exit = True
    thread.join()
    listener.close()


def _serve_cmr(folder: Path) -> None:
    from estinel_assets.demo.cmr import serve

    def until_input_ends() -> None:
        for _ in sys.stdin:
            print("{}", flush=True)

    serve(folder, ready=lambda root: print(json.dumps(root), flush=True), until=until_input_ends)


if __name__ == "__main__":
    if sys.argv[1] == "s3":
        _serve_s3()
    elif sys.argv[1] == "cmr":
        _serve_cmr(Path(sys.argv[2]))
    else:
        _serve_stac(Path(sys.argv[2]))
