"""Rows in a temporary database: what there is of every item, without memory for every item.

Things of one kind, such as the objects of a publication, stand on a shelf under their keys, or on a
roll one behind the other. They are put and taken in batches, and all that is in memory is a batch
and a small cache. Nothing here outlives the process, so nothing is made safe against a crash.
"""

# ruff: noqa: S608 - statements hold names of tables and columns that are made here
import shutil
import sqlite3
import tempfile
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeAlias, TypeVar

from estinel_assets.publishing.batches import batches

T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]
"""Of texts, integers, bytes and None."""
Key: TypeAlias = tuple[str, str]
"""A group, such as a collection or a store, and a name that is unique within it."""

AT_ONCE = 500
"""Rows that are put or taken at once."""
_CACHE_KIB = 2048
_SETTINGS = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    f"PRAGMA cache_size = -{_CACHE_KIB}",
    # One transaction from beginning to end, and never committed: the file is thrown away.
    "BEGIN",
)


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How things of one kind are written as rows, and read again."""

    columns: int
    """Of a row."""
    pack: Callable[[T], Row]
    """A thing's row; on a shelf its group and name come first."""
    unpack: Callable[[Row], T]


def plain(columns: int) -> Form[Row]:
    """The form of things that are rows already."""
    return Form(columns, lambda row: row, lambda row: row)


class Shelves:
    """A temporary database in a folder of its own. Safe to use from many threads.

    Both are gone when it is closed, or when nobody has it any more.

    Attributes:
        folder: for more files.
    """

    def __init__(self) -> None:
        """Make an empty one, in the system's folder for temporary files."""
        self.folder = Path(tempfile.mkdtemp(prefix="estinel-publish-"))
        self._connection = sqlite3.connect(
            self.folder / "rows", isolation_level=None, check_same_thread=False
        )
        self._clear = weakref.finalize(self, _clear, self._connection, self.folder)
        self._lock = Lock()
        self._tables = 0
        for setting in _SETTINGS:
            self._connection.execute(setting)

    def table(self, columns: str) -> str:
        """Make a table; its name."""
        with self._lock:
            self._tables += 1
            name = f"t{self._tables}"
            self._connection.execute(f"CREATE TABLE {name} {columns}")
        return name

    def ask(self, statement: str, values: Row = ()) -> list[Row]:
        """Do one statement; the rows that it gives."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def change(self, statement: str, rows: Sequence[Row]) -> None:
        """Do one statement for each row."""
        with self._lock:
            self._connection.executemany(statement, rows)

    def close(self) -> None:
        """Delete everything."""
        with self._lock:
            self._clear()


class Shelf(Generic[T]):
    """Things of one kind, each under its key; they come in the order of their keys."""

    def __init__(self, shelves: Shelves, form: Form[T]) -> None:
        """Make an empty one."""
        self._shelves = shelves
        self._form = form
        columns = ", ".join(f"c{number}" for number in range(form.columns))
        self._table = shelves.table(f"({columns}, PRIMARY KEY (c0, c1)) WITHOUT ROWID")
        self._insert = f"INTO {self._table} VALUES ({_marks(form.columns)})"

    def put(self, things: Iterable[T], twice: Callable[[T, T], None] | None = None) -> None:
        """Put things there. Where one stands under a key already, it stays.

        Args:
            things: read in batches.
            twice: told of a thing whose key is taken, and of what stands there.
        """
        for batch in batches(things, AT_ONCE):
            rows = [self._form.pack(thing) for thing in batch]
            if twice is not None:
                self._tell(batch, rows, twice)
            self._shelves.change(f"INSERT OR IGNORE {self._insert}", rows)

    def set(self, things: Iterable[T]) -> None:
        """Put things there, in place of those under the same keys."""
        for batch in batches(things, AT_ONCE):
            rows = [self._form.pack(thing) for thing in batch]
            self._shelves.change(f"INSERT OR REPLACE {self._insert}", rows)

    def setdefault(self, thing: T) -> T:
        """Put a thing there; the one that stands there already, if any."""
        row = self._form.pack(thing)
        if self._shelves.ask(f"INSERT OR IGNORE {self._insert} RETURNING 1", row):
            return thing
        stands = self.get(row[0], row[1])
        return thing if stands is None else stands

    def get(self, group: str, name: str) -> T | None:
        """What stands under a key."""
        rows = self._select("c0 = ? AND c1 = ?", (group, name))
        return self._form.unpack(rows[0]) if rows else None

    def look_up(self, keys: Iterable[Key]) -> dict[Key, T]:
        """What stands under some keys, as many as may be in memory."""
        names: dict[str, list[str]] = defaultdict(list)
        for group, name in keys:
            names[group].append(name)
        found: dict[Key, T] = {}
        for group, several in names.items():
            for batch in batches(several, AT_ONCE):
                where = f"c0 = ? AND c1 IN ({_marks(len(batch))})"
                for row in self._select(where, (group, *batch)):
                    found[group, row[1]] = self._form.unpack(row)
        return found

    def of(self, group: str) -> Iterator[T]:
        """All things of a group."""
        return self._things("c0 = ?", (group,))

    def without(self, other: "Shelf[Any]") -> Iterator[T]:
        """All things under whose keys nothing stands on another shelf of the same spool."""
        same = f"SELECT 1 FROM {other.table} AS o WHERE o.c0 = t.c0 AND o.c1 = t.c1"
        return self._things(f"NOT EXISTS ({same})", ())

    def holds_below(self, group: str, folder: str) -> bool:
        """Whether any name of a group lies in a folder, such as `a/b` in `a`."""
        # `0` follows `/`.
        where = "c0 = ? AND c1 > ? AND c1 < ? LIMIT 1"
        return bool(self._select(where, (group, f"{folder}/", f"{folder}0")))

    def groups(self) -> list[str]:
        """All groups that anything stands in."""
        rows = self._shelves.ask(f"SELECT DISTINCT c0 FROM {self._table} ORDER BY c0")
        return [group for (group,) in rows]

    def __iter__(self) -> Iterator[T]:
        return self._things("TRUE", ())

    def __len__(self) -> int:
        return _count(self._shelves, self._table)

    @property
    def table(self) -> str:
        """Its name within the database."""
        return self._table

    def _tell(
        self, things: Sequence[T], rows: Sequence[Row], twice: Callable[[T, T], None]
    ) -> None:
        keys = [(row[0], row[1]) for row in rows]
        standing = self.look_up(keys)
        for key, thing in zip(keys, things, strict=True):
            if key in standing:
                twice(thing, standing[key])
            else:
                standing[key] = thing

    def _things(self, where: str, values: Row) -> Iterator[T]:
        """Things in the order of their keys; no statement is open while one is looked at."""
        at_once = f"ORDER BY c0, c1 LIMIT {AT_ONCE}"
        page = self._select(f"{where} {at_once}", values)
        while page:
            yield from map(self._form.unpack, page)
            if len(page) < AT_ONCE:
                return
            last = page[-1][:2]
            page = self._select(f"{where} AND (c0, c1) > (?, ?) {at_once}", (*values, *last))

    def _select(self, where: str, values: Row) -> list[Row]:
        return self._shelves.ask(f"SELECT * FROM {self._table} AS t WHERE {where}", values)


class Roll(Generic[T]):
    """Things of one kind in the order in which they came."""

    def __init__(self, shelves: Shelves, form: Form[T]) -> None:
        """Make an empty one."""
        self._shelves = shelves
        self._form = form
        columns = ", ".join(f"c{number}" for number in range(form.columns))
        self._table = shelves.table(f"(number INTEGER PRIMARY KEY, {columns})")
        self._columns = columns

    def extend(self, things: Iterable[T]) -> None:
        """Add things at the end."""
        marks = _marks(self._form.columns)
        statement = f"INSERT INTO {self._table} ({self._columns}) VALUES ({marks})"
        for batch in batches(things, AT_ONCE):
            self._shelves.change(statement, [self._form.pack(thing) for thing in batch])

    def pop(self) -> T | None:
        """Take the last one off; None where there is none."""
        last = f"SELECT max(number) FROM {self._table}"
        statement = f"DELETE FROM {self._table} WHERE number = ({last}) RETURNING {self._columns}"
        rows = self._shelves.ask(statement)
        return self._form.unpack(rows[0]) if rows else None

    def __iter__(self) -> Iterator[T]:
        last = -1
        while page := self._shelves.ask(
            f"SELECT * FROM {self._table} WHERE number > ? ORDER BY number LIMIT {AT_ONCE}", (last,)
        ):
            for row in page:
                yield self._form.unpack(row[1:])
            last = page[-1][0]

    def __len__(self) -> int:
        return _count(self._shelves, self._table)


def _clear(connection: sqlite3.Connection, folder: Path) -> None:
    connection.close()
    shutil.rmtree(folder)


def _count(shelves: Shelves, table: str) -> int:
    ((count,),) = shelves.ask(f"SELECT count(*) FROM {table}")
    return int(count)


def _marks(number: int) -> str:
    return ", ".join("?" * number)
