"""Which entry of `datasets.json` takes a product, and what its templates are filled with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.entries import Entry, Kind
from estinel_assets.publishing.nearest import nearest
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.templates import KEYED, Slot, value_of


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that takes a product."""

    entry: Entry
    groups: Mapping[str, str | None]
    """Of both patterns, by name; None for one that took no part."""


def find_match(
    entries: Sequence[Entry], folder: Path, *, product_id: str, kind: Kind, files: Iterable[str]
) -> Match:
    """Find the first entry that takes a product.

    Its `match_pattern` must be found in the folder's path and its `alt_match_pattern`, if it has
    one, in that path too or in the path of a file below it, in the files' alphabetical order.

    Args:
        entries: in their order.
        folder: the product's folder, absolute.
        product_id: its id.
        kind: what it is.
        files: paths relative to the folder, with `/`.

    Raises:
        PermanentError: none takes it (`no_match`), or its id leads elsewhere.
    """
    value_of(Slot("id", ()), {"id": product_id}, "the product's folder")
    path = folder.as_posix()
    candidates = [entry for entry in entries if entry.kind in (None, kind)]
    below: list[str] | None = None
    for entry in candidates:
        groups = named_groups(entry.match, path)
        if groups is None:
            continue
        if entry.alt_match is None:
            return Match(entry, groups)
        if below is None:
            below = sorted(f"{path}/{file}" for file in files)
        for text in (path, *below):
            more = named_groups(entry.alt_match, text)
            if more is not None:
                return Match(entry, {**groups, **more})
    what = nearest(candidates, path)
    raise PermanentError(
        PublishingReason.NO_MATCH,
        f"no entry of datasets.json takes the {kind.replace('_', ' ')} {product_id!r}; {what}; "
        "rename the folder, or add an entry",
    )


def named_groups(pattern: re.Pattern[str], path: str) -> dict[str, str | None] | None:
    """The groups of a pattern in a path; None where it is not found.

    A search finds the leftmost place. Where a folder further up begins like the product's own, as
    `AOI_jobs` does in `/AOI_jobs/7/AOI_x`, a group would then run over several folders; so if a
    group holds a slash, the innermost folder from which none does is taken instead.
    """
    found = pattern.search(path)
    if found is None:
        return None
    if any("/" in value for value in found.groupdict().values() if value):
        for start in range(len(path) - 1, 0, -1):
            if path[start] != "/":
                continue
            inner = pattern.search(path, start)
            if inner and not any("/" in value for value in inner.groupdict().values() if value):
                return inner.groupdict()
    return found.groupdict()


def values_for(
    match: Match,
    *,
    product_id: str,
    hostname: str,
    dataset: Mapping[str, object],
    met: Mapping[str, object],
) -> dict[str, object]:
    """What the templates of an entry are filled with.

    A group comes before the entry's own `version`, `level` and `type`. A dataset's own version
    comes before the entry's, as in the original.

    Raises:
        PermanentError: a value of the entry's own templates is absent or cannot be used.
    """
    entry = match.entry
    groups = {name: value for name, value in match.groups.items() if name not in KEYED}
    values: dict[str, object] = {
        "ipath": entry.ipath,
        "id": product_id,
        "hostname": hostname,
        "dataset": dataset,
        "met": met,
        "version": dataset.get("version"),
        **groups,
    }
    own = {"version": entry.version, "level": entry.level, "type": entry.dataset_type}
    filled = {
        name: template.fill(values, f"{entry}, {name}")
        for name, template in own.items()
        if template is not None and values.get(name) is None
    }
    return {**values, **filled}
