"""Runs over collections in processes of their own, which can be killed or held at any write.

The processes come from a fork server that has imported what they need. They check in threads unless
the settings say otherwise: isolated processes would each need a fork server of their own.
"""

import json
import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from estinel_assets.build import build_definitions
from estinel_assets.compatibility.opening_checks import PRELOADED
from estinel_assets.orchestration.in_process import run_job
from estinel_assets.orchestration.keys_job import run_config
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.settings import load_settings
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.port import ObjectStore
from tests.support.imagery_crash import take_environment
from tests.support.watched_store import WatchedStore, Write

PATIENCE_S = 90


@dataclass(frozen=True)
class At:
    """A write: of all whose operation and path begin so, the n-th, counted from 0."""

    operation: str = ""
    path: str = ""
    number: int = 0


@dataclass(frozen=True)
class Orders:
    """What a process of its own is to do: check collections again."""

    config: Path
    concept_ids: tuple[str, ...]
    kill: At | None = None
    """SIGKILL before this write."""
    hold: tuple[At, Any, Any] | None = None
    """Before this write, set the first event, then wait for the second."""
    report: Path | None = None
    """Where to put the run's id and the writes."""


class _Obedient:
    """The store of this process: it does what it is told before its writes."""

    def __init__(self, orders: Orders, store: ObjectStore) -> None:
        self._orders = orders
        self.watched = WatchedStore(store, before=self._before)

    def _before(self, write: Write) -> None:
        orders = self._orders
        if orders.kill is not None and self._is(write, orders.kill):
            os.kill(os.getpid(), signal.SIGKILL)
        if orders.hold is not None and self._is(write, orders.hold[0]):
            _, there, go_on = orders.hold
            there.set()
            assert go_on.wait(PATIENCE_S)

    def _is(self, write: Write, at: At) -> bool:
        def matches(one: Write) -> bool:
            return one.operation.startswith(at.operation) and one.path.startswith(at.path)

        return matches(write) and sum(map(matches, self.watched.writes)) == at.number + 1


_OBEDIENT: list[_Obedient] = []
"""The one of this process: Dagster copies resources, so that they cannot hold it."""


class _ObedientStoreResource(StoreResource):
    """Opens that store."""

    def open(self) -> ObjectStore:
        return _OBEDIENT[0].watched


def context() -> ForkServerContext:
    """For processes that obey orders, and for their events."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__, *PRELOADED])
    return found


def start(orders: Orders) -> BaseProcess:
    """Start a process that obeys orders."""
    process = context().Process(target=_obey, args=(dict(os.environ), orders))
    process.start()
    return process


def ended(process: BaseProcess) -> int:
    """How a process ended: 0 for a green run, 1 for a red one, `-signal.SIGKILL` for a kill."""
    process.join(PATIENCE_S)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    assert code is not None, "the process does not end"
    return code


def _obey(environment: dict[str, str], orders: Orders) -> None:
    take_environment(environment)
    config = str(orders.config)
    obedient = _Obedient(orders, open_store(load_settings(orders.config).store.url))
    _OBEDIENT.append(obedient)
    store = _ObedientStoreResource(settings=SettingsResource(config_file=config), s3=S3Resource())
    defs = build_definitions(config_file=config, resource_overrides={"store": store})
    keys = [(one,) for one in orders.concept_ids]
    with dg.DagsterInstance.ephemeral() as instance:
        ran = run_job(defs, instance, "reprocess_compatibility", config=run_config(keys))
    if orders.report is not None:
        writes = [[write.operation, write.path] for write in obedient.watched.writes]
        orders.report.write_text(json.dumps({"run_id": ran.run_id, "writes": writes}))
    if not ran.success:
        raise SystemExit(f"the run failed: {ran.error}")
