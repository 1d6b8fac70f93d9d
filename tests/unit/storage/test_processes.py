"""Telling whether a process has ended, on made /proc trees and on real processes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from estinel_assets.storage.processes import ProcessIdentity, current_process, is_gone

ABSENT = 2**22 + 1
"""Above the largest PID that Linux gives."""
HERE = ProcessIdentity("host", 1, "boot", 4026531836, 10)
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' /proc")


def _proc(tmp_path: Path, pid: int, *, state: str = "S", threads: int = 1, start: int = 77) -> Path:
    fields = [state, *["0"] * 16, str(threads), "0", str(start), *["0"] * 30]
    folder = tmp_path / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (odd) name) R 1) {' '.join(fields)}\n")
    return tmp_path / "proc"


def _there(pid: int = 500, start: int | None = 77) -> ProcessIdentity:
    return ProcessIdentity("host", pid, "boot", 4026531836, start)


def test_a_process_that_runs_is_not_gone(tmp_path: Path) -> None:
    assert not is_gone(_there(), HERE, _proc(tmp_path, 500))


def test_a_pid_that_another_process_has_now_is_gone(tmp_path: Path) -> None:
    assert is_gone(_there(), HERE, _proc(tmp_path, 500, start=78))


@pytest.mark.parametrize(
    ("state", "threads", "gone"), [("Z", 1, True), ("X", 0, True), ("Z", 3, False), ("T", 1, False)]
)
def test_a_process_that_ended_but_was_not_reaped_is_gone(
    tmp_path: Path, state: str, threads: int, *, gone: bool
) -> None:
    proc = _proc(tmp_path, 500, state=state, threads=threads)
    assert is_gone(_there(), HERE, proc) is gone


def test_an_absent_pid_is_gone(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert is_gone(_there(ABSENT), HERE, tmp_path / "proc")


def test_a_process_that_proc_hides_but_that_answers_is_not_gone(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert not is_gone(_there(os.getpid()), HERE, tmp_path / "proc")


@pytest.mark.parametrize(
    "change",
    [{"boot_id": "other"}, {"pid_namespace": 1}, {"start_ticks": None}, {"boot_id": None}],
)
def test_nothing_is_concluded_of_another_host_or_namespace(
    tmp_path: Path, change: dict[str, int | str | None]
) -> None:
    (tmp_path / "proc").mkdir()
    assert not is_gone(replace(_there(ABSENT), **change), HERE, tmp_path / "proc")


def test_nothing_is_concluded_where_we_do_not_know_ourselves(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    unknown = ProcessIdentity("host", 1)
    assert not is_gone(_there(ABSENT), unknown, tmp_path / "proc")
    assert not is_gone(unknown, unknown, tmp_path / "proc")


def test_nothing_is_concluded_from_what_cannot_be_read(tmp_path: Path) -> None:
    proc = _proc(tmp_path, 500)
    for text in ("", "nonsense", "500 (short) S 1 2"):
        (proc / "500" / "stat").write_text(text)
        assert not is_gone(_there(), HERE, proc)


def test_without_proc_only_host_and_pid_are_known(tmp_path: Path) -> None:
    me = current_process(tmp_path)
    assert me.pid == os.getpid()
    assert (me.boot_id, me.pid_namespace, me.start_ticks) == (None, None, None)


def test_a_proc_of_another_namespace_is_not_believed(tmp_path: Path) -> None:
    proc = _proc(tmp_path, os.getpid() + 1)
    (proc / str(os.getpid() + 1)).rename(proc / "self")
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text("boot\n")
    (proc / "self/ns").mkdir()
    (proc / "self/ns/pid").write_text("")
    assert current_process(proc).start_ticks is None


@needs_proc
def test_this_process_is_known_and_runs() -> None:
    me = current_process()
    assert me.pid == os.getpid()
    assert me.start_ticks
    assert me.boot_id
    assert me == current_process()
    assert not is_gone(me, me)
    assert is_gone(replace(me, start_ticks=me.start_ticks - 1), me)


@needs_proc
def test_a_real_process_goes() -> None:
    code = (
        "from dataclasses import asdict\n"
        "from estinel_assets.storage.processes import current_process\n"
        "print(asdict(current_process()), flush=True)\n"
        "input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        child = ProcessIdentity(**eval(process.stdout.readline()))  # noqa: S307 - our own output
        assert child.pid == process.pid
        assert not is_gone(child, current_process())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(child, current_process())
    finally:
        process.kill()
        process.communicate()
    assert is_gone(child, current_process())
