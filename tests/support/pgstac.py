"""pgstac behind stac-fastapi for tests: PostgreSQL, PostGIS, the schema, and the API over them.

The API's root has a path of its own, as behind a gateway. Its Transaction extension is on, and it
asks for no key.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from pypgstac.db import PgstacDB
from pypgstac.migrate import Migrate

from tests.support.postgres import PASSWORD, USER, Postgres, postgres_server, why_no_postgres
from tests.support.web_server import Program, free_port

PATH = "/gate/stac"
_DEBIAN = Path("/usr/share/postgresql")
_PATIENCE_S = 60.0


def why_no_pgstac() -> str | None:
    """What is missing for it; None where it can be started."""
    if reason := why_no_postgres():
        return reason
    if not any(_DEBIAN.glob("*/extension/postgis.control")):
        return "no PostGIS: its postgis.control is not below /usr/share/postgresql"
    return None


@contextmanager
def pgstac_api() -> Iterator[str]:
    """An API without collections; its root, without a slash at its end."""
    with postgres_server() as server, TemporaryDirectory(prefix="estinel-pgstac-") as folder:
        port = free_port()
        command = ["-m", "uvicorn", "stac_fastapi.pgstac.app:create_app", "--factory"]
        program = Program(
            [sys.executable, *command, "--host", "127.0.0.1", "--port", str(port),
             "--log-level", "warning", "--no-access-log"],
            _variables(server),
            Path(folder) / "said.txt",
        )  # fmt: skip
        try:
            _migrate(server)  # while the program starts
            program.wait_for(f"http://127.0.0.1:{port}{PATH}/", _PATIENCE_S)
            yield f"http://127.0.0.1:{port}{PATH}"
            program.process.send_signal(signal.SIGTERM)
            program.wait_until_gone(10.0)
        finally:
            program.kill()


def _variables(server: Postgres) -> dict[str, str]:
    return {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": USER,
        "PGPASSWORD": PASSWORD,
        "PGDATABASE": server.environment()["DAGSTER_POSTGRES_DB"],
        "PREFIX_PATH": PATH,
        "ENABLE_TRANSACTIONS_EXTENSIONS": "TRUE",
        "DB_MAX_CONN_SIZE": "10",
    }


def _migrate(server: Postgres) -> None:
    """What `pypgstac migrate` does."""
    variables = _variables(server)
    login = f"{USER}:{quote(PASSWORD, safe='')}"
    place = f"{server.host}:{server.port}/{variables['PGDATABASE']}"
    with PgstacDB(dsn=f"postgresql://{login}@{place}") as database:
        Migrate(database).run_migration()
