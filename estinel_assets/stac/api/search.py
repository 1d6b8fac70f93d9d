"""A search and its SQL: filters, order, and the tokens that lead from page to page.

A token holds the sort values of the last item of its page, and the next page is what comes after
them. Nothing is kept in the server, and items that come or go between two pages move nothing.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from shapely.geometry.base import BaseGeometry

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.geometry import boxes

SqlValue = int | float | str | bytes | None

_COLUMNS: Final = {
    "datetime": "items.instant",
    "id": "items.id",
    "collection": "items.collection",
}


def is_storable(value: object) -> bool:
    """Whether SQLite can take a value that came as JSON."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, str):
        # JSON can escape half a surrogate pair, which UTF-8 cannot say.
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return value is None or isinstance(value, float)


@dataclass(frozen=True, slots=True)
class SortKey:
    """One field to sort by."""

    field: str
    """`datetime`, `id`, `collection`, or the name of a property."""
    descending: bool
    """Greatest first. Items without the property come last either way."""

    @classmethod
    def of(cls, field: str, *, descending: bool) -> Self:
        """Understand a field as clients name it: `datetime`, `properties.datetime`, `gsd`.

        Raises:
            BadInputError: it cannot name a property.
        """
        name = field.removeprefix("properties.")
        if field in _COLUMNS or name == "datetime":
            return cls(name, descending)
        if not name or '"' in name or "\\" in name or not is_storable(name):
            raise BadInputError(
                f"sortby: {field!r} must be id, collection, datetime or properties.NAME"
            )
        return cls(f"properties.{name}", descending)

    def __str__(self) -> str:
        return ("-" if self.descending else "+") + self.field


@dataclass(frozen=True, slots=True)
class _Expression:
    """One SQL expression to sort by."""

    sql: str
    descending: bool

    @property
    def is_column(self) -> bool:
        """Whether it is a column of its own, which is never null, and not a property."""
        return self.sql in _COLUMNS.values()


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a search: by the keys, then by id and collection, so that no two items tie."""

    keys: tuple[SortKey, ...]
    """Empty: newest first."""

    def complete(self) -> tuple[SortKey, ...]:
        """The keys with the default and the tie-breakers."""
        keys = self.keys or (SortKey("datetime", descending=True),)
        fields = {key.field for key in keys}
        ties = (SortKey(field, descending=False) for field in ("id", "collection"))
        return (*keys, *(tie for tie in ties if tie.field not in fields))

    def __str__(self) -> str:
        return ",".join(str(key) for key in self.complete())

    @property
    def by_property(self) -> bool:
        """Whether the documents have to be looked into."""
        return any(key.field not in _COLUMNS for key in self.keys)

    def expressions(self) -> tuple[list[_Expression], dict[str, SqlValue]]:
        """The SQL expressions, and the JSON paths they refer to as named values."""
        expressions: list[_Expression] = []
        paths: dict[str, SqlValue] = {}
        for number, key in enumerate(self.complete()):
            if key.field in _COLUMNS:
                expressions.append(_Expression(_COLUMNS[key.field], key.descending))
                continue
            paths[f"path{number}"] = f'$."{key.field.removeprefix("properties.")}"'
            value = f"json_extract(documents.properties, :path{number})"
            expressions.append(_Expression(value, key.descending))
        return expressions, paths


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in an order: just after the item with these values."""

    values: tuple[SqlValue, ...]
    """Of the order's expressions."""

    def encode(self, order: Order) -> str:
        """The cursor as a token that fits into a URL."""
        text = json.dumps([str(order), *self.values], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, token: str, order: Order) -> Self:
        """Read a token.

        Raises:
            BadInputError: not made by `encode`, or for another order.
        """
        problem = BadInputError(
            "token: this is no token of this search: take it from a `next` link, unchanged, "
            "together with the same sortby"
        )
        try:
            padded = token + "=" * (-len(token) % 4)
            parsed = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, RecursionError) as error:
            raise problem from error
        if not isinstance(parsed, list) or len(parsed) != len(order.expressions()[0]) + 1:
            raise problem
        name, *values = parsed
        if name != str(order) or not all(is_storable(value) for value in values):
            raise problem
        return cls(tuple(values))


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter on properties as a condition of SQL, over the tables of items and documents."""

    sql: str
    values: Mapping[str, SqlValue]


@dataclass(frozen=True, slots=True)
class Search:
    """A checked search."""

    collections: tuple[str, ...] | None = None
    """Ids of collections; None: all."""
    ids: tuple[str, ...] | None = None
    """Ids of items; None: all."""
    area: BaseGeometry | None = None
    """Longitude and latitude in degrees, folded to ±180°; None: everywhere, and also items
    without a place."""
    starts: int | None = None
    """First instant, included, in microseconds since 1970; None: open."""
    ends: int | None = None
    """Last instant, included, in microseconds since 1970; None: open."""
    condition: Condition | None = None
    """Further condition; None: none."""
    order: Order = Order(())
    """Which item comes first."""
    limit: int = 10
    """Items a page."""
    cursor: Cursor | None = None
    """Where the page begins; None: at the first item."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its named values."""

    sql: str
    values: dict[str, SqlValue]


def count_statement(search: Search) -> Statement:
    """Count the items of a search without an area: one row of one number."""
    where, values = _filters(search)
    return Statement(f"SELECT count(*) FROM {_tables(search)} WHERE {where}", values)  # noqa: S608


def page_statement(search: Search) -> Statement:
    """The rows of one page of a search without an area, and one more where there is more.

    Rows are (key, the values of the order's expressions…).
    """
    where, values = _filters(search)
    expressions, paths = search.order.expressions()
    after, place = _after(search.cursor, expressions)
    columns = ", ".join(expression.sql for expression in expressions)
    sql = (
        f"SELECT items.key, {columns} FROM {_tables(search)} "  # noqa: S608
        f"WHERE {where} AND {after} ORDER BY {_order_by(expressions)} LIMIT :page"
    )
    return Statement(sql, values | paths | place | {"page": search.limit + 1})


def candidate_statement(search: Search) -> Statement:
    """All items whose boxes meet those of the search's area, in order, from the first page on.

    Rows are (key, footprint as WKB, whether it comes after the cursor, the values of the order's
    expressions…).
    """
    where, values = _filters(search)
    expressions, paths = search.order.expressions()
    after, place = _after(search.cursor, expressions)
    near, corners = _near(search.area)
    columns = ", ".join(expression.sql for expression in expressions)
    sql = (
        f"SELECT items.key, items.footprint, {after}, {columns} FROM {_tables(search)} "  # noqa: S608
        f"WHERE {where} AND {near} ORDER BY {_order_by(expressions)}"
    )
    return Statement(sql, values | paths | place | corners)


def _tables(search: Search) -> str:
    if search.order.by_property or search.condition is not None:
        return "items JOIN documents ON documents.item = items.key"
    return "items"


def _filters(search: Search) -> tuple[str, dict[str, SqlValue]]:
    conditions = ["TRUE"]
    values: dict[str, SqlValue] = {}
    for column, names in (("collection", search.collections), ("id", search.ids)):
        if names is None:
            continue
        if len(names) == 1:
            # Plain equality lets SQLite read an index in the order that is asked for.
            conditions.append(f"items.{column} = :{column}")
            values[column] = names[0]
        else:
            conditions.append(f"items.{column} IN (SELECT value FROM json_each(:{column}))")  # noqa: S608
            values[column] = json.dumps(names)
    if search.ends is not None:
        conditions.append("items.starts <= :ends")
        values["ends"] = search.ends
    if search.starts is not None:
        conditions.append("items.ends >= :starts")
        values["starts"] = search.starts
    if search.condition is not None:
        conditions.append(search.condition.sql)
        values |= search.condition.values
    return " AND ".join(conditions), values


def _near(area: BaseGeometry | None) -> tuple[str, dict[str, SqlValue]]:
    if area is None:
        return "TRUE", {}
    queries = []
    values: dict[str, SqlValue] = {}
    for number, corners in enumerate(boxes(area)):
        queries.append(
            f"SELECT id >> 1 FROM boxes WHERE east >= :west{number} AND west <= :east{number} "  # noqa: S608
            f"AND north >= :south{number} AND south <= :north{number}"
        )
        sides = ("west", "south", "east", "north")
        values |= {f"{side}{number}": corner for side, corner in zip(sides, corners, strict=True)}
    return f"items.key IN ({' UNION '.join(queries)})", values


def _order_by(expressions: Sequence[_Expression]) -> str:
    return ", ".join(
        expression.sql
        + (" DESC" if expression.descending else " ASC")
        + ("" if expression.is_column else " NULLS LAST")
        for expression in expressions
    )


def _after(
    cursor: Cursor | None, expressions: Sequence[_Expression]
) -> tuple[str, dict[str, SqlValue]]:
    """The condition for coming after the cursor: greater in the first expression that differs."""
    if cursor is None:
        return "TRUE", {}
    condition = "FALSE"
    for number, expression in reversed(list(enumerate(expressions))):
        sql, place = expression.sql, f":after{number}"
        beyond = f"{sql} {'<' if expression.descending else '>'} {place}"
        if not expression.is_column:
            # Absent values come last: after every value, and after them comes nothing.
            beyond = f"({beyond} OR ({sql} IS NULL AND {place} IS NOT NULL))"
        condition = f"({beyond} OR ({sql} IS {place} AND {condition}))"
    first = expressions[0]
    if first.is_column:
        # Says nothing new, but in a form that lets SQLite enter its index at the right place.
        condition = f"{first.sql} {'<=' if first.descending else '>='} :after0 AND {condition}"
    return f"({condition})", {f"after{n}": value for n, value in enumerate(cursor.values)}
