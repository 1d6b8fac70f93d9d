"""Before the first message: all services are asked, and all that fail are named."""

from collections.abc import Callable

import pytest

from estinel_assets.errors import PermanentError, RetryableError, UnitError
from estinel_assets.pids.item_source import ItemFault
from estinel_assets.pids.ports import HandleFault
from estinel_assets.pids.preflight import preflight
from tests.support.memory_handles import MemoryHandles
from tests.support.memory_items import MemoryItems


class Handles(MemoryHandles):
    """Fails when it is probed."""

    def __init__(self, error: UnitError | None) -> None:
        super().__init__()
        self.error = error

    def probe(self) -> None:
        if self.error is not None:
            raise self.error


def items(error: UnitError | None) -> MemoryItems:
    made = MemoryItems()
    made.fail(error)
    return made


def kafka(error: UnitError | None) -> Callable[[], None]:
    def probe() -> None:
        if error is not None:
            raise error

    return probe


def test_all_answer() -> None:
    assert preflight(MemoryHandles(), MemoryItems(), kafka(None)) == [
        "the Handle service",
        "the STAC API",
        "Kafka",
    ]


def test_only_what_is_needed_is_asked() -> None:
    assert preflight(None, None, None) == []
    asked = MemoryItems()
    assert preflight(None, asked, None) == ["the STAC API"]
    assert asked.asked == [""]


def test_all_that_do_not_answer_are_named_with_a_remedy() -> None:
    with pytest.raises(RetryableError) as raised:
        preflight(
            Handles(RetryableError(HandleFault.UNAVAILABLE, "GET https://h failed")),
            items(RetryableError(ItemFault.UNAVAILABLE, "GET https://s failed")),
            kafka(RetryableError("kafka_unavailable", "no broker")),
        )
    assert raised.value.reason == "handle_unavailable"
    assert str(raised.value) == (
        "not ready: "
        "the Handle service: GET https://h failed "
        "(see server_url, prefix, username and password in [handle]); "
        "the STAC API: GET https://s failed (see base_url in [stac]); "
        "Kafka: no broker (see bootstrap.servers in [kafka] and topic in [consumer])"
    )


def test_one_that_refuses_makes_it_lasting_and_gives_the_reason() -> None:
    with pytest.raises(PermanentError, match=r"GET https://h failed.*no such topic") as raised:
        preflight(
            Handles(RetryableError(HandleFault.UNAVAILABLE, "GET https://h failed")),
            MemoryItems(),
            kafka(PermanentError("kafka_refused", "no such topic")),
        )
    assert raised.value.reason == "kafka_refused"
    assert "STAC" not in str(raised.value)


def test_a_bug_is_not_hidden() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        preflight(None, None, broken)
