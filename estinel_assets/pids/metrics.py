"""The figures of a consumer for Prometheus, on request: counted once, read when it asks."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate
from typing import Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from estinel_assets.clock import utc_now
from estinel_assets.errors import BadInputError
from estinel_assets.outcomes.record import NO_REASON
from estinel_assets.pids.figures import SECONDS, Figures, Totals
from estinel_assets.pids.ports import Registered

_POLL_S: Final = 0.05
"""How often the server looks whether it is to stop, in seconds."""
_COUNTERS: Final = {
    "retries": "Messages that had failed or been skipped before, and were tried again.",
    "skipped_messages": "Messages that a service was down for, and that were left for later.",
    "patched_messages": "Messages that changed an item.",
    "retracted_messages": "Messages whose dataset is retracted.",
    "replicas": "Copies of datasets on other nodes.",
    "warnings": "Warnings about messages.",
    "external_failures": "Messages that failed because of the Handle service or the STAC API.",
}


@contextmanager
def serve_metrics(
    figures: Figures,
    port: int,
    *,
    host: str = "127.0.0.1",
    now: Callable[[], datetime] = utc_now,
) -> Iterator[str]:
    """Answer Prometheus in a thread for as long as the context lasts.

    Args:
        figures: read anew for each answer.
        port: to listen at; 0 takes a free one.
        host: address to listen at.
        now: aware time of an answer.

    Yields:
        The address, with its path.

    Raises:
        BadInputError: nobody can listen there, or another program does.
    """
    registry = CollectorRegistry()
    registry.register(_FiguresCollector(figures, now))
    application = make_wsgi_app(registry)
    kind = _ServerV6 if ":" in host else ThreadingWSGIServer
    try:
        server = make_server(host, port, application, kind, _SilentHandler)
    except (OSError, OverflowError) as error:
        raise BadInputError(
            f"metrics cannot be served at {host}, port {port} ({error}): "
            "choose another port, or 0 for a free one"
        ) from error
    thread = threading.Thread(
        target=server.serve_forever, args=(_POLL_S,), name="pids-metrics", daemon=True
    )
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _ServerV6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class _SilentHandler(WSGIRequestHandler):
    timeout = 10.0
    """Longest wait for a request, in seconds."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: Prometheus asks every few seconds."""


class _FiguresCollector(Collector):
    def __init__(self, figures: Figures, now: Callable[[], datetime]) -> None:
        self._figures = figures
        self._now = now

    def collect(self) -> Iterator[Metric]:
        totals = self._figures.totals(self._now())
        yield _messages(totals)
        yield _handles(totals)
        for name, meaning in _COUNTERS.items():
            yield CounterMetricFamily(f"estinel_pids_{name}", meaning, getattr(totals, name))
        yield CounterMetricFamily(
            "estinel_pids_handle_seconds",
            "Time that registering handles took, of all threads together.",
            totals.handle_s,
        )
        yield GaugeMetricFamily("estinel_pids_in_flight", "Messages in work.", totals.in_flight)
        yield _lag(totals)
        yield _seconds(totals)


def _messages(totals: Totals) -> Metric:
    family = CounterMetricFamily(
        "estinel_pids_messages",
        "Messages that ended, by the status and the reason of their outcomes.",
        labels=["status", "reason"],
    )
    for reason, count in sorted(totals.by_reason.items()):
        family.add_metric(["true" if reason == NO_REASON else "false", reason], count)
    return family


def _handles(totals: Totals) -> Metric:
    family = CounterMetricFamily(
        "estinel_pids_handles", "Handles, by what registering them did.", labels=["what"]
    )
    for what in Registered:
        family.add_metric([what], totals.registered.get(what, 0))
    return family


def _lag(totals: Totals) -> Metric:
    family = GaugeMetricFamily(
        "estinel_pids_lag",
        "Messages of a partition that are still to come.",
        labels=["topic", "partition"],
    )
    for at, messages in sorted(totals.lag.items()):
        family.add_metric([at.topic, str(at.partition)], messages)
    return family


def _seconds(totals: Totals) -> Metric:
    bounds = [*map(floatToGoString, SECONDS), "+Inf"]
    counts = accumulate(totals.took)
    return HistogramMetricFamily(
        "estinel_pids_message_seconds",
        "Time that a message took, with all its tries.",
        buckets=list(zip(bounds, counts, strict=True)),
        sum_value=totals.message_s,
    )
