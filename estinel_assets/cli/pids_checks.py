"""What `estinel doctor` looks at for PIDs: configuration, Kafka, Handle service, STAC API."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from estinel_assets.cli.checks import Check, fail, ok, warn
from estinel_assets.errors import BadInputError, EstinelError, public_url
from estinel_assets.settings import PidSettings

if TYPE_CHECKING:
    from estinel_assets.pids.configuration import PidConfiguration

_NAME = "pids"


def check_pids(at: PidSettings) -> Iterator[Check]:
    """Everything that a consumer needs is there. One try each, so that the answer comes soon."""
    from estinel_assets.pids.configuration import load_configuration
    from estinel_assets.pids.configuration_checks import remaining_faults

    if at.config is None:
        yield ok(_NAME, "not configured: pids.config names no file")
        return
    remedy = "`estinel pids config validate` lists all faults"
    try:
        configuration = load_configuration(at)
        faults = remaining_faults(configuration)
    except BadInputError as error:
        yield fail(_NAME, str(error), remedy)
        return
    if faults:
        yield fail(_NAME, "; ".join(faults), remedy)
        return
    if configuration.warnings:
        yield warn(_NAME, f"{at.config}: {'; '.join(configuration.warnings)}", "look at these")
    else:
        yield ok(_NAME, str(at.config))
    yield from _check_services(configuration)


def _check_services(configuration: "PidConfiguration") -> Iterator[Check]:
    from estinel_assets.pids.configuration import kafka_options
    from estinel_assets.pids.kafka_lag import probe
    from estinel_assets.pids.opening import opened_services

    at = configuration
    once = at.consumer.transient.model_copy(update={"retries": 0})
    hasty = at.model_copy(update={"consumer": at.consumer.model_copy(update={"transient": once})})
    topic = at.consumer.topic
    probes: list[tuple[str, Callable[[], None], str, str]] = [
        (
            "kafka",
            partial(probe, kafka_options(at), topic),
            f"the topic {topic} at {at.need_kafka()}",
            "correct [kafka] or consumer.topic",
        )
    ]
    with opened_services(hasty, dry_run=False) as services:
        if not at.handle.is_dry:
            where = public_url(at.need_handle().server_url)
            probes.append(
                ("handle service", services.handles.probe, where, "correct [handle] or its login")
            )
        if services.items is not None:
            where = public_url(at.need_stac())
            probes.append(("stac of pids", services.items.probe, where, "correct [stac]"))
        for name, ask, found, remedy in probes:
            try:
                ask()
            except EstinelError as error:
                yield fail(name, str(error), remedy)
            else:
                yield ok(name, found)
