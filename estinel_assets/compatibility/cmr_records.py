"""What is read of CMR's records: collections (UMM-C) and granules (UMM-G).

Fields that nobody asks for are ignored, and so is what an archive left out; only the concept id
must be there.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from estinel_assets.compatibility.cmr_bounds import granule_bounds
from estinel_assets.compatibility.cmr_json import (
    Json,
    mappings,
    section,
    text,
    texts,
    whole_number,
)
from estinel_assets.compatibility.record import AccessType
from estinel_assets.compatibility.source import Bounds
from estinel_assets.errors import BadInputError, PermanentError, SourceFault

PROVIDER_DAACS: Final[Mapping[str, str | None]] = {
    "ASF": "ASF",
    "ASIPS": None,
    "CDDIS": None,
    "ESDIS": "SEDAC",
    "GES_DISC": "GES_DISC",
    "GHRC_DAAC": "GHRCDAAC",
    "LAADS": "LAADS",
    "LANCEAMSR2": None,
    "LANCEMODIS": None,
    "LARC": "ASDC",
    "LARC_ASDC": "ASDC",
    "LARC_CLOUD": "ASDC",
    "LPCLOUD": "LPDAAC",
    "LPDAAC_ECS": "LPDAAC",
    "NSIDC_CPRD": "NSIDC",
    "NSIDC_ECS": "NSIDC",
    "OB_CLOUD": "OBDAAC",
    "OB_DAAC": "OBDAAC",
    "OMINRT": None,
    "ORNL_CLOUD": "ORNLDAAC",
    "ORNL_DAAC": "ORNLDAAC",
    "POCLOUD": "PODAAC",
    "PODAAC": "PODAAC",
    "SEDAC": "SEDAC",
}
"""The data center that stands behind each EOSDIS provider, by the name that Earthdata's tools use
for it; None for producers of near-real-time and geodetic files that are no DAAC."""

_CONCEPT_ID = re.compile(r"[CG][0-9]+-[A-Za-z0-9_]+")
_DATA_TYPES = frozenset({"GET DATA", "GET DATA VIA DIRECT ACCESS"})
_NO_FILE_SUBTYPES = frozenset(
    {
        "APPEEARS",
        "DATA TREE",
        "DATACAST URL",
        "EARTHDATA SEARCH",
        "GIOVANNI",
        "GRADS DATA SERVER (GDS)",
        "MAP",
        "MAP SERVICE",
        "MIRADOR",
        "MOBILE APP",
        "NOAA CLASS",
        "OPENDAP DATA",
        "ORDER",
        "PORTAL",
        "SSW",
        "SUBSCRIBE",
        "TABULAR DATA STREAM (TDS)",
        "THREDDS DATA",
        "USGS EARTH EXPLORER",
        "VERTEX",
        "VIRTUAL COLLECTION",
        "WEB COVERAGE SERVICE (WCS)",
        "WEB FEATURE SERVICE (WFS)",
        "WEB MAP SERVICE (WMS)",
        "WEB MAP TILE SERVICE (WMTS)",
    }
)
"""Subtypes of links that lead to a service or a page, not to a file."""
_BESIDE_THE_DATA = re.compile(
    r"(?:\.(?:md5|sha1|sha256|sha512|sha|xml|cmr\.json|met|met\.json|dmrpp|png|jpe?g|gif)"
    r"|/browse\.[^/]*)$",
    re.IGNORECASE,
)
"""Checksums, metadata and pictures that archives list beside the data, under the same type."""
_ACCESS_BY_SCHEME: Final[Mapping[str, AccessType]] = {
    "s3": "direct",
    "http": "external",
    "https": "external",
    "ftp": "external",
}


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection, as far as a check needs to know it."""

    concept_id: str
    short_name: str
    """Empty where the metadata give none."""
    version: str
    """As the archive writes it: `061`, `RL06.1Mv03`, `Not provided`."""
    provider: str
    """CMR's provider id, such as `POCLOUD`."""
    data_center: str | None
    """See `data_center_of`."""
    formats: tuple[str, ...]
    """Of the archive, then of the distribution, each once."""
    processing_level: str | None
    granule_count: int | None
    """None where CMR was not asked to count."""
    entry_title: str | None
    revision_id: int
    """Grows with each change of the metadata; 0 where CMR gives none."""

    @property
    def short_name_and_version(self) -> str:
        """`ShortName.Version`."""
        return ".".join(part for part in (self.short_name, self.version) if part)


@dataclass(frozen=True, slots=True)
class DataLink:
    """An address of a granule's file."""

    url: str
    access: AccessType


@dataclass(frozen=True, slots=True)
class Granule:
    """A granule, as far as a check needs to know it."""

    concept_id: str
    collection_concept_id: str | None
    """None where CMR does not say."""
    links: tuple[DataLink, ...]
    """In CMR's order."""
    formats: tuple[str, ...]
    """As the granule's own metadata name them, each once."""
    bounds: Bounds | None


def check_concept_id(concept_id: str, kind: str = "collection") -> str:
    """Refuse what cannot be the id of a collection, before anything is asked or stored.

    Args:
        concept_id: such as `C1996881146-POCLOUD`.
        kind: `collection` or `granule`, whose ids begin with C and G.

    Returns:
        The id as it came.

    Raises:
        BadInputError: it is none.
    """
    letter = "G" if kind == "granule" else "C"
    if _CONCEPT_ID.fullmatch(concept_id) is None or not concept_id.startswith(letter):
        raise BadInputError(
            f"{concept_id!r} is no concept id of a {kind}: those look like "
            f"{letter}1996881146-POCLOUD, the letter {letter}, digits, a hyphen and the provider; "
            "https://search.earthdata.nasa.gov shows them"
        )
    return concept_id


def read_collection(item: Mapping[str, Json]) -> Collection:
    """Read one item of `collections.umm_json`.

    Raises:
        PermanentError: the item has no concept id.
    """
    meta, umm = section(item, "meta"), section(item, "umm")
    concept_id = _concept_id(meta, "collection")
    provider = text(meta, "provider-id") or concept_id.partition("-")[2]
    kept = section(umm, "ArchiveAndDistributionInformation")
    return Collection(
        concept_id=concept_id,
        short_name=text(umm, "ShortName") or "",
        version=text(umm, "Version") or "",
        provider=provider,
        data_center=data_center_of(provider, list(mappings(umm, "DataCenters"))),
        formats=_distinct(
            text(part, "Format")
            for name in ("FileArchiveInformation", "FileDistributionInformation")
            for part in mappings(kept, name)
        ),
        processing_level=text(section(umm, "ProcessingLevel"), "Id"),
        granule_count=whole_number(meta, "granule-count"),
        entry_title=text(umm, "EntryTitle"),
        revision_id=whole_number(meta, "revision-id") or 0,
    )


def read_granule(item: Mapping[str, Json], collection_concept_id: str | None = None) -> Granule:
    """Read one item of `granules.umm_json`.

    Args:
        item: the item.
        collection_concept_id: the collection that was searched; CMR's own word has precedence.

    Raises:
        PermanentError: the item has no concept id.
    """
    meta, umm = section(item, "meta"), section(item, "umm")
    return Granule(
        concept_id=_concept_id(meta, "granule"),
        collection_concept_id=text(meta, "collection-concept-id") or collection_concept_id,
        links=_data_links(mappings(umm, "RelatedUrls")),
        formats=_distinct(_granule_formats(umm)),
        bounds=granule_bounds(umm),
    )


def data_center_of(provider: str, data_centers: Sequence[Mapping[str, Json]]) -> str | None:
    """The name in the published table's column `data_center`.

    That column holds the short name by which Earthdata's tools know a DAAC (`GHRCDAAC`, where
    UMM's DataCenters say `NASA/MSFC/GHRC`), and nothing for providers that are none. The provider
    alone explains it in all of the 9,395 rows that have one, but for two near-real-time
    collections of LANCEMODIS that it gives to OBDAAC. Where the table is empty although the
    provider has a DAAC, the original found no granule or no address.

    Args:
        provider: CMR's provider id.
        data_centers: the collection's DataCenters.

    Returns:
        For the providers of `PROVIDER_DAACS` what stands there; for any other the ShortName of the
        first data center that archives the collection, else of the first that distributes it.
    """
    if provider in PROVIDER_DAACS:
        return PROVIDER_DAACS[provider]
    for role in ("ARCHIVER", "DISTRIBUTOR"):
        for center in data_centers:
            if role in texts(center, "Roles") and (name := text(center, "ShortName")):
                return name
    return None


def _concept_id(meta: Mapping[str, Json], kind: str) -> str:
    concept_id = text(meta, "concept-id")
    if concept_id is None:
        named = text(meta, "native-id") or "without a native id"
        raise PermanentError(
            SourceFault.CORRUPT,
            f"CMR listed a {kind} ({named}) without a concept-id; check that cmr_url is a CMR "
            "search API, and report the record to its archive",
        )
    return concept_id


def _granule_formats(umm: Mapping[str, Json]) -> Iterator[str | None]:
    for part in mappings(section(umm, "DataGranule"), "ArchiveAndDistributionInformation"):
        yield text(part, "Format")
        # A package lists its files one level down.
        for file in mappings(part, "Files"):
            yield text(file, "Format")


def _data_links(related: Iterable[Mapping[str, Json]]) -> tuple[DataLink, ...]:
    """The addresses of files among a granule's RelatedUrls.

    The scheme decides about the access, because older records list `s3://` under "GET DATA".
    Checksums, metadata and pictures count only where a granule has nothing else.
    """
    links = []
    for one in related:
        url = text(one, "URL")
        kind = (text(one, "Type") or "").upper()
        subtype = (text(one, "Subtype") or "").upper()
        if url is None or kind not in _DATA_TYPES or subtype in _NO_FILE_SUBTYPES:
            continue
        access = _ACCESS_BY_SCHEME.get(url.partition("://")[0].lower())
        if access is not None:
            links.append(DataLink(url, access))
    files = [link for link in links if not _BESIDE_THE_DATA.search(_path(link.url))]
    return tuple(files or links)


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return url


def _distinct(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
