"""What can be said of a configuration only with the plugin and with librdkafka at hand."""

import logging
from typing import Any

from confluent_kafka import Consumer, KafkaException
from pydantic import SecretStr

from estinel_assets.errors import BadInputError
from estinel_assets.pids.configuration import PidConfiguration
from estinel_assets.pids.configuration_kafka import plain_options
from estinel_assets.pids.configuration_tables import BROKERS
from estinel_assets.pids.plugins import HandleRules, load_plugin

_ANY_PREFIX = "21.TEST"


def remaining_faults(configuration: PidConfiguration) -> tuple[str, ...]:
    """What a run would stumble over, one sentence each: what is missing, and what is refused.

    Nobody is asked over the network.
    """
    return (
        *configuration.missing(),
        *_plugin_faults(configuration),
        *_kafka_faults(configuration),
    )


def _plugin_faults(configuration: PidConfiguration) -> list[str]:
    """The plugin is there and takes its options."""
    rules = HandleRules(prefix=configuration.handle.prefix or _ANY_PREFIX)
    try:
        plugin = load_plugin(configuration.consumer.processor)
        plugin.configure(rules, configuration.plugin_options)
    except BadInputError as error:
        return [str(error)]
    return []


def _kafka_faults(configuration: PidConfiguration) -> list[str]:
    """Whether librdkafka takes the properties."""
    options: dict[str, Any] = {
        key: value
        for key, value in plain_options(configuration.kafka.options).items()
        if key not in BROKERS  # without a server nobody is asked
    }
    silent = logging.getLogger(f"{__name__}.librdkafka")
    silent.disabled = True
    try:
        Consumer(options, logger=silent).close()
    except KafkaException as error:
        said = str(error.args[0].str())
        for value in configuration.kafka.options.values():
            if isinstance(value, SecretStr) and value.get_secret_value():
                said = said.replace(value.get_secret_value(), "(hidden)")
        return [f"[kafka] is refused by librdkafka: {said}"]
    return []
