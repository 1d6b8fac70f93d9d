"""The inbox: a folder of the store in which others leave requests, and what became of each.

Beside a request stands what became of it: `{request}.resolved.csv`, the table of its tiles as every
command reads it, or `{request}.refused.json`, which lists what is wrong with it.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from estinel_assets.ard.requests import canonical_csv, read_request
from estinel_assets.ard.tile_table import TileTable
from estinel_assets.ard.tiles import TileYear
from estinel_assets.errors import BadInputError, MissingDependencyError, NotFoundError
from estinel_assets.storage.documents import write_json
from estinel_assets.storage.port import ObjectMeta, ObjectStore

RESOLVED: Final = ".resolved.csv"
REFUSED: Final = ".refused.json"
MOST_BYTES: Final = 64 * 1024 * 1024
"""A larger request is refused unread; as tiles it would be millions."""

_YEAR = re.compile(r"[0-9]{4}")


@dataclass(frozen=True, slots=True)
class InboxRequest:
    """A request that lies in the inbox."""

    path: str
    """In the store."""
    size: int
    """Bytes."""
    version: str
    """Names the path and the content; another one stands for another content."""
    year: int | None
    """That of the folder it lies in, as in `ard/inbox/2023/area.geojson`."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What became of a request."""

    request: InboxRequest
    tile_years: tuple[TileYear, ...]
    """What it asks for; nothing where it was refused."""
    problem: str | None = None
    """Everything that is wrong with it; None where it was taken."""


def requests_in(listed: Iterable[ObjectMeta], inbox: str) -> list[InboxRequest]:
    """The requests of a listing, by path.

    Args:
        listed: every object below the inbox; records and hidden files are left out.
        inbox: the folder.
    """
    found = []
    for meta in listed:
        name = meta.path.rpartition("/")[2]
        if name.startswith(".") or name.endswith((RESOLVED, REFUSED)):
            continue
        folder = meta.path.removeprefix(f"{inbox}/").partition("/")[0]
        year = int(folder) if _YEAR.fullmatch(folder) and name != folder else None
        version = sha256(repr((meta.path, meta.etag)).encode()).hexdigest()[:16]
        found.append(InboxRequest(meta.path, meta.size, version, year))
    return sorted(found, key=lambda one: one.path)


def read_cursor(text: str | None) -> frozenset[str]:
    """The versions of requests that were resolved or refused before; none where it is no cursor."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return frozenset()
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def write_cursor(seen: Collection[str], standing: Iterable[InboxRequest]) -> str:
    """What `read_cursor` reads; it forgets what is no longer in the inbox."""
    return json.dumps(sorted({one.version for one in standing}.intersection(seen)))


def resolve(
    requests: Iterable[InboxRequest], store: ObjectStore, table: TileTable, now: datetime
) -> Iterator[Resolved]:
    """Resolve requests, one after the other, and record beside each what became of it.

    Args:
        requests: of the inbox.
        store: that of the inbox.
        table: of the tiles.
        now: UTC, aware.

    Raises:
        BadInputError: the table of tiles cannot be used; nobody's request is to blame.
        StoreError: a store refuses.
    """
    table.by_numbers({(0, 0)})
    for request in requests:
        try:
            done = Resolved(request, _read(request, store, table, now))
        except NotFoundError:  # taken away since it was listed
            continue
        except (BadInputError, MissingDependencyError) as error:
            done = Resolved(request, (), str(error))
        _record(done, store, now)
        yield done


def _read(
    request: InboxRequest, store: ObjectStore, table: TileTable, now: datetime
) -> tuple[TileYear, ...]:
    if request.size > MOST_BYTES:
        raise BadInputError(
            f"{request.path} has {request.size} bytes: give at most {MOST_BYTES}, in several files"
        )
    payload = store.get(request.path).data
    return read_request(payload, request.path, table, today=now.date(), year=request.year)


def _record(done: Resolved, store: ObjectStore, now: datetime) -> None:
    path = done.request.path
    if done.problem is None:
        store.put(path + RESOLVED, canonical_csv(done.tile_years).encode(), content_type="text/csv")
        store.delete(path + REFUSED)
        return
    write_json(
        store,
        path + REFUSED,
        {
            "request": path,
            "version": done.request.version,
            "refused_at": now.isoformat(timespec="seconds"),
            "problems": done.problem.splitlines(),
        },
    )
    store.delete(path + RESOLVED)
