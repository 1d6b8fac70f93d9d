"""Dagster's SQLite storage for a process that records one run after another.

Dagster's own opens an engine and a connection for every event and every look-up, because it cannot
know how long its process lives. For `estinel update`, which records a run a site, that was most of
what Dagster cost: SQLAlchemy compiled each statement anew, and SQLite folded the write-ahead log
back and synced two files each time, since that is what the last connection does when it closes.
Here connections stay open. Files, tables and rows are the same; Dagster's web server, daemon and
runs use the same files at the same time.

Connections to files in WAL mode use `synchronous=NORMAL`: synced when the log is folded back, not
at every commit. Neither the death of the process nor a power cut can corrupt such a file
(https://sqlite.org/pragma.html#pragma_synchronous), and the former loses nothing. A power cut may
lose the last events of runs. It loses no work: what is done stands in the outcomes.

The storage is a plug-in as `dagster.yaml` knows them (`storage: custom`), and overrides the methods
by which Dagster's SQL storages ask for a connection.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError

BUSY_TIMEOUT_S = 30
"""How long to wait for another process that writes, as Dagster does for its events."""
RUNS_KEPT_OPEN = 4
"""Runs whose events stay open: the present one, and a few that are looked at."""


class LongLivedSqliteStorage(DagsterStorage[dg.DagsterInstance], ConfigurableClass):
    """Dagster's SQLite storage with runs and events kept open until the instance is disposed."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the files, or make them.

        Args:
            base_dir: as for Dagster's own storage; usually the Dagster home.
            inst_data: what Dagster made this of, if it did.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._inst_data = inst_data
        own = InstanceRef.config_defaults(base_dir)
        self._runs = _Runs.from_local(_folder(own["run_storage"]))
        self._events = _Events(_folder(own["event_log_storage"]))
        self._schedules = SqliteScheduleStorage.from_local(_folder(own["schedule_storage"]))

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What Dagster made this of."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The config in `dagster.yaml`."""
        return {"base_dir": dg.StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "LongLivedSqliteStorage":
        """Make one from its config."""
        return cls(config_value["base_dir"], inst_data)

    @property
    def event_log_storage(self) -> SqliteEventLogStorage:
        """Events of runs and assets."""
        return self._events

    @property
    def run_storage(self) -> SqliteRunStorage:
        """Runs."""
        return self._runs

    @property
    def schedule_storage(self) -> SqliteScheduleStorage:
        """Ticks of schedules and sensors; Dagster's own."""
        return self._schedules


class _Runs(SqliteRunStorage):
    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = _engine(conn_string)
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        super().dispose()
        self._engine.dispose()


class _Events(SqliteEventLogStorage):
    """Events: one file for what is asked across runs (the index), and one for each run.

    As in Dagster's own, one connection is in use at a time.
    """

    def __init__(self, base_dir: str) -> None:
        self._in_use = Lock()
        self._index: Engine | None = None
        self._run_engines: OrderedDict[str, Engine] = OrderedDict()
        self._making: str | None = None
        self._tables: set[str] = set()
        super().__init__(base_dir)

    def has_table(self, table_name: str) -> bool:
        # Asked with every look-up of a partition. No table ever goes.
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def index_connection(self) -> Iterator[Connection]:
        with self._in_use:
            if self._index is None:
                with super().index_connection() as connection:  # makes what is absent
                    address = connection.engine.url
                self._index = _engine(address)
            with self._index.begin() as connection:
                yield connection

    @contextmanager
    def run_connection(self, run_id: str | None = None) -> Iterator[Connection]:
        with self._in_use, self._run_engine(run_id or "").begin() as connection:
            yield connection

    def wipe(self) -> None:
        self._close()  # the files of runs go
        super().wipe()

    def dispose(self) -> None:
        super().dispose()
        self._close()

    def _run_engine(self, run_id: str) -> Engine:
        engine = self._run_engines.get(run_id) or self._opened_run(run_id)
        self._run_engines[run_id] = engine
        self._run_engines.move_to_end(run_id)
        while len(self._run_engines) > RUNS_KEPT_OPEN:
            self._run_engines.popitem(last=False)[1].dispose()
        return engine

    def _opened_run(self, run_id: str) -> Engine:
        """Open a run's file; make it where it is absent.

        Dagster makes the first one, and others repeat what it did: it takes about 80 ms for each,
        most of it to read its migrations.
        """
        is_new = not Path(self.path_for_shard(run_id)).exists()
        engine = _engine(self.conn_string_for_shard(run_id))
        if is_new and self._making is not None and _made(engine, self._making):
            return engine
        with super().run_connection(run_id) as connection:
            if is_new:
                self._making = _script_of(connection)
        return engine

    def _close(self) -> None:
        with self._in_use:
            engines = [*self._run_engines.values(), *([self._index] if self._index else [])]
            self._run_engines.clear()
            self._index = None
        for engine in engines:
            engine.dispose()


def _folder(own: ConfigurableClassData | None) -> str:
    """Where Dagster's own storage of that kind keeps its files."""
    if own is None:
        raise RuntimeError("this version of Dagster names no folder for its SQLite storage")
    return str(own.config_dict["base_dir"])


def _engine(address: str | URL) -> Engine:
    """An engine whose pool keeps connections open."""
    engine = create_engine(address, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _sync_at_checkpoints)
    return engine


def _sync_at_checkpoints(connection: sqlite3.Connection, _record: object) -> None:
    """Only in WAL mode: with a rollback journal, a power cut could corrupt the file."""
    if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        connection.execute("PRAGMA synchronous=NORMAL")


def _script_of(connection: Connection) -> str | None:
    """The statements that would make a database as it stands."""
    driver = connection.connection.driver_connection
    return "\n".join(driver.iterdump()) if isinstance(driver, sqlite3.Connection) else None


def _made(engine: Engine, script: str) -> bool:
    """Whether the script could be run; where it could not, nothing of it stands.

    Dagster's web server makes the file too, when somebody looks at the run that early.
    """
    try:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            if not isinstance(driver, sqlite3.Connection):
                return False
            driver.execute("PRAGMA journal_mode=WAL")
            _sync_at_checkpoints(driver, None)
            driver.executescript(script)
    except (sqlite3.DatabaseError, DatabaseError):
        return False
    return True
