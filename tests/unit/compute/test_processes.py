import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from pebble.common import CONSTS

from estinel_assets.compute.processes import (
    NotTransferableError,
    OutOfMemoryError,
    Processes,
    RemoteTracebackError,
    TimeLimitError,
    WorkerDiedError,
    WorkerError,
)
from estinel_assets.errors import BadInputError
from tests.support import work

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")


def alone(how, **settings):
    """How one item ends that misbehaves, when well-behaved ones come before and after it."""
    settings = {"time_limit_s": 60, **settings}
    completed = list(Processes(1, **settings).map(work.misbehave, ["well", how, "well"]))
    assert [one.value for one in completed if one.item == "well"] == ["well", "well"]
    (the_one,) = (one for one in completed if one.item == how)
    return the_one


@pytest.mark.parametrize("how", ["sleep", "spin", "hold the gil"])
def test_a_hanging_item_is_stopped_at_the_time_limit(how):
    error = alone(how, time_limit_s=0.5).error

    assert isinstance(error, TimeLimitError)
    assert error.limit_s == 0.5
    assert "0.5 s, the time limit" in str(error)


def test_an_item_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr(CONSTS, "term_timeout", 0.2)  # from one signal to the next
    assert isinstance(alone("ignore SIGTERM", time_limit_s=0.5).error, TimeLimitError)


def test_start_and_wait_do_not_count_as_the_time_of_an_item():
    engine = Processes(1, time_limit_s=1.0, initializer=work.sleep_a_while_at_start)

    assert [one.result() for one in engine.map(work.sleep, [0.3] * 4)] == [0.3] * 4


def test_a_timeout_that_the_function_raises_is_its_own():
    error = alone("TimeoutError").error

    assert type(error) is TimeoutError
    assert str(error) == "the server is slow"


@linux
@pytest.mark.parametrize("how", ["arrays", "objects", "wrapped"])
def test_too_much_memory_is_said_so(how):
    error = alone(how, memory_limit_mib=200).error

    assert isinstance(error, OutOfMemoryError)
    assert not error.killed
    assert "200 MiB" in str(error)
    assert "MemoryError" in str(error.__cause__)


@linux
def test_the_memory_limit_counts_from_what_a_started_process_holds():
    assert alone("modest", memory_limit_mib=40, preload=["numpy"]).result() == 20 * work.MEBIBYTE
    assert isinstance(alone("modest", memory_limit_mib=10).error, OutOfMemoryError)


def test_a_kill_from_outside_counts_as_out_of_memory():
    error = alone("SIGKILL").error

    assert isinstance(error, OutOfMemoryError)
    assert error.killed
    assert "SIGKILL" in str(error)


@pytest.mark.parametrize(
    ("how", "ended"),
    [
        ("exit 3", "exit code 3"),
        ("exit 0", "exit code 0"),
        ("SIGSEGV", "SIGSEGV"),
        ("SIGABRT", "SIGABRT"),
    ],
)
def test_a_crash_is_told_by_its_name(how, ended):
    error = alone(how).error

    assert isinstance(error, WorkerDiedError)
    assert error.ended == ended
    assert ended in str(error)


def test_many_crashes_cost_their_items_alone():
    items = [*(["SIGSEGV", "well", "exit 3"] * 8), "well"]

    completed = list(Processes(2, time_limit_s=60).map(work.misbehave, items))

    assert sorted(one.item for one in completed) == sorted(items)
    for one in completed:
        if one.item == "well":
            assert one.value == "well"
        else:
            assert isinstance(one.error, WorkerDiedError)
            assert one.error.ended == one.item.replace("exit", "exit code")


def test_an_exit_by_python_is_an_exception_as_any():
    error = alone("sys.exit").error

    assert isinstance(error, SystemExit)
    # Not its `code`: tblib, which comes with Dask and Lithops, pickles what stands in `args` alone.
    assert error.args == ("enough",)


def test_an_exception_brings_its_traceback():
    (completed,) = Processes(1, time_limit_s=60).map(work.fail_at_two, [2])

    assert isinstance(completed.error, ValueError)
    assert isinstance(completed.error.__cause__, RemoteTracebackError)
    assert "in fail_at_two" in str(completed.error.__cause__)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("two arguments", "it raised tests.support.work.TwoArgumentsError: first and second"),
        ("local exception", "LocalError: from within"),
        ("with a file", "it raised ValueError: ('no way', <_io.TextIOWrapper"),
        ("lambda", "it returned a builtins.function, which cannot be pickled"),
        ("returns trouble", "RuntimeError: made again in vain"),
    ],
)
def test_what_cannot_be_pickled_is_told(how, told):
    error = alone(how).error

    assert isinstance(error, NotTransferableError)
    assert told in str(error)


def test_a_frozen_exception_comes_back_too():
    assert alone("frozen").error == work.FrozenError("cold")


def test_an_item_that_cannot_be_pickled_costs_that_item():
    lock = threading.Lock()

    completed = list(Processes(1, time_limit_s=60).map(work.nothing, [1, lock, 2]))

    assert {one.item for one in completed if one.error is None} == {1, 2}
    (refused,) = (one for one in completed if one.item is lock)
    assert isinstance(refused.error, NotTransferableError)
    assert "the item is a _thread.lock" in str(refused.error)


def test_a_function_that_cannot_be_pickled_is_bad_input():
    with pytest.raises(BadInputError, match=r"lambda.*top level of a module"):
        Processes(1, time_limit_s=60).map(lambda n: n, [1])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"time_limit_s": 0}, "time_limit_s is 0"),
        ({"time_limit_s": float("nan")}, "time_limit_s is nan"),
        ({"time_limit_s": float("inf")}, "time_limit_s is inf"),
        ({"memory_limit_mib": -1}, "memory_limit_mib is -1"),
        ({"tasks_per_worker": 0}, "tasks_per_worker is 0"),
        ({"start_limit_s": -3}, "start_limit_s is -3"),
    ],
)
def test_limits_have_to_be_sensible(settings, named):
    with pytest.raises(BadInputError, match=named):
        Processes(**{"workers": 1, "time_limit_s": 60, **settings})


@pytest.mark.parametrize(
    "error",
    [TimeLimitError(1.5), OutOfMemoryError("all gone", killed=True), WorkerDiedError("SIGBUS")],
)
def test_errors_travel_themselves(error):
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_process_serves_several_items_and_is_then_replaced():
    engine = Processes(1, time_limit_s=60, tasks_per_worker=3)

    pids = [one.result() for one in engine.map(work.pid_of, range(7))]

    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    assert os.getpid() not in pids


def test_the_environment_is_that_of_now(monkeypatch):
    engine = Processes(1, time_limit_s=60)
    for value in ("one", "two"):
        monkeypatch.setenv("AWS_PROFILE", value)
        assert [one.result() for one in engine.map(work.variable, ["AWS_PROFILE"])] == [value]

    monkeypatch.delenv("AWS_PROFILE")
    assert [one.result() for one in engine.map(work.variable, ["AWS_PROFILE"])] == [None]


def test_modules_to_preload_are_there_before_the_first_item():
    engine = Processes(1, time_limit_s=60, preload=["chunk_of_nothing"])
    (failed,) = engine.map(work.nothing, [1])
    assert isinstance(failed.error, ModuleNotFoundError)

    engine = Processes(1, time_limit_s=60, preload=["this"])
    assert [one.result() for one in engine.map(work.has_imported, ["this"])] == [True]


def test_the_initializer_runs_first():
    engine = Processes(1, time_limit_s=60, initializer=work.set_a_variable)
    assert [c.result() for c in engine.map(work.variable, ["SET_BY_THE_INITIALIZER"])] == ["yes"]


def test_an_initializer_that_raises_is_the_error_of_each_item():
    engine = Processes(1, time_limit_s=60, initializer=work.fail_to_start)

    errors = [one.error for one in engine.map(work.square, [1, 2])]

    assert [(type(error), str(error)) for error in errors] == [(RuntimeError, "no licence")] * 2
    assert "in fail_to_start" in str(errors[0].__cause__)


def test_a_start_that_dies_or_hangs_ends_too():
    engine = Processes(1, time_limit_s=60, initializer=work.die_at_start)
    assert [one.error.ended for one in engine.map(work.square, [1])] == ["exit code 7"]

    engine = Processes(1, time_limit_s=60, initializer=work.sleep_at_start, start_limit_s=0.5)
    (completed,) = engine.map(work.square, [1])
    assert type(completed.error) is WorkerError
    assert "ready in 0.5 s" in str(completed.error)


def test_processes_ignore_interrupts_and_write_no_core_files():
    engine = Processes(1, time_limit_s=60)

    assert [one.result() for one in engine.map(work.ignores_interrupts, [1])] == [True]
    assert [one.result() for one in engine.map(work.core_limit, [1])] == [0]


def test_any_thread_may_use_it():
    found = []

    def use():
        found.extend(one.result() for one in Processes(2, time_limit_s=60).map(work.square, [1, 2]))

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [1, 1, 1, 4, 4, 4]


def appears(path):
    """The process id in the file, once it is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)
    return int(path.read_text(encoding="ascii"))


def lives(pid):
    """Whether the process is there, and no zombie that nobody has looked after."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX"


def goes(pid):
    """Whether the process ends within reasonable time."""
    deadline = time.monotonic() + 20
    while lives(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@linux
def test_closing_early_kills_what_is_under_way(tmp_path):
    threads = set(threading.enumerate())
    results = Processes(2, time_limit_s=60).map(work.hold_the_gil, [None, tmp_path / "a"])
    assert next(results).item is None
    pid = appears(tmp_path / "a")
    assert lives(pid)

    results.close()

    assert not lives(pid)
    assert set(threading.enumerate()) <= threads


@linux
def test_exhausting_leaves_no_process_and_no_thread():
    threads = set(threading.enumerate())

    pids = [one.result() for one in Processes(3, time_limit_s=60).map(work.pid_of, range(20))]

    assert 1 <= len(set(pids)) <= 3
    assert not any(lives(pid) for pid in pids)
    assert set(threading.enumerate()) <= threads


SCRIPT = """
import sys
from contextlib import closing
from pathlib import Path
from estinel_assets.compute.processes import Processes
from tests.support import work

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print("begun", flush=True)
    with closing(Processes(2, time_limit_s=600).map(
        work.hold_the_gil, [folder / "a", folder / "b"]
    )) as results:
        list(results)
"""


@contextmanager
def script(tmp_path):
    """The script in a process, in a session of its own, and the ids of its two hanging ones."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    arguments = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(work.__file__).parents[2])}
    with subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process, [appears(tmp_path / "a"), appears(tmp_path / "b")]
        finally:
            if process.poll() is None:
                process.kill()


def descendants(pid):
    """Ids of the processes below one, by now."""
    below = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            child = int(path.parent.name)
            below += [child, *descendants(child)]
    return below


@linux
def test_a_killed_parent_leaves_no_orphans_and_nothing_to_complain_of(tmp_path):
    with script(tmp_path) as (process, hanging):
        family = descendants(process.pid)
        assert set(hanging) < set(family)  # and the fork server, and the resource tracker

        process.kill()
        _, errors = process.communicate(timeout=60)

        assert all(goes(pid) for pid in family)
        assert errors == "", "semaphores of the machine would be left"


@linux
def test_ctrl_c_ends_all_and_prints_one_traceback(tmp_path):
    with script(tmp_path) as (process, _):
        family = descendants(process.pid)

        os.killpg(process.pid, signal.SIGINT)  # to all of them, as a terminal does
        _, errors = process.communicate(timeout=60)

        assert process.returncode == -signal.SIGINT
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert all(goes(pid) for pid in family)


@linux
def test_an_iterator_left_behind_does_not_keep_the_program(tmp_path):
    source = """
from estinel_assets.compute.processes import Processes
from tests.support import work

if __name__ == "__main__":
    results = Processes(2, time_limit_s=600).map(work.sleep, [0, 500])
    print(next(results).item)
"""
    (tmp_path / "left.py").write_text(source, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(work.__file__).parents[2])}

    done = subprocess.run(
        [sys.executable, str(tmp_path / "left.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
