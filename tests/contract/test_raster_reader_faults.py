"""What every reader of rasters promises of servers: what they do wrong has its name and tries.

The servers run in this process. GDAL holds the interpreter's lock while it looks at the end of a
file, so files have their directories in front.
"""

import logging
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import RasterReader, RasterSource
from tests.support.http import Misbehaviour, RangeServer
from tests.support.rasters import write_geotiff
from tests.support.readers import Waits, every_reader, reader
from tests.support.scene_server import SceneServer, scene_server
from tests.support.tiff_bytes import Image, placed, tiff

GRID = Grid("EPSG:32755", 600_000.0, 5_260_000.0, 10.0, 300, 300)
TRANSFORM = Affine(10, 0, 600_000, 0, -10, 5_260_000)
SECRET = "sig=SECRET"
IN_THE_MIDDLE = {"gdal": 3, "blocks": 1}
"""Requests of a reader that has not met a file before, until it asks for the last blocks."""


@pytest.fixture
def scene(tmp_path) -> Iterator[tuple[RangeServer, np.ndarray]]:
    """A made scene of 9 blocks on a server, as `scene.tif`."""
    pixels = np.random.default_rng(5).integers(1, 60_000, (300, 300), dtype=np.uint16)
    write_geotiff(tmp_path / "scene.tif", pixels, crs="EPSG:32755", transform=TRANSFORM, block=128)
    with RangeServer(tmp_path) as server:
        yield server, pixels


def _signed(server: RangeServer) -> RasterSource:
    return RasterSource(f"{server.url('scene.tif')}?{SECRET}")


def _outcome(opened: RasterReader, href: str) -> object:
    """The pixels, or the reason why there are none."""
    try:
        return opened.read(RasterSource(href), GRID).tolist()
    except (RetryableError, PermanentError) as error:
        return error.reason


@every_reader
def test_nothing_is_asked_for_that_is_not_there(scene, kind):
    server, pixels = scene
    np.testing.assert_array_equal(reader(kind).read(_signed(server), GRID), pixels)
    assert {request.path for request in server.requests} == {"scene.tif"}
    assert {request.query for request in server.requests} == {SECRET}
    assert server.count() == IN_THE_MIDDLE[kind] + 1


FAULTS = {
    "404": (Misbehaviour(status=404), SourceFault.NOT_FOUND, 1),
    "410": (Misbehaviour(status=410), SourceFault.NOT_FOUND, 1),
    "401": (Misbehaviour(status=401), SourceFault.FORBIDDEN, 1),
    "403": (Misbehaviour(status=403), SourceFault.FORBIDDEN, 1),
    "408": (Misbehaviour(status=408), SourceFault.TIMEOUT, 3),
    "429": (Misbehaviour(status=429), SourceFault.UNAVAILABLE, 3),
    "500": (Misbehaviour(status=500), SourceFault.UNAVAILABLE, 3),
    "503": (Misbehaviour(status=503), SourceFault.UNAVAILABLE, 3),
    "reset": (Misbehaviour(reset=True), SourceFault.UNAVAILABLE, 3),
    "slow": (Misbehaviour(delay_s=20), SourceFault.TIMEOUT, 3),
    "empty": (Misbehaviour(file_ends_at=0), SourceFault.CORRUPT, 2),
    "no header": (Misbehaviour(file_ends_at=100), SourceFault.CORRUPT, 2),
    "truncated": (Misbehaviour(file_ends_at=90_000), SourceFault.CORRUPT, 2),
}
LATER_FAULTS = {
    "404": (Misbehaviour(status=404), SourceFault.NOT_FOUND, 1),
    "403": (Misbehaviour(status=403), SourceFault.FORBIDDEN, 1),
    "503": (Misbehaviour(status=503), SourceFault.UNAVAILABLE, 3),
    "reset": (Misbehaviour(reset=True), SourceFault.UNAVAILABLE, 3),
    "slow": (Misbehaviour(delay_s=20), SourceFault.TIMEOUT, 3),
}


def _require_fault(scene, kind, caplog, misbehaviour, fault, tries) -> None:
    server, _ = scene
    server.misbehave("scene.tif", misbehaviour)
    caplog.set_level(logging.DEBUG)
    waits = Waits()
    # Only what is meant to be slow may meet a short limit, however busy the machine is.
    timeout_s = 0.3 if misbehaviour.delay_s else 20.0
    opened = reader(kind, timeout_s=timeout_s, attempts=3, sleep=waits)
    with pytest.raises((RetryableError, PermanentError)) as caught:
        opened.read(_signed(server), GRID)
    error = caught.value
    assert error.reason == fault
    assert isinstance(error, PermanentError) == (fault is SourceFault.NOT_FOUND)
    assert len(waits.seconds) == tries - 1
    assert str(error).startswith(f"{server.url('scene.tif')}: ")
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    assert "SECRET" not in shown


@every_reader
@pytest.mark.parametrize("case", FAULTS)
def test_every_fault_has_its_name_and_its_tries_and_tells_no_secret(scene, kind, case, caplog):
    _require_fault(scene, kind, caplog, *FAULTS[case])


@every_reader
@pytest.mark.parametrize("case", LATER_FAULTS)
def test_so_has_every_fault_after_the_file_was_opened(scene, kind, case, caplog):
    misbehaviour, fault, tries = LATER_FAULTS[case]
    spoiled = {name: getattr(misbehaviour, name) for name in ("status", "delay_s", "reset")}
    later = Misbehaviour(after=IN_THE_MIDDLE[kind], **spoiled)
    _require_fault(scene, kind, caplog, later, fault, tries)
    assert scene[0].count() > IN_THE_MIDDLE[kind]


@every_reader
@pytest.mark.parametrize(
    "spoiled",
    [
        {"status": 503, "times": 2},
        {"reset": True, "times": 2},
        {"delay_s": 20, "times": 1},
        {"body_stops_after": 100, "times": 1},
        {"file_ends_at": 90_000, "times": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("later", [False, True])
def test_a_passing_fault_leaves_no_trace_in_the_pixels(scene, kind, spoiled, later):
    server, pixels = scene
    after = IN_THE_MIDDLE[kind] if later else 0
    server.misbehave("scene.tif", Misbehaviour(after=after, **spoiled))
    timeout_s = 0.5 if "delay_s" in spoiled else 20.0
    opened = reader(kind, timeout_s=timeout_s, attempts=6, sleep=Waits())
    np.testing.assert_array_equal(opened.read(_signed(server), GRID), pixels)
    np.testing.assert_array_equal(opened.read(_signed(server), GRID), pixels)


@every_reader
def test_a_refusal_is_forgotten_when_the_source_is_well_again(scene, kind):
    server, pixels = scene
    opened = reader(kind, attempts=1)
    for status in (404, 403, 503):
        server.misbehave("scene.tif", Misbehaviour(status=status))
        with pytest.raises((RetryableError, PermanentError)):
            opened.read(_signed(server), GRID)
        server.behave("scene.tif")
        np.testing.assert_array_equal(opened.read(_signed(server), GRID), pixels)


@every_reader
@pytest.mark.parametrize("spoiled", [{"file_ends_at": 0}, {"file_ends_at": 900}], ids=str)
def test_a_damaged_copy_is_forgotten_when_the_file_is_well_again(scene, kind, spoiled):
    server, pixels = scene
    opened = reader(kind, attempts=2, sleep=Waits())
    server.misbehave("scene.tif", Misbehaviour(**spoiled))
    with pytest.raises(RetryableError):
        opened.read(_signed(server), GRID)
    server.behave("scene.tif")
    np.testing.assert_array_equal(opened.read(_signed(server), GRID), pixels)


@every_reader
def test_waits_double_up_to_a_bound_and_end_at_the_deadline(scene, kind):
    server, _ = scene
    server.misbehave("scene.tif", Misbehaviour(status=503))
    options = {"attempts": 6, "backoff_s": 1.0, "backoff_max_s": 5.0, "jitter": lambda: 0.5}
    waits = Waits()
    with pytest.raises(RetryableError):
        reader(kind, sleep=waits, **options).read(_signed(server), GRID)
    assert waits.seconds == [0.5, 1.0, 2.0, 2.5, 2.5]

    waits = Waits()
    with pytest.raises(RetryableError):
        reader(kind, sleep=waits, clock=lambda: sum(waits.seconds), deadline_s=4.0, **options).read(
            _signed(server), GRID
        )
    assert waits.seconds == [0.5, 1.0, 2.0]


@every_reader
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.tif", "http://no-such-host.invalid/a.tif"])
def test_a_server_that_is_not_there_is_unavailable(url, kind):
    with pytest.raises(RetryableError, match="cannot be reached") as caught:
        reader(kind, attempts=1).read(RasterSource(f"{url}?{SECRET}"), GRID)
    assert caught.value.reason == SourceFault.UNAVAILABLE
    assert "SECRET" not in str(caught.value)


@every_reader
def test_good_and_bad_files_do_not_disturb_one_another_among_threads(tmp_path, kind):
    generator = np.random.default_rng(5)
    expected: dict[str, object] = {}
    for index in range(8):
        pixels = generator.integers(1, 60_000, (300, 300), dtype=np.uint16)
        path = tmp_path / f"{index}.tif"
        write_geotiff(path, pixels, crs="EPSG:32755", transform=TRANSFORM, block=128)
        expected[path.name] = pixels.tolist()
    wrong = {"1.tif": 403, "3.tif": 404, "5.tif": 503}
    expected["1.tif"] = SourceFault.FORBIDDEN
    expected["3.tif"] = SourceFault.NOT_FOUND
    expected["5.tif"] = SourceFault.UNAVAILABLE
    opened = reader(kind, attempts=2, sleep=Waits())
    start = threading.Barrier(8)

    def run(name: str) -> object:
        start.wait()
        return _outcome(opened, server.url(name))

    with RangeServer(tmp_path) as server, ThreadPoolExecutor(8) as pool:
        for name, status in wrong.items():
            after = 1 if status == 503 else 0
            server.misbehave(name, Misbehaviour(status=status, after=after))
        names = sorted(expected) * 4
        assert list(pool.map(run, names)) == [expected[name] for name in names]


# Files that change, and servers with habits


def _scene_bytes(tmp_path, pixels: np.ndarray, **options) -> bytes:
    path = tmp_path / "made.tif"
    write_geotiff(path, pixels, crs="EPSG:32755", transform=TRANSFORM, **options)
    return path.read_bytes()


@pytest.fixture
def scenes() -> Iterator[SceneServer]:
    with scene_server() as server:
        yield server


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 60_000, (300, 300), dtype=np.uint16)


@every_reader
@pytest.mark.parametrize("block", [128, 64])
def test_a_replaced_file_is_read_anew(scenes, tmp_path, kind, block):
    opened = reader(kind, sleep=Waits())
    for seed in range(4):
        pixels = noise(seed)
        # Blocks of another size from the second on: what was known of the file is all wrong.
        content = _scene_bytes(tmp_path, pixels, block=block if seed % 2 else 128)
        scenes.files["a.tif"] = content
        for _ in range(2):
            result = opened.read(RasterSource(scenes.address("a.tif", SECRET)), GRID)
            np.testing.assert_array_equal(result, pixels)


@every_reader
def test_a_replaced_local_file_is_read_anew(tmp_path, kind):
    opened = reader(kind)
    for seed in range(3):
        path = tmp_path / "a.tif"
        write_geotiff(
            path, noise(seed), crs="EPSG:32755", transform=TRANSFORM, block=64 * (1 + seed % 2)
        )
        np.testing.assert_array_equal(opened.read(RasterSource(str(path)), GRID), noise(seed))


def _plain(value: int, shift: int) -> bytes:
    """A file of one value, of a size that depends on nothing, that lies so many pixels east."""
    place = placed(TRANSFORM @ Affine.translation(shift, 0), 32755)
    return tiff([Image(np.full((300, 300), value, np.uint16), compression=1, tags=place)])


@every_reader
def test_a_file_replaced_by_one_of_the_same_size_is_read_anew(scenes, kind):
    opened = reader(kind, sleep=Waits())
    for shift in (0, 100, 200):
        scenes.files["a.tif"] = _plain(7, shift)
        result = opened.read(RasterSource(scenes.address("a.tif")), GRID)
        assert not result[:, :shift].any()
        assert (result[:, shift:] == 7).all()


def test_a_file_replaced_in_the_middle_of_a_read_is_never_read_in_part(scenes):
    # Two strips far from one another, so that blocks come with several requests.
    grids = [replace(GRID, height=10), replace(GRID, top=GRID.top - 2900, height=10)]
    opened, values = reader("blocks", sleep=Waits()), []
    for last in range(12):
        scenes.files["a.tif"] = _plain(7, 0)
        count = len(scenes.asked) + last

        def allows(_query: str, count: int = count) -> bool:
            if len(scenes.asked) >= count:
                scenes.files["a.tif"] = _plain(9, 0)
            return True

        scenes.allows = allows
        found = opened.read_grids(RasterSource(scenes.address("a.tif")), grids)
        assert len({int(value) for one in found for value in np.unique(one)}) == 1
        values.append(found[0][0, 0])
    assert set(values) == {7, 9}


@every_reader
def test_a_file_replaced_by_a_short_one_is_never_read_with_the_old_places(scenes, tmp_path, kind):
    opened = reader(kind, attempts=3, sleep=Waits())
    source = RasterSource(scenes.address("a.tif"))
    scenes.files["a.tif"] = _scene_bytes(tmp_path, noise(0))
    opened.read(source, GRID)
    small = np.arange(1, 101, dtype=np.uint16).reshape(10, 10)
    scenes.files["a.tif"] = _scene_bytes(tmp_path, small)
    expected = np.zeros(GRID.shape, np.uint16)
    expected[:10, :10] = small
    np.testing.assert_array_equal(opened.read(source, GRID), expected)


@every_reader
@pytest.mark.parametrize("with_etags", [True, False])
def test_a_file_that_shrinks_or_breaks_later_is_corrupt(scenes, tmp_path, kind, with_etags):
    scenes.with_etags = with_etags
    opened = reader(kind, attempts=3, sleep=Waits())
    source = RasterSource(scenes.address("a.tif", SECRET))
    content = scenes.files["a.tif"] = _scene_bytes(tmp_path, noise(0))
    opened.read(source, GRID)
    for broken in (content[:90_000], content[:100], b"", b"<html>sign in</html>" * 20):
        scenes.files["a.tif"] = broken
        with pytest.raises(RetryableError) as caught:
            opened.read(source, GRID)
        assert caught.value.reason == SourceFault.CORRUPT
    scenes.files["a.tif"] = content
    np.testing.assert_array_equal(opened.read(source, GRID), noise(0))


@every_reader
def test_a_server_that_gives_only_whole_files_is_refused_or_read(scenes, tmp_path, kind):
    scenes.knows_ranges = False
    scenes.files["a.tif"] = _scene_bytes(tmp_path, noise(0))
    result = _outcome(reader(kind, attempts=2, sleep=Waits()), scenes.address("a.tif", SECRET))
    assert result in (SourceFault.CORRUPT, noise(0).tolist())


@every_reader
@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("a b.tif", "a%20b.tif"),
        ("S2A/2024/é_µ.tif", "S2A/2024/%C3%A9_%C2%B5.tif"),
        ("a+b.tif", "a+b.tif"),
        ("a%20b.tif", "a%2520b.tif"),
        ("a#b?c.tif", "a%23b%3Fc.tif"),
        ("deep//double.tif", "deep//double.tif"),
        ("(1),[2]'~@=&:$!*.tif", "(1),%5B2%5D'~@=&:$!*.tif"),
    ],
)
def test_addresses_are_asked_for_as_they_are(scenes, tmp_path, kind, path, sent):
    pixels = noise(0)[:20, :20]
    scenes.files[path] = _scene_bytes(tmp_path, pixels)
    grid = Grid("EPSG:32755", 600_000.0, 5_260_000.0, 10.0, 20, 20)
    source = RasterSource(scenes.address(sent, "sig=a%2Bb%3D&se=2024-01-01T00%3A00%3A00Z"))
    np.testing.assert_array_equal(reader(kind, attempts=1).read(source, grid), pixels)
    assert {asked.path for asked in scenes.asked} == {path}
    assert {asked.query for asked in scenes.asked} == {"sig=a%2Bb%3D&se=2024-01-01T00%3A00%3A00Z"}


@every_reader
def test_local_paths_may_have_any_name(tmp_path, kind):
    pixels = noise(0)[:20, :20]
    grid = Grid("EPSG:32755", 600_000.0, 5_260_000.0, 10.0, 20, 20)
    for name in ("a b.tif", "é_µ.tif", "a+b.tif", "a%20b.tif", "a#b?c.tif", "'a'&;.tif"):
        path = tmp_path / name
        write_geotiff(path, pixels, crs="EPSG:32755", transform=TRANSFORM)
        for href in (str(path), path.as_uri()):
            result = reader(kind).read(RasterSource(href), grid)
            np.testing.assert_array_equal(result, pixels)
