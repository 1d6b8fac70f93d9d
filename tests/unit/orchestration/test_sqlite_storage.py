"""Storage whose connections stay open: the same files and rows, fewer connections, no damage."""

import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Connection, Engine, event, text

from estinel_assets.orchestration.in_process import open_instance, run_job
from estinel_assets.orchestration.sqlite_storage import (
    RUNS_KEPT_OPEN,
    LongLivedSqliteStorage,
    _engine,
    _made,
)
from tests.support.real import ROOT

NUMBERS = dg.DynamicPartitionsDefinition(name="numbers")


@dg.asset(partitions_def=NUMBERS)
def number(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"twice": 2 * int(context.partition_key)})


@dg.asset(partitions_def=NUMBERS, deps=[number])
def broken() -> None:
    raise ZeroDivisionError("no pixels")


DEFS = dg.Definitions(
    assets=[number, broken],
    jobs=[
        dg.define_asset_job("works", selection=[number]),
        dg.define_asset_job("fails", selection=[number, broken]),
    ],
    executor=dg.in_process_executor,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    return tmp_path


@contextmanager
def dagsters_own(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def recorded(home: Path, run_id: str) -> list[tuple[str, str | None]]:
    """What Dagster's own storage reads of a run: types of events, and their steps."""
    with dagsters_own(home) as instance:
        return [
            (entry.get_dagster_event().event_type_value, entry.step_key)
            for entry in instance.all_logs(run_id)
            if entry.is_dagster_event
        ]


def schema(path: Path) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        made = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 2")
        version = connection.execute("SELECT version_num FROM alembic_version")
        mode = connection.execute("PRAGMA journal_mode")
        return [*made.fetchall(), *version.fetchall(), *mode.fetchall()]


def test_what_is_recorded_is_what_dagsters_own_storage_records(tmp_path: Path) -> None:
    events, states = [], []
    for name, opening in (("own", dagsters_own), ("ours", open_instance)):
        home = tmp_path / name
        home.mkdir()
        with opening(home) as instance:
            instance.add_dynamic_partitions("numbers", ["7"])
            runs = [run_job(DEFS, instance, job, "7").run_id for job in ("works", "fails", "works")]
        events.append([recorded(home, run_id) for run_id in runs])
        with dagsters_own(home) as instance:
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=number.key, asset_partitions=["7"]), limit=10
            ).records
            states.append(
                (
                    [instance.get_run_by_id(run_id).status.value for run_id in runs],
                    [record.asset_materialization.metadata["twice"].value for record in records],
                    [record.run_id for record in records] == [runs[2], runs[1], runs[0]],
                )
            )

    assert events[0] == events[1]
    assert [step for kind, step in events[1][1] if kind == "STEP_FAILURE"] == ["broken"]
    assert states[0] == states[1]
    assert states[1] == (["SUCCESS", "FAILURE", "SUCCESS"], [14, 14, 14], True)


def test_files_are_made_as_dagster_makes_them(home: Path, tmp_path: Path) -> None:
    with open_instance(home) as instance:
        instance.add_dynamic_partitions("numbers", ["1"])
        made = [run_job(DEFS, instance, "works", "1").run_id for _ in range(3)]
    with dagsters_own(home) as instance:
        made.append(run_job(DEFS, instance, "works", "1").run_id)

    schemas = [schema(home / f"history/runs/{run_id}.db") for run_id in made]
    assert schemas[-1][-1] == ("wal",)
    assert schemas[:3] == [schemas[-1]] * 3


def test_connections_stay_open(home: Path) -> None:
    opened = []

    def count(_connection: object, _record: object) -> None:
        opened.append(1)

    with open_instance(home) as instance:
        instance.add_dynamic_partitions("numbers", ["1"])
        for _ in range(2):
            run_job(DEFS, instance, "works", "1")
        event.listen(Engine, "connect", count)
        try:
            assert run_job(DEFS, instance, "works", "1").success
        finally:
            event.remove(Engine, "connect", count)

    # The file of the run's own events; Dagster's own storage opens about a hundred.
    assert len(opened) == 1


def test_what_is_closed_leaves_no_log_behind(home: Path) -> None:
    with open_instance(home) as instance:
        instance.add_dynamic_partitions("numbers", ["1"])
        for _ in range(RUNS_KEPT_OPEN + 2):
            run_job(DEFS, instance, "works", "1")
        written = [path.name for path in home.rglob("*.db-wal") if path.parent.name == "runs"]
        assert len(written) == RUNS_KEPT_OPEN + 1  # with the index

    assert list(home.rglob("*.db-wal")) == []


def synchronous(connection: Connection) -> int:
    return int(connection.execute(text("PRAGMA synchronous")).scalar_one())


def test_commits_are_not_synced_one_by_one(home: Path) -> None:
    with open_instance(home) as instance:
        instance.add_dynamic_partitions("numbers", ["1"])
        run_id = run_job(DEFS, instance, "works", "1").run_id
        events, runs = instance.event_log_storage, instance.run_storage
        with runs.connect() as connection:
            assert synchronous(connection) == 1
        with events.index_connection() as connection:
            assert synchronous(connection) == 1
        with events.run_connection(run_id) as connection:
            assert synchronous(connection) == 1


def test_a_file_with_a_rollback_journal_is_synced_as_before(home: Path) -> None:
    with dagsters_own(home):
        pass
    with closing(sqlite3.connect(home / "history/runs.db")) as connection:
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)

    with open_instance(home) as instance, instance.run_storage.connect() as connection:
        assert synchronous(connection) == 2


def test_other_processes_storage_works_on_the_same_files(home: Path) -> None:
    with open_instance(home) as ours, dagsters_own(home) as own:
        ours.add_dynamic_partitions("numbers", ["1"])
        assert own.get_dynamic_partitions("numbers") == ["1"]
        first = run_job(DEFS, ours, "works", "1").run_id
        second = run_job(DEFS, own, "works", "1").run_id
        own.add_dynamic_partitions("numbers", ["2"])

        assert ours.has_dynamic_partition("numbers", "2")
        for instance in (ours, own):
            assert {run.run_id for run in instance.get_runs()} == {first, second}
            for run_id in (first, second):
                assert instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_SUCCESS)


def test_a_run_that_somebody_looked_at_first_is_recorded(home: Path) -> None:
    with open_instance(home) as ours, dagsters_own(home) as own:
        ours.add_dynamic_partitions("numbers", ["1"])
        run_job(DEFS, ours, "works", "1")
        run_id = str(uuid.uuid4())
        assert own.all_logs(run_id) == []  # makes the file
        result = DEFS.resolve_job_def("works").execute_in_process(
            instance=ours, partition_key="1", run_id=run_id
        )

        assert result.success
        assert own.all_logs(run_id, of_type=dg.DagsterEventType.RUN_SUCCESS)


def test_a_file_that_another_process_is_making_is_left_to_dagster(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE event_logs (id INTEGER)")

    script = "BEGIN; CREATE TABLE other (id INTEGER); CREATE TABLE event_logs (id INTEGER); COMMIT;"
    engine = _engine(f"sqlite:///{path}")
    assert not _made(engine, script)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("event_logs",)]


def test_threads_record_many_runs_at_once(home: Path) -> None:
    run_ids = [str(uuid.uuid4()) for _ in range(2 * RUNS_KEPT_OPEN)]
    with open_instance(home) as instance:

        def report(number: int) -> None:
            run_id = run_ids[number % len(run_ids)]
            instance.report_engine_event(str(number), job_name="works", run_id=run_id)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(report, range(20 * len(run_ids))))

    with dagsters_own(home) as instance:
        for first, run_id in enumerate(run_ids):
            said = {int(entry.get_dagster_event().message) for entry in instance.all_logs(run_id)}
            assert said == set(range(first, 20 * len(run_ids), len(run_ids)))


def test_wiping_closes_the_files_that_go(home: Path) -> None:
    with open_instance(home) as instance:
        instance.add_dynamic_partitions("numbers", ["1"])
        run_id = run_job(DEFS, instance, "works", "1").run_id
        instance.wipe()
        assert not (home / f"history/runs/{run_id}.db").exists()
        instance.add_dynamic_partitions("numbers", ["1"])
        again = run_job(DEFS, instance, "works", "1").run_id
        assert instance.all_logs(run_id) == []
        assert instance.all_logs(again, of_type=dg.DagsterEventType.RUN_SUCCESS)


KILLED = """
import os, signal, sys
from pathlib import Path
from estinel_assets.orchestration.in_process import open_instance, run_job
from tests.unit.orchestration.test_sqlite_storage import DEFS

with open_instance(Path(sys.argv[1])) as instance:
    instance.add_dynamic_partitions("numbers", ["1"])
    for _ in range(2):
        print(run_job(DEFS, instance, "works", "1").run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_no_event(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list((home / "history/runs").glob("*.db-wal"))  # nobody closed anything
    for run_id in done.stdout.split():
        assert recorded(home, run_id)[-1] == ("PIPELINE_SUCCESS", None)
    assert len(done.stdout.split()) == 2


def test_it_can_be_named_in_dagster_yaml(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "storage:\n  custom:\n"
        f"    module: {LongLivedSqliteStorage.__module__}\n    class: LongLivedSqliteStorage\n"
        f"    config:\n      base_dir: {tmp_path}/kept\n"
    )

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("numbers", ["1"])
        assert run_job(DEFS, instance, "works", "1").success
        instance.schedule_storage.all_instigator_state()

    assert (tmp_path / "kept/history/runs/index.db").is_file()
    assert (tmp_path / "kept/schedules/schedules.db").is_file()
