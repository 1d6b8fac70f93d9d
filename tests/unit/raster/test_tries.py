"""How often a read is tried, and how long is waited between."""

import pytest

from estinel_assets.errors import PermanentError, RetryableError, SourceFault, UnitError
from estinel_assets.raster.tries import Tries


class World:
    """A clock that sleeping moves."""

    def __init__(self):
        self.waits = []

    def tries(self, **options):
        return Tries(
            clock=lambda: sum(self.waits), sleep=self.waits.append, jitter=lambda: 0.5, **options
        )


def failing(errors, value="read"):
    """A try that fails with each error in turn, then works."""
    waiting = iter(errors)
    return lambda: next(waiting, value)


def unavailable():
    return RetryableError(SourceFault.UNAVAILABLE, "busy")


def test_what_passes_is_waited_for_longer_each_time():
    world = World()
    once = failing([unavailable() for _ in range(4)])

    assert world.tries(backoff_s=1.0, backoff_max_s=3.0).run(once, remote=True) == "read"

    assert world.waits == [0.5, 1.0, 1.5, 1.5]


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (unavailable(), 5),
        (RetryableError(SourceFault.TIMEOUT, "slow"), 5),
        (RetryableError(SourceFault.CORRUPT, "damaged"), 2),
        (RetryableError(SourceFault.FORBIDDEN, "refused"), 1),
        (PermanentError(SourceFault.NOT_FOUND, "absent"), 1),
    ],
    ids=lambda value: getattr(value, "reason", None),
)
def test_what_does_not_pass_is_tried_less_often(error, tries):
    world = World()

    with pytest.raises(UnitError) as caught:
        world.tries().run(lambda: error, remote=True)

    assert caught.value is error
    assert len(world.waits) == tries - 1


def test_local_files_are_tried_once():
    world = World()
    with pytest.raises(RetryableError):
        world.tries().run(unavailable, remote=False)
    assert world.waits == []


def test_no_try_begins_after_the_deadline():
    world = World()
    with pytest.raises(RetryableError):
        world.tries(attempts=9, backoff_s=2.0, deadline_s=7.0).run(unavailable, remote=True)
    assert world.waits == [1.0, 2.0, 4.0]
