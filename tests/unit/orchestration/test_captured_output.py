"""What steps write is in the files that the web server shows, and on the terminal."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from estinel_assets.orchestration.captured_output import ThreadComputeLogManager, captured
from estinel_assets.orchestration.in_process import open_instance, run_job
from tests.support.real import ROOT


@dg.op
def talk() -> None:
    print("spoken", flush=True)
    print("complained", file=sys.stderr, flush=True)
    os.write(1, b"from a library\n")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)


@dg.op
def fail() -> None:
    os.write(2, b"before the end\n")
    raise ZeroDivisionError("no pixels")


@dg.job(executor_def=dg.in_process_executor)
def talks() -> None:
    talk()


@dg.job(executor_def=dg.in_process_executor)
def fails() -> None:
    fail()


DEFS = dg.Definitions(jobs=[talks, fails])


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    with open_instance(tmp_path) as opened:
        yield opened


@contextmanager
def real_streams() -> Iterator[None]:
    """Streams on the descriptors 1 and 2, as every process has them outside of tests."""
    with (
        os.fdopen(1, "w", closefd=False) as out,
        os.fdopen(2, "w", closefd=False) as err,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        yield


def output_of(instance: dg.DagsterInstance, run_id: str) -> tuple[bytes, bytes]:
    """As the web server finds it: by the event that names the files."""
    (entry,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
    key = entry.get_dagster_event().logs_captured_data.file_key
    # Dagster's own, as the web server has it.
    with dg.DagsterInstance.from_config(instance.root_directory) as own:
        read = own.compute_log_manager
        assert not isinstance(read, ThreadComputeLogManager)
        log_key = [run_id, "compute_logs", key]
        assert read.is_capture_complete(log_key)
        found = read.get_log_data(log_key)
    return found.stdout or b"", found.stderr or b""


def test_output_is_kept_and_shown(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    with real_streams():
        ran = run_job(DEFS, instance, "talks")

    assert ran.success
    kept = output_of(instance, ran.run_id)
    assert kept == (b"spoken\nfrom a library\nfrom a child\n", b"complained\n")
    assert capfd.readouterr() == tuple(text.decode() for text in kept)


def test_output_of_a_failed_step_is_kept_and_the_streams_come_back(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    with real_streams():
        ran = run_job(DEFS, instance, "fails")
    os.write(2, b"afterwards\n")

    assert not ran.success
    assert output_of(instance, ran.run_id) == (b"", b"before the end\n")
    assert capfd.readouterr().err == "before the end\nafterwards\n"


def test_no_process_is_started(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"a process was started: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)

    assert run_job(DEFS, instance, "fails").error == "ZeroDivisionError: no pixels"


def test_output_is_shown_while_the_step_runs(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream, captured(stream, tmp_path / "a/out"):
        print("half way", file=stream, flush=True)
        assert os.read(reading, 100) == b"half way\n"  # waits for it
        print("the rest", file=stream)
    assert os.read(reading, 100) == b"the rest\n"
    os.close(reading)
    assert (tmp_path / "a/out").read_bytes() == b"half way\nthe rest\n"


def test_nothing_is_lost_where_nobody_reads_any_more(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        with captured(stream, tmp_path / "out"):
            print("spoken", file=stream, flush=True)
        with pytest.raises(BrokenPipeError):  # the stream is what it was
            os.write(stream.fileno(), b"x")

    assert (tmp_path / "out").read_bytes() == b"spoken\n"


def test_what_a_file_held_before_is_kept_and_not_shown_again(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"first\n")
    shown = tmp_path / "shown"
    with shown.open("w") as stream, captured(stream, tmp_path / "out"):
        print("second", file=stream)

    assert (tmp_path / "out").read_bytes() == b"first\nsecond\n"
    assert shown.read_bytes() == b"second\n"


def test_a_stream_without_descriptor_is_left_alone(tmp_path: Path) -> None:
    stream = StringIO()
    with captured(stream, tmp_path / "out"):
        print("spoken", file=stream)

    assert stream.getvalue() == "spoken\n"
    assert (tmp_path / "out").read_bytes() == b""
