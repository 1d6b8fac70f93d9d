"""The outermost frame of the command: errors become exit codes here and nowhere else."""

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from estinel_assets.cli.exit_codes import ExitCode, exit_code_of
from estinel_assets.cli.output import reader_gone, write_json
from estinel_assets.cli.session import Session
from estinel_assets.errors import AbortedError, EstinelError, UnitError

_INTERRUPTED = 130
"""What Typer makes of Ctrl-C."""


class PipeBrokenError(EstinelError):
    """A pipe or connection broke that is not the command's output."""


class RootCommand(TyperGroup):
    """The root of the command tree."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Parse the arguments. Help is printed here, perhaps to somebody who has gone."""
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError:
            raise reader_gone() from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Typer takes any broken pipe for that of stdout, and says nothing."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise PipeBrokenError(
                "a pipe or connection broke; run `estinel --debug …` for the traceback"
            ) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - the signature of the base
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002
        **extra: Any,
    ) -> Any:
        """Run the command to its exit code: exit with it, or return it if not standalone."""
        # Bare `estinel` asks what there is.
        arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
        session = Session(arguments)
        if not sys.stdout.isatty():
            _make_help_plain(self)
        run = super().main

        def call() -> Any:
            return run(
                args=arguments,
                prog_name=prog_name or "estinel",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                obj=session,
                **extra,
            )

        with _sigterm_as_interrupt():
            try:
                code = _guarded(call, session)
            finally:
                _stop_logging(session)
        if standalone_mode:
            sys.exit(code)
        return code


def _guarded(call: Callable[[], Any], session: Session) -> int:
    error: BaseException
    try:
        result = call()
        if result != _INTERRUPTED:
            return int(result or ExitCode.SUCCESS)
        error = AbortedError("aborted by the user")
    except KeyboardInterrupt:
        error = AbortedError("aborted by the user")
    except Exception as caught:  # noqa: BLE001 - whatever it is, it is reported and gets its code
        error = caught
    return report(error, session)


def report(error: BaseException, session: Session) -> ExitCode:
    """Say what went wrong: text on stderr, with `--json` also a document on stdout.

    Where logs are JSON, the text is a log record as well, so that stderr stays JSON lines.

    Returns:
        The exit code.
    """
    from estinel_assets.logs import log_failure, mask_text

    code = exit_code_of(error)
    message = mask_text(_message(error))
    trace = mask_text("".join(traceback.format_exception(error))) if session.debug else ""
    as_json = session.log_format == "json"
    log_failure(message, exit_code=int(code), trace=trace, on_stderr=as_json)
    if not as_json:
        sys.stderr.write(f"{trace}estinel: {message}\n")
        sys.stderr.flush()
    if session.wants_json and not session.printed:
        document: dict[str, object] = {
            "type": type(error).__name__,
            "message": message,
            "exit_code": int(code),
        }
        if isinstance(error, UnitError):
            document["reason"] = error.reason
        try:
            write_json({"error": document})
        except typer.Exit:  # nobody reads stdout
            return code
    return code


def _message(error: BaseException) -> str:
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = "estinel" if context is None else context.command_path
        return f"{error.format_message()}\nTry `{command} --help`."
    if isinstance(error, typer.Abort):
        return "aborted by the user"
    if isinstance(error, EstinelError):
        return str(error)
    return (
        f"unexpected {type(error).__name__}: {error}\n"
        "This is a bug. Run `estinel --debug …` for the traceback."
    )


def _stop_logging(session: Session) -> None:
    if session.log_format is not None:
        from estinel_assets.logs import reset_logging

        reset_logging()


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does: in order, and with the exit code for it."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _make_help_plain(command: object) -> None:
    """Help without frames and colours, for pipes and files."""
    if hasattr(command, "rich_markup_mode"):
        command.rich_markup_mode = None
    for inner in getattr(command, "commands", {}).values():
        _make_help_plain(inner)
