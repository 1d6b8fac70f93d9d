"""Calls that must end, whatever they are given."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """What a call returns or raises.

    Args:
        seconds: far more than it should take, so that a busy machine is no failure.
        call: runs in a thread that is left behind if it does not end.

    Raises:
        AssertionError: it did not end in time.
    """
    outcome: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again, in the thread that waits
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise AssertionError(f"it did not end within {seconds} s")
    if raised:
        raise raised[0]
    return outcome[0]
