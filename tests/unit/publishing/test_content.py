"""What a scanned folder becomes at chosen places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from estinel_assets.publishing.content import content_of
from estinel_assets.publishing.datasets_config import Route
from estinel_assets.publishing.model import (
    CollectionEntry,
    Content,
    DocumentEntry,
    ItemEntry,
    Place,
    StoreAt,
)
from estinel_assets.publishing.scanned import (
    FolderRefusedError,
    Part,
    Placement,
    Product,
    Scan,
    ScannedFile,
)
from estinel_assets.publishing.spool import Spool
from tests.support.job_folders import JobFolder, datasets_config, scan

STORE = StoreAt("s3://bucket")
ROUTE = Route("a::b/c", "v1", "l0", "t", Place(STORE, "products/x"))


@dataclass(frozen=True)
class Made:
    """A product that needs no folder; it keeps the placement that it was given."""

    id: str = "x"
    route: Route = ROUTE
    files: Sequence[ScannedFile] = (ScannedFile("a.nc", Path("/job/a.nc"), 3, "a" * 64),)
    browse_files: Sequence[ScannedFile] = ()
    folder: Path = Path("/job/x")
    documents: Sequence[str] = ()
    collections: Sequence[tuple[str, str]] = ()
    items: Sequence[tuple[str, str]] = ()
    placements: list[Placement] = field(default_factory=list)

    def parts(self, placement: Placement, spool: Spool) -> Iterator[Part]:
        self.placements.append(placement)
        body = spool.add({})
        yield from self.files
        for name in self.documents:
            yield DocumentEntry(name + placement.suffix, "d", body)
        for name, digest in self.collections:
            yield CollectionEntry(name, digest, body)
        for collection, name in self.items:
            yield ItemEntry(collection, name, "d", body)


@pytest.fixture
def spool() -> Iterator[Spool]:
    with Spool() as made:
        yield made


def at(path: str, **route: Any) -> Route:
    return replace(ROUTE, place=Place(STORE, path), **route)


def content(spool: Spool, *products: Product, **names: str) -> Content:
    return content_of(
        Scan(Path("/job"), products, "f" * 64, ("odd",)),
        publication="job-1",
        spool=spool,
        open_url=lambda place: f"{place.store.url}/{place.path}",
        **names,
    )


def refusals(spool: Spool, *products: Product) -> list[str]:
    with pytest.raises(FolderRefusedError) as refused:
        content(spool, *products)
    return [fault.what for fault in refused.value.faults]


def test_everything_of_all_products(spool: Spool) -> None:
    one = Made("x", documents=["d1"], collections=[("c", "1")], items=[("c", "i")])
    two = Made("y", at("products/y"), documents=["d2"], items=[("c", "j")])

    made = content(spool, one, two)

    assert (made.publication, made.fingerprint, made.warnings) == ("job-1", "f" * 64, ("odd",))
    assert made.places == (Place(STORE, "products/x"), Place(STORE, "products/y"))
    assert [entry.path for entry in made.objects] == ["products/x/a.nc", "products/y/a.nc"]
    assert [entry.id for entry in made.documents] == ["d1", "d2"]
    assert [entry.id for entry in made.collections] == ["c"]
    assert [(entry.collection, entry.id) for entry in made.items] == [("c", "i"), ("c", "j")]
    assert made.bytes == 6


@pytest.mark.parametrize(
    ("names", "ending"),
    [
        ({}, ""),
        ({"suffix": "-v2"}, "-v2"),
        ({"revision": "abc"}, "-rabc"),
        ({"suffix": "-v2", "revision": "abc"}, "-v2-rabc"),
    ],
)
def test_places_and_addresses_move_together(
    spool: Spool, names: dict[str, str], ending: str
) -> None:
    route = at(
        "products/x",
        urls=("https://h/products/x", "https://h/products/x/", "https://h/x?site=1"),
        browse_place=Place(STORE, "browse/x"),
        browse_urls=("https://h/browse/x",),
    )
    product = Made(route=route, documents=["d"])

    made = content(spool, product, **names)

    (placement,) = product.placements
    assert placement.place.path == f"products/x{ending}"
    assert placement.urls == (
        f"https://h/products/x{ending}",
        f"https://h/products/x{ending}/",
        f"https://h/x{ending}?site=1",
    )
    assert placement.browse_place == Place(STORE, f"browse/x{ending}")
    assert placement.browse_urls == (f"https://h/browse/x{ending}",)
    assert (placement.publication, placement.suffix) == ("job-1", names.get("suffix", ""))
    assert [one.path for one in made.places] == [f"products/x{ending}", f"browse/x{ending}"]
    assert next(iter(made.documents)).id == "d" + names.get("suffix", "")


def test_a_route_without_addresses_gets_the_stores_own(spool: Spool) -> None:
    product = Made(route=at("p/x", browse_place=Place(STORE, "b/x")))

    content(spool, product, revision="1")

    assert product.placements[0].urls == ("s3://bucket/p/x-r1",)
    assert product.placements[0].browse_urls == ("s3://bucket/b/x-r1",)


def test_browse_files_go_to_both_places(spool: Spool) -> None:
    small = ScannedFile("a.browse_small.png", Path("/job/s"), 1, "b" * 64, "image/png")
    product = Made(
        route=at("p/x", browse_place=Place(STORE, "b/x")), files=[small], browse_files=[small]
    )

    made = content(spool, product)

    assert [entry.path for entry in made.objects] == [
        "b/x/a.browse_small.png",
        "p/x/a.browse_small.png",
    ]
    assert next(iter(made.objects)).media_type == "image/png"


def test_one_place_for_both(spool: Spool) -> None:
    small = ScannedFile("a.browse_small.png", Path("/job/s"), 1, "b" * 64)
    product = Made(
        route=at("p/x", browse_place=Place(STORE, "p/x")), files=[small], browse_files=[small]
    )

    made = content(spool, product)

    assert [entry.path for entry in made.objects] == ["p/x/a.browse_small.png"]
    assert len(made.places) == 1


def test_a_place_inside_the_products_own(spool: Spool) -> None:
    product = Made(route=at("p/x", browse_place=Place(STORE, "p/x/browse")))

    assert len(content(spool, product).places) == 2


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("p/x", "p/x", True),
        ("p/x", "p/x/y", True),
        ("p/x/y/z", "p", True),
        ("p/x", "p/x-y", False),
        ("p/x", "p/xy", False),
        ("p/x", "q/p/x", False),
    ],
)
def test_places_inside_one_another(spool: Spool, one: str, other: str, clash: bool) -> None:
    products = Made("x", at(one)), Made("y", at(other)), Made("between", at("p/x!"))

    if not clash:
        assert len(content(spool, *products).places) == 3
        return
    assert any("correct the locations" in what for what in refusals(spool, *products))


def test_a_place_between_does_not_hide_another(spool: Spool) -> None:
    products = [Made(str(i), at(path)) for i, path in enumerate(["p", "p/a", "p/a/b", "p/c"])]

    assert len(refusals(spool, *products)) == 4


def test_another_store_is_another_place(spool: Spool) -> None:
    elsewhere = replace(ROUTE, place=Place(StoreAt("s3://other"), "products/x"))
    profile = replace(ROUTE, place=Place(StoreAt("s3://bucket", profile="p"), "products/x"))

    assert len(content(spool, Made("x"), Made("y", elsewhere)).places) == 2
    assert refusals(spool, Made("x"), Made("y", profile))


def test_two_files_of_one_key(spool: Spool) -> None:
    small = ScannedFile("a.nc", Path("/job/s"), 1, "b" * 64)
    route = at("p/x", browse_place=Place(STORE, "p/x"))

    (what,) = refusals(spool, Made(route=route, browse_files=[small]))

    assert "'p/x/a.nc'" in what


@pytest.mark.parametrize("path", ["", "/p", "p//x", "p/../x", "p/x\n"])
def test_places_that_no_store_takes(spool: Spool, path: str) -> None:
    product = Made(route=at(path), files=[])

    assert len(refusals(spool, product)) == 1


def test_keys_that_are_too_long(spool: Spool) -> None:
    deep = ScannedFile("/".join(["n" * 200] * 5), Path("/job/a"), 1, "b" * 64)

    (what,) = refusals(spool, Made(route=at("p/" + "x" * 100), files=[deep]))

    assert "1024" in what


def test_what_is_there_twice(spool: Spool) -> None:
    one = Made("x", documents=["d"], collections=[("c", "1")], items=[("c", "i")])
    two = Made("y", at("q"), documents=["d"], collections=[("c", "2")], items=[("c", "i")])

    said = refusals(spool, one, two)

    assert sorted(what.split("'")[1] for what in said) == ["c", "d", "i"]


def test_one_collection_in_two_products(spool: Spool) -> None:
    one, two = Made("x", collections=[("c", "1")]), Made("y", at("q"), collections=[("c", "1")])

    assert len(content(spool, one, two).collections) == 1


def test_a_real_folder(spool: Spool, tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job")
    job.dataset("AOI_x", {"a.browse.png": b"a", "a.browse_small.png": b"s", "b.nc": b"1"})
    job.catalog("stac_catalog_1")
    found = scan(job.root, datasets_config(tmp_path))

    made = content(spool, *found.products, suffix="-v2", revision="abc")

    for entry in made.objects:
        assert entry.source.stat().st_size == entry.size
    assert [document.body.read()["id"] for document in made.documents] == [
        "AOI_x-v2",
        "a-v2@collection-stac_catalog_1",
        "b-v2@collection-stac_catalog_1",
    ]
    (area,) = [d.body.read() for d in made.documents if d.id == "AOI_x-v2"]
    assert area["urls"] == ["https://readers.example/products/aoi/v1.0/AOI_x-v2-rabc"]
    assert area["browse_urls"] == ["https://readers.example/browse/aoi/v1.0/AOI_x-v2-rabc"]
    assert [item.id for item in made.items] == ["a-v2", "b-v2"]
    hrefs = [asset["href"] for item in made.items for asset in item.body.read()["assets"].values()]
    assert {href.removeprefix("/") for href in hrefs} == {
        "catalogs/stac_catalog_1-v2-rabc/c/a.tif",
        "catalogs/stac_catalog_1-v2-rabc/c/b.tif",
    }
