"""A Handle server on this machine, with the REST interface that pyhandle uses; see `handle_app`.

For the demo, tests and benchmarks. Its handles last as long as it runs. `running_handle_server`
serves from a process of its own for as long as a context lasts::

    with running_handle_server(login=ServerLogin("300:21.TEST/USER", "secret")) as base_url:
        HandleClient(base_url, login=…)

As a program: `python -m estinel_assets.demo.handle_server [--host HOST] [--port PORT]` prints its
address once it answers, and logs no requests. Whoever may write is given by the environment, as
`HANDLE_SERVER_USER` and `HANDLE_SERVER_PASSWORD`; without them everybody may.
"""

import argparse
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from estinel_assets.demo.handle_app import LocalHandleApp, ServerLogin
from estinel_assets.demo.server_process import server_process
from estinel_assets.errors import BadInputError, MissingDependencyError

__all__ = ["ServerLogin", "running_handle_server", "serve"]

USER: Final = "HANDLE_SERVER_USER"
PASSWORD: Final = "HANDLE_SERVER_PASSWORD"  # noqa: S105 - a variable's name


def serve(
    app: LocalHandleApp,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ready: Callable[[str], None] | None = None,
    until: Callable[[], None] | None = None,
) -> None:
    """Serve handles until interrupted.

    Args:
        app: with the handles.
        host: address to listen at.
        port: port to listen at; 0 takes a free one.
        ready: called with the server's address once it answers.
        until: called in a thread; serving ends when it returns.

    Raises:
        MissingDependencyError: the extra `serve` is not installed.
        BadInputError: the address cannot be used.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the local Handle server needs uvicorn, which is not installed: install the extra "
            "`serve`, as in `pip install 'estinel-assets[serve]'`"
        ) from error

    with _listen(host, port) as listener:
        base_url = "http://{}:{}".format(*listener.getsockname()[:2])
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

        def end() -> None:
            if until is not None:
                until()
                server.should_exit = True

        threading.Thread(target=end, name="local-handles-end", daemon=True).start()
        # The socket listens already: whoever asks now waits for a moment.
        if ready is not None:
            ready(base_url)
        server.run(sockets=[listener])


@contextmanager
def running_handle_server(
    *,
    login: ServerLogin | None = None,
    prefixes: Sequence[str] = (),
    latency_s: float = 0.0,
) -> Iterator[str]:
    """Serve handles from a process of its own for as long as the context lasts.

    Args:
        login: needed to write; None lets everybody.
        prefixes: that live here; none for all.
        latency_s: each request waits so long, in seconds.

    Yields:
        The server's address, without a slash at the end: the handles are at `/api/handles`.

    Raises:
        EstinelError: it does not start; why is on standard error.
    """
    command = [sys.executable, "-m", "estinel_assets.demo.handle_server"]
    command += ["--latency-s", str(latency_s), "--until-input-ends"]
    command += [word for prefix in prefixes for word in ("--prefix", prefix)]
    # Arguments can be seen by everybody on the machine, an environment cannot.
    hidden = {} if login is None else {USER: login.user, PASSWORD: login.password}
    inherited = {name: text for name, text in os.environ.items() if name not in (USER, PASSWORD)}
    environment = {**inherited, **hidden}
    with server_process(command, "the local Handle server", environment=environment) as address:
        yield address


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; see the module's docstring.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m estinel_assets.demo.handle_server")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=0, help="port to listen at; 0 takes a free one")
    parser.add_argument(
        "--prefix", action="append", default=[], help="a prefix that lives here; all without any"
    )
    parser.add_argument(
        "--latency-s", type=float, default=0.0, help="seconds that each request waits"
    )
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="stop when standard input ends, as it does with the process that started this one",
    )
    asked = parser.parse_args(arguments)
    try:
        app = LocalHandleApp(prefixes=asked.prefix, login=_login(), latency_s=asked.latency_s)
        serve(
            app,
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


def _login() -> ServerLogin | None:
    user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    if bool(user) != bool(password) or (user and not all(user.partition(":"))):
        raise BadInputError(
            f"who may write is not clear: set {USER}, as in 300:21.TEST/USER, and {PASSWORD}, "
            "or neither"
        )
    return ServerLogin(user, password) if user else None


def _say(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


def _until_input_ends() -> None:
    # Not through `sys.stdin`, whose lock a waiting thread would keep while Python ends.
    while os.read(0, 1024):
        pass


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        raise BadInputError(
            f"the local Handle server cannot listen at {host}, port {port} ({error}): choose "
            "another port, or 0 for a free one"
        ) from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
