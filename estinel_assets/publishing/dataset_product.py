"""A traditional dataset: a folder with `<id>.dataset.json`, and what may stand beside it."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from estinel_assets.errors import PermanentError
from estinel_assets.outcomes.reason import parse_reason
from estinel_assets.publishing.datasets_config import DatasetsConfig, Route
from estinel_assets.publishing.extractors import SEED
from estinel_assets.publishing.files import JobFiles
from estinel_assets.publishing.grq import check_dataset, dataset_document
from estinel_assets.publishing.model import DocumentEntry, JsonObject
from estinel_assets.publishing.product_files import Listing, ProductFiles
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.scanned import Fault, Part, Placement, ScannedFile
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.stac_documents import digest_of

DATASET_ENDING = ".dataset.json"
_ENDINGS = (DATASET_ENDING, ".met.json", ".context.json", ".prov_es.json")

_BROWSE = "browse.png"
_SMALL = "browse_small.png"
_IMAGES = (_BROWSE, _SMALL)


@dataclass(frozen=True, slots=True)
class DatasetDraft:
    """A dataset whose documents are read and whose route is known, before its files are."""

    id: str
    folder: Path
    """Absolute."""
    route: Route
    dataset: JsonObject
    metadata: JsonObject
    prov: JsonObject
    listing: Listing
    """Of its files."""
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class DatasetProduct:
    """A dataset that can be published; a `Product`."""

    id: str
    folder: Path
    route: Route
    files: ProductFiles
    browse_files: tuple[ScannedFile, ...]
    dataset: JsonObject
    metadata: JsonObject
    prov: JsonObject
    images: tuple[JsonObject, ...]

    def parts(self, placement: Placement, spool: Spool) -> Iterator[Part]:
        """See `Product.parts`: one document, and the files as they are."""
        yield from self.files
        document = dataset_document(
            self.id + placement.suffix,
            self.route,
            dataset=self.dataset,
            metadata=self.metadata,
            images=self.images,
            prov=self.prov,
            urls=placement.urls,
            browse_urls=placement.browse_urls,
        )
        yield DocumentEntry(document["id"], digest_of(document), spool.add(document))


def draft_dataset(
    folder: Path,
    *,
    config: DatasetsConfig,
    files: JobFiles,
    skip: Collection[Path],
    extract: Callable[[str, Path], None] | None,
) -> DatasetDraft | list[Fault]:
    """Read a dataset's documents and find its route.

    A dataset without `<id>.met.json` whose route names an extractor gets that file from it.

    Args:
        folder: holds `<name of the folder>.dataset.json`.
        config: the routes.
        files: of the job's folder.
        skip: folders below it that are not part of it.
        extract: runs an extractor on a folder; None where they are not allowed.

    Returns:
        The draft, or every fault of its documents and of the names of its files.
    """
    own = folder.name + DATASET_ENDING
    where = files.where(folder / own)
    reading = _Reading(folder, files, skip)
    if own not in reading.documents:
        what = "is no file; a dataset's own document is needed"
        return reading.faults or [Fault(PublishingReason.INVALID_DATASET, where, what)]
    check = check_dataset(reading.documents[own], dataset_id=folder.name)
    said = [Fault(PublishingReason.INVALID_DATASET, where, what) for what in check.problems]
    if said or reading.faults:
        return [*reading.faults, *said]
    warnings = [f"{where}: {what}" for what in check.warnings]
    try:
        command = _extractor(config, reading)
        if command and extract is None:
            warnings.append(f"{where}: its extractor did not run; set publishing.allow_extractors")
        elif command and extract is not None:
            extract(command, folder)
            reading = _Reading(folder, files, skip)
            if reading.faults:
                return reading.faults
        route = _route(config, reading, check.dataset)
    except PermanentError as error:
        reason = parse_reason(PublishingReason, error.reason)
        return [Fault(reason, files.where(folder), str(error))]
    warnings += [f"{where}: {what}" for what in route.warnings]
    return DatasetDraft(
        folder.name,
        folder,
        route,
        {**check.dataset, "version": check.dataset.get("version") or route.version},
        reading.metadata,
        reading.provenance,
        reading.listing,
        tuple(warnings),
    )


def finish_dataset(draft: DatasetDraft, files: JobFiles) -> DatasetProduct | list[Fault]:
    """Take in the files of a dataset.

    Args:
        draft: of the dataset.
        files: of the job's folder; `hash_all` has read them, or they are read here one by one.

    Returns:
        The dataset, or every fault of its files.
    """
    taken, faults = files.take(draft.listing)
    if faults:
        return [faults[name] for name in sorted(faults)]
    names = [name for name in draft.listing.names if "/" not in name and name.endswith(_IMAGES)]
    images = browse_images(names, draft.route.browse_sort_order)
    small = sorted({image["small_img"] for image in images} - {None})
    return DatasetProduct(
        draft.id,
        draft.folder,
        draft.route,
        taken,
        tuple(file for name in small if (file := taken.get(name)) is not None),
        draft.dataset,
        draft.metadata,
        draft.prov,
        tuple(images),
    )


def browse_images(names: Sequence[str], sort_order: Sequence[str]) -> list[JsonObject]:
    """The browse images among the files of a dataset.

    Args:
        names: of files in the dataset's own folder.
        sort_order: regular expressions; images come in the order of the first one that is found
            in their name, then those without one, each in the order of their names.

    Returns:
        For each `…browse.png` its `img`, its `small_img` (None without one) and its `tooltip`.
    """
    present = set(names)
    patterns = [re.compile(pattern) for pattern in sort_order]

    def order(name: str) -> tuple[int, str]:
        places = (place for place, pattern in enumerate(patterns) if pattern.search(name))
        return next(places, len(patterns)), name

    images: list[JsonObject] = []
    for name in sorted((name for name in names if name.endswith(_BROWSE)), key=order):
        small = name.removesuffix(_BROWSE) + _SMALL
        tooltip = name.removesuffix(f".{_BROWSE}") if name.endswith(f".{_BROWSE}") else ""
        images.append(
            {"img": name, "small_img": small if small in present else None, "tooltip": tooltip}
        )
    return images


class _Reading:
    """The names of a dataset's files, and its documents by name."""

    def __init__(self, folder: Path, files: JobFiles, skip: Collection[Path]) -> None:
        self.folder = folder
        self.listing = files.list_product(folder, skip=skip)
        self.faults = list(self.listing.faults)
        self.documents: dict[str, JsonObject] = {}
        names = [SEED, *(folder.name + ending for ending in _ENDINGS)]
        for name in sorted(names):
            if name not in self.listing.names:
                continue
            read = files.read_json(folder / name)
            if isinstance(read, list):
                self.faults += read
            else:
                self.documents[name] = read

    @property
    def metadata(self) -> JsonObject:
        """What the job gave beforehand overrules what an extractor found."""
        found = self.documents.get(f"{self.folder.name}.met.json", {})
        return {**found, **self.documents.get(SEED, {})}

    @property
    def provenance(self) -> JsonObject:
        """Of the dataset's own file, else of the job's context."""
        own = self.documents.get(f"{self.folder.name}.prov_es.json")
        if own is not None:
            return own
        prov = self.documents.get(f"{self.folder.name}.context.json", {}).get("_prov")
        return prov if isinstance(prov, dict) else {}


def _extractor(config: DatasetsConfig, reading: _Reading) -> str | None:
    """The command that a dataset lacks metadata of."""
    if f"{reading.folder.name}.met.json" in reading.documents:
        return None
    return config.extractor(
        reading.folder,
        product_id=reading.folder.name,
        kind="dataset",
        files=reading.listing.names,
    )


def _route(config: DatasetsConfig, reading: _Reading, dataset: JsonObject) -> Route:
    return config.route(
        reading.folder,
        product_id=reading.folder.name,
        kind="dataset",
        dataset=dataset,
        met=reading.metadata,
        files=reading.listing.names,
    )
