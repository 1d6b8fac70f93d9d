"""`datasets.json` as HySDS writes it: which products go where."""

import json
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from estinel_assets.errors import BadInputError, PermanentError
from estinel_assets.logs import mask_text
from estinel_assets.publishing.entries import Entry, Kind, Section, read_entries
from estinel_assets.publishing.locations import FORMS, Unwritable
from estinel_assets.publishing.model import Place
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.routing import find_match, values_for
from estinel_assets.publishing.templates import Slot, value_of

_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}")
_DEFAULTS = ("single", "double", "number")
_VARIABLE = re.compile(
    r"\{\{-?\s*(?P<name>[A-Za-z_]\w*)\s*"
    r"(?:\|\s*(?:default|d)\s*\(\s*"
    r"(?:'(?P<single>[^'\\]*)'|\"(?P<double>[^\"\\]*)\"|(?P<number>-?\d+(?:\.\d+)?))\s*\)\s*)?"
    r"-?\}\}"
)

_DEFAULT = {
    "datasets": [
        {
            "ipath": "estinel::stac/catalog",
            "version": "stac_catalog",
            "level": "catalog",
            "type": "stac_catalog",
            "match_pattern": "/[^/]+$",
            "publish": {"location": "published/catalogs/{id}"},
        },
        {
            "ipath": "estinel::data/dataset",
            "level": "dataset",
            "type": "dataset",
            "match_pattern": "/[^/]+$",
            "publish": {"location": "published/{type}/{version}/{id}"},
        },
    ]
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where one product goes, with all templates filled in."""

    ipath: str
    """Such as `hysds::data/area_of_interest`."""
    version: str
    level: str
    dataset_type: str
    place: Place
    """Prefix of its objects."""
    urls: tuple[str, ...] = ()
    """Addresses of that prefix for readers."""
    browse_place: Place | None = None
    browse_urls: tuple[str, ...] = ()
    browse_sort_order: tuple[str, ...] = ()
    """Regular expressions that order browse images."""
    index_suffix: str = ""
    index_aliases: tuple[str, ...] = ()
    extractor: str | None = None
    """Command that makes metadata; run with the product's folder as its argument."""
    warnings: tuple[str, ...] = field(default=())

    @property
    def dataset(self) -> str:
        """GRQ's `dataset`: the part of `ipath` after the slash."""
        return self.ipath.partition("/")[2] or self.ipath


@dataclass(frozen=True, slots=True)
class DatasetsConfig:
    """The entries of `datasets.json`, in their order; `load_datasets_config` reads one."""

    entries: tuple[Entry, ...]
    hostname: str
    """What `{hostname}` stands for."""
    warnings: tuple[str, ...] = ()
    """What is accepted but does not do what it may seem to."""

    def route(
        self,
        folder: Path,
        *,
        product_id: str,
        kind: Kind,
        dataset: Mapping[str, Any],
        met: Mapping[str, Any],
        files: Iterable[str],
    ) -> Route:
        """Find where a product goes.

        Args:
            folder: the product's folder, absolute.
            product_id: its id.
            kind: what it is.
            dataset: its `dataset.json`; empty for a catalogue.
            met: its metadata; may be empty.
            files: paths of its files relative to the folder, with `/`.

        Raises:
            PermanentError: no entry takes it, or one whose location is not written to
                (`no_match`); its values are absent or cannot be used (`invalid_dataset`) or lead
                out of the location (`path_traversal`).
        """
        match = find_match(self.entries, folder, product_id=product_id, kind=kind, files=files)
        values = values_for(
            match, product_id=product_id, hostname=self.hostname, dataset=dataset, met=met
        )
        entry = match.entry
        version = _text(values, "version", entry, required=kind == "dataset")
        place = _place(entry, "publish", entry.publish, values)
        browse = entry.browse
        return Route(
            ipath=entry.ipath,
            version=version,
            level=_text(values, "level", entry),
            dataset_type=_text(values, "type", entry),
            place=place,
            urls=_urls(entry, "publish", entry.publish, values),
            browse_place=_place(entry, "browse", browse, values) if browse else None,
            browse_urls=_urls(entry, "browse", browse, values) if browse else (),
            browse_sort_order=browse.sort_order if browse else (),
            index_suffix=entry.index_suffix.fill(values, f"{entry}, index.suffix"),
            index_aliases=tuple(
                alias.fill(values, f"{entry}, index.aliases") for alias in entry.index_aliases
            ),
            extractor=entry.extractor,
            warnings=_version_warnings(entry, version),
        )

    def extractor(
        self, folder: Path, *, product_id: str, kind: Kind, files: Iterable[str]
    ) -> str | None:
        """The command that makes a product's metadata, which its route may need.

        Args:
            folder: as for `route`.
            product_id: as for `route`.
            kind: as for `route`.
            files: as for `route`.

        Raises:
            PermanentError: no entry takes it (`no_match`).
        """
        match = find_match(self.entries, folder, product_id=product_id, kind=kind, files=files)
        return match.entry.extractor


def load_datasets_config(
    path: Path | None, environment: Mapping[str, str], *, hostname: str | None = None
) -> DatasetsConfig:
    """Read `datasets.json`, or the entries that hold without one.

    Args:
        path: the file; None for the default.
        environment: variables that `{{ VAR }}` stands for.
        hostname: what `{hostname}` stands for; else this machine's name.

    Raises:
        BadInputError: the file cannot be used; every fault of it is listed.
    """
    hostname = hostname if hostname is not None else socket.gethostname()
    if path is None:
        return DatasetsConfig(default_entries(), hostname)
    text, faults = fill_variables(_read(path), environment)
    entries: tuple[Entry, ...] = ()
    warnings: tuple[str, ...] = ()
    try:
        entries, warnings = read_entries(_parse(text), hostname=hostname)
    except BadInputError as error:
        faults = [*faults, *str(error).splitlines()]
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise BadInputError(f"{path} cannot be used:\n{listed}")
    return DatasetsConfig(entries, hostname, warnings)


def fill_variables(text: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """Fill in `{{ VAR }}` and `{{ VAR | default('…') }}`.

    A value is put in as a part of a JSON text: it cannot end the text that it stands in.

    Args:
        text: of the file.
        environment: the variables.

    Returns:
        The text, and a fault for each variable that is absent and each expression that is not
        understood; something stands in their place, so that the rest can be checked as well.
    """
    faults: list[str] = []

    def value(found: re.Match[str]) -> str:
        line = text.count("\n", 0, found.start()) + 1
        known = _VARIABLE.fullmatch(found[0])
        if known is None:
            faults.append(
                f"line {line}: {mask_text(found[0])[:80]!r} is not understood; "
                "write {{ VAR }} or {{ VAR | default('…') }}"
            )
            return "unknown"
        given = environment.get(known["name"])
        if given is None:
            given = next((known[form] for form in _DEFAULTS if known[form] is not None), None)
        if given is None:
            faults.append(
                f"line {line}: the variable {known['name']} is not set; set it, or write "
                f"{{{{ {known['name']} | default('…') }}}}"
            )
            return "unknown"
        return json.dumps(given)[1:-1]

    return _EXPRESSION.sub(value, text), faults


def default_entries() -> tuple[Entry, ...]:
    """The entries that hold without a `datasets.json`: everything goes below `published/`."""
    entries, _ = read_entries(_DEFAULT, hostname="")
    kinds: tuple[Kind, ...] = ("stac_catalog", "dataset")
    return tuple(replace(entry, kind=kind) for entry, kind in zip(entries, kinds, strict=True))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be read ({error.strerror}); name a datasets.json, or leave "
            "publishing.config out"
        ) from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path} is not UTF-8; write it as JSON in UTF-8") from None


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"line {error.lineno}, column {error.colno}: no JSON ({error.msg}); correct it"
        ) from None
    except RecursionError:
        raise BadInputError("it is nested too deeply; correct it") from None


def _text(values: Mapping[str, object], name: str, entry: Entry, *, required: bool = True) -> str:
    if values.get(name) is None and not required:
        return ""
    return value_of(Slot(name, ()), values, str(entry))


def _place(entry: Entry, key: str, section: Section, values: Mapping[str, object]) -> Place:
    location = section.location
    where = f"{entry}, {key}.location"
    if isinstance(location, Unwritable):
        raise PermanentError(
            PublishingReason.NO_MATCH,
            f"{where}: it takes this product, but {location.scheme}:// is not written to "
            f"({location.shown}); change it to {FORMS}",
        )
    return location.place(values, where)


def _urls(
    entry: Entry, key: str, section: Section, values: Mapping[str, object]
) -> tuple[str, ...]:
    return tuple(
        url.fill(values, f"{entry}, {key}.urls", address=str(url).lower().startswith("http"))
        for url in section.urls
    )


def _version_warnings(entry: Entry, version: str) -> tuple[str, ...]:
    own = entry.version
    if own is None or own.slots or str(own) == version:
        return ()
    return (f"{entry} says version {str(own)!r}; the product's own, {version!r}, is taken",)
