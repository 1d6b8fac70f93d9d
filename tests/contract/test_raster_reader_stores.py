"""What every reader of rasters promises of S3 and of signed addresses."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from affine import Affine

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.imagery.scene_reading import SceneInput, SceneReader
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import Pixels, RasterReader, RasterSource
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.signing import PlanetaryComputerSigner, StorageToken, read_signed
from tests.support.rasters import write_geotiff
from tests.support.readers import Waits, every_reader, never, reader
from tests.support.s3 import S3Access, s3_server
from tests.support.scene_server import SceneServer, scene_server
from tests.support.tiff_bytes import Image, placed, tiff
from tests.unit.stac.stac_items import made_item

GRID = Grid("EPSG:32755", 600_000.0, 5_260_000.0, 10.0, 300, 300)
PIXELS = np.random.default_rng(5).integers(1, 60_000, (300, 300), dtype=np.uint16)


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    """A scene of 9 blocks."""
    path = tmp_path_factory.mktemp("scene") / "a.tif"
    transform = Affine(10, 0, 600_000, 0, -10, 5_260_000)
    write_geotiff(path, PIXELS, crs="EPSG:32755", transform=transform, block=128)
    return path.read_bytes()


# S3


@pytest.fixture(scope="module")
def s3(content) -> Iterator[S3Access]:
    """A bucket with a scene, and with half of one."""
    with s3_server() as access:
        client = access.client()
        for key in ("2024/a.tif", "a b/é+c%20d.tif"):
            client.put_object(Bucket=access.bucket, Key=key, Body=content, ACL="public-read")
        client.put_object(
            Bucket=access.bucket, Key="half.tif", Body=content[:90_000], ACL="public-read"
        )
        client.close()
        yield access


@every_reader
@pytest.mark.parametrize("access", ["signed", "anonymous", "requester-pays"])
def test_s3_is_read_in_every_way(s3, kind, access):
    opened = reader(
        kind,
        attempts=2,
        sleep=Waits(),
        s3_access=access,
        s3_endpoint_url=s3.endpoint_url,
        s3_region=s3.region,
        aws_session=s3.session(),
    )
    for key in ("2024/a.tif", "a b/é+c%20d.tif"):
        np.testing.assert_array_equal(opened.read(RasterSource(s3.url(key)), GRID), PIXELS)
    for href, fault in (
        (s3.url("absent.tif"), SourceFault.NOT_FOUND),
        ("s3://no-such-bucket/a.tif", SourceFault.NOT_FOUND),
        (s3.url("half.tif"), SourceFault.CORRUPT),
    ):
        with pytest.raises((RetryableError, PermanentError), match=href) as caught:
            opened.read(RasterSource(href), GRID)
        assert caught.value.reason == fault


@every_reader
@pytest.mark.parametrize("access", ["signed", "anonymous", "requester-pays"])
def test_what_s3_is_told_of_who_reads(s3, content, kind, access):
    with scene_server() as server:
        server.files["scenes/2024/a.tif"] = content
        opened = reader(
            kind,
            sleep=never,
            s3_access=access,
            s3_endpoint_url=server.url,
            s3_region="us-west-2",
            aws_session=s3.session(),
        )
        result = opened.read(RasterSource("s3://scenes/2024/a.tif"), GRID)
    np.testing.assert_array_equal(result, PIXELS)
    signed = [asked.headers.get("authorization", "") for asked in server.asked]
    payers = {asked.headers.get("x-amz-request-payer") for asked in server.asked}
    assert payers == {"requester" if access == "requester-pays" else None}
    for one in signed:
        assert (s3.access_key_id in one and "us-west-2" in one) == (access != "anonymous")
        assert s3.secret_access_key not in one
    assert all(one == "" for one in signed) == (access == "anonymous")


@every_reader
def test_a_bucket_that_refuses_is_told_at_once(s3, content, kind):
    with scene_server() as server:
        server.files["scenes/a.tif"] = content
        server.allows = lambda _query: False
        server.refusal = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        opened = reader(
            kind,
            sleep=never,
            s3_endpoint_url=server.url,
            s3_region="us-west-2",
            aws_session=s3.session(),
        )
        with pytest.raises(RetryableError) as caught:
            opened.read(RasterSource("s3://scenes/a.tif"), GRID)
    assert caught.value.reason == SourceFault.FORBIDDEN
    assert str(caught.value).startswith("s3://scenes/a.tif: access was refused")


@every_reader
def test_credentials_that_cannot_be_had_are_told(kind, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    opened = reader(kind, sleep=never, s3_endpoint_url="http://127.0.0.1:1")
    with pytest.raises(RetryableError) as caught:
        opened.read(RasterSource("s3://scenes/a.tif"), GRID)
    assert caught.value.reason == SourceFault.FORBIDDEN
    assert caught.value.__context__ is None


# Signed addresses


class Tokens:
    """Tokens for every container, which a server takes until it is told otherwise."""

    def __init__(self, server: SceneServer) -> None:
        self.given = 0
        self.good: set[str] = set()
        self._lock = threading.Lock()
        server.allows = self.good.__contains__

    def __call__(self, *_container: str) -> StorageToken:
        with self._lock:
            self.given += 1
            query = f"sv=2024&sig=SECRET{self.given}"
            self.good.add(query)
        return StorageToken(query, datetime.now(UTC) + timedelta(hours=1))


class Signed:
    """A signer whose addresses lead to a server of this machine."""

    def __init__(self, tokens: Tokens, server: SceneServer) -> None:
        self._signer = PlanetaryComputerSigner(tokens)
        self._server = server

    def sign(self, href: str) -> str:
        return self._here(self._signer.sign(href))

    def refresh(self, href: str, refused: str) -> str:
        return self._here(self._signer.refresh(href, refused))

    def _here(self, href: str) -> str:
        return href.replace("https://scenes.blob.core.windows.net", self._server.url)


HREF = "https://scenes.blob.core.windows.net/sentinel2/a.tif"


@pytest.fixture
def signing(content) -> Iterator[tuple[SceneServer, Tokens, Signed]]:
    with scene_server() as server:
        server.files["sentinel2/a.tif"] = content
        tokens = Tokens(server)
        yield server, tokens, Signed(tokens, server)


def read_with(signer: Signed, opened: RasterReader) -> Pixels:
    return read_signed(signer, HREF, lambda href: opened.read(RasterSource(href), GRID))


@every_reader
def test_the_signature_goes_with_every_request(signing, kind):
    server, tokens, signer = signing
    opened = reader(kind, sleep=never)
    for _ in range(3):
        np.testing.assert_array_equal(read_with(signer, opened), PIXELS)
    assert {asked.query for asked in server.asked} == {"sv=2024&sig=SECRET1"}
    assert tokens.given == 1


@every_reader
def test_a_signature_that_expires_between_reads_is_replaced_once(signing, kind):
    server, tokens, signer = signing
    opened = reader(kind, sleep=never)
    np.testing.assert_array_equal(read_with(signer, opened), PIXELS)
    tokens.good.clear()
    np.testing.assert_array_equal(read_with(signer, opened), PIXELS)
    assert tokens.given == 2
    refused = [asked.query for asked in server.asked if asked.sent == len(b"expired")]
    assert set(refused) == {"sv=2024&sig=SECRET1"}


@every_reader
def test_a_signature_that_expires_in_the_middle_of_a_read_is_replaced_once(signing, kind):
    server, tokens, signer = signing
    last = {"gdal": 4, "blocks": 2}[kind]

    def allows(query: str) -> bool:
        if query.endswith("SECRET1") and len(server.asked) >= last - 1:
            return False
        return query in tokens.good

    server.allows = allows
    np.testing.assert_array_equal(read_with(signer, reader(kind, sleep=never)), PIXELS)
    assert tokens.given == 2


@every_reader
def test_a_days_bands_are_read_through_a_signature_that_expires_meanwhile(signing, content, kind):
    server, tokens, signer = signing
    names = ("red", "green", "blue", "scl")
    item = made_item()
    for name in names:
        server.files[f"sentinel2/{name}.tif"] = content
        item["assets"][name] |= {
            "href": HREF.replace("a.tif", f"{name}.tif"),
            "proj:shape": [300, 300],
            "proj:transform": [10, 0, 600_000, 0, -10, 5_260_000],
        }
    served = 0

    def allows(query: str) -> bool:
        nonlocal served
        if query.endswith("SECRET1"):
            served += 1
        return query in tokens.good and (served <= 5 or not query.endswith("SECRET1"))

    server.allows = allows
    scene = SceneInput(item, Provider.EARTH_SEARCH)
    with SceneReader(reader(kind, sleep=never), signer).on(GRID) as reading:
        for band in reading.bands(scene, names):
            np.testing.assert_array_equal(band, PIXELS)
    assert served > 5
    assert 2 <= tokens.given <= 1 + len(names)


@every_reader
def test_a_second_refusal_is_final_and_tells_no_secret(signing, kind, caplog):
    server, tokens, signer = signing
    server.allows = lambda _query: False
    with pytest.raises(RetryableError) as caught:
        read_with(signer, reader(kind, sleep=never))
    assert caught.value.reason == SourceFault.FORBIDDEN
    assert tokens.given == 2
    assert "SECRET" not in f"{caught.value}{caplog.text}"


@every_reader
def test_two_signatures_for_one_file_read_the_same_file(signing, kind):
    server, tokens, _ = signing
    opened = reader(kind, sleep=never)
    for number in range(80):  # more than there are connections kept
        tokens.good.add(f"sig={number}")
        source = RasterSource(f"{server.url}/sentinel2/a.tif?sig={number}")
        corner = Grid("EPSG:32755", 600_000.0, 5_260_000.0, 10.0, 10, 10)
        np.testing.assert_array_equal(opened.read(source, corner), PIXELS[:10, :10])


@every_reader
def test_a_query_may_say_which_file_is_meant(kind):
    # Of the same size, and without ETags: what is known of one says nothing of the other.
    with scene_server() as server:
        server.with_etags = False
        opened = reader(kind, sleep=never)
        for _ in range(2):
            for shift in (0, 50):
                place = placed(Affine(10, 0, 600_000 + 10 * shift, 0, -10, 5_260_000), 32755)
                image = Image(PIXELS, compression=1, tags=place)
                server.files["a.tif"] = tiff([image])
                query = f"file={shift}&sv=2024&sig=SECRET{len(server.asked)}"
                result = opened.read(RasterSource(server.address("a.tif", query)), GRID)
                assert not result[:, :shift].any()
                np.testing.assert_array_equal(result[:, shift:], PIXELS[:, : 300 - shift])
