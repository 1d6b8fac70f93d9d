"""An engine without any concurrency, and a clock that only moves when told to."""

from estinel_assets.compute.engine import Completed
from estinel_assets.compute.supply import Supply


class OneByOne:
    """Runs each item when its result is asked for."""

    def close(self):
        """It holds nothing."""

    def map(self, function, items):
        supply = Supply(items)
        while supply.more():
            for item in supply.take(1):
                try:
                    completed = Completed(item, function(item), None)
                except Exception as error:  # noqa: BLE001 - whatever the function raises
                    completed = Completed(item, None, error)
                yield completed


class Clock:
    """Moved by sleeping, and by work that says how long it takes."""

    def __init__(self):
        self.now_s = 0.0
        self.slept = []

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds
