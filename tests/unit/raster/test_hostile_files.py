"""Damaged and hostile files: an error that says so, or the right pixels, soon and in little memory.

A block's checksum stands behind its last row, and decoding stops at the last row that is needed: of
a block of which the first rows are read, damage may go unseen, and only the shape is certain.
"""

import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.errors import PermanentError, RetryableError, SourceFault
from estinel_assets.raster.grids import Grid
from estinel_assets.raster.reader import Pixels, RasterSource
from tests.support import tiff_bytes as tb
from tests.support.examples import examples
from tests.support.lying_tiffs import LEFT, LIES, MUST_FAIL, PIXELS, PLACE, TOP, giants
from tests.support.readers import KINDS, every_reader, never, reader
from tests.support.real import ROOT, real_data
from tests.support.tiff_bytes import Image, tiff
from tests.support.watchdog import within

# GDAL's messages may hold bytes of the file that are no text, of which rasterio's log complains.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. .rasterio._env.log_error:pytest.PytestUnraisableExceptionWarning"
)

PATIENCE_S = 10.0
MOST_MIB = 350
"""Of a process that reads, interpreter and libraries included."""
CRS = "EPSG:32755"
WHOLE = Grid(CRS, LEFT, TOP, 10.0, 192, 128)
PART = Grid(CRS, LEFT + 300, TOP - 205, 10.0, 50, 40)
COARSE = Grid(CRS, LEFT, TOP, 40.0, 30, 30)
WARPED = Grid("EPSG:32756", 109_700.0, 5_249_400.0, 10.0, 60, 60)


def outcome(path: Path, content: bytes, grid: Grid, kind: str = "blocks") -> Pixels | None:
    """The pixels of a file with that content; None where it is said to be corrupt."""
    path.write_bytes(content)
    opened = reader(kind, sleep=never)  # a new one, since the same path is another file now
    try:
        found = within(PATIENCE_S, lambda: opened.read(RasterSource(str(path)), grid))
    except (RetryableError, PermanentError) as error:
        if error.reason != SourceFault.CORRUPT or not str(error).startswith(f"{path}: "):
            raise
        return None
    assert found.shape == grid.shape
    return found


def sound(**options) -> bytes:
    """A file of six blocks, with a reduced copy."""
    image = Image(PIXELS, predictor=2, tags=PLACE)
    half = Image(np.ascontiguousarray(PIXELS[::2, ::2]), kind=1, predictor=2)
    return tiff([image, half], **options)


SOUND = {
    "classic": sound(),
    "big": sound(big=True),
    "big-endian": sound(order=">"),
    "directories last": sound(directories_last=True),
}
HEADS = {
    "classic": range(536),
    "big": range(780),
    "big-endian": range(536),
    "directories last": range(len(SOUND["directories last"]) - 528, len(SOUND["directories last"])),
}
"""Where their directories are."""


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "a.tif"


def test_the_sound_files_are_read(path):
    for content in SOUND.values():
        np.testing.assert_array_equal(outcome(path, content, WHOLE), PIXELS)
        assert outcome(path, content, WARPED).any()


CHANGES = st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=10)


@examples(200)
@given(
    st.sampled_from(sorted(SOUND)),
    CHANGES,
    st.sampled_from([WHOLE, PART, COARSE, WARPED]),
    st.booleans(),
)
def test_flips_in_a_head_give_pixels_or_an_error(path, name, changes, grid, keep):
    content, head = bytearray(SOUND[name]), HEADS[name]
    for where, flip in changes[:1] if keep else changes:
        content[head[int(where * len(head))]] ^= flip
    outcome(path, bytes(content), grid)


@examples(100)
@given(st.sampled_from(["classic", "big", "big-endian"]), CHANGES)
def test_flips_in_blocks_are_errors_or_change_nothing(path, name, changes):
    content = bytearray(SOUND[name])
    first = HEADS[name].stop
    for where, flip in changes:
        content[first + int(where * (len(content) - first))] ^= flip
    found = outcome(path, bytes(content), WHOLE)
    if found is not None:
        np.testing.assert_array_equal(found, PIXELS)


@examples(60)
@given(st.sampled_from(sorted(SOUND)), CHANGES, st.sampled_from([PART, COARSE, WARPED]))
def test_flips_anywhere_give_the_right_shape_or_an_error(path, name, changes, grid):
    content = bytearray(SOUND[name])
    for where, flip in changes:
        content[int(where * len(content))] ^= flip
    outcome(path, bytes(content), grid)


@every_reader
@examples(60)
@given(st.sampled_from(sorted(SOUND)), st.floats(0, 1), st.sampled_from([WHOLE, PART]))
def test_a_file_cut_off_anywhere_is_an_error_or_right(path, kind, name, share, grid):
    whole = SOUND[name]
    found = outcome(path, whole[: int(len(whole) * share)], grid, kind)
    if found is not None:
        np.testing.assert_array_equal(found, outcome(path, whole, grid, kind))
    assert not (grid is WHOLE and share < 0.7 and found is not None)


@examples(60)
@given(st.sampled_from(sorted(SOUND)), st.floats(0, 1), st.floats(0, 1), st.binary(max_size=40))
def test_pieces_taken_out_or_put_in_give_the_right_shape_or_an_error(path, name, a, b, piece):
    content = SOUND[name]
    start, stop = sorted((int(len(content) * a), int(len(content) * b)))
    outcome(path, content[:start] + piece + content[stop:], WHOLE)


@examples(60)
@given(st.sampled_from(sorted(SOUND)), st.integers(4, 1100), st.binary(min_size=1, max_size=3000))
def test_noise_behind_a_real_beginning_is_an_error_or_of_the_right_shape(path, name, kept, noise):
    outcome(path, SOUND[name][:kept] + noise, WHOLE)


@examples(40)
@given(st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b""]), st.binary(max_size=600))
def test_noise_is_an_error(path, head, noise):
    assert outcome(path, head + noise, WHOLE) is None


@pytest.mark.parametrize("name", ["AOT.tif", "SCL.tif", "B11.tif"])
@examples(60)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=6),
    st.none() | st.floats(0.01, 1),
)
def test_real_scenes_with_other_heads_give_the_right_shape_or_an_error(path, name, changes, cut):
    content = bytearray(real_data(f"imagery/riotilerpds_29RKH/{name}").read_bytes())
    for where, flip in changes:
        content[int(where * 3000)] ^= flip
    grid = Grid("EPSG:32629", 280_000.0, 2_795_000.0, 200.0, 60, 50)
    outcome(path, bytes(content[: None if cut is None else int(len(content) * cut)]), grid)


# Lies


@every_reader
@pytest.mark.parametrize("grid", [WHOLE, PART, WARPED], ids=["whole", "part", "warped"])
@pytest.mark.parametrize("lie", LIES)
def test_lies_give_the_right_shape_or_an_error(path, kind, lie, grid):
    outcome(path, tiff([LIES[lie]], big=grid is PART), grid, kind)


@every_reader
@pytest.mark.parametrize("lie", MUST_FAIL)
def test_lies_without_any_pixels_are_errors(path, kind, lie):
    assert outcome(path, tiff([LIES[lie]]), WHOLE, kind) is None


@every_reader
@pytest.mark.parametrize("following", [8, 0, 1, 9, 2**32 - 1, 400])
@pytest.mark.parametrize("after", [0, 1])
def test_directories_that_go_round_or_astray_are_errors_or_right(path, kind, following, after):
    content = sound(next_offsets={after: following})
    found = outcome(path, content, WHOLE, kind)
    if found is not None:
        np.testing.assert_array_equal(found, PIXELS)


@every_reader
def test_many_directories_are_an_error_or_right(path, kind):
    small = Image(PIXELS[:64, :64], kind=1)
    content = tiff([Image(PIXELS, tags=PLACE), *[small] * 300])
    found = outcome(path, content, WHOLE, kind)
    if found is not None:
        np.testing.assert_array_equal(found, PIXELS)


@every_reader
def test_a_copy_that_is_larger_than_the_image_or_of_nothing_is_never_noise(path, kind):
    full = Image(PIXELS, tags=PLACE)
    for tags in (
        {tb.WIDTH: (tb.LONG, [90_000]), tb.HEIGHT: (tb.LONG, [90_000])},
        {tb.WIDTH: (tb.LONG, [1])},
        {tb.HEIGHT: (tb.LONG, [0])},
        {tb.BITS: (tb.SHORT, [8])},
    ):
        content = tiff([full, Image(PIXELS[::2, ::2], kind=1, tags=tags)])
        for grid in (WHOLE, COARSE):
            outcome(path, content, grid, kind)


@pytest.fixture(scope="module")
def read_giants(tmp_path_factory) -> list[list[str]]:
    """What each reader made of each giant in each grid: reader, file, s, MiB, what came."""
    folder, work = tmp_path_factory.mktemp("giants"), tmp_path_factory.mktemp("work")
    for name, content in giants().items():
        (folder / f"{name}.tif").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder), str(work)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [line.split("|") for line in done.stdout.splitlines()]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@every_reader
def test_small_files_that_claim_a_lot_end_soon_and_in_little_memory(read_giants, kind):
    lines = [line for line in read_giants if line[0] == kind]
    for _, name, seconds, mebibytes, found in lines:
        assert float(seconds) < PATIENCE_S, name
        assert float(mebibytes) < MOST_MIB, name
        assert found in {"corrupt", "pixels"}, name
    assert len(lines) == 3 * len(giants())


def _mebibytes(field: str) -> float:
    """Of this process: `VmRSS` for now, `VmHWM` for the most so far."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def _end_when_large() -> None:
    """End the process before it takes the machine's memory."""
    while _mebibytes("VmRSS") < 3 * MOST_MIB:
        time.sleep(0.005)
    print("it takes too much memory", file=sys.stderr, flush=True)
    os._exit(3)


def _main(folder: Path, work: Path) -> None:
    """Let each reader read each file, in a fork of its own: the memory's peak begins anew in it."""
    warnings.simplefilter("error")
    for kind in KINDS:
        if (child := os.fork()) == 0:
            _read_each(kind, folder, work)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if code := os.waitstatus_to_exitcode(status):
            sys.exit(code)


def _read_each(kind: str, folder: Path, work: Path) -> None:
    """Read each file in turn; print its time, the memory's peak until now, and what came."""
    threading.Thread(target=_end_when_large, daemon=True).start()
    for path in sorted(folder.iterdir()):
        for grid in (WHOLE, COARSE, WARPED):
            began = time.monotonic()
            found = outcome(work / path.name, path.read_bytes(), grid, kind)
            seconds = time.monotonic() - began
            said = "corrupt" if found is None else "pixels"
            told = (kind, path.stem, f"{seconds:.2f}", f"{_mebibytes('VmHWM'):.0f}", said)
            print("|".join(told), flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
