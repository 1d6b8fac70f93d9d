"""A threaded server that answers while a block runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer, ThreadingHTTPServer

POLL_S = 0.01
"""How often a server looks whether it is to stop."""


class ManyAtOnce(ThreadingHTTPServer):
    """Takes as many connections at once as come.

    Of more than five, Python's own lets the others wait for a second.
    """

    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
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
