"""What tests of the dataset index share: documents, their databases, writers in processes."""

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, event

from estinel_assets.publishing.index import DocumentsChangedError, open_index
from estinel_assets.publishing.ports import Change, DocumentIndex, IndexedDocument
from estinel_assets.transport.policy import RetryPolicy
from tests.support.postgres import PASSWORD, USER, Postgres

WON, LOST = "won", "lost"
PATIENCE_S = 60
POLICY = RetryPolicy(attempts=5, backoff_s=0.05, backoff_max_s=0.5, deadline_s=20)


def postgres_url(server: Postgres, database: str, *, port: int | None = None) -> str:
    """SQLAlchemy's address of a database."""
    secret = quote(PASSWORD, safe="")
    return f"postgresql+psycopg://{USER}:{secret}@{server.host}:{port or server.port}/{database}"


def new_database(server: Postgres, name: str) -> str:
    """An empty database; its address."""
    with closing(server._connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
    return postgres_url(server, name)


def opened(url: str, policy: RetryPolicy = POLICY) -> DocumentIndex:
    return open_index(url, default_folder=None, policy=policy)


def document(name: str, publication: str = "run-1", /, **fields: Any) -> IndexedDocument:
    """A document with GRQ's fields, whose digest tells it from others of its id."""
    body = {"id": name, "objectid": name, "dataset_type": "area_of_interest", **fields}
    return IndexedDocument(name, publication, f"digest of {sorted(body.items())}", body)


def absent(documents: Sequence[IndexedDocument]) -> dict[str, str | None]:
    """What to expect where none of them stands."""
    return {each.id: None for each in documents}


def standing(documents: Sequence[IndexedDocument]) -> dict[str, str | None]:
    """What to expect where all of them stand."""
    return {each.id: each.digest for each in documents}


def rectangle(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """A ring that is counter-clockwise on the globe, also across ±180° (west > east)."""
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [corners]}


def race(url: str, action: Callable[[DocumentIndex, int], str], racers: int) -> list[str]:
    """Let processes do one thing at the same moment, each with an index of its own.

    Returns:
        What each said, in their order.
    """
    context = processes()
    start, answers = context.Barrier(racers), context.Queue()
    running = [
        context.Process(target=_race, args=(url, action, number, start, answers), daemon=True)
        for number in range(racers)
    ]
    for process in running:
        process.start()
    said = dict(answers.get(timeout=PATIENCE_S) for _ in running)
    for process in running:
        process.join(PATIENCE_S)
        process.close()
    answers.close()
    answers.join_thread()
    return [said[number] for number in range(racers)]


def race_threads(url: str, action: Callable[[DocumentIndex, int], str], racers: int) -> list[str]:
    """The same with threads, each with an index of its own."""
    start = threading.Barrier(racers)

    def run(number: int) -> str:
        index = opened(url)
        start.wait(PATIENCE_S)
        said = action(index, number)
        index.close()
        return said

    with ThreadPoolExecutor(racers) as pool:
        return list(pool.map(run, range(racers)))


def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "psycopg"])  # ignored once it runs
    return context


def _race(
    url: str, action: Callable[[DocumentIndex, int], str], number: int, start: Any, answers: Any
) -> None:
    try:
        index = opened(url)
        start.wait(PATIENCE_S)
        said = action(index, number)
        index.close()
    except Exception as error:  # noqa: BLE001 - told to the parent, which fails the test
        said = repr(error)
    answers.put((number, said))


@dataclass(frozen=True)
class Write:
    """Write documents of a racer's own in place of those that all expect."""

    names: tuple[str, ...]
    expected: Mapping[str, str | None]

    def __call__(self, index: DocumentIndex, number: int) -> str:
        writes = [document(name, f"run-{number}", label=f"racer {number}") for name in self.names]
        try:
            apply(index, writes, expected=self.expected)
        except DocumentsChangedError as error:
            return LOST if set(error.ids) <= set(self.names) else f"lost {error.ids}"
        return WON


@dataclass(frozen=True)
class DeleteOrWrite:
    """Racers with even numbers delete what the others replace."""

    names: tuple[str, ...]
    expected: Mapping[str, str | None]

    def __call__(self, index: DocumentIndex, number: int) -> str:
        if number % 2:
            return Write(self.names, self.expected)(index, number)
        try:
            apply(index, [], self.names, expected=self.expected)
        except DocumentsChangedError:
            return LOST
        return WON


def write_and_hang(url: str, writes: Sequence[IndexedDocument], at_the_end: Any) -> None:
    """Do all of a transaction but its commit, then wait for the end."""

    def hang(_: object) -> None:
        at_the_end.set()
        time.sleep(600)

    index = opened(url)
    index.probe()
    event.listen(Engine, "commit", hang)
    apply(index, writes, expected=index_state(index, writes))


def apply(
    index: DocumentIndex,
    writes: Iterable[IndexedDocument],
    deletes: Iterable[str] = (),
    *,
    expected: Mapping[str, str | None],
) -> None:
    """Write and delete documents in one transaction.

    Args:
        index: takes them.
        writes: in any order.
        deletes: ids.
        expected: digest of what stands now, by id.
    """
    changes = [Change(one.id, expected[one.id], one) for one in writes]
    changes += [Change(name, expected[name], None) for name in deletes]
    index.apply(sorted(changes, key=lambda change: change.id))


def index_state(
    index: DocumentIndex, documents: Sequence[IndexedDocument]
) -> dict[str, str | None]:
    """Digests of what stands under the ids of documents."""
    found = index.get([each.id for each in documents])
    return {each.id: found[each.id].digest if each.id in found else None for each in documents}


@dataclass
class Wire:
    """A line to a server, which can break at a commit."""

    upstream: tuple[str, int]
    port: int = 0
    breaks: list[str] = field(default_factory=list)
    """What happens to the next commits: `before` or `after` the server has it."""
    commits: int = 0
    """That came along."""

    def carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.upstream) as server:
            backward = threading.Thread(target=_copy, args=(server, client), daemon=True)
            backward.start()
            with suppress(OSError):
                while asked := client.recv(65536):
                    if b"COMMIT" not in asked:
                        server.sendall(asked)
                        continue
                    self.commits += 1
                    fate = self.breaks.pop(0) if self.breaks else None
                    if fate == "after":
                        # Nobody listens to the answer any more.
                        client.shutdown(socket.SHUT_RDWR)
                        server.sendall(asked)
                        time.sleep(0.3)
                    if fate is not None:
                        break
                    server.sendall(asked)
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            backward.join(PATIENCE_S)


@contextmanager
def wire(server: Postgres) -> Iterator[Wire]:
    """A line to a server."""
    line = Wire((server.host, server.port))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line.port = listener.getsockname()[1]
        threading.Thread(target=_accept, args=(listener, line), daemon=True).start()
        try:
            yield line
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, line: Wire) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=line.carry, args=(client,), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while said := source.recv(65536):
            target.sendall(said)


def kill(process: Any) -> None:
    """End a process of ours as a power cut would."""
    os.kill(process.pid, 9)
    process.join(PATIENCE_S)
    process.close()
