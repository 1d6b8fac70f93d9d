"""What a client asked for, checked, as a `Search`.

GET gives strings, POST gives JSON; both come through `parse_search`, so that both refuse the same
things in the same words.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from shapely.geometry.base import BaseGeometry

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.filters import parse_filter
from estinel_assets.stac.api.geometry import area_of_bbox, area_of_geojson
from estinel_assets.stac.api.instants import parse_interval
from estinel_assets.stac.api.search import (
    Condition,
    Cursor,
    Order,
    Search,
    SortKey,
    is_storable,
)

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 10_000
"""A larger limit is lowered to this, as the STAC API specification allows."""

_T = TypeVar("_T")


def parse_search(
    *,
    collections: str | Sequence[str] | None = None,
    ids: str | Sequence[str] | None = None,
    bbox: str | Sequence[float] | None = None,
    intersects: str | Mapping[str, object] | None = None,
    interval: str | None = None,
    filter_expr: str | Mapping[str, Any] | None = None,
    sortby: str | Sequence[tuple[str, str]] | None = None,
    limit: int | None = None,
    token: str | None = None,
) -> Search:
    """Check the parameters of a search.

    Args:
        collections: ids of collections, comma-separated or as a list.
        ids: ids of items, likewise.
        bbox: 4 or 6 numbers in degrees, comma-separated or as a list.
        intersects: a GeoJSON geometry, as text or parsed.
        interval: the `datetime` parameter: an instant or a range, RFC 3339.
        filter_expr: the `filter` parameter: CQL2 JSON, as text or parsed.
        sortby: `-datetime,+id`, or pairs of field and direction (`asc`, `desc`).
        limit: items a page.
        token: of the page, from a `next` link.

    Raises:
        BadInputError: something cannot be used; the message lists everything that cannot.
    """
    problems: list[str] = []

    def checked(parse: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return parse()
        except BadInputError as error:
            problems.append(str(error))
            return otherwise

    # An empty parameter of a GET request is one that was left out.
    area: BaseGeometry | None = None
    if bbox not in (None, "") and intersects not in (None, ""):
        problems.append("bbox and intersects: only one of them can be given")
    elif bbox is not None and bbox != "":
        area = checked(lambda: area_of_bbox(_numbers(bbox)), None)
    elif intersects is not None and intersects != "":
        area = checked(
            lambda: area_of_geojson(_json_object(intersects, "intersects", "GeoJSON geometry")),
            None,
        )
    always: tuple[int | None, int | None] = (None, None)
    starts, ends = checked(lambda: parse_interval(interval), always) if interval else always
    condition: Condition | None = None
    if filter_expr is not None and filter_expr != "":
        condition = checked(
            lambda: parse_filter(_json_object(filter_expr, "filter", "CQL2 JSON")), None
        )
    order = checked(lambda: _order(sortby), Order(()))
    search = Search(
        collections=checked(lambda: _names("collections", collections), None),
        ids=checked(lambda: _names("ids", ids), None),
        area=area,
        starts=starts,
        ends=ends,
        condition=condition,
        order=order,
        limit=checked(lambda: _limit(limit), DEFAULT_LIMIT),
        cursor=checked(lambda: Cursor.decode(token, order), None) if token else None,
    )
    if problems:
        raise BadInputError("; ".join(problems))
    return search


def _numbers(bbox: str | Sequence[float]) -> Sequence[float]:
    if not isinstance(bbox, str):
        return bbox
    try:
        return [float(number) for number in bbox.split(",")]
    except ValueError as error:
        raise BadInputError(f"bbox: {bbox!r} must be numbers joined by commas") from error


def _json_object(given: str | Mapping[str, Any], parameter: str, what: str) -> Mapping[str, Any]:
    if not isinstance(given, str):
        return given
    try:
        parsed = json.loads(given)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{parameter}: this is not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise BadInputError(f"{parameter}: this is no {what}, which is a JSON object")
    return parsed


def _names(parameter: str, given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None or given == "":
        return None
    names = tuple(given.split(",") if isinstance(given, str) else given)
    if not names:
        raise BadInputError(f"{parameter}: the list is empty: name at least one or leave it out")
    for name in names:
        if not is_storable(name):
            raise BadInputError(f"{parameter}: {name!r} cannot be said in UTF-8")
    return names


def _limit(limit: int | None) -> int:
    if limit is None:
        return DEFAULT_LIMIT
    if limit < 1:
        raise BadInputError(f"limit: {limit} must be at least 1")
    return min(limit, MAX_LIMIT)


def _order(sortby: str | Sequence[tuple[str, str]] | None) -> Order:
    if not sortby:
        return Order(())
    if isinstance(sortby, str):
        # In a query string an unescaped plus is a space.
        pairs = [
            (field.lstrip("+- "), "desc" if field.startswith("-") else "asc")
            for field in sortby.split(",")
        ]
    else:
        pairs = list(sortby)
    keys = []
    for field, direction in pairs:
        if direction not in ("asc", "desc"):
            raise BadInputError(f"sortby: the direction {direction!r} must be asc or desc")
        keys.append(SortKey.of(field, descending=direction == "desc"))
    return Order(tuple(keys))
