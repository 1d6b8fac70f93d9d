"""Alerts: failed runs and checks reach a real receiver, and nothing leaks on the way."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from estinel_assets.build import build_definitions
from estinel_assets.errors import RetryableError
from estinel_assets.orchestration.alerts import (
    LONGEST_TEXT,
    NO_ADDRESS,
    Alert,
    FailedCheck,
    alert_on_failed_check,
    alert_on_failed_run,
    failed_checks,
    failed_run,
    send,
)
from estinel_assets.orchestration.failures import faults_failure, translated
from estinel_assets.orchestration.resources import SettingsResource
from estinel_assets.settings import AlertSettings, Settings, TransportSettings
from tests.support.imagery import quiet_dagster
from tests.support.serving import serving

pytestmark = quiet_dagster

SECRET = "/services/T0000/B0000/s3cr3tw0rd"
QUERY = "token=hunter2hunter2"


@dataclass
class Receiver:
    """What a receiver got, and how it answers."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    """The answers to give, in turn; then 200."""
    location: str | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{SECRET}?{QUERY}"


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.bodies.append(json.loads(body))
            receiver.paths.append(self.path)
            receiver.types.append(self.headers["Content-Type"])
            status = receiver.statuses.pop(0) if receiver.statuses else 200
            self.send_response(status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            # A receiver that tells everybody where it lives.
            answer = f"status {status} at {self.path}".encode()
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    with serving(server):
        yield receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def settings(url: str | None, attempts: int = 3) -> Settings:
    return Settings(
        alert=AlertSettings(url=url),
        transport=TransportSettings(attempts=attempts, backoff_s=0.001, timeout_s=5),
    )


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """The settings resource, as a user would set it up."""

    def configure(url: str | None) -> SettingsResource:
        file = tmp_path / "estinel.toml"
        file.write_text("[transport]\nattempts = 2\nbackoff_s = 0.001\n", encoding="utf-8")
        if url is not None:
            monkeypatch.setenv("ESTINEL_ALERT_URL", url)
        return SettingsResource(config_file=str(file))

    return configure


def job_that(fail) -> dg.JobDefinition:
    @dg.op
    def work() -> None:
        fail()

    @dg.job(executor_def=dg.in_process_executor)
    def update_site() -> None:
        work()

    return update_site


def run(job: dg.JobDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={"dagster/partition": "site_af38900f"},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def faults() -> None:
    raise faults_failure("imagery", "site_af38900f", {"2024-12-03": "source_timeout"})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as one:
        yield one


def context_of(
    result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance, **resources: object
) -> dg.RunStatusSensorContext:
    ends = {"PIPELINE_SUCCESS", "PIPELINE_FAILURE"}
    ended = next(event for event in result.all_events if event.event_type_value in ends)
    return dg.build_run_status_sensor_context(
        sensor_name="alert",
        dagster_event=ended,
        dagster_instance=instance,
        dagster_run=instance.get_run_by_id(result.run_id),
        resources=resources,
        partition_key="site_af38900f",
    )


# --- runs --------------------------------------------------------------------------------------


def test_a_failed_run_reaches_the_receiver(receiver, instance, configured):
    result = run(job_that(faults), instance)
    context = context_of(result, instance, settings=configured(receiver.url)).for_run_failure()

    assert alert_on_failed_run(context) is None

    (body,) = receiver.bodies
    assert receiver.paths == [f"{SECRET}?{QUERY}"]
    assert receiver.types == ["application/json"]
    assert {name: body[name] for name in ("kind", "job", "run_id", "partition", "reason")} == {
        "kind": "run",
        "job": "update_site",
        "run_id": result.run_id,
        "partition": "site_af38900f",
        "reason": "source_timeout",
    }
    assert body["checks"] == []
    assert body["error"].startswith("imagery site_af38900f: 1 with a fault (2024-12-03: source_ti")
    assert body["text"].splitlines()[0] == ("update_site failed for site_af38900f (source_timeout)")
    assert body["text"].endswith(f"run {result.run_id}")


def unit_error() -> None:
    with translated():
        raise RetryableError("source_unavailable", "POST https://stac.example/search failed")


def bug() -> None:
    raise ZeroDivisionError("division of <!channel> by zero; password=geheim99")


def test_what_is_said_of_an_error_of_ours(instance):
    alert = failed_run(context_of(run(job_that(unit_error), instance), instance).for_run_failure())

    assert alert.reason == "source_unavailable"
    assert alert.error == "POST https://stac.example/search failed"


def test_what_is_said_of_a_bug(instance, receiver):
    alert = failed_run(context_of(run(job_that(bug), instance), instance).for_run_failure())

    assert send(alert, settings(receiver.url)) is None
    (body,) = receiver.bodies
    assert body["reason"] is None
    assert body["error"].startswith("ZeroDivisionError: division of <!channel> by zero")
    assert "&lt;!channel&gt;" in body["text"]
    assert "<" not in body["text"]
    assert "geheim99" not in json.dumps(body)


def test_without_an_address_nothing_is_sent_and_the_sensor_says_so(instance, configured):
    result = run(job_that(faults), instance)
    context = context_of(result, instance, settings=configured(None)).for_run_failure()

    skipped = alert_on_failed_run(context)

    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == NO_ADDRESS


def test_the_daemon_loop_posts_each_failed_run_once(receiver, instance, configured):
    resources = {"settings": configured(receiver.url)}
    repository = build_definitions().get_repository_def()
    cursor = None
    for posted in (0, 1, 1):
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, resources=resources, repository_def=repository
        ) as context:
            tick = alert_on_failed_run.evaluate_tick(context)
        cursor = tick.cursor
        assert len(receiver.bodies) == posted
        if posted == 0:
            run(job_that(lambda: None), instance)
            run(job_that(faults), instance)


@pytest.mark.parametrize("statuses", [[500, 500], [404], [302]], ids=str)
def test_a_receiver_that_refuses_does_not_stop_the_loop(
    receiver, instance, configured, statuses, caplog
):
    receiver.statuses += statuses
    receiver.location = receiver.url if statuses == [302] else None
    resources = {"settings": configured(receiver.url)}
    run(job_that(faults), instance)
    started = json.dumps({"__class__": "RunStatusSensorCursor", "record_id": 0,
                          "update_timestamp": None, "record_timestamp": None})  # fmt: skip

    with dg.build_sensor_context(
        instance=instance,
        cursor=started,
        resources=resources,
        repository_def=build_definitions().get_repository_def(),
    ) as context:
        tick = alert_on_failed_run.evaluate_tick(context)

    assert len(receiver.bodies) == len(statuses)
    assert tick.skip_message is not None
    assert "was given up" in tick.skip_message
    assert tick.cursor != started, "the next tick would send the same again"
    assert [record.levelname for record in caplog.records if "not sent" in record.message] == [
        "WARNING"
    ]


def test_a_receiver_that_recovers_gets_it(receiver):
    receiver.statuses += [503, 429]

    assert send(Alert("run", "update_site", "r1", error="it broke"), settings(receiver.url)) is None
    assert len(receiver.bodies) == 3


# --- checks ------------------------------------------------------------------------------------


def check_job(passed: bool) -> dg.Definitions:
    @dg.asset
    def updated_markers() -> None:
        """Markers."""

    @dg.asset_check(asset=updated_markers)
    def marker_age() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            description="1 of 2 sites: Hobart",
        )

    @dg.asset_check(asset=updated_markers)
    def marker_readable() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    job = dg.define_asset_job("imagery_checks", selection=dg.AssetSelection.all_asset_checks())
    return dg.Definitions(
        assets=[updated_markers], asset_checks=[marker_age, marker_readable], jobs=[job]
    )


@pytest.mark.parametrize("passed", [True, False])
def test_failed_checks_reach_the_receiver_and_passed_ones_do_not(
    receiver, instance, configured, passed
):
    defs = check_job(passed)
    job = defs.resolve_job_def("imagery_checks")
    result = run(job, instance)
    sensor = alert_on_failed_check([job])
    context = context_of(result, instance, settings=configured(receiver.url))

    returned = sensor(context)

    if passed:
        assert "every check" in returned.skip_message
        assert receiver.bodies == []
        assert failed_checks(context) is None
        return
    assert returned is None
    (body,) = receiver.bodies
    assert (body["kind"], body["job"], body["run_id"]) == ("check", "imagery_checks", result.run_id)
    assert body["checks"] == [
        {
            "asset": "updated_markers",
            "name": "marker_age",
            "severity": "WARN",
            "description": "1 of 2 sites: Hobart",
        }
    ]
    assert "WARN updated_markers marker_age: 1 of 2 sites: Hobart" in body["text"]
    assert (body["error"], body["reason"]) == (None, None)


# --- secrets -----------------------------------------------------------------------------------


def test_the_address_is_in_no_document(receiver):
    url = receiver.url
    alert = Alert(
        "run",
        "update_site",
        "r1",
        error=f"POST {url} failed; {url.split('?')[0]} and {SECRET} and {QUERY}",
        checks=(FailedCheck("a", "b", "WARN", f"see {url}"),),
    )

    assert send(alert, settings(url)) is None

    posted = json.dumps(receiver.bodies)
    for secret in ("s3cr3tw0rd", "hunter2", SECRET):
        assert secret not in posted


@pytest.mark.parametrize(
    "url", ["dead", "500", "no address", "http://[broken", "ftp://h/s3cr3tw0rd"], ids=str
)
def test_the_address_is_in_no_log_and_no_message(receiver, caplog, url):
    caplog.set_level(logging.DEBUG, logger="estinel_assets")
    caplog.set_level(logging.INFO)
    if url == "500":
        receiver.statuses += [500] * 9
        url = receiver.url
    elif url == "dead":
        url = f"http://127.0.0.1:9{SECRET}?{QUERY}"

    problem = send(Alert("run", "update_site", "r1"), settings(url))

    assert problem is not None
    shown = problem + caplog.text + repr([record.__dict__ for record in caplog.records])
    for secret in ("s3cr3tw0rd", "hunter2", SECRET, "T0000"):
        assert secret not in shown
    assert "posting the alert" in problem or "ESTINEL_ALERT_URL" in problem


def test_a_long_error_is_cut():
    document = Alert("run", "update_site", "r1", error="x" * 10_000).document()

    assert len(document["error"]) == LONGEST_TEXT
    assert document["error"].endswith("…")


def test_both_sensors_run_from_the_start():
    sensors = {one.name: one for one in build_definitions().get_repository_def().sensor_defs}

    for name in ("alert_on_failed_run", "alert_on_failed_check"):
        assert sensors[name].default_status is dg.DefaultSensorStatus.RUNNING
