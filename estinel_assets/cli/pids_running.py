"""Running a consumer of the group, with its figures and metrics: for `consume` and the demo."""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from estinel_assets.cli.pids_session import EXTRA
from estinel_assets.cli.pids_telling import told_message
from estinel_assets.cli.session import needs_extra
from estinel_assets.clock import utc_now
from estinel_assets.errors import AbortedError, EstinelError

if TYPE_CHECKING:
    from estinel_assets.outcomes.record import Outcome
    from estinel_assets.pids.configuration import PidConfiguration
    from estinel_assets.pids.consumer import Consumed
    from estinel_assets.pids.consuming import Consuming
    from estinel_assets.pids.figures import Figures, Totals
    from estinel_assets.settings import Settings
    from estinel_assets.storage.port import ObjectStore

_LAG_TIMEOUT_S = 5.0
"""Longest wait for Kafka when it is asked how far the group is behind, in seconds."""

log = logging.getLogger(__name__)


def consuming_of(
    settings: "Settings",
    configuration: "PidConfiguration",
    store: "ObjectStore",
    *,
    dry_run: bool = False,
    dump: bool = False,
    force: bool = False,
    max_messages: int | None = None,
) -> "Consuming":
    """How a command consumes, under a name of its own; see `Consuming` for the arguments.

    Raises:
        MissingDependencyError: a package is not installed.
    """
    with needs_extra(EXTRA):
        from estinel_assets.pids.claims import CONSUMER
        from estinel_assets.pids.consuming import Consuming

    run_id = f"command-{uuid.uuid4()}"
    return Consuming(
        settings,
        configuration,
        store,
        owner=f"{CONSUMER} ({run_id})",
        run_id=run_id,
        dry_run=dry_run,
        dump=dump,
        force=force,
        max_messages=max_messages,
    )


def consume_group(
    consuming: "Consuming", stop: threading.Event, *, metrics_port: int | None = None
) -> "tuple[Consumed, Totals]":
    """Consume as a member of the group, until a limit ends it or it is asked to stop.

    Args:
        consuming: how.
        stop: when set, what is in work is ended, recorded and committed.
        metrics_port: where Prometheus is answered; None for nowhere, 0 for a free port.

    Returns:
        How it ended, and the figures.

    Raises:
        AbortedError: it was interrupted.
        MissingDependencyError: a package is not installed.
        EstinelError: see `Consuming.run`.
    """
    with needs_extra(EXTRA):
        from estinel_assets.pids.figures import Figures
        from estinel_assets.pids.kafka_source import GroupSource
        from estinel_assets.pids.watching import ConsumerWatch

    class Watch(ConsumerWatch):
        """Logs each message that failed, too."""

        def add(self, outcome: "Outcome") -> None:
            if not outcome.status:
                log.warning("failed: %s", told_message(outcome))
            super().add(outcome)

    at = consuming.configuration
    figures = Figures(started_at=utc_now())
    watch = Watch(
        figures,
        clock=utc_now,
        interval_s=at.stats.interval_seconds,
        every_messages=at.stats.summary_interval,
    )
    source = GroupSource(consuming.options(), at.consumer.topic)
    with ExitStack() as stack:
        if metrics_port is not None:
            stack.enter_context(_served(consuming, figures, metrics_port))
        try:
            consumed = consuming.run(source, watch, stop)
        except KeyboardInterrupt:
            raise AbortedError(
                f"interrupted; {_recorded(figures)}, and what was in work comes again"
            ) from None
        except EstinelError:
            log.info("ends early: %s", _recorded(figures))
            raise
    return consumed, figures.totals(utc_now())


def _recorded(figures: "Figures") -> str:
    return f"{figures.totals(utc_now()).messages} messages are recorded"


@contextmanager
def _served(consuming: "Consuming", figures: "Figures", port: int) -> Iterator[None]:
    """Answer Prometheus, and keep the lag of the group up to date."""
    with needs_extra(EXTRA):
        from estinel_assets.pids.metrics import serve_metrics

    over = threading.Event()
    with serve_metrics(figures, port) as address:
        log.info("metrics are served at %s", address)
        asking = threading.Thread(
            target=_keep_lag, args=(consuming, figures, over), name="pids-lag", daemon=True
        )
        asking.start()
        try:
            yield
        finally:
            over.set()
            asking.join(_LAG_TIMEOUT_S)


def _keep_lag(consuming: "Consuming", figures: "Figures", over: threading.Event) -> None:
    """Ask Kafka now and then how far the group is behind; that it fails is no harm."""
    from estinel_assets.pids.kafka_lag import lag

    at = consuming.configuration
    while True:
        try:
            for one in lag(consuming.options(), at.consumer.topic, timeout_s=_LAG_TIMEOUT_S):
                figures.set_lag(one.at, one.behind)
        except EstinelError as error:
            log.warning("how far the group is behind is not known: %s", error)
        if over.wait(at.stats.interval_seconds):
            return
