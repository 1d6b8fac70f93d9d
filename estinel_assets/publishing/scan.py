"""A job's folder, looked through: what it holds, where that goes, and everything that is wrong."""

import hashlib
import json
import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from estinel_assets.publishing.catalogs import find_catalogs, read_catalog
from estinel_assets.publishing.dataset_product import (
    DATASET_ENDING,
    DatasetDraft,
    draft_dataset,
    finish_dataset,
)
from estinel_assets.publishing.datasets_config import DatasetsConfig, Route
from estinel_assets.publishing.extractors import run_extractor
from estinel_assets.publishing.files import LOCALIZED, JobFiles
from estinel_assets.publishing.reading import readable, unread
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import (
    Fault,
    FolderRefusedError,
    Product,
    Scan,
    ScannedFile,
)
from estinel_assets.publishing.shelves import Row, plain
from estinel_assets.publishing.spool import Spool
from estinel_assets.settings import PublishingSettings

_FINGERPRINT = "estinel-publication-1"
_NOTHING = (
    "holds neither a catalog.json nor a folder with a dataset.json of its name; "
    "name the folder that a job left"
)


@dataclass(slots=True)
class _Datasets:
    """Where datasets are in a folder."""

    folders: list[Path] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def scan_folder(
    folder: Path,
    config: DatasetsConfig,
    *,
    settings: PublishingSettings,
    spool: Spool,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Scan:
    """Look through a job's folder. Nothing is written, but by extractors that are allowed.

    Catalogues are looked for first; what lies inside a catalogue's folder belongs to it. Then every
    folder with a `<name of the folder>.dataset.json` is a dataset, at any depth. A dataset inside a
    dataset is one of its own: its files are not published with the outer one. Folders with a file
    `.localized` were given to the job, and are left out with all that is in them.

    Args:
        folder: of the job.
        config: the routes.
        settings: which types are published, and whether extractors run.
        spool: keeps what is found; open as long as the scan is used.
        environment: variables for extractors.

    Raises:
        BadInputError: it is no folder that can be read.
        FolderRefusedError: it cannot be published; all faults are listed.
    """
    files = JobFiles(folder, spool)
    catalogs = [found for found in find_catalogs(files.folder) if not _is_given(found, files)]
    datasets = _find_datasets(files, frozenset(catalogs))
    faults, warnings = list(datasets.faults), [*config.warnings, *datasets.warnings]
    drafts: list[DatasetDraft] = []
    apart = {*catalogs, *datasets.folders}
    for found in datasets.folders:
        draft = draft_dataset(
            found,
            config=config,
            files=files,
            skip=apart,
            extract=_extractors(settings, environment),
        )
        if isinstance(draft, list):
            faults += draft
        else:
            drafts.append(draft)
            warnings += draft.warnings
    waiting = list(_not_enabled(((draft.id, draft.route) for draft in drafts), settings))
    if waiting:  # before gigabytes are read
        raise FolderRefusedError([*waiting, *faults])
    products: list[Product] = []
    for found in catalogs:
        catalog, wrong, odd = read_catalog(found, config=config, files=files)
        faults += wrong
        warnings += odd
        if catalog is not None:
            products.append(catalog)
    files.hash_all(path for draft in drafts for path in draft.listing.paths)
    for draft in drafts:
        product = finish_dataset(draft, files)
        if isinstance(product, list):
            faults += product
        else:
            products.append(product)
    faults += files.changed()
    faults += _duplicates(products, files)
    waiting = list(_not_enabled(((product.id, product.route) for product in products), settings))
    if not (products or faults):
        faults.append(Fault(PublishingReason.NOTHING_FOUND, ".", _NOTHING))
    if waiting or faults:
        raise FolderRefusedError([*waiting, *faults])
    warnings += _case_clashes(products, spool)
    return Scan(files.folder, tuple(products), fingerprint_of(products), tuple(warnings))


def _extractors(
    settings: PublishingSettings, environment: Mapping[str, str]
) -> Callable[[str, Path], None] | None:
    def extract(command: str, folder: Path) -> None:
        run_extractor(command, folder, product_id=folder.name, environment=environment)

    return extract if settings.allow_extractors else None


def fingerprint_of(products: Iterable[Product]) -> str:
    """Digest of ids, routes, and paths and digests of all files: 64 hex digits.

    Neither times, nor the folder's own place, nor the order of products and files matter; profiles
    of credentials do not either.
    """
    digest = hashlib.sha256(_FINGERPRINT.encode())
    for product in sorted(products, key=lambda product: product.id):
        for piece in _told(product):
            digest.update(piece.encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _told(product: Product) -> Iterator[str]:
    """A product as one JSON array, in pieces: its id, route, files and browse files."""
    route = json.dumps(_route_told(product.route), sort_keys=True)
    yield f"[{json.dumps(product.id)}, {route}"
    for files in (product.files, product.browse_files):
        between = ", ["
        for file in files:
            yield f"{between}{json.dumps([file.relative, file.sha256])}"
            between = ", "
        yield "]" if between == ", " else ", []"
    yield "]"


def _route_told(route: Route) -> dict[str, Any]:
    told = asdict(route)
    del told["warnings"], told["extractor"]  # what it makes is among the files
    for place in (told["place"], told["browse_place"]):
        if place is not None:
            del place["store"]["profile"]
    return told


def _is_given(folder: Path, files: JobFiles) -> bool:
    """Whether a folder, or one that it lies in, was given to the job."""
    around = [folder, *folder.parents]
    inside = around[: around.index(files.folder) + 1]
    try:
        return any((one / LOCALIZED).exists() for one in inside)
    except PermissionError:  # its files are reported
        return False


def _find_datasets(files: JobFiles, catalogs: Collection[Path]) -> _Datasets:
    found = _Datasets()
    waiting: list[tuple[Path, Path | None]] = [(files.folder, None)]
    while waiting:
        here, outer = waiting.pop()
        if here in catalogs:
            continue
        try:
            inside = sorted(filter(_matters, os.scandir(here)), key=lambda entry: entry.name)
        except OSError as error:
            found.faults.append(
                Fault(PublishingReason.MISSING_ASSET, files.where(here), unread(error))
            )
            continue
        names = {entry.name for entry in inside}
        if LOCALIZED in names:
            continue
        if here.name + DATASET_ENDING in names:
            found.folders.append(here)
            if outer is not None:
                found.warnings.append(
                    f"{files.where(here)}: lies in the dataset {files.where(outer)}; "
                    "its files are published with it alone"
                )
            outer = here
        found.faults += _misnamed(files, here, names)
        for entry in inside:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append((here / entry.name, outer))
            elif entry.is_symlink():
                found.faults += _linked(files, here / entry.name)
    found.folders.sort()
    return found


def _matters(entry: "os.DirEntry[str]") -> bool:
    """Whether it is more than a file of a dataset."""
    named = entry.name.endswith(DATASET_ENDING) or entry.name == LOCALIZED
    return named or entry.is_symlink() or entry.is_dir(follow_symlinks=False)


def _misnamed(files: JobFiles, folder: Path, names: Collection[str]) -> Iterator[Fault]:
    """Documents of datasets whose folder has another name."""
    if folder.name + DATASET_ENDING in names:
        return
    for name in sorted(names):
        named = name.removesuffix(DATASET_ENDING)
        if named and named != name and not name.startswith("."):
            yield Fault(
                PublishingReason.INVALID_DATASET,
                files.where(folder / name),
                f"lies in a folder named {readable(folder.name)!r}; "
                f"a dataset is a folder {readable(named)!r} with this file in it",
            )


def _linked(files: JobFiles, link: Path) -> Iterator[Fault]:
    """A dataset that is only linked to; links to anything else are nobody's."""
    try:
        is_dataset = (link / (link.name + DATASET_ENDING)).exists()
        is_given = (link / LOCALIZED).exists()
    except OSError:  # a loop, or a folder that cannot be read
        return
    if is_dataset and not is_given:
        yield Fault(
            PublishingReason.PATH_TRAVERSAL,
            files.where(link),
            f"is a link to a dataset; put the folder itself there, or a file {LOCALIZED} into it",
        )


def _not_enabled(
    routes: Iterable[tuple[str, Route]], settings: PublishingSettings
) -> Iterator[Fault]:
    for product_id, route in routes:
        if settings.types and route.dataset_type not in settings.types:
            yield Fault(
                PublishingReason.NOT_ENABLED,
                readable(product_id),
                f"is of the type {route.dataset_type!r}, which is not enabled; "
                "add it to publishing.types when its turn has come",
            )


def _duplicates(products: Sequence[Product], files: JobFiles) -> Iterator[Fault]:
    first: dict[str, Product] = {}
    for product in products:
        other = first.setdefault(product.id, product)
        if other is not product:
            yield Fault(
                PublishingReason.INVALID_DATASET,
                files.where(product.folder),
                f"has the id {product.id!r}, and so has {files.where(other.folder)}; rename one",
            )


def _case_clashes(products: Iterable[Product], spool: Spool) -> list[str]:
    """Names that some file systems take for one; stores do not."""
    clashes: list[str] = []

    def same(one: Row, other: Row) -> None:
        clashes.append(
            f"{product.id}: {other[2]} and {one[2]} are one file where case or Unicode forms do "
            "not matter"
        )

    names = spool.shelf(plain(3))
    for number, product in enumerate(products):
        names.put(((str(number), _alike(file), file.relative) for file in product.files), same)
    return clashes


def _alike(file: ScannedFile) -> str:
    return unicodedata.normalize("NFC", file.relative).casefold()
