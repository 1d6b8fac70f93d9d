"""Opens what the PID line needs, from the settings and its configuration."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from estinel_assets.clock import utc_now
from estinel_assets.outcomes.book import OutcomeBook
from estinel_assets.outcomes.run import Run
from estinel_assets.pids.claims import PartitionClaims
from estinel_assets.pids.configuration import PidConfiguration, handle_login, handle_rules
from estinel_assets.pids.consumer import Limits
from estinel_assets.pids.handle_client import DryHandles, HandleClient
from estinel_assets.pids.item_source import ItemSource
from estinel_assets.pids.message_work import MessageWork
from estinel_assets.pids.plugins import load_plugin
from estinel_assets.pids.ports import HandleService
from estinel_assets.pids.reasons import PIDS
from estinel_assets.pids.stac_items import StacItems
from estinel_assets.settings import Settings
from estinel_assets.storage.port import ObjectStore
from estinel_assets.transport import RetryPolicy

CODE_VERSION = "1"
"""Of the product line; a new one says that records may differ."""
HANDLES_FOLDER = "handles"
"""Where a dry run writes the records, below the output folder."""


@dataclass(frozen=True, slots=True)
class Services:
    """Who is asked about messages."""

    handles: HandleService
    items: ItemSource | None
    """The STAC API; None in a dry run, and where none is configured."""


def open_book(settings: Settings, store: ObjectStore) -> OutcomeBook:
    """How messages ended."""
    return OutcomeBook.from_settings(store, PIDS, settings.outcomes)


def run_of(run_id: str) -> Run:
    """Who does the work."""
    return Run(run_id, utc_now, CODE_VERSION)


@contextmanager
def opened_services(configuration: PidConfiguration, *, dry_run: bool) -> Iterator[Services]:
    """The services of the configuration, closed at the end; nothing is asked yet.

    Args:
        configuration: says where they are.
        dry_run: write records to files, and ask nobody.

    Raises:
        BadInputError: an address or a login is missing or cannot be used.
    """
    consumer = configuration.consumer
    with ExitStack() as stack:
        if dry_run or configuration.handle.is_dry:
            dry = DryHandles(consumer.output_dir / HANDLES_FOLDER)
            stack.callback(dry.close)
            yield Services(dry, None)
            return
        at = configuration.handle
        address = configuration.need_handle()
        handles = HandleClient(
            address.server_url,
            prefix=address.prefix,
            policy=_policy(configuration, at.timeout),
            timeout_s=at.timeout,
            login=handle_login(configuration),
            owner=at.owner,
            at_once=at.at_once,
            read_first=at.read_first,
        )
        stack.callback(handles.close)
        items = None
        if configuration.lookup.enabled or configuration.stac.base_url is not None:
            items = StacItems(
                configuration.need_stac(),
                policy=_policy(configuration, configuration.stac.timeout),
                timeout_s=configuration.stac.timeout,
                collection=configuration.stac.collection,
                lookup=configuration.lookup.enabled,
                at_once=consumer.in_flight,
            )
            stack.callback(items.close)
        yield Services(handles, items)


@contextmanager
def opened_work(
    configuration: PidConfiguration, services: Services, run: Run, *, keep_all: bool = False
) -> Iterator[MessageWork]:
    """What is done with a message, as configured.

    Args:
        configuration: names the plugin and its options.
        services: who is asked.
        run: who does it.
        keep_all: keep messages in their outcomes also where they ended well.

    Raises:
        BadInputError: the plugin or its options cannot be used.
    """
    consumer = configuration.consumer
    maker = load_plugin(consumer.processor).configure(
        handle_rules(configuration), configuration.plugin_options
    )
    with ThreadPoolExecutor(consumer.in_flight, thread_name_prefix="pids-files") as sharing:
        yield MessageWork(
            maker=maker,
            handles=services.handles,
            items=services.items,
            look_up=configuration.lookup.enabled,
            run=run,
            max_bytes=consumer.max_message_bytes,
            keep_all=keep_all,
            sharing=sharing,
        )


def limits_of(
    configuration: PidConfiguration, *, force: bool = False, max_messages: int | None = None
) -> Limits:
    """When a consumer stops and records.

    Args:
        configuration: says so.
        force: go on where a service is down, whatever the configuration says.
        max_messages: messages to take; None for any number.
    """
    consumer = configuration.consumer
    return Limits(
        threads=consumer.in_flight,
        flush_messages=consumer.flush_messages,
        flush_s=consumer.flush_seconds,
        max_errors=consumer.max_errors,
        max_messages=max_messages,
        stop_on_skip=consumer.transient.stop_on_skip and not force,
    )


def open_claims(
    configuration: PidConfiguration, settings: Settings, store: ObjectStore, owner: str
) -> PartitionClaims:
    """The leases of partitions, for one worker.

    Args:
        configuration: names the group.
        settings: say how long a lease lasts.
        store: where leases are.
        owner: `claims.CONSUMER` or `claims.DAGSTER`, and a name of its own.
    """
    return PartitionClaims(
        store, configuration.kafka.group_id, owner, settings.outcomes.lease_ttl_s
    )


def _policy(configuration: PidConfiguration, timeout_s: float) -> RetryPolicy:
    """How a request is tried again: the only retries before a message counts as stuck."""
    at = configuration.consumer.transient
    tries = at.retries + 1
    return RetryPolicy(
        attempts=tries,
        backoff_s=at.backoff_initial,
        backoff_max_s=at.backoff_max,
        deadline_s=tries * timeout_s + at.retries * at.backoff_max,
    )
