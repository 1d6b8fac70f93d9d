"""Templates of `datasets.json`: `{name}` and `${name}`, and `{met[key]}` for what lies inside.

What is filled in comes with a product, so it is not trusted: a value is one segment of a path, or a
part of one, and cannot leave the place that the template names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.publishing.reasons import PublishingReason

_BRACED = re.compile(r"\$?\{([^{}]*)\}")
_NAME = re.compile(r"([A-Za-z_]\w*)((?:\[[^\[\]]+\])*)")
_KEY = re.compile(r"\[([^\[\]]+)\]")
_BARE = re.compile(r"\$[A-Za-z_]\w*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A reader's address keeps these readable; `?`, `#` and `%` would change what it means.
_ADDRESS_SAFE = "/=:@,"

KEYED = frozenset({"met", "dataset"})
"""Names that stand for a whole document, of which a template takes one value."""
CONFIGURED = frozenset({"ipath"})
"""Names whose values are the configuration's own, and may have slashes."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in a template that a value is filled in."""

    name: str
    keys: tuple[str, ...]
    """Steps into a document, from the outside in."""

    def __str__(self) -> str:
        return "{" + self.name + "".join(f"[{key}]" for key in self.keys) + "}"


@dataclass(frozen=True, slots=True)
class Template:
    """A text with slots."""

    parts: tuple[str | Slot, ...]

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Its slots, in their order."""
        return tuple(part for part in self.parts if isinstance(part, Slot))

    def __str__(self) -> str:
        return "".join(map(str, self.parts))

    def fill(self, values: Mapping[str, object], where: str, *, address: bool = False) -> str:
        """Put values into the slots.

        Args:
            values: by name; documents for the names that are taken apart.
            where: what the template is, for messages.
            address: it is an http address, in which values are percent-encoded.

        Raises:
            PermanentError: a value is absent or no text (`invalid_dataset`), or would lead
                elsewhere (`path_traversal`).
        """
        filled: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                filled.append(part)
                continue
            value = value_of(part, values, where)
            filled.append(quote(value, safe=_ADDRESS_SAFE) if address else value)
        return "".join(filled)


def parse_template(text: str) -> Template:
    """Read a template.

    Raises:
        BadInputError: it is not one; every fault of it is listed.
    """
    parts: list[str | Slot] = []
    faults: list[str] = []
    end = 0
    for found in _BRACED.finditer(text):
        _take_literal(text[end : found.start()], parts, faults)
        end = found.end()
        named = _NAME.fullmatch(found[1])
        if named is None:
            faults.append(f"{found[0]!r} is not understood; write {{name}} or {{met[key]}}")
            continue
        slot = Slot(named[1], tuple(_KEY.findall(named[2])))
        if slot.name in KEYED and not slot.keys:
            faults.append(f"{slot} is a whole document; write {{{slot.name}[key]}}")
        elif slot.keys and slot.name not in KEYED:
            faults.append(f"{slot}: {slot.name} is a text, without keys; write {{{slot.name}}}")
        else:
            parts.append(slot)
    _take_literal(text[end:], parts, faults)
    if faults:
        raise BadInputError("; ".join(faults))
    return Template(tuple(parts))


def unknown_names(template: Template, known: Iterable[str]) -> tuple[str, ...]:
    """Names in a template that nothing gives, sorted."""
    return tuple(sorted({slot.name for slot in template.slots} - set(known)))


def value_of(slot: Slot, values: Mapping[str, object], where: str) -> str:
    """The text that a slot stands for, made sure of.

    Raises:
        PermanentError: see `Template.fill`.
    """
    value: object = values.get(slot.name)
    for key in slot.keys:
        value = _inside(value, key)
    if value is None:
        raise PermanentError(PublishingReason.INVALID_DATASET, f"{where}: {_absent(slot)}")
    if not isinstance(value, str | int | float):
        raise PermanentError(
            PublishingReason.INVALID_DATASET,
            f"{where}: {slot} is a {type(value).__name__}; name a text or a number inside it",
        )
    text = str(value)
    problem = _problem(text, slashes=slot.name in CONFIGURED)
    if problem:
        reason, what = problem
        raise PermanentError(reason, f"{where}: {slot} is {_shown(text)}, which {what}")
    return text


def segments_problem(text: str) -> str:
    """Why a path would lead elsewhere; empty if it does not."""
    segments = text.split("/")
    if ".." in segments or "." in segments:
        return "has a segment that is . or .."
    if "" in segments:
        return "has an empty segment"
    return ""


def _problem(text: str, *, slashes: bool) -> tuple[PublishingReason, str] | None:
    if _CONTROL.search(text):
        return PublishingReason.INVALID_DATASET, "has a control character; rename it"
    try:
        text.encode()
    except UnicodeEncodeError:
        return PublishingReason.INVALID_DATASET, "is not valid Unicode; rename it"
    if not text:
        return PublishingReason.PATH_TRAVERSAL, "is empty, and would leave a segment out"
    if "/" in text and not slashes:
        return PublishingReason.PATH_TRAVERSAL, "has a slash; a value is part of one segment"
    if text in (".", ".."):
        return PublishingReason.PATH_TRAVERSAL, "would lead out of the location; rename it"
    return None


def _inside(value: object, key: str) -> object:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None


def _absent(slot: Slot) -> str:
    if slot.name in KEYED:
        return f"{slot} has no value: {slot.name}.json lacks it; add it there"
    return f"{slot} has no value: neither the patterns nor the dataset give one"


def _take_literal(text: str, parts: list[str | Slot], faults: list[str]) -> None:
    if "{" in text or "}" in text:
        faults.append("a brace is left open or alone; write {name}")
    bare = _BARE.search(text)
    if bare:
        faults.append(f"{bare[0]} has no braces; write ${{{bare[0][1:]}}}")
    if _CONTROL.search(text):
        faults.append("it has a control character; take it out")
    if text:
        parts.append(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
