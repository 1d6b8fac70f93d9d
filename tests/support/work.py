"""Functions for isolated processes: at the top level of a module, as pickle asks."""

import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MEBIBYTE = 2**20


def square(n):
    return n * n


def nothing(_):
    return None


def pid_of(_):
    return os.getpid()


def fail_at_two(n):
    if n == 2:
        raise ValueError("two is bad")
    return n


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def hold_the_gil(path):
    """Hang in native code, deaf to signals, the process id left where the test finds it.

    Without a path there is no hanging.
    """
    if path is None:
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    part = Path(f"{path}.part")
    part.write_text(str(os.getpid()), encoding="ascii")
    part.rename(path)
    ctypes.PyDLL(None).sleep(600)  # PyDLL, other than CDLL, keeps the lock


def misbehave(how):
    """One way or another, a word each."""
    match how:
        case "well":
            return "well"
        case "sleep":
            time.sleep(600)
        case "spin":
            while True:
                pass
        case "hold the gil":
            ctypes.PyDLL(None).sleep(600)
        case "ignore SIGTERM":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        case "exit 3":
            os._exit(3)
        case "exit 0":
            os._exit(0)
        case "sys.exit":
            sys.exit("enough")
        case "SIGSEGV":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "SIGABRT":
            os.abort()
        case "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        case "arrays":
            return len([np.ones(64 * MEBIBYTE, "uint8") for _ in range(100)])
        case "objects":
            return len([bytes(1000) for _ in range(10**7)])
        case "wrapped":
            try:
                np.ones(2000 * MEBIBYTE, "uint8")
            except MemoryError as error:
                raise OSError("cannot read") from error
        case "modest":
            return int(np.ones(20 * MEBIBYTE, "uint8").nbytes)
        case "TimeoutError":
            raise TimeoutError("the server is slow")
        case "two arguments":
            raise TwoArgumentsError("first", "second")
        case "local exception":
            raise type("LocalError", (Exception,), {})("from within")
        case "with a file":
            raise ValueError("no way", open(os.devnull))  # noqa: PTH123, SIM115
        case "lambda":
            return lambda: 1
        case "returns trouble":
            return Trouble()
        case "frozen":
            raise FrozenError("cold")
    raise LookupError(how)


class TwoArgumentsError(Exception):
    """Is pickled without complaint, and cannot be made again from what was pickled."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


@dataclass(frozen=True)
class FrozenError(Exception):
    """Takes no attribute, and so no cause."""

    text: str

    def __reduce__(self):
        return type(self), (self.text,)


def _explode():
    raise RuntimeError("made again in vain")


class Trouble:
    """A value that raises when it is made again."""

    def __reduce__(self):
        return _explode, ()


def variable(name):
    return os.environ.get(name)


def set_a_variable():
    os.environ["SET_BY_THE_INITIALIZER"] = "yes"


def fail_to_start():
    raise RuntimeError("no licence")


def sleep_at_start():
    time.sleep(600)


def sleep_a_while_at_start():
    time.sleep(1.5)


def die_at_start():
    os._exit(7)


def has_imported(name):
    return name in sys.modules


def ignores_interrupts(_):
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def core_limit(_):
    import resource

    return resource.getrlimit(resource.RLIMIT_CORE)[0]
