"""Exit codes, and which error leads to which."""

from enum import IntEnum

import typer

from estinel_assets.errors import (
    AbortedError,
    BadInputError,
    EstinelError,
    MissingDependencyError,
)


class ExitCode(IntEnum):
    """What the command's exit status says."""

    SUCCESS = 0
    """All is well; a query that finds nothing is an answer, too."""
    PARTLY_FAILED = 1
    """Some units of work, or checks, failed."""
    ALL_FAILED = 2
    """Everything failed, or the command itself did."""
    BAD_INPUT = 3
    """Options, settings or files cannot be used."""
    MISSING_DEPENDENCY = 4
    """An optional package or program is absent."""
    ABORTED = 5
    """Stopped by Ctrl-C, SIGTERM, or because nobody reads the output any more."""
    NOTHING_TO_DO = 6
    """There was no work."""


class NothingToDoError(EstinelError):
    """A command that does work found none; the message says where it looked."""


def exit_code_of(error: BaseException) -> ExitCode:
    """The exit code of an error that ends a command."""
    match error:
        case BadInputError() | typer.TyperException():
            return ExitCode.BAD_INPUT
        case MissingDependencyError():
            return ExitCode.MISSING_DEPENDENCY
        case AbortedError() | KeyboardInterrupt() | typer.Abort():
            return ExitCode.ABORTED
        case NothingToDoError():
            return ExitCode.NOTHING_TO_DO
        case _:
            return ExitCode.ALL_FAILED


def exit_code_of_counts(succeeded: int, failed: int) -> ExitCode:
    """The exit code of work on many units.

    Args:
        succeeded: units that ended well.
        failed: units that ended in a fault.
    """
    if failed:
        return ExitCode.PARTLY_FAILED if succeeded else ExitCode.ALL_FAILED
    return ExitCode.SUCCESS if succeeded else ExitCode.NOTHING_TO_DO
