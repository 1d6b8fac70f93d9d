"""The Lithops engine: functions of a cloud, or processes of this machine that stand in for them.

It needs the extra `lithops`, which is imported when the first item is there.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import yaml

from estinel_assets.compute import extras
from estinel_assets.compute.engine import Completed
from estinel_assets.compute.supply import Later, Supply
from estinel_assets.errors import BadInputError

if TYPE_CHECKING:
    from estinel_assets.compute.transfer import Call

T = TypeVar("T")
R = TypeVar("R")

START_LIMIT_S = 120.0
"""How long a function may take to start."""
KILL_GRACE_S = 2.0
"""How long after the time limit the kernel ends what does not heed SIGTERM."""
LOCALHOST: Final = "localhost"


class LithopsEngine:
    """Runs items as functions of a cloud, next to the data, through Lithops.

    Errors come as values, in `Completed.error`, as those of `Processes` do: `TimeLimitError`,
    `OutOfMemoryError`, `WorkerDiedError`, `NotTransferableError`, and whatever else the function
    raises as it is, with a `RemoteTracebackError` as its cause. What an item logs is logged here
    when it has ended; what it logged is lost with its process.

    *Configuration*: that of Lithops, as a mapping or a YAML file, one a region; without one, items
    run in processes of this machine. Neither `~/.lithops` nor the environment is looked at. What
    runs an item must have the same Python, this package, its extra `lithops` and whatever the
    function imports: no modules are sent along. Lithops' telemetry is off.

    *The time limit* counts while the function runs; Lithops then sends SIGTERM, the kernel 2 s
    later SIGALRM, of which an item has no use for itself. A function of a cloud that vanishes
    without a word, as one out of memory does, is found missing 5 s after the limit, and reported as
    having run into it. One of this machine is found at once.

    *The end*: exhausting or closing the iterator ends the processes of this machine; functions of
    a cloud run to their end, unheeded. Its threads end, and what Lithops has stored for the map is
    deleted. There remain, in the folder for temporary files and `~/.lithops/cache`, the copy of
    Lithops and the description of the interpreter that it makes once, and its own logs. Should this
    process be killed, those of this machine run their items to the end.
    """

    def __init__(
        self,
        workers: int,
        *,
        time_limit_s: float,
        config: Path | Mapping[str, object] | None = None,
        start_limit_s: float = START_LIMIT_S,
    ) -> None:
        """Nothing starts before the first item.

        Args:
            workers: how many items are under way at once, at least 1.
            time_limit_s: seconds that one item may take; functions of a cloud have a limit of their
                own, and the smaller holds.
            config: of Lithops, or the YAML file that holds it; None for this machine.
            start_limit_s: seconds that a function may take to start.

        Raises:
            BadInputError: a number that is no sensible limit, or a configuration that cannot be
                read; the message names all problems.
            MissingDependencyError: the extra `lithops` is not installed.
        """
        numbers = {
            "workers": workers,
            "time_limit_s": time_limit_s,
            "start_limit_s": start_limit_s,
        }
        problems = [
            f"{name} is {number}, but has to be more than 0 and finite"
            for name, number in numbers.items()
            if not 0 < number < math.inf
        ]
        if problems:
            raise BadInputError("; ".join(problems))
        extras.require("lithops", "lithops")
        self.workers = workers
        self.time_limit_s = time_limit_s
        self.start_limit_s = start_limit_s
        self.config = _read(config)

    def close(self) -> None:
        """Nothing is held between maps."""

    def map(
        self, function: Callable[[T], R], items: Iterable[T | Later]
    ) -> Generator[Completed[T, R], None, None]:
        """See `Engine.map`.

        Raises:
            BadInputError: the function cannot be sent to another process.
            WorkerError: on iteration, when Lithops cannot start, or cannot send an item.
        """
        from estinel_assets.compute import lithops_jobs, transfer

        packed = transfer.pack_function(function)
        level = transfer.level_of_logs()
        path = lithops_jobs.module_path(self.config)

        def call_of(item: T) -> "Call":
            return transfer.Call(
                packed,
                transfer.pack_item(item),
                level,
                module_path=path,
                kill_after_s=self.time_limit_s + KILL_GRACE_S,
            )

        return self._completed(call_of, items)

    def _completed(
        self, call_of: "Callable[[T], Call]", items: Iterable[T | Later]
    ) -> Generator[Completed[T, R], None, None]:
        from estinel_assets.compute.lithops_jobs import Jobs
        from estinel_assets.compute.worker_errors import NotTransferableError

        supply = Supply(items)
        ended: deque[Completed[T, R]] = deque()
        with closing(
            Jobs[T, R](self.config, self.workers, self.time_limit_s, self.start_limit_s)
        ) as jobs:
            while True:
                calls: list[tuple[T, Call]] = []
                for item in supply.take(self.workers - len(jobs.under_way)):
                    try:
                        calls.append((item, call_of(item)))
                    except NotTransferableError as error:
                        ended.append(Completed(item, None, error))
                jobs.begin(calls)
                if ended:
                    yield ended.popleft()
                elif jobs.under_way:
                    ended.extend(jobs.wait(supply.wait_s))
                elif not supply.more():
                    return


def _read(config: Path | Mapping[str, object] | None) -> Mapping[str, object]:
    if config is None:
        return {"lithops": {"backend": LOCALHOST, "storage": LOCALHOST}}
    if not isinstance(config, Path):
        return config
    try:
        read = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInputError(f"the Lithops configuration {config} cannot be read: {error}") from None
    if not isinstance(read, dict) or not isinstance(read.get("lithops"), dict):
        raise BadInputError(
            f"the Lithops configuration {config} has no section `lithops`; see deploy/lithops/"
        )
    return read
