"""A web server for the catalogue browser, in a process of its own.

    python -m benchmarks.browser_server FOLDER

Pictures that the folder lacks are made up. Pages are isolated from other origins, so that they may
measure their own memory. It prints its address and ends when its standard input does.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import started
from tests.support.pictures import SIZES, absent_picture, draw_absent
from tests.support.web_folder import WebFolder

VIEW_PX = 600
"""Width and height of a view: a site with a radius of 3 km."""
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve a folder from another process.

    Yields:
        Its address, without a slash at the end.
    """
    with started("benchmarks.browser_server", str(folder)) as process:
        yield process.address


def main() -> None:
    """Serve until standard input ends."""
    SIZES["views"] = (VIEW_PX, VIEW_PX)
    draw_absent()
    with WebFolder(Path(sys.argv[1]), headers=ISOLATED, absent=absent_picture) as server:
        print(json.dumps(server.url().rstrip("/")), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
