"""The newest announcement of a handle wins, whatever the order in which they come."""

from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import RetryableError
from estinel_assets.pids.ports import HandleRecord
from tests.support.announced import Announced, announcements, attempts
from tests.support.cmip6_messages import PREFIX
from tests.support.examples import examples
from tests.support.handles import own_values, texts_of
from tests.support.memory_handles import MemoryHandles


def in_order(announced: list[Announced]) -> dict[str, HandleRecord]:
    """What stands after each was registered once, the oldest first."""
    service = MemoryHandles()
    for one in sorted(announced, key=lambda one: one.stamp):
        one.register(service)
    return service.handles


@examples(50)
@given(st.data())
def test_any_order_repetition_and_interruption_end_in_the_same_records(data: st.DataObject) -> None:
    announced = data.draw(announcements(prefix=PREFIX))
    service = MemoryHandles()
    for step in data.draw(attempts(announced)):
        service.interrupted = step.interrupted
        try:
            announced[step.number].register(service, first=step.first)
        except RetryableError:
            assert step.interrupted
    assert service.handles == in_order(announced)


@examples(30)
@given(announcements(prefix=PREFIX))
def test_a_record_has_the_values_of_its_newest_announcement_and_no_others(
    announced: list[Announced],
) -> None:
    newest: dict[str, dict[str, str]] = {}
    for one in sorted(announced, key=lambda one: one.stamp):
        for record in one.records:
            newest[record.handle.lower()] = texts_of(record)
    stands = in_order(announced)
    assert {handle: texts_of(record) for handle, record in stands.items()} == newest
    for record in stands.values():
        assert len(record.values) == len(own_values(record)) + 2
