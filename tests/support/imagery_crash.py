"""Runs of a site's job whose process kills itself at a write, for tests of crashes.

Processes come from a fork server that has imported what they need.
"""

import multiprocessing
import os
import signal

import dagster as dg
from dagster_aws.s3 import S3Resource

from estinel_assets.build import build_definitions
from estinel_assets.orchestration.in_process import run_job
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.storage.port import ObjectMeta, ObjectStore

PATIENCE_S = 60


class _MortalStore:
    """A store whose process dies before one write; everything else is the store's own."""

    def __init__(self, store: ObjectStore, before: str) -> None:
        self._store = store
        self._before = before

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put(self, path: str, data: bytes, *, content_type: str | None = None) -> ObjectMeta:
        if self._before in path:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._store.put(path, data, content_type=content_type)


class MortalStoreResource(StoreResource):
    """Opens such a store."""

    before: str

    def open(self) -> ObjectStore:
        return _MortalStore(super().open(), self.before)  # type: ignore[return-value]


def take_environment(environment: dict[str, str]) -> None:
    """Have the variables of the process that asked: a fork server keeps those of its own start,
    which may have been in the middle of a test that changed some."""
    os.environ.clear()
    os.environ.update(environment)


def crash(config: str, site: str, before: str) -> int | None:
    """Run a site's job in a process that dies right before a write.

    Args:
        config: the settings.
        site: SITE_ID.
        before: part of the path of the object that is not written any more.

    Returns:
        How the process ended: `-signal.SIGKILL` where it came to that write.
    """
    context = multiprocessing.get_context("forkserver")
    # Ignored once the fork server runs; then each process imports for itself.
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run, args=(dict(os.environ), config, site, before))
    process.start()
    process.join(PATIENCE_S)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    return code


def _run(environment: dict[str, str], config: str, site: str, before: str) -> None:
    take_environment(environment)
    settings = SettingsResource(config_file=config)
    mortal = MortalStoreResource(settings=settings, s3=S3Resource(), before=before)
    plain = build_definitions(config_file=config)
    defs = build_definitions(config_file=config, resource_overrides={"store": mortal})
    with dg.DagsterInstance.ephemeral() as instance:
        run_job(plain, instance, "refresh_sites")
        run_job(defs, instance, "update_site", site)
