"""A PostgreSQL server for tests: the machine's own programs, a folder and a port of its own.

No service is started or touched. As root, the server runs as the user `postgres`, because it
refuses to run as root.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]

from tests.support.web_server import free_port

USER = "estinel"
PASSWORD = "p@ss:w/rd#1%41"
"""With everything that has a meaning in an address."""
DATABASE = "dagster"
_DEBIAN = Path("/usr/lib/postgresql")
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    port: int
    host: str = "127.0.0.1"

    def environment(self) -> dict[str, str]:
        """The variables that `deploy/dagster-postgres.yaml` reads."""
        return {
            "DAGSTER_POSTGRES_HOST": self.host,
            "DAGSTER_POSTGRES_PORT": str(self.port),
            "DAGSTER_POSTGRES_USER": USER,
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            "DAGSTER_POSTGRES_DB": DATABASE,
        }

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with closing(self._connect(DATABASE)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def create_database(self) -> None:
        """Make Dagster's database."""
        with closing(self._connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {DATABASE}")

    def _connect(self, database: str) -> Any:
        return psycopg2.connect(
            host=self.host, port=self.port, user=USER, password=PASSWORD, dbname=database
        )


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest; None where it is not installed."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    folders = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def why_no_postgres() -> str | None:
    """What is missing for a server; None where one can be started."""
    if programs() is None:
        return "no PostgreSQL: initdb is neither on the PATH nor below /usr/lib/postgresql"
    return None


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A server with an empty database for Dagster."""
    found = programs()
    assert found is not None, why_no_postgres()
    # Not pytest's folder: only its owner may look into that.
    with tempfile.TemporaryDirectory(prefix="estinel-postgres-") as name:
        folder = Path(name)
        _prepare(found, folder)
        server = Postgres(free_port())
        settings = {
            "listen_addresses": server.host,
            "port": server.port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "max_connections": 50,
        }
        command: list[object] = [found / "postgres", "-D", folder / "data"]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        with (folder / "said.txt").open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command], stdout=output, stderr=output, cwd=folder, **_as()
            )
        try:
            _wait(process, server, folder / "said.txt")
            server.create_database()
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # its fast way to stop: no waiting for clients
            process.wait(_PATIENCE_S)


def _prepare(found: Path, folder: Path) -> None:
    secret = folder / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres", "postgres")
    _run([found / "initdb", "-D", folder / "data", "-U", USER, "--pwfile", secret,
          "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"], folder)  # fmt: skip


def _run(command: Sequence[object], folder: Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        **_as(),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _as() -> dict[str, Any]:
    """Whose process it is."""
    return {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


def _wait(process: subprocess.Popen[bytes], server: Postgres, said: Path) -> None:
    ends_at = time.monotonic() + _PATIENCE_S
    while True:
        assert process.poll() is None, said.read_text(errors="replace")
        try:
            server._connect("postgres").close()
        except psycopg2.OperationalError:
            assert time.monotonic() < ends_at, said.read_text(errors="replace")
            time.sleep(0.1)
        else:
            return
