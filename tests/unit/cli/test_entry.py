"""Errors become exit codes and messages in one place."""

import json
import signal
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner

from estinel_assets.cli.entry import RootCommand
from estinel_assets.cli.exit_codes import ExitCode, NothingToDoError, exit_code_of_counts
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.errors import (
    AbortedError,
    BadInputError,
    EstinelError,
    LeaseHeldError,
    MissingDependencyError,
    PermanentError,
    StoreError,
)
from tests.support.cli import estinel

SECRET_URL = "https://user:hunter2@host/path?token=abc"


def failing(error: BaseException) -> typer.Typer:
    """A command tree with one command, which raises."""
    app = typer.Typer(cls=RootCommand)

    @app.callback()
    def root(context: typer.Context, *, debug: bool = False) -> None:
        Session.of(context).prepare(config=None, log_file=None, verbose=False, debug=debug)

    @app.command()
    def work(*, as_json: JsonOption = False) -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInputError("x"), 3),
        (MissingDependencyError("x"), 4),
        (AbortedError("x"), 5),
        (KeyboardInterrupt(), 5),
        (typer.Abort(), 5),
        (EOFError(), 5),
        (NothingToDoError("x"), 6),
        (StoreError("x"), 2),
        (LeaseHeldError("x"), 2),
        (EstinelError("x"), 2),
        (PermanentError("missing_band", "x"), 2),
        (ZeroDivisionError("x"), 2),
        (typer.BadParameter("x"), 3),
        (BrokenPipeError(32, "x"), 2),
        (typer.Exit(1), 1),
        (typer.Exit(0), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    result = CliRunner().invoke(failing(error), ["work"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert ("estinel: " in result.stderr) == (not isinstance(error, typer.Exit))


def test_an_error_with_json_is_one_document() -> None:
    result = CliRunner().invoke(
        failing(PermanentError("missing_band", "no B02")), ["work", "--json"]
    )
    assert json.loads(result.stdout) == {
        "error": {
            "type": "PermanentError",
            "message": "no B02",
            "exit_code": 2,
            "reason": "missing_band",
        }
    }
    assert result.stderr == "estinel: no B02\n"


def test_an_unexpected_error_is_named_and_debug_shows_its_traceback() -> None:
    app = failing(ZeroDivisionError("division by zero"))
    plain = CliRunner().invoke(app, ["work"])
    assert "unexpected ZeroDivisionError: division by zero" in plain.stderr
    assert "--debug" in plain.stderr
    assert "Traceback" not in plain.stderr
    debug = CliRunner().invoke(app, ["--debug", "work"])
    assert debug.exit_code == 2
    assert "Traceback (most recent call last)" in debug.stderr
    assert "raise error" in debug.stderr


@pytest.mark.parametrize("options", [["work", "--json"], ["--debug", "work", "--json"]])
def test_messages_and_tracebacks_hide_credentials(options: list[str]) -> None:
    result = CliRunner().invoke(failing(RuntimeError(f"GET {SECRET_URL} failed")), options)
    for stream in (result.stdout, result.stderr):
        assert "https://host/path" in stream
        assert "hunter2" not in stream
        assert "abc" not in stream


def test_with_json_logs_an_error_is_a_json_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTINEL_LOG_FORMAT", "json")
    result = CliRunner().invoke(failing(StoreError("it refused")), ["work"])
    (line,) = result.stderr.splitlines()
    record = json.loads(line)
    assert (record["event"], record["level"], record["exit_code"]) == ("it refused", "error", 2)


def test_a_command_that_printed_prints_no_second_document() -> None:
    app = typer.Typer(cls=RootCommand)
    app.callback()(lambda: None)

    @app.command()
    def work(context: typer.Context, *, as_json: JsonOption = False) -> None:
        Session.of(context).show({"a": 1}, lambda: pytest.fail("no table"), as_json=as_json)
        raise StoreError("too late")

    result = CliRunner().invoke(app, ["work", "--json"])
    assert json.loads(result.stdout) == {"a": 1}
    assert result.exit_code == 2
    assert "too late" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["--nope"],
        ["outcomes"],
        ["outcomes", "lst"],
        ["outcomes", "list"],
        ["outcomes", "list", "--product"],
        ["outcomes", "list", "--product", "imagery", "--status", "maybe"],
        ["outcomes", "list", "--product", "imagery", "extra"],
        ["stac", "serve", "--database", "x", "--port", "99999"],
        ["config", "show", "--config", "x"],
    ],
    ids=" ".join,
)
def test_usage_errors_are_bad_input(arguments: list[str]) -> None:
    result = estinel(*arguments)
    assert result.code == ExitCode.BAD_INPUT
    assert result.stdout == ""
    assert "--help" in result.stderr
    as_json = estinel(*arguments, "--json")
    assert as_json.code == ExitCode.BAD_INPUT
    assert as_json.document["error"]["exit_code"] == 3


def test_json_behind_two_dashes_is_no_option() -> None:
    assert not Session(["a", "--", "--json"]).wants_json
    assert Session(["a", "--json", "--"]).wants_json


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["outcomes", "list", "--help"]])
def test_help_is_plain_outside_a_terminal(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = CliRunner().invoke(_root(), arguments)
    assert result.exit_code == 0
    assert "Usage: estinel" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_version() -> None:
    result = estinel("--version")
    assert result.code == 0
    assert result.stdout.split()[0] == "estinel"


def test_sigterm_is_given_back() -> None:
    former = signal.getsignal(signal.SIGTERM)
    estinel("--version")
    assert signal.getsignal(signal.SIGTERM) is former


def test_not_standalone_returns_the_code() -> None:
    command = get_command(_root())
    assert command.main(["--config", "/no/such", "config", "show"], standalone_mode=False) == 3


def test_a_log_file_gets_the_error_too(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "estinel.log"
    result = estinel("--log", log, "outcomes", "count", "--product", "nope")
    assert result.code == 3
    text = log.read_text()
    assert "no product line is called 'nope'" in text
    assert "[error" in text
    assert result.stderr.count("nope") == 1


def test_a_log_file_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    result = estinel("--log", tmp_path, "config", "show")
    assert result.code == 3
    assert "--log" in result.stderr


def test_a_missing_package_names_its_extra() -> None:
    with (
        pytest.raises(MissingDependencyError, match=r"estinel-assets\[imagery\]"),
        needs_extra("imagery"),
    ):
        raise ModuleNotFoundError("x", name="rasterio.io")
    with pytest.raises(ModuleNotFoundError), needs_extra("imagery"):
        raise ModuleNotFoundError("a bug", name="estinel_assets.nope")


@given(succeeded=st.integers(0, 5), failed=st.integers(0, 5))
def test_counts_lead_to_exit_codes(succeeded: int, failed: int) -> None:
    expected = {
        (False, False): ExitCode.NOTHING_TO_DO,
        (True, False): ExitCode.SUCCESS,
        (True, True): ExitCode.PARTLY_FAILED,
        (False, True): ExitCode.ALL_FAILED,
    }[succeeded > 0, failed > 0]
    assert exit_code_of_counts(succeeded, failed) is expected


def _root() -> typer.Typer:
    from estinel_assets.cli.app import app

    return app
