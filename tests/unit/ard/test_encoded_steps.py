"""Arrays that are laid aside step by step, and the file that they are laid aside in."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from zarr.storage import MemoryStore

from estinel_assets.ard.encoded_steps import COMPRESSOR, EncodedSteps
from estinel_assets.ard.scratch import ScratchFile
from estinel_assets.errors import StoreError
from tests.support.examples import examples

PIXELS = st.integers(1, 3).flatmap(
    lambda steps: hnp.arrays(
        np.uint16, (steps, 2, 3, 5), elements=st.integers(0, 65_535), fill=st.just(0)
    )
)


def encoded(pixels: np.ndarray) -> EncodedSteps:
    steps = EncodedSteps(pixels.shape, pixels.dtype, ScratchFile())
    for number, values in enumerate(pixels):
        steps.put(number, values)
    return steps


@examples(20)
@given(PIXELS)
def test_its_chunks_are_those_that_zarr_writes(pixels: np.ndarray):
    steps = encoded(pixels)
    held: dict[str, zarr.core.buffer.Buffer] = {}
    written = zarr.create_array(
        MemoryStore(held),
        shape=pixels.shape,
        chunks=steps.chunk_shape,
        dtype=pixels.dtype,
        compressors=(COMPRESSOR,),
        fill_value=0,
    )
    written[...] = pixels
    assert {key: kept.read() for key, kept in steps.objects().items()} == {
        key: found.to_bytes() for key, found in held.items() if key.startswith("c/")
    }
    np.testing.assert_array_equal(np.asarray(steps), pixels)


def test_it_is_a_value_of_a_dataset_that_nobody_reckons_with():
    pixels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    variable = xr.Variable(("time", "y", "x"), encoded(pixels))
    dataset = xr.Dataset({"a": variable})
    assert dataset["a"].shape == (2, 3, 4)
    assert dataset["a"].dtype == np.uint16
    np.testing.assert_array_equal(dataset["a"].values, pixels)
    for reckon in (lambda: dataset["a"] + 1, lambda: dataset["a"].mean(), lambda: dataset["a"][0]):
        with pytest.raises(TypeError):
            reckon()


def test_a_step_of_another_shape_or_type_is_refused():
    steps = EncodedSteps((2, 3, 4), np.uint16, ScratchFile())
    for values in (np.ones((3, 5), np.uint16), np.ones((3, 4), np.float32)):
        with pytest.raises(ValueError, match=r"a step of uint16 \(3, 4\) cannot be"):
            steps.put(0, values)


def test_many_threads_lay_bytes_aside():
    scratch = ScratchFile()
    bodies = [bytes([number]) * (1000 + number) for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(scratch.keep, bodies))
    assert [one.read() for one in kept] == bodies
    assert [one.size for one in kept] == [len(body) for body in bodies]


def test_the_file_has_no_name_and_ends_with_its_last_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kept = ScratchFile().keep(b"pixels")
    assert list(tmp_path.iterdir()) == []
    handle = kept._file._file
    assert kept.read() == b"pixels"
    del kept
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)


_FULL = """
import resource
from estinel_assets.ard.scratch import ScratchFile
from estinel_assets.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
scratch = ScratchFile()
kept = scratch.keep(b"a" * 800)
try:
    scratch.keep(b"b" * 800)
except StoreError as error:
    print(error)
assert kept.read() == b"a" * 800
"""


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said = subprocess.run(
        [sys.executable, "-c", _FULL],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith(f"{tmp_path} cannot keep what was composed (File too large)")
    assert "TMPDIR" in said.stdout
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(StoreError, match="No such file or directory"):
        ScratchFile()
