"""Dagster's own processes: code server, daemon and web server.

They come from the tests' fork server, which has imported what each would import anew; so do the
processes of runs.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.support.fork_server import LAST
from tests.support.real import ROOT

INTERVAL_S = 0.2
"""How often the daemon looks at sensors and backfills."""


@contextmanager
def dagster_process(
    name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
) -> Iterator[BaseProcess]:
    """Run one of Dagster's processes.

    Args:
        name: `code`, `daemon` or `web`.
        arguments: of its command.
        log: gets what it says.
        environment: all of its variables.
    """
    context = multiprocessing.get_context("forkserver")
    # Ignored once the fork server runs; then each process imports what is missing.
    context.set_forkserver_preload([LAST])
    process = context.Process(target=_be, args=(name, list(arguments), log, dict(environment)))
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(10)
        if process.exitcode is None:
            process.kill()
            process.join()


def _be(name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    os.setsid()
    _take(environment)
    _say_into(log)
    # The fork server ignores what its children must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(ROOT)
    sys.argv = [f"dagster-{name}", *arguments]
    {"code": _code_server, "daemon": _daemon, "web": _web_server}[name](log)


def _say_into(log: Path) -> None:
    with log.open("ab") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())


def _take(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _code_server(log: Path) -> None:
    from dagster._cli import main

    # This process has the fork server that it comes from, and would start another one.
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]
    forking = _Forking(log)
    multiprocessing.get_context = forking.whatever_is_asked_for  # type: ignore[assignment]
    main()


class _Forking:
    """A context of multiprocessing whose processes have variables and log of this one.

    Else they would have those of the fork server.
    """

    def __init__(self, log: Path) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._log = log

    def whatever_is_asked_for(self, _: str | None = None) -> "_Forking":
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def Process(self, target: Callable[..., object], args: Sequence[Any], **more: Any) -> Any:  # noqa: N802
        return self._context.Process(
            target=_of_the_code_server, args=(dict(os.environ), self._log, target, args), **more
        )


def _of_the_code_server(
    environment: Mapping[str, str],
    log: Path,
    target: Callable[..., object],
    arguments: Sequence[Any],
) -> None:
    _take(environment)
    _say_into(log)
    target(*arguments)


def _daemon(_: Path) -> None:
    import dagster._daemon.controller as controller
    import dagster._daemon.sensor as sensor
    from dagster._daemon.cli import cli

    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = INTERVAL_S
    sensor.MIN_INTERVAL_LOOP_TIME = INTERVAL_S
    cli()


def _web_server(_: Path) -> None:
    from dagster_webserver.cli import main

    main()
