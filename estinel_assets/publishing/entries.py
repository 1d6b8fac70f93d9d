"""The entries of `datasets.json`, made sure of: every fault of all of them is found at once."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from estinel_assets.errors import BadInputError
from estinel_assets.publishing.locations import (
    Location,
    Unwritable,
    parse_location,
    share_roots,
    shown_address,
)
from estinel_assets.publishing.templates import KEYED, Template, parse_template, unknown_names

Kind = Literal["dataset", "stac_catalog"]

GIVEN = frozenset({"version", "level", "type", "ipath", "id", "met", "dataset", "hostname"})
"""Names that every template may use, beside the groups of the patterns."""

_ENTRY_KEYS = (
    "ipath",
    "version",
    "level",
    "type",
    "match_pattern",
    "alt_match_pattern",
    "extractor",
    "publish",
    "browse",
    "index",
    "aliases",
    "priority",
)
_SECRET_KEYS = ("s3-api-key", "s3-secret-key")
_SECTION_KEYS = ("location", "urls", "sort_order", "s3-profile-name", "s3-acl", *_SECRET_KEYS)
_INDEX_KEYS = ("suffix", "aliases")
_NOTHING = Template(())
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CREDENTIALS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@")


@dataclass(frozen=True, slots=True)
class Section:
    """`publish` or `browse` of an entry."""

    location: Location | Unwritable
    urls: tuple[Template, ...] = ()
    sort_order: tuple[str, ...] = ()
    """Regular expressions."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What takes a product, and where it then goes."""

    number: int
    """Its place in the file, from 1."""
    ipath: str
    match: re.Pattern[str]
    """Searched in the path of a product's folder."""
    alt_match: re.Pattern[str] | None
    """Searched in the paths of its files; None for no such condition."""
    version: Template | None
    level: Template | None
    dataset_type: Template | None
    publish: Section
    browse: Section | None = None
    index_suffix: Template = _NOTHING
    index_aliases: tuple[Template, ...] = ()
    extractor: str | None = None
    kind: Kind | None = None
    """The only kind of product that it takes; None for any."""

    def __str__(self) -> str:
        return f"entry {self.number} ({self.ipath})"


def read_entries(document: object, *, hostname: str) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Read a `datasets.json` whose variables are filled in.

    Args:
        document: the parsed file.
        hostname: what `{hostname}` stands for.

    Returns:
        The entries in their order; warnings.

    Raises:
        BadInputError: one line for each fault.
    """
    listed = document.get("datasets") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not listed:
        raise BadInputError('it lists no entries; write {"datasets": [{…}]}')
    readers = [_EntryReader(number, raw, hostname) for number, raw in enumerate(listed, start=1)]
    entries = [reader.entry() for reader in readers]
    faults = [fault for reader in readers for fault in reader.faults]
    if faults:
        raise BadInputError("\n".join(faults))
    found = tuple(entry for entry in entries if entry is not None)
    warnings = [warning for reader in readers for warning in reader.warnings]
    return _with_shared_roots(found), (*warnings, *_never_reached(found))


class _EntryReader:
    """Reads one entry and notes what is wrong with it."""

    def __init__(self, number: int, raw: object, hostname: str) -> None:
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self._number = number
        self._hostname = hostname
        self._raw: Mapping[str, object] = raw if isinstance(raw, dict) else {}
        ipath = self._raw.get("ipath")
        self._ipath = ipath if isinstance(ipath, str) and ipath else "without ipath"
        self._names = set(GIVEN)
        if not isinstance(raw, dict):
            self._fault("", raw, 'is no object; write {"ipath": …}')

    def entry(self) -> Entry | None:
        """The entry; None where it has faults."""
        if self.faults:
            return None
        raw = self._raw
        self._known_keys(raw, _ENTRY_KEYS, "")
        self._required(raw, ("ipath", "match_pattern", "publish"))
        ipath = self._text(raw, "ipath")
        match = self._pattern("match_pattern")
        alt_match = self._pattern("alt_match_pattern")
        groups = {name for found in (match, alt_match) if found for name in found.groupindex}
        self._names |= groups - KEYED
        self._required(raw, tuple(key for key in ("type", "level") if key not in groups))
        version, level, dataset_type = (
            self._own_template(key, groups) for key in ("version", "level", "type")
        )
        publish = self._section("publish")
        browse = self._section("browse")
        suffix, aliases = self._index()
        extractor = self._extractor()
        priority = raw.get("priority")
        if priority is not None and (isinstance(priority, bool) or not isinstance(priority, int)):
            self._fault("priority", priority, "is no whole number; write one, or leave it out")
        if self.faults or ipath is None or match is None or publish is None:
            return None
        return Entry(
            number=self._number,
            ipath=ipath,
            match=match,
            alt_match=alt_match,
            version=version,
            level=level,
            dataset_type=dataset_type,
            publish=publish,
            browse=browse,
            index_suffix=suffix,
            index_aliases=aliases,
            extractor=extractor,
        )

    def _fault(self, where: str, value: object, problem: str) -> None:
        shown = f" {_shown(value)}" if value is not None else ""
        at = f", {where}" if where else ""
        self.faults.append(f"entry {self._number} ({self._ipath}){at}{shown}: {problem}")

    def _warn(self, where: str, text: str) -> None:
        self.warnings.append(f"entry {self._number} ({self._ipath}), {where}: {text}")

    def _known_keys(self, raw: Mapping[str, object], known: Sequence[str], where: str) -> None:
        for key in raw:
            if key in known:
                continue
            near = get_close_matches(key, known, n=1, cutoff=0.8)
            # A misspelt key would silently do nothing; one that we have never heard of may be
            # another program's.
            if near and near[0] not in raw:
                self._fault(f"{where}{key}", None, f"is not a key; did you mean {near[0]!r}?")
            else:
                self._warn(f"{where}{key}", "is not known, and not used")

    def _required(self, raw: Mapping[str, object], keys: Sequence[str]) -> None:
        for key in keys:
            if raw.get(key) in (None, ""):
                self._fault(key, None, "is missing; add it")

    def _text(self, raw: Mapping[str, object], key: str, where: str = "") -> str | None:
        value = raw.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return value
        self._fault(f"{where}{key}", value, "is no text; write one in quotes")
        return None

    def _pattern(self, key: str) -> re.Pattern[str] | None:
        text = self._text(self._raw, key)
        if text is None:
            return None
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            self._fault(key, text, f"is no regular expression ({error}); correct it")
            return None

    def _template(self, text: str, where: str) -> Template | None:
        try:
            template = parse_template(text)
        except BadInputError as error:
            self._fault(where, text, str(error))
            return None
        return template if self._names_known(template, where, text) else None

    def _names_known(self, template: Template, where: str, text: str) -> bool:
        unknown = unknown_names(template, self._names)
        for name in unknown:
            self._fault(
                where,
                text,
                f"{{{name}}} is given by nothing; add a group (?P<{name}>…) to a pattern, or use "
                f"one of {', '.join(sorted(self._names))}",
            )
        return not unknown

    def _own_template(self, key: str, groups: set[str]) -> Template | None:
        value = self._raw.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Template((str(value),))
        text = self._text(self._raw, key)
        template = self._template(text, key) if text is not None else None
        if template is None:
            return None
        # A version may name the dataset's own one; the other two could only name themselves.
        allowed = {*groups, "version"} if key == "version" else groups
        for name in {"version", "level", "type"} - allowed:
            if any(slot.name == name for slot in template.slots):
                self._fault(key, text, f"{{{name}}} leads in a circle; write a text or a group")
                return None
        return template

    def _section(self, key: str) -> Section | None:
        raw = self._raw.get(key)
        if raw is None or raw == {}:
            return None
        if not isinstance(raw, dict):
            self._fault(key, None, 'is no object; write {"location": …, "urls": […]}')
            return None
        self._known_keys(raw, _SECTION_KEYS, f"{key}.")
        self._credentials(raw, key)
        location = self._location(raw, key)
        urls = tuple(
            template
            for url in self._texts(raw, "urls", f"{key}.")
            if (template := self._url(url, f"{key}.urls")) is not None
        )
        order = self._texts(raw, "sort_order", f"{key}.")
        for text in order:
            try:
                re.compile(text)
            except (re.error, OverflowError, RecursionError) as error:
                problem = f"is no regular expression ({error}); correct it"
                self._fault(f"{key}.sort_order", text, problem)
        return Section(location, urls, order) if location is not None else None

    def _credentials(self, raw: Mapping[str, object], key: str) -> None:
        secrets = [name for name in _SECRET_KEYS if raw.get(name)]
        if secrets:
            names = " and ".join(secrets)
            self._warn(key, f"{names} are not used; use a profile or the environment")
        if raw.get("s3-acl"):
            self._warn(key, "s3-acl is not used; grant access by the policy of the bucket")

    def _location(self, raw: Mapping[str, object], key: str) -> Location | Unwritable | None:
        where = f"{key}.location"
        text = self._text(raw, "location", f"{key}.")
        profile = self._text(raw, "s3-profile-name", f"{key}.") or ""
        if text is None:
            if raw.get("location") in (None, ""):
                self._fault(where, None, "is missing; add it")
            return None
        try:
            location = parse_location(text, hostname=self._hostname, profile=profile)
        except BadInputError as error:
            self._fault(where, text, str(error))
            return None
        if isinstance(location, Unwritable):
            self._warn(
                where,
                f"{location.shown}: {location.scheme}:// is not written to; products that this "
                "entry takes are refused until it is changed",
            )
            return location
        if "{hostname}" in text:
            self._warn(where, "{hostname} makes the place depend on the machine")
        return location if self._names_known(location.path, where, text) else None

    def _url(self, text: str, where: str) -> Template | None:
        if not _ADDRESS.match(text):
            self._fault(where, text, "is no address; write https://host/path")
            return None
        bare = _CREDENTIALS.sub(r"\1", text)
        if bare != text:
            self._warn(where, f"{shown_address(text)}: user name and password are left out")
        if "?" in bare or "#" in bare:
            self._fault(where, text, "has a query or a fragment; leave it out")
            return None
        server = bare.partition("://")[2].partition("/")[0].replace("{hostname}", "")
        if "{" in server:
            self._fault(where, text, "its server is a template; only {hostname} can stand there")
            return None
        return self._template(bare, where)

    def _index(self) -> tuple[Template, tuple[Template, ...]]:
        raw = self._raw.get("index")
        if raw is not None and not isinstance(raw, dict):
            self._fault("index", raw, 'is no object; write {"suffix": …, "aliases": […]}')
        index: Mapping[str, object] = raw if isinstance(raw, dict) else {}
        self._known_keys(index, _INDEX_KEYS, "index.")
        text = self._text(index, "suffix", "index.")
        suffix = self._template(text, "index.suffix") if text is not None else None
        named = (
            *((alias, "index.aliases") for alias in self._texts(index, "aliases", "index.")),
            *((alias, "aliases") for alias in self._texts(self._raw, "aliases", "")),
        )
        aliases = (self._template(alias, where) for alias, where in named)
        return suffix or _NOTHING, tuple(alias for alias in aliases if alias is not None)

    def _texts(self, raw: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
        value = raw.get(key)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(text, str) and text for text in value):
            return tuple(value)
        self._fault(f"{where}{key}", None, 'is no list of texts; write ["…", "…"]')
        return ()

    def _extractor(self) -> str | None:
        text = self._text(self._raw, "extractor")
        if text is None or not text.strip():
            return None
        try:
            shlex.split(text)
        except ValueError as error:
            problem = f"cannot be split into words ({str(error).lower()}); correct its quotes"
            self._fault("extractor", None, problem)
            return None
        return text


def _with_shared_roots(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    sections = [
        section for entry in entries for section in (entry.publish, entry.browse) if section
    ]
    shared = iter(share_roots([section.location for section in sections]))
    return tuple(
        replace(
            entry,
            publish=replace(entry.publish, location=next(shared)),
            browse=entry.browse and replace(entry.browse, location=next(shared)),
        )
        for entry in entries
    )


def _never_reached(entries: tuple[Entry, ...]) -> list[str]:
    first: dict[tuple[str, str | None], Entry] = {}
    warnings = []
    for entry in entries:
        same = (entry.match.pattern, entry.alt_match.pattern if entry.alt_match else None)
        earlier = first.setdefault(same, entry)
        if earlier is not entry:
            warnings.append(f"{entry} is never reached: {earlier} has the same patterns")
    return warnings


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(shown_address(value))
    return type(value).__name__
