"""Figures as Prometheus gets them: over HTTP, read by the client library's own parser."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.record import Outcome
from estinel_assets.pids.figures import SECONDS, Figures
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.metrics import serve_metrics
from tests.support.outcomes import outcome

START = datetime(2025, 8, 1, 12, 0, tzinfo=UTC)
ALL = {
    "estinel_pids_messages": "counter",
    "estinel_pids_handles": "counter",
    "estinel_pids_retries": "counter",
    "estinel_pids_skipped_messages": "counter",
    "estinel_pids_patched_messages": "counter",
    "estinel_pids_retracted_messages": "counter",
    "estinel_pids_replicas": "counter",
    "estinel_pids_warnings": "counter",
    "estinel_pids_external_failures": "counter",
    "estinel_pids_handle_seconds": "counter",
    "estinel_pids_in_flight": "gauge",
    "estinel_pids_lag": "gauge",
    "estinel_pids_message_seconds": "histogram",
}


@pytest.fixture
def figures() -> Figures:
    return Figures(started_at=START)


def ended(reason: str = "none", took_s: float = 0.5, **detail: Any) -> Outcome:
    return outcome(
        "CMIP6",
        "0",
        "7",
        product="pids",
        reason=reason,
        finished_at=START + timedelta(seconds=1),
        duration_s=took_s,
        detail=detail,
    )


def read(url: str) -> tuple[dict[str, tuple[str, str]], dict[tuple[str, Mapping[str, str]], float]]:
    """Types and meanings by name, and values by name and labels."""
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.text))
    kinds = {family.name: (family.type, family.documentation) for family in families}
    values = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    return kinds, values


def value(values: Mapping[Any, float], name: str, **labels: str) -> float:
    return values[f"estinel_pids_{name}", frozenset(labels.items())]


def test_every_figure_has_a_name_a_type_and_a_meaning(figures: Figures) -> None:
    with serve_metrics(figures, 0) as url:
        kinds, values = read(url)
    assert {name: kind for name, (kind, _) in kinds.items()} == ALL
    assert all(meaning.endswith(".") for _, meaning in kinds.values())
    assert value(values, "handles_total", what="created") == 0
    assert value(values, "message_seconds_count") == 0


def test_figures_are_read_when_they_are_asked_for(figures: Figures) -> None:
    with serve_metrics(figures, 0) as url:
        figures.add(ended(created=3, replicas=2, patched=True, retracted=True, retries=1))
        figures.add(ended(unchanged=2, warnings_count=4, took_s=400.0))
        figures.add(ended("handle_unavailable", skipped=True))
        figures.add(ended("invalid_item", took_s=0.004))
        figures.add_handle_time(1.5)
        figures.set_in_flight(7)
        figures.set_lag(TopicPartition('CMIP6 "x"', 3), 41)
        _, values = read(url)
        assert value(values, "messages_total", status="true", reason="none") == 2
        assert value(values, "messages_total", status="false", reason="invalid_item") == 1
        assert value(values, "messages_total", status="false", reason="handle_unavailable") == 1
        assert value(values, "handles_total", what="created") == 3
        assert value(values, "handles_total", what="unchanged") == 2
        assert value(values, "handles_total", what="superseded") == 0
        for name, wanted in {
            "retries": 1,
            "skipped_messages": 1,
            "patched_messages": 1,
            "retracted_messages": 1,
            "replicas": 2,
            "warnings": 4,
            "external_failures": 1,
            "handle_seconds": 1.5,
        }.items():
            assert value(values, f"{name}_total") == wanted, name
        assert value(values, "in_flight") == 7
        assert value(values, "lag", topic='CMIP6 "x"', partition="3") == 41
        buckets = [value(values, "message_seconds_bucket", le=str(bound)) for bound in SECONDS]
        assert buckets == [1.0] * 4 + [1.0] + [3.0] * 8
        assert value(values, "message_seconds_bucket", le="+Inf") == 4
        assert value(values, "message_seconds_count") == 4
        assert value(values, "message_seconds_sum") == pytest.approx(401.004)

        figures.add(ended())
        figures.set_lag(TopicPartition('CMIP6 "x"', 3), None)
        _, values = read(url)
        assert value(values, "messages_total", status="true", reason="none") == 3
        assert not [name for name, _ in values if name == "estinel_pids_lag"]


def test_nothing_answers_and_nothing_runs_afterwards(figures: Figures) -> None:
    with serve_metrics(figures, 0) as url:
        read(url)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)
    assert "pids-metrics" not in {thread.name for thread in threading.enumerate()}
    port = int(url.split(":")[2].split("/")[0])
    with serve_metrics(figures, port) as again:
        assert again == url
        read(again)


def test_two_consumers_of_one_process_do_not_meet(figures: Figures) -> None:
    other = Figures(started_at=START)
    other.add(ended(created=1))
    with serve_metrics(figures, 0) as one, serve_metrics(other, 0) as two:
        assert value(read(one)[1], "handles_total", what="created") == 0
        assert value(read(two)[1], "handles_total", what="created") == 1


@pytest.mark.parametrize("port", [-1, 65536, 2**40])
def test_what_is_no_port(figures: Figures, port: int) -> None:
    with (
        pytest.raises(BadInputError, match=f"port {port} .*choose another port"),
        serve_metrics(figures, port),
    ):
        pass


def test_a_port_that_is_taken(figures: Figures) -> None:
    with serve_metrics(figures, 0) as url:
        port = int(url.split(":")[2].split("/")[0])
        with (
            pytest.raises(BadInputError, match=f"at 127.0.0.1, port {port} .*choose another"),
            serve_metrics(figures, port),
        ):
            pass
        read(url)


def test_an_address_that_is_not_ours(figures: Figures) -> None:
    with (
        pytest.raises(BadInputError, match=r"at 192\.0\.2\.1, port 0"),
        serve_metrics(figures, 0, host="192.0.2.1"),
    ):
        pass


def test_an_address_of_the_sixth_version(figures: Figures) -> None:
    with serve_metrics(figures, 0, host="::1") as url:
        assert url.startswith("http://[::1]:")
        read(url)
