"""What an isolated process says when it cannot bring its item to an end."""

from estinel_assets.errors import EstinelError


class WorkerError(EstinelError):
    """An isolated process did not bring its item to an end, or could not tell of it."""


class TimeLimitError(WorkerError):
    """The item ran into the time limit and was stopped.

    Attributes:
        limit_s: the limit, in seconds.
    """

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"stopped after {limit_s:g} s, the time limit of one item; "
            "raise the limit if it was merely slow"
        )
        self.limit_s = limit_s

    def __reduce__(self) -> tuple[type["TimeLimitError"], tuple[float]]:
        """Pickle with the limit, so that the error survives a process boundary."""
        return type(self), (self.limit_s,)


class OutOfMemoryError(WorkerError):
    """The item took more memory than its process may, or than the machine has.

    Attributes:
        killed: the process was killed from outside, as the kernel does when the machine runs out;
            a higher limit would not help.
    """

    def __init__(self, text: str, *, killed: bool = False) -> None:
        super().__init__(text)
        self.killed = killed


class WorkerDiedError(WorkerError):
    """The process ended in the middle of the item.

    Attributes:
        ended: how it ended: `SIGSEGV`, `exit code 3`.
    """

    def __init__(self, ended: str) -> None:
        super().__init__(
            f"the isolated process ended in the middle of the item: {ended}; "
            "the library that it was in has crashed, or has ended it"
        )
        self.ended = ended

    def __reduce__(self) -> tuple[type["WorkerDiedError"], tuple[str]]:
        """Pickle with the way it ended, so that the error survives a process boundary."""
        return type(self), (self.ended,)


class NotTransferableError(WorkerError):
    """An item, a result or an exception cannot be pickled; the message has its type and text."""


class RemoteTracebackError(WorkerError):
    """Stands as the cause of an error from a process; its text is the traceback over there."""
