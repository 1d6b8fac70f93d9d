"""A threaded server that answers while a block runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

POLL_S = 0.01
"""How often a server looks whether it is to stop."""


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    """Let a server answer, and close it at the end.

    Yields:
        Its address on this machine, without a slash at the end.
    """
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
