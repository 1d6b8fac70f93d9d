"""Objects in S3 for the items of engines, behind a proxy that goes wrong on request."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.engine_work import Turning
from tests.support.proxy import FaultProxy
from tests.support.s3 import S3Access, s3_server

SIZE = 26 * 100
"""Bytes of each object."""
LETTERS = bytes(range(ord("a"), ord("z") + 1)) * 100


@dataclass(frozen=True)
class Bucket:
    """What is below `in/` is to be stored reversed below `out/`; see `engine_work.turn`."""

    access: S3Access
    """Past the proxy."""
    proxy: FaultProxy

    def items(self, names: Iterable[str], **troubles: str) -> list[Turning]:
        """An item for each name.

        Args:
            names: of objects.
            troubles: what befalls the first who works on a name.
        """
        environment = self.access.environment()
        return [
            Turning(environment, self.access.url(), self.proxy.url, name, troubles.get(name, ""))
            for name in names
        ]

    def fill(self, names: Iterable[str]) -> None:
        """Let there be an object for each name, and nothing else."""
        self.proxy.spoil(None)
        store = self.access.open()
        store.delete_many([one.path for one in store.list()])
        for name in names:
            store.put(f"in/{name}", LETTERS)

    def turned(self) -> set[str]:
        """The names of those that are stored reversed; any that is not right is an error."""
        store = self.access.open()
        found = {
            one.path.removeprefix("out/"): store.get(one.path).data for one in store.list("out")
        }
        assert set(found.values()) <= {LETTERS[::-1]}
        return set(found)


@contextmanager
def engine_bucket() -> Iterator[Bucket]:
    """Serve an empty one."""
    with s3_server() as access, FaultProxy(access.endpoint_url) as proxy:
        yield Bucket(access, proxy)
