"""Which address of a granule is opened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.cmr import DataLink, Granule
from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.links import BESIDE_THE_DATA, choose_link, extension_of
from estinel_assets.compatibility.record import AccessType


def _granule(*links: tuple[str, AccessType]) -> Granule:
    return Granule("G1-A", "C1-A", tuple(DataLink(*link) for link in links), (), None)


S3 = ("s3://bucket/a.nc", "direct")
HTTPS = ("https://archive.invalid/a.nc", "external")


@pytest.mark.parametrize(
    ("links", "access", "chosen"),
    [
        ([S3, HTTPS], "external", HTTPS),
        ([HTTPS, S3], "direct", S3),
        ([HTTPS], "direct", HTTPS),
        ([HTTPS, ("https://archive.invalid/b.nc", "external")], "external", HTTPS),
        ([("https://archive.invalid/a.nc.md5", "external"), HTTPS], "external", HTTPS),
        ([("ftp://archive.invalid/a.nc", "external"), HTTPS], "external", HTTPS),
    ],
)
def test_chooses_by_access_and_what_can_be_read(
    links: list[tuple[str, AccessType]], access: AccessType, chosen: tuple[str, AccessType]
) -> None:
    assert choose_link(_granule(*links), access) == DataLink(*chosen)


def test_what_cannot_be_read_is_chosen_where_nothing_else_is() -> None:
    only: tuple[str, AccessType] = ("ftp://archive.invalid/a.txt", "external")
    assert choose_link(_granule(only), "external") == DataLink(*only)


@pytest.mark.parametrize(("links", "hint"), [([], "another way"), ([S3], "direct")])
def test_without_a_link_the_check_ends(links: list[tuple[str, AccessType]], hint: str) -> None:
    with pytest.raises(CheckEndedError, match="G1-A") as caught:
        choose_link(_granule(*links), "external")
    assert caught.value.reason == "failed_to_extract_url"
    assert caught.value.hint is not None
    assert hint in caught.value.hint


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["https://a.invalid/x.nc", "s3://b/x.xml", "ftp://a.invalid/x.h5"]),
            st.sampled_from(["direct", "external"]),
        )
    ),
    st.sampled_from(["direct", "external"]),
)
def test_a_link_is_one_of_the_granules(
    links: list[tuple[str, AccessType]], access: AccessType
) -> None:
    granule = _granule(*links)
    kinds = {link.access for link in granule.links}
    if access not in kinds and (access == "external" or not kinds):
        with pytest.raises(CheckEndedError):
            choose_link(granule, access)
        return
    chosen = choose_link(granule, access)
    assert chosen in granule.links
    assert chosen.access == (access if access in kinds else "external")


@pytest.mark.parametrize(
    ("url", "extension"),
    [
        ("https://a.invalid/x/y.NC4?token=a.b", "NC4"),
        ("s3://bucket/a.b/c.tif", "tif"),
        ("https://a.invalid/x.zarr/", "zarr"),
        ("https://a.invalid/x.nc.gz", "gz"),
        ("https://a.invalid/a.b/plain", ""),
        ("https://a.invalid/SSS.0_SSS_1deg", "0_SSS_1deg"),
        ("https://a.invalid/data//x.hdf", "hdf"),
        ("https://a.invalid/a%2Enc", "nc"),
        ("https://a.invalid", ""),
        ("https://[::1/a.nc", ""),
    ],
)
def test_extensions(url: str, extension: str) -> None:
    assert extension_of(url) == extension


def test_extensions_beside_the_data_are_lower_case() -> None:
    assert all(name == name.lower() for name in BESIDE_THE_DATA)
