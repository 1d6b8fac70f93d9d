"""`estinel pids status`: how far the group is behind, and how messages ended."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from estinel_assets.cli.output import Table, write_table, write_text
from estinel_assets.cli.pids_session import EXTRA, PidsConfigOption, configured
from estinel_assets.cli.pids_telling import messages
from estinel_assets.cli.session import JsonOption, Session, needs_extra
from estinel_assets.clock import utc_now
from estinel_assets.errors import UnitError

if TYPE_CHECKING:
    from estinel_assets.outcomes.ledger import Ledger
    from estinel_assets.pids.configuration import PidConfiguration
    from estinel_assets.storage.port import ObjectStore

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
"""Longest wait for Kafka, in seconds."""
LATELY = {"last_hour": timedelta(hours=1), "last_day": timedelta(days=1)}
"""Times for which it is told how many messages ended."""


def status(
    context: typer.Context,
    *,
    pids_config: PidsConfigOption = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """How far the group is behind by partition, who works on it, and how messages ended.

    Exit codes: 0 told; 2 Kafka cannot be reached or refuses, and the rest is told.
    """
    session = Session.of(context)
    settings, configuration = configured(session, pids_config)
    with needs_extra(EXTRA):
        from estinel_assets.pids.opening import open_book

    configuration.need_kafka()
    store = session.open_store()
    counted = counted_outcomes(open_book(settings, store).ledger, utc_now())
    error: UnitError | None = None
    partitions: list[dict[str, Any]] = []
    try:
        partitions = partition_rows(configuration, store)
    except UnitError as caught:
        error = caught
    document = {
        "topic": configuration.consumer.topic,
        "group": configuration.kafka.group_id,
        "behind": None if error else sum(row["behind"] for row in partitions),
        "partitions": partitions,
        "kafka_error": None if error is None else {"reason": error.reason, "message": str(error)},
        "messages": counted.reasons.total(),
        "by_reason": dict(counted.reasons.most_common()),
        **counted.lately,
    }
    session.printed = True
    if session.wants_json:
        session.show(document, lambda: Table((), []))
    else:
        _write(document, counted)
    if error is not None:
        raise error


@dataclass(frozen=True, slots=True)
class Counted:
    """How messages ended."""

    reasons: Counter[str]
    lately: dict[str, int]
    """How many ended within the times of `LATELY`."""


def counted_outcomes(ledger: "Ledger", now: datetime) -> Counted:
    """Count the newest outcome of each message; no record is parsed.

    Args:
        ledger: of the PID line.
        now: UTC.
    """
    reasons: Counter[str] = Counter()
    lately = dict.fromkeys(LATELY, 0)
    since = {name: now - time for name, time in LATELY.items()}
    for entry in ledger.entries():
        reasons[entry.reason] += 1
        for name, start in since.items():
            lately[name] += entry.modified_at is not None and entry.modified_at >= start
    return Counted(reasons, lately)


def partition_rows(configuration: "PidConfiguration", store: "ObjectStore") -> list[dict[str, Any]]:
    """Where the group stands in each partition, and who works on it.

    Raises:
        RetryableError: Kafka does not answer.
        PermanentError: Kafka refuses.
    """
    with needs_extra(EXTRA):
        from estinel_assets.pids.claims import holder
        from estinel_assets.pids.configuration import kafka_options
        from estinel_assets.pids.kafka_lag import lag

    group = configuration.kafka.group_id
    return [
        {
            "topic": one.at.topic,
            "partition": one.at.partition,
            "committed": one.committed,
            "first": one.first,
            "end": one.end,
            "behind": one.behind,
            "expired": one.expired,
            "holder": holder(store, group, one.at),
        }
        for one in lag(
            kafka_options(configuration), configuration.consumer.topic, timeout_s=TIMEOUT_S
        )
    ]


def _write(document: dict[str, Any], counted: Counted) -> None:
    topic, group = document["topic"], document["group"]
    if document["kafka_error"]:
        write_text(f"{topic}, group {group}: Kafka does not tell how far it is behind.\n")
    else:
        write_text(f"{topic}, group {group}: {messages(document['behind'])} behind.\n\n")
        columns = ("partition", "committed", "end", "behind", "held by")
        keys = (*columns[:-1], "holder")
        rows = [[row[key] for key in keys] for row in document["partitions"]]
        write_table(Table(columns, rows))
        for row in document["partitions"]:
            if row["expired"]:
                write_text(
                    f"Kafka has removed {messages(row['expired'])} of partition {row['partition']} "
                    "before they were worked on.\n"
                )
    hour, day = (document[name] for name in LATELY)
    write_text(f"\n{messages(document['messages'])} ended; in the last hour {hour}, day {day}.\n")
    if counted.reasons:
        write_text("\n")
        write_table(Table(("reason", "messages"), counted.reasons.most_common()))
