"""What a query asks for, in the terms of the index."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from estinel_assets.errors import BadInputError
from estinel_assets.publishing.index.boxes import Box, box
from estinel_assets.publishing.index.errors import FieldError
from estinel_assets.publishing.index.fields import is_storable, utc
from estinel_assets.publishing.index.words import words_of
from estinel_assets.publishing.ports import DocumentQuery

PAGE = 500
"""Documents that are read at once."""


@dataclass(frozen=True, slots=True)
class Search:
    """A query that was read; everything that is not None must hold."""

    ids: tuple[str, ...] | None
    """In their order."""
    publication: str | None
    dataset_type: str | None
    box: Box | None
    starts: datetime | None
    """UTC."""
    ends: datetime | None
    """UTC."""
    words: tuple[str, ...]

    def pages_of_ids(self) -> Iterator[tuple[str, ...] | None]:
        """The ids by the page; None, once, where they are not restricted."""
        if self.ids is None:
            yield None
            return
        for first in range(0, len(self.ids), PAGE):
            yield self.ids[first : first + PAGE]


def read_query(query: DocumentQuery) -> Search | None:
    """Read a query.

    A text without a single word asks for nothing.

    Returns:
        None where no document can be what it asks for.

    Raises:
        BadInputError: the box or the limits of time are not usable; all problems are listed.
    """
    problems: list[str] = []
    bounds = None
    if query.bbox is not None:
        try:
            bounds = box(*query.bbox)
        except FieldError as error:
            problems.append(
                f"  bbox {query.bbox!r:.100}: {error}; "
                "write west, south, east, north in degrees, west > east across ±180°"
            )
    times = {}
    for name, time in (("starts", query.starts), ("ends", query.ends)):
        try:
            times[name] = None if time is None else utc(time)
        except OverflowError:
            problems.append(f"  {name} {time}: is beyond the years that there are")
    if problems:
        raise BadInputError("the query cannot be used:\n" + "\n".join(problems))
    wanted = (query.publication, query.dataset_type)
    if any(value is not None and not is_storable(value) for value in wanted):
        return None
    return Search(
        ids=tuple(sorted(set(filter(is_storable, query.ids)))) if query.ids else None,
        publication=query.publication,
        dataset_type=query.dataset_type,
        box=bounds,
        starts=times["starts"],
        ends=times["ends"],
        words=words_of(query.text or ""),
    )
