"""The port through which scenes are found, and its implementation over a list.

`StacApiSource` in `search` asks a STAC API; `ListedScenes` holds its items in memory, for tests
and for catalogues that were fetched otherwise. Both pass the same contract tests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

from shapely import box

from estinel_assets.errors import BadInputError
from estinel_assets.stac.geography import Box, check_boxes, geometry_of

StacItem: TypeAlias = dict[str, Any]
"""A STAC item as JSON."""


@dataclass(frozen=True, slots=True)
class SceneQuery:
    """Which scenes are wanted: those of one collection that touch a place within a time span."""

    collection: str
    """Id of the STAC collection."""
    boxes: tuple[Box, ...]
    """(west, south, east, north) in degrees; two where the place crosses ±180°."""
    start: datetime
    """First instant, timezone-aware."""
    end: datetime
    """Last instant, included, timezone-aware."""

    def __post_init__(self) -> None:
        check_boxes(self.boxes)
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant.tzinfo is None:
                raise BadInputError(f"the {name} {instant} of a search needs a time zone")
        if self.start > self.end:
            raise BadInputError(f"a search cannot start at {self.start} and end at {self.end}")

    def covers(self, instant: datetime) -> bool:
        """Whether an instant lies within the span."""
        return self.start <= instant <= self.end


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a source found. A source that cannot give everything raises instead."""

    items: tuple[StacItem, ...]
    """STAC items as the source gave them, each id once, ordered by datetime then id."""
    matched: int | None
    """How many items match, if the source said so."""
    requests: int
    """Requests it took, those that were tried again counted each time."""
    duration_s: float
    """Seconds it took."""
    page_size: int | None = None
    """Items a page with which the search got through; None without pages."""


class SceneSource(Protocol):
    """Where scenes are found."""

    def search(self, query: SceneQuery) -> SearchResult:
        """Find every scene that matches.

        Raises:
            RetryableError: the source did not answer, or not completely.
            PermanentError: the source refuses, or what it says cannot be used.
        """
        ...


class ListedScenes:
    """A `SceneSource` over a list of items."""

    def __init__(self, items: Iterable[StacItem]) -> None:
        """Take the items.

        Args:
            items: with `id`, `collection`, a geometry or bbox, and a datetime each.
        """
        self._items = tuple(items)

    def search(self, query: SceneQuery) -> SearchResult:
        """Find every listed scene that matches."""
        place = [box(*corners) for corners in query.boxes]
        found: dict[str, StacItem] = {}
        for item in self._items:
            instant = item_datetime(item)
            geometry = geometry_of(item)
            if item.get("collection") != query.collection or instant is None or geometry is None:
                continue
            if query.covers(instant) and any(geometry.intersects(part) for part in place):
                found[item["id"]] = item
        items = in_time_order(found.values())
        return SearchResult(items=items, matched=len(items), requests=0, duration_s=0.0)


def parse_instant(value: object) -> datetime | None:
    """Read an RFC 3339 timestamp.

    Args:
        value: of a STAC field.

    Returns:
        In UTC; one without time zone counts as UTC. None where it is no timestamp.
    """
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return None


def item_datetime(item: Mapping[str, Any]) -> datetime | None:
    """When an item was sensed, in UTC.

    An item may have a null datetime and a span instead; then it is the start of the span.
    """
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        return None
    instant = parse_instant(properties.get("datetime"))
    return instant or parse_instant(properties.get("start_datetime"))


def in_time_order(items: Iterable[StacItem]) -> tuple[StacItem, ...]:
    """Sort items that have a datetime by it, then by id."""
    epoch = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(items, key=lambda item: (item_datetime(item) or epoch, str(item["id"]))))
