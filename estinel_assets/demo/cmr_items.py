"""Records of collections and granules as CMR's UMM JSON has them, for a local CMR.

Pure. The records hold what the product line reads and what a person would look for, not all that
UMM asks for.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]
"""One item of an answer: `meta` and `umm`."""


def collection_item(
    concept_id: str,
    short_name: str,
    version: str,
    *,
    format: str | None = None,  # noqa: A002 - UMM's own word
    granule_count: int | None = None,
    processing_level: str | None = None,
    title: str | None = None,
    data_center: str = "ESTINEL",
) -> Item:
    """A collection (UMM-C).

    Args:
        concept_id: such as `C1-ESTINEL`; what follows the hyphen is the provider.
        short_name: of the collection.
        version: of the collection.
        format: of its files; None leaves it to the granules or the files' names.
        granule_count: what CMR claims; None for as many as the local CMR has.
        processing_level: such as `3`.
        title: the entry title; else made from name and version.
        data_center: that archives it.
    """
    meta: Item = {
        "concept-type": "collection",
        "concept-id": concept_id,
        "revision-id": 1,
        "native-id": f"{short_name}_{version}",
        "provider-id": concept_id.partition("-")[2],
        "format": "application/vnd.nasa.cmr.umm+json",
    }
    if granule_count is not None:
        meta["granule-count"] = granule_count
    umm: Item = {
        "ShortName": short_name,
        "Version": version,
        "EntryTitle": title or f"{short_name} version {version}",
        "DataCenters": [{"ShortName": data_center, "Roles": ["ARCHIVER"]}],
        "MetadataSpecification": {
            "URL": "https://cdn.earthdata.nasa.gov/umm/collection/v1.18.0",
            "Name": "UMM-C",
            "Version": "1.18.0",
        },
    }
    if processing_level is not None:
        umm["ProcessingLevel"] = {"Id": processing_level}
    if format is not None:
        umm["ArchiveAndDistributionInformation"] = {
            "FileArchiveInformation": [{"Format": format, "FormatType": "Native"}]
        }
    return {"meta": meta, "umm": umm}


def granule_item(
    concept_id: str,
    collection_id: str,
    url: str | None,
    *,
    direct_url: str | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    format: str | None = None,  # noqa: A002 - UMM's own word
) -> Item:
    """A granule (UMM-G).

    Args:
        concept_id: such as `G1-ESTINEL`.
        collection_id: concept id of its collection.
        url: of its file; one without a scheme, such as `files/a.nc`, is below the local CMR's own
            root. None gives a granule without a link to its data.
        direct_url: of its file on S3.
        bounds: west, south, east, north in degrees, EPSG:4326; west > east across the antimeridian.
        format: of its file.
    """
    name = (url or direct_url or concept_id).rpartition("/")[2]
    file: Item = {"Name": name}
    if format is not None:
        file["Format"] = format
    related = []
    if url is not None:
        related.append({"URL": url, "Type": "GET DATA"})
    if direct_url is not None:
        related.append({"URL": direct_url, "Type": "GET DATA VIA DIRECT ACCESS"})
    umm: Item = {
        "GranuleUR": name,
        "RelatedUrls": related,
        "DataGranule": {"ArchiveAndDistributionInformation": [file]},
        "MetadataSpecification": {
            "URL": "https://cdn.earthdata.nasa.gov/umm/granule/v1.6.5",
            "Name": "UMM-G",
            "Version": "1.6.5",
        },
    }
    if bounds is not None:
        umm["SpatialExtent"] = {
            "HorizontalSpatialDomain": {"Geometry": {"BoundingRectangles": [_rectangle(bounds)]}}
        }
    return {
        "meta": {
            "concept-type": "granule",
            "concept-id": concept_id,
            "revision-id": 1,
            "native-id": name,
            "collection-concept-id": collection_id,
            "provider-id": concept_id.partition("-")[2],
            "format": "application/vnd.nasa.cmr.umm+json",
        },
        "umm": umm,
    }


def with_absolute_urls(item: Mapping[str, Any], base_url: str) -> Item:
    """The item with links that have no scheme put below a root.

    Args:
        item: a granule; not changed.
        base_url: the root, without a slash at the end.
    """
    related = [
        link if "://" in link.get("URL", "") else {**link, "URL": f"{base_url}/{link['URL']}"}
        for link in item["umm"].get("RelatedUrls", ())
        if "URL" in link
    ]
    return {**item, "umm": {**item["umm"], "RelatedUrls": related}}


def _rectangle(bounds: tuple[float, float, float, float]) -> dict[str, float]:
    sides = ("West", "South", "East", "North")
    return {f"{side}BoundingCoordinate": at for side, at in zip(sides, bounds, strict=True)}
