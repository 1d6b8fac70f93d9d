"""The PID line's sensor: it asks for runs over what waits in Kafka."""

from datetime import datetime
from functools import partial

import dagster as dg

from estinel_assets.clock import utc_now
from estinel_assets.errors import EstinelError
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.orchestration.run_requests import EarlierRun, attempt_to_request
from estinel_assets.orchestration.runs import CONTENT_TAG, SENSOR_TAG, UNFINISHED, ended_at
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.pids.configuration import load_configuration
from estinel_assets.pids.incoming import TopicPartition
from estinel_assets.pids.jobs import range_config, register_pids
from estinel_assets.pids.ranges import OffsetRange
from estinel_assets.pids.waiting import Waiting, find_waiting

KAFKA_TAG = "estinel/kafka-partition"
"""The partition of a topic that a run works on, as in `CMIP6/3`."""
PAUSE_S = 60.0
"""After the first run that got nowhere, in seconds; doubled after each further one."""
LONGEST_PAUSE_S = 3600.0
"""A topic is not to stand still for longer because a service was down."""


@dg.sensor(job=register_pids, minimum_interval_seconds=30)
def pid_messages_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.SensorResult | dg.SkipReason:
    """Asks for a run over the next offsets of each partition that is behind, one at a time."""
    now = utc_now()
    try:
        loaded = settings.load()
        waiting = find_waiting(load_configuration(loaded.pids), store.open())
    except EstinelError as error:
        return dg.SkipReason(f"no run is asked for: {error}")
    ranges = waiting.ranges(_busy(context, waiting, now))
    if not ranges:
        behind = sum(one.behind for one in waiting.lags)
        return dg.SkipReason(
            f"runs go on over what waits ({behind} messages)" if behind else "no message waits"
        )
    requests = [_request(context, one, now) for one in ranges]
    if not any(requests):
        return dg.SkipReason(
            f"runs over what waits have just failed: {', '.join(map(str, ranges))}"
        )
    return dg.SensorResult(run_requests=[one for one in requests if one is not None])


def _busy(
    context: dg.SensorEvaluationContext, waiting: Waiting, now: datetime
) -> frozenset[TopicPartition]:
    """The partitions for which this sensor has asked for a run that has not ended."""
    mine = dg.RunsFilter(tags={SENSOR_TAG: context.sensor_name}, statuses=UNFINISHED)
    held = set(map(_name_of, waiting.holders))
    names = {
        name
        for record in context.instance.get_run_records(mine)
        for name in [record.dagster_run.tags.get(KAFKA_TAG, "")]
        if ended_at(record, now, is_held=partial(held.__contains__, name)) is None
    }
    return frozenset(lag.at for lag in waiting.lags if _name_of(lag.at) in names)


def _request(
    context: dg.SensorEvaluationContext, part: OffsetRange, now: datetime
) -> dg.RunRequest | None:
    """The run over a range; None during the pause after one that began at the same offset.

    What that one did not finish begins there again, but may reach further by now. Attempts have no
    end: messages wait for as long as it takes.
    """
    tags = {SENSOR_TAG: context.sensor_name, CONTENT_TAG: part.start}
    earlier = [
        EarlierRun(ended_at(record, now))
        for record in context.instance.get_run_records(dg.RunsFilter(tags=tags))
    ]
    attempt = attempt_to_request(
        earlier, now, RetryRule(len(earlier) + 1, PAUSE_S, LONGEST_PAUSE_S)
    )
    if attempt is None:
        return None
    return dg.RunRequest(
        run_key=f"{part}/{attempt}",
        run_config=range_config(part),
        tags={CONTENT_TAG: part.start, KAFKA_TAG: _name_of(part.at)},
    )


def _name_of(at: TopicPartition) -> str:
    return f"{at.topic}/{at.partition}"


SENSORS = [pid_messages_sensor]
