"""CQL2 filters in their JSON form, as conditions of SQL: what OGC 21-065 calls Basic CQL2.

A property without a value, or with one of another type than it is compared with, is neither equal
nor different: such an item is not found, nor by the negation. An array is of no such type.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import count
from typing import Any, Final

from estinel_assets.errors import BadInputError
from estinel_assets.stac.api.instants import parse_instant
from estinel_assets.stac.api.search import Condition, SqlValue, is_storable

MAX_OPERATIONS: Final = 500
MAX_DEPTH: Final = 20
"""SQLite reads no deeper nesting of brackets than about twice this."""

_COMPARISONS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
_COLUMNS: Final = {"id": "items.id", "collection": "items.collection"}
_DATED: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"
"""What a text that is a time begins with."""
_TEXT: Final = ("text",)
_NUMBER: Final = ("integer", "real")
_BOOLEAN: Final = ("true", "false")


def parse_filter(expression: Mapping[str, Any]) -> Condition:
    """Translate a filter.

    Args:
        expression: parsed JSON. Properties are named `id`, `collection`, `datetime`, or by
            themselves, with or without `properties.` before it.

    Raises:
        BadInputError: it is no such filter, or larger than any sensible one.
    """
    translation = _Translation()
    sql = translation.boolean(expression, 1)
    return Condition(sql, translation.values)


class _Translation:
    """One filter on its way to SQL."""

    def __init__(self) -> None:
        self.values: dict[str, SqlValue] = {}
        self._names: Iterator[int] = count()
        self._operations = 0

    def boolean(self, expression: object, depth: int) -> str:
        """The SQL of what is true or false."""
        if isinstance(expression, bool):
            return "TRUE" if expression else "FALSE"
        operation, arguments = self._operation(expression, depth)
        if operation in ("and", "or"):
            if len(arguments) < 2:
                raise _bad(f"{operation} takes two or more arguments")
            parts = [self.boolean(argument, depth + 1) for argument in arguments]
            return f"({f' {operation.upper()} '.join(parts)})"
        if operation == "not":
            (argument,) = _exactly(1, arguments, operation)
            return f"(NOT {self.boolean(argument, depth + 1)})"
        if operation == "isNull":
            (argument,) = _exactly(1, arguments, operation)
            return f"({self._anything(_property(argument))} IS NULL)"
        if operation in _COMPARISONS:
            left, right = _exactly(2, arguments, operation)
            return f"({self._compared(_property(left), operation, right)})"
        raise _bad(
            f"{operation!r} is not supported: use and, or, not, isNull, "
            f"{', '.join(sorted(_COMPARISONS))}"
        )

    def _operation(self, expression: object, depth: int) -> tuple[str, Sequence[object]]:
        self._operations += 1
        if depth > MAX_DEPTH or self._operations > MAX_OPERATIONS:
            raise _bad(f"it has more than {MAX_OPERATIONS} operations, or {MAX_DEPTH} levels")
        operation = expression.get("op") if isinstance(expression, Mapping) else None
        arguments = expression.get("args") if isinstance(expression, Mapping) else None
        if not isinstance(operation, str) or not isinstance(arguments, list):
            raise _bad("an operation is an object with op and args, as in CQL2 JSON")
        return operation, arguments

    def _compared(self, name: str, comparison: str, literal: object) -> str:
        kinds, value, time = _literal(literal)
        if name in _COLUMNS:
            if kinds != _TEXT or time:
                raise _bad(f"{name} can only be compared with a text")
            return f"{_COLUMNS[name]} {comparison} {self._bound(value)}"
        if name == "datetime":
            if kinds != _TEXT:
                raise _bad("datetime can only be compared with a timestamp")
            instant = parse_instant(str(value) + ("T00:00:00Z" if time == "date" else ""))
            known = f"CASE WHEN {self._anything(name)} IS NOT NULL THEN items.instant END"
            return f"{known} {comparison} {self._bound(instant)}"
        path = self._path(name)
        among = ", ".join(f"'{kind}'" for kind in kinds)
        known = (
            f"CASE WHEN json_type(documents.properties, {path}) IN ({among}) "
            f"THEN json_extract(documents.properties, {path}) END"
        )
        if time:
            # SQLite also takes a number for a day, and "now" for the time.
            dated = f"CASE WHEN {known} GLOB '{_DATED}' THEN {known} END"
            return f"julianday({dated}) {comparison} julianday({self._bound(value)})"
        return f"{known} {comparison} {self._bound(value)}"

    def _anything(self, name: str) -> str:
        """The SQL of a property's value, whatever its type."""
        if name in _COLUMNS:
            return _COLUMNS[name]
        return f"json_extract(documents.properties, {self._path(name)})"

    def _path(self, name: str) -> str:
        return self._bound(f'$."{name}"')

    def _bound(self, value: SqlValue) -> str:
        name = f"filter{next(self._names)}"
        self.values[name] = value
        return f":{name}"


def _property(argument: object) -> str:
    name = argument.get("property") if isinstance(argument, Mapping) else None
    if not isinstance(name, str):
        raise _bad('the first argument must be a property, as {"property": "id"}')
    name = name.removeprefix("properties.")
    if not name or '"' in name or "\\" in name or not is_storable(name):
        raise _bad(f"{name!r} cannot be the name of a property")
    return name


def _literal(argument: object) -> tuple[Sequence[str], SqlValue, str]:
    """The types of JSON that it can be compared with, its value, and which form of time it is."""
    if isinstance(argument, bool):
        return _BOOLEAN, int(argument), ""
    if isinstance(argument, int | float) and is_storable(argument):
        return _NUMBER, argument, ""
    if isinstance(argument, str) and is_storable(argument):
        return _TEXT, argument, ""
    if isinstance(argument, Mapping) and len(argument) == 1:
        ((form, text),) = argument.items()
        if form == "timestamp" and isinstance(text, str):
            parse_instant(text)
            return _TEXT, text.upper(), form
        if form == "date" and isinstance(text, str) and _is_date(text):
            return _TEXT, text, form
    raise _bad(
        "the second argument must be a text, a number, true, false, a timestamp or a date, "
        f"and is {repr(argument)[:60]}"
    )


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _exactly(number: int, arguments: Sequence[object], operation: str) -> Sequence[object]:
    if len(arguments) != number:
        raise _bad(f"{operation} takes {number} argument{'s' * (number > 1)}")
    return arguments


def _bad(problem: str) -> BadInputError:
    return BadInputError(f"filter: {problem}")
