"""Projects as plugins: from an announced item to its Handle records.

A package adds a project with an entry point in the group `estinel_assets.pids`, which names an
object that is a `Plugin`::

    [project.entry-points."estinel_assets.pids"]
    cordex = "my_package.cordex:PLUGIN"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from estinel_assets.errors import BadInputError
from estinel_assets.pids.announcements import Announcement
from estinel_assets.pids.identifiers import ForeignPrefix
from estinel_assets.pids.messages import Item
from estinel_assets.pids.ports import HandleRecord

GROUP = "estinel_assets.pids"


@dataclass(frozen=True, slots=True)
class HandleRules:
    """What holds for every project."""

    prefix: str
    """Under which handles are registered, such as `21.14100`."""
    strict: bool = False
    """Whether an item fails where one of its files is not fully described; else only where all are,
    and the others are registered, with warnings."""
    foreign_prefix: ForeignPrefix = ForeignPrefix.REFUSE


@dataclass(frozen=True, slots=True)
class VersionQuery:
    """Which versions of a dataset a project wants to know before it makes records."""

    collection_id: str | None
    """As the message says; None where it says nothing."""
    dataset_id: str
    """The item's id without its version."""
    properties: Mapping[str, str]
    """What all versions have in common, by the name of the property without a project's prefix."""


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What was found for a `VersionQuery`."""

    versions: tuple[str, ...] = ()
    """Ids of items, in any order; the announced one may be among them."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that could not be registered, and is no part of its dataset."""

    asset_key: str
    reason: str
    problem: str


@dataclass(frozen=True, slots=True)
class RecordSet:
    """All that one announcement registers."""

    records: tuple[HandleRecord, ...]
    """In the order in which they must be registered: what others link to comes first."""
    warnings: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    retracted: bool = False
    replicas: int = 0
    """How many other nodes have the dataset."""
    next_version: str | None = None
    """Id of the next newer version that is known. Its own message sets its record's
    PREVIOUS_VERSION; it is not among these records."""


class RecordMaker(Protocol):
    """A project's rules with their settings; calls nobody, and the same input gives the same."""

    def version_query(self, item: Item, collection_id: str | None) -> VersionQuery | None:
        """What to look up; None where nothing is needed.

        Raises:
            PermanentError: the item breaks a rule of the project.
        """
        ...

    def records(self, announcement: Announcement, found: LookedUp) -> RecordSet:
        """The records of an announcement.

        Raises:
            PermanentError: the item breaks a rule of the project; the reason says which.
        """
        ...


@runtime_checkable
class Plugin(Protocol):
    """A project."""

    @property
    def name(self) -> str:
        """As in the configuration."""
        ...

    @property
    def description(self) -> str:
        """One sentence."""
        ...

    def configure(self, rules: HandleRules, options: Mapping[str, object]) -> RecordMaker:
        """Check a project's own options.

        Args:
            rules: what holds for every project.
            options: the table `plugins.<name>` of the configuration.

        Raises:
            BadInputError: an option is unknown or unusable; the message lists every one.
        """
        ...


def plugin_names() -> tuple[str, ...]:
    """The plugins that are installed, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def load_plugin(name: str) -> Plugin:
    """Load a plugin.

    Args:
        name: as its entry point is called.

    Raises:
        BadInputError: none is called so (the message lists those there are), more than one is, or
            it cannot be loaded.
    """
    points = {point.value: point for point in entry_points(group=GROUP, name=name)}
    if not points:
        known = ", ".join(plugin_names()) or "none is installed"
        raise BadInputError(f"no plugin is called {name!r}; choose one of: {known}")
    if len(points) > 1:
        raise BadInputError(
            f"more than one plugin is called {name!r}: {', '.join(sorted(points))}; "
            "uninstall all but one"
        )
    return _load(next(iter(points.values())))


def _load(point: EntryPoint) -> Plugin:
    try:
        plugin = point.load()
    except (ImportError, AttributeError) as error:
        raise BadInputError(
            f"the plugin {point.name} ({point.value}) cannot be loaded: {error}"
        ) from error
    if isinstance(plugin, type) or not isinstance(plugin, Plugin):
        raise BadInputError(
            f"the plugin {point.name} ({point.value}) is no plugin: "
            "it needs name, description and configure"
        )
    return plugin
