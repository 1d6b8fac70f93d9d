"""What crosses to a worker and back, within one process."""

import logging
import signal
import threading

import pytest

from estinel_assets.compute import transfer
from estinel_assets.compute.worker_errors import (
    NotTransferableError,
    OutOfMemoryError,
    RemoteTracebackError,
    WorkerDiedError,
)
from tests.support import engine_work, work


def _there_and_back(function, item, level=logging.WARNING):
    call = transfer.Call(transfer.pack_function(function), transfer.pack_item(item), level)
    reply = transfer.answer(call)
    return transfer.told(item, reply)


def test_a_value_comes_back():
    assert _there_and_back(work.square, 3).result() == 9


def test_what_stands_in_a_notebook_comes_back():
    offset = 4

    assert _there_and_back(lambda n: n + offset, 3).result() == 7


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("TimeoutError", TimeoutError, "the server is slow"),
        ("sys.exit", SystemExit, "enough"),
        ("wrapped", OutOfMemoryError, "cannot read"),
        ("returns trouble", NotTransferableError, "made again in vain"),
    ],
)
def test_an_error_comes_back(how, kind, text, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(work.np, "ones", no_memory)

    error = _there_and_back(work.misbehave, how).error

    assert type(error) is kind
    assert text in str(error)


def test_the_traceback_over_there_is_the_cause():
    error = _there_and_back(engine_work.refuse, "final").error

    assert error.reason == "source_timeout"
    assert isinstance(error.__cause__, RemoteTracebackError)
    assert "in refuse" in str(error.__cause__)


def test_a_result_that_cannot_be_pickled_is_named():
    error = _there_and_back(engine_work.lock, 1).error

    assert isinstance(error, NotTransferableError)
    assert "it returned a _thread.lock" in str(error)


def test_an_item_that_cannot_be_pickled_is_named():
    with pytest.raises(NotTransferableError, match=r"the item is a _thread\.lock"):
        transfer.pack_item(threading.Lock())


def test_logs_keep_their_fields_and_order():
    def work_and_log(n):
        log = logging.getLogger("estinel_assets.over_there")
        log.warning("first %s", n, extra={"tile": "1035X727Y", "box": (1, 2)})
        try:
            {}["B04"]
        except KeyError:
            log.exception("second")

    call = transfer.Call(transfer.pack_function(work_and_log), transfer.pack_item(1))
    first, second = transfer.answer(call).logged

    assert (first["msg"], first["tile"], first["box"]) == ("first 1", "1035X727Y", "(1, 2)")
    assert second["exc_info"] is None
    assert "KeyError: 'B04'" in str(second["exc_text"])


def test_our_loggers_have_the_level_that_is_asked_for_and_no_longer():
    def work_and_log(n):
        for level in (logging.INFO, logging.DEBUG):
            logging.getLogger("estinel_assets.over_there").log(level, "at %s", level)

    before = logging.getLogger("estinel_assets").level
    function, item = transfer.pack_function(work_and_log), transfer.pack_item(1)
    logged = {
        level: [
            r["levelname"] for r in transfer.answer(transfer.Call(function, item, level)).logged
        ]
        for level in (logging.WARNING, logging.INFO, logging.DEBUG)
    }

    assert list(logged.values()) == [[], ["INFO"], ["INFO", "DEBUG"]]
    assert logging.getLogger("estinel_assets").level == before


def test_only_the_newest_records_are_kept():
    def chatter(n):
        for i in range(n):
            logging.getLogger("chatter").warning("%s", i)

    many = transfer.LOGS_KEPT + 5
    call = transfer.Call(transfer.pack_function(chatter), transfer.pack_item(many))
    logged = transfer.answer(call).logged

    assert len(logged) == transfer.LOGS_KEPT
    assert logged[-1]["msg"] == str(many - 1)


def test_each_thread_has_its_own_logs():
    both = threading.Barrier(2, timeout=30)

    def log(name):
        both.wait()
        logging.getLogger("of_threads").warning(name)
        both.wait()

    replies = {}

    def run(name):
        call = transfer.Call(transfer.pack_function(_Kept(log)), transfer.pack_item(name))
        replies[name] = transfer.answer(call)

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {name: [r["msg"] for r in reply.logged] for name, reply in replies.items()} == {
        "a": ["a"],
        "b": ["b"],
    }


_kept = []


class _Kept:
    """A function that holds what cannot be pickled, for tests within one process."""

    def __init__(self, function):
        _kept.append(function)

    def __call__(self, item):
        _kept[-1](item)


@pytest.mark.parametrize(
    ("exit_code", "kind", "text"),
    [
        (None, WorkerDiedError, "the worker is lost"),
        (3, WorkerDiedError, "exit code 3"),
        (-signal.SIGSEGV, WorkerDiedError, "SIGSEGV"),
        (-63, WorkerDiedError, "signal 63"),
        (-signal.SIGKILL, OutOfMemoryError, "killed from outside"),
    ],
)
def test_how_a_process_has_ended(exit_code, kind, text):
    error = transfer.ended(exit_code, "the worker is lost")

    assert type(error) is kind
    assert text in str(error)
