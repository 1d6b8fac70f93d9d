"""What `estinel doctor` looks at for publishing: routes, their stores, the index, the STAC API."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from estinel_assets.cli.checks import Check, fail, ok, warn
from estinel_assets.errors import (
    BadInputError,
    EstinelError,
    MissingDependencyError,
    NotFoundError,
    StoreError,
    public_url,
)
from estinel_assets.settings import PublishingSettings, Settings
from estinel_assets.storage.port import ObjectStore

if TYPE_CHECKING:
    from estinel_assets.publishing.datasets_config import DatasetsConfig
    from estinel_assets.publishing.model import StoreAt

PROBE: Final = "doctor/probe"
"""A path that is looked for in the stores of the routes; nothing is written there."""
MOST_WARNINGS: Final = 5


def is_configured(at: PublishingSettings) -> bool:
    """Whether anybody wants to publish."""
    return any(value is not None for value in (at.index_url, at.stac_url, at.config, at.inbox))


def check_publishing(settings: Settings, store: ObjectStore | None) -> Iterator[Check]:
    """Everything that a publication needs is there. One try each, so that the answer comes soon.

    Args:
        settings: all of them.
        store: the one that they name; None where it cannot be opened.
    """
    at = settings.publishing
    if not is_configured(at):
        yield ok(
            "publishing", "not configured: no index, STAC API, datasets.json or inbox is named"
        )
        return
    yield from _check_routes(settings)
    if at.inbox is not None:
        yield _check_inbox(at)
    if store is None:
        return
    once = settings.transport.model_copy(update={"attempts": 1, "backoff_s": 0.0})
    yield from _check_targets(settings.model_copy(update={"transport": once}), store)


def _check_routes(settings: Settings) -> Iterator[Check]:
    """`datasets.json` can be used, and the stores that it names can be opened."""
    from estinel_assets.publishing.opening import open_config

    name = "datasets.json"
    where = str(settings.publishing.config or "the default: everything below published/")
    try:
        config = open_config(settings.publishing)
    except BadInputError as error:
        yield fail(name, str(error), "correct it, or name another by publishing.config")
        return
    found = f"{where}, {len(config.entries)} entries"
    if config.warnings:
        shown = "; ".join(config.warnings[:MOST_WARNINGS])
        more = len(config.warnings) - MOST_WARNINGS
        yield warn(
            name, f"{found}: {shown}{f'; and {more} more' if more > 0 else ''}", "look at these"
        )
    else:
        yield ok(name, found)
    for at in _stores(config):
        yield _check_store(at, settings)


def _stores(config: "DatasetsConfig") -> "list[StoreAt]":
    """The stores of the routes, but for that of the settings, which is looked at anyway."""
    from estinel_assets.publishing.locations import Location

    sections = [one for entry in config.entries for one in (entry.publish, entry.browse) if one]
    stores = {one.location.store for one in sections if isinstance(one.location, Location)}
    return sorted(at for at in stores if at.url)


def _check_store(at: "StoreAt", settings: Settings) -> Check:
    from estinel_assets.publishing.locations import open_place

    name = "store of a route"
    shown = public_url(at.url) + (f" at {public_url(at.endpoint_url)}" if at.endpoint_url else "")
    remedy = "correct its location in datasets.json, or the credentials"
    try:
        open_place(at, settings.store).head(PROBE)
    except NotFoundError:
        return ok(name, f"{shown} answers")
    except (BadInputError, StoreError) as error:
        return fail(name, f"{shown}: {error}", remedy)
    return ok(name, f"{shown} answers")


def _check_inbox(at: PublishingSettings) -> Check:
    from estinel_assets.publishing.opening import check_inbox

    try:
        return ok("inbox", f"{check_inbox(at)} is there")
    except BadInputError as error:
        return fail("inbox", str(error), "make it, or correct publishing.inbox")


def _check_targets(settings: Settings, store: ObjectStore) -> Iterator[Check]:
    """The index can be written, and the STAC API takes what we write with our key."""
    from estinel_assets.publishing.opening import opened_targets

    try:
        with opened_targets(settings, store) as targets:
            try:
                targets.index.probe()
            except EstinelError as error:
                yield fail("dataset index", str(error), "correct publishing.index_url")
            else:
                yield ok("dataset index", _index_told(settings))
            if targets.stac is None:
                yield warn(
                    "stac transactions",
                    "no STAC API is named, so catalogues are refused",
                    "set ESTINEL_PUBLISHING_STAC_URL",
                )
                return
            try:
                targets.stac.probe()
            except EstinelError as error:
                yield fail(
                    "stac transactions",
                    str(error),
                    "correct publishing.stac_url or publishing.stac_key",
                )
            else:
                where = public_url(str(settings.publishing.stac_url))
                yield ok("stac transactions", f"{where} takes collections and items")
    except (BadInputError, MissingDependencyError) as error:
        yield fail("publishing", str(error), "correct the settings of the group [publishing]")


def _index_told(settings: Settings) -> str:
    url = settings.publishing.index_url
    kind = "SQLite beside the store" if url is None else url.get_secret_value().partition(":")[0]
    return f"{kind} can be read and written"
