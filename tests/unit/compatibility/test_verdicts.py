"""What errors of libraries say, tried with real errors where one can be had."""

import importlib
import json
from pathlib import Path
from typing import get_args

import httpx
import numpy as np
import obstore.exceptions
import pandas as pd
import pytest
import rio_tiler.errors
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.opening import open_source
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.source import Source
from estinel_assets.compatibility.tiling import try_tiles
from estinel_assets.compatibility.variables import choose_variable, find_variable
from estinel_assets.compatibility.verdicts import (
    MOST_CHARACTERS,
    TRANSFERS,
    TYPES,
    Stage,
    ending_of,
    one_line,
)
from tests.support.granules import file_source, grid, write_netcdf, write_raster, write_zarr
from tests.support.http import Misbehaviour, RangeServer
from tests.support.published_counts import TABLE
from tests.support.real import real_data

STAGES = get_args(Stage)


def _raised(error: BaseException, filename: str = "/site-packages/library/reader.py") -> Exception:
    """The error as if a library had raised it."""
    try:
        exec(compile("raise error", filename, "exec"), {"error": error})  # noqa: S102
    except Exception as raised:  # noqa: BLE001 - whatever was given
        return raised
    pytest.fail("nothing was raised")


def _ending(source: Source) -> CheckEndedError:
    """How a check of a file ends that cannot be tiled."""
    stage: Stage = "open"
    try:
        with open_source(source) as opened:
            stage = "variables"
            variable = find_variable(opened).chosen()
            stage = "tile"
            list(try_tiles(opened, variable, None))
    except Exception as error:  # noqa: BLE001 - as the check itself
        return ending_of(error, stage)
    pytest.fail("there are tiles")


@pytest.mark.parametrize("name", [*TYPES, *TRANSFERS])
def test_each_type_is_there(name: str) -> None:
    module, _, kind = name.rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    assert issubclass(found, BaseException)
    assert f"{found.__module__}.{found.__qualname__}" == name


@pytest.mark.parametrize(
    ("error", "stage", "reason"),
    [
        (np._core._exceptions._ArrayMemoryError((9, 9), np.dtype("f8")), "tile", "out_of_memory"),
        (MemoryError(), "open", "out_of_memory"),
        (obstore.exceptions.PermissionDeniedError("no"), "open", "forbidden"),
        (obstore.exceptions.PermissionDeniedError("no"), "tile", "forbidden"),
        (obstore.exceptions.GenericError("kind: Timeout,"), "tile", "timeout"),
        (obstore.exceptions.GenericError("broken"), "tile", "cant_open_file"),
        (obstore.exceptions.NotSupportedError("ranges"), "open", "cant_open_file"),
        (httpx.ReadTimeout("slow"), "endpoint", "timeout"),
        (httpx.ConnectError("refused"), "endpoint", "cant_open_file"),
        (TimeoutError("slow"), "open", "timeout"),
        (PermissionError("no"), "open", "forbidden"),
        (FileNotFoundError("gone"), "open", "cant_open_file"),
        (rio_tiler.errors.TileOutsideBounds("x"), "tile", "tile_generation_failed"),
        (rio_tiler.errors.MissingCRS("x"), "tile", "tile_generation_failed"),
        (ValueError("can only convert an array of size 1 to a Python scalar"), "open",
         "decode_error"),
        (ValueError("Couldn't find X and Y spatial coordinates in ('a',)"), "tile",
         "no_xy_dimensions"),
        (ValueError("group '/a' is not aligned with its parents:\nGroup"), "variables",
         "group_not_aligned_with_parents"),
        (ValueError("b'CDF' is not the signature of a valid netCDF4 file"), "open",
         "unsupported_format"),
        (OSError("Can't synchronously read data (inflate() failed)"), "tile", "decode_error"),
        (OSError("something else"), "open", "cant_open_file"),
        (KeyError("d_UTCTime_1"), "open", "cant_open_file"),
        (KeyError("d_UTCTime_1"), "tile", "tile_generation_failed"),
        (AttributeError("'NoneType' object has no attribute 'split'"), "open", "cant_open_file"),
    ],
)  # fmt: skip
def test_types_first_then_texts_then_the_stage(error: Exception, stage: Stage, reason: str) -> None:
    ending = ending_of(_raised(error), stage)
    assert ending.reason == reason
    assert type(error).__name__ in str(ending)


def test_our_own_bugs_say_where_they_are() -> None:
    with pytest.raises(TypeError) as caught:
        choose_variable(None)  # type: ignore[arg-type]
    for stage in STAGES:
        ending = ending_of(caught.value, stage)
        assert ending.reason == "internal_error"
        assert "estinel_assets/compatibility/variables.py:" in str(ending)


def test_a_bug_of_ours_hides_behind_no_text() -> None:
    import estinel_assets.compatibility.links as ours

    error = _raised(KeyError("Forbidden, timed out, not aligned with its parents"), ours.__file__)
    assert ending_of(error, "open").reason == "internal_error"


def test_an_ending_stays_as_it_is() -> None:
    ending = CheckEndedError(CompatibilityReason.BLANK_TILE, "blank", "a hint")
    assert ending_of(ending, "tile") is ending


_secrets = st.text("abcdefghij0123456789", min_size=12, max_size=30).map(lambda text: "q" + text)


@given(
    before=st.text(max_size=300),
    secret=_secrets,
    after=st.text(max_size=300),
    kind=st.sampled_from([ValueError, OSError, KeyError, obstore.exceptions.GenericError]),
    stage=st.sampled_from(STAGES),
)
def test_messages_are_short_lines_without_secrets(
    before: str, secret: str, after: str, kind: type[Exception], stage: Stage
) -> None:
    text = f"{before} https://u:{secret}@host.invalid/a.nc?sig={secret} token={secret}\n{after}"
    ending = ending_of(_raised(kind(text)), stage)
    message = str(ending)
    assert secret not in message
    assert len(message) <= MOST_CHARACTERS
    assert len(message.splitlines()) == 1
    assert ending.reason in set(CompatibilityReason)


@given(st.text())
def test_lines_are_lines(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert len(line) <= MOST_CHARACTERS
    assert one_line(line) == line


def test_messages_of_the_published_run_get_its_reasons() -> None:
    table = pd.read_parquet(real_data(TABLE))
    opened = table[table["error_message"].fillna("").str.startswith("Error opening: ")]
    # A server without ranges is no format; bytes that are no ASCII were fetched and opened.
    disputed = opened["error_message"].str.contains(
        "Cannot seek streaming HTTP file|codec can't decode"
    )
    assert disputed.sum() < 100
    seen: dict[str, int] = {}
    for row in opened[~disputed].itertuples():
        said = row.error_message.removeprefix("Error opening: ")
        reason = ending_of(_raised(ValueError(said)), "open").reason
        assert reason == row.incompatible_reason, json.dumps(said)
        seen[reason] = seen.get(reason, 0) + 1
    assert seen["timeout"] == 119
    assert {"forbidden", "decode_error", "unsupported_format", "cant_open_file"} < set(seen)


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        (Misbehaviour(status=401), "forbidden"),
        (Misbehaviour(status=403), "forbidden"),
        (Misbehaviour(status=404), "cant_open_file"),
        (Misbehaviour(status=200), "cant_open_file"),
        (Misbehaviour(status=503), "cant_open_file"),
        (Misbehaviour(reset=True), "cant_open_file"),
        (Misbehaviour(body_stops_after=10), "cant_open_file"),
    ],
)
def test_servers_that_misbehave(tmp_path: Path, spoiled: Misbehaviour, reason: str) -> None:
    write_netcdf(tmp_path / "a.nc", grid())
    with RangeServer(tmp_path) as server:
        server.misbehave("a.nc", spoiled)
        ending = _ending(Source(server.url("a.nc") + "?sig=hush", "nc", "xarray"))
    assert ending.reason == reason
    assert "hush" not in str(ending)


def test_a_server_that_is_away() -> None:
    assert _ending(Source("http://127.0.0.1:1/a.nc", "nc", "xarray")).reason == "cant_open_file"


def test_slow_servers_are_timeouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from estinel_assets.compatibility import remote_file

    monkeypatch.setattr(remote_file, "_TIMEOUT", "100ms")
    write_netcdf(tmp_path / "a.nc", grid())
    with RangeServer(tmp_path) as server:
        server.misbehave("a.nc", Misbehaviour(delay_s=30))
        assert _ending(Source(server.url("a.nc"), "nc", "xarray")).reason == "timeout"


def test_damaged_rasters_are_decode_errors(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(1, 255, (600, 600)).astype("uint8")
    path = write_raster(tmp_path / "a.tif", pixels=noise, shape=(600, 600))
    content = bytearray(path.read_bytes())
    content[100_000:300_000] = b"\x55" * 200_000
    path.write_bytes(content)
    ending = _ending(file_source(path, "rasterio"))
    assert ending.reason == "decode_error"
    assert "TIFFReadEncodedTile" in str(ending)
    path.write_bytes(content[:150_000])
    assert _ending(file_source(path, "rasterio")).reason == "cant_open_file"


def test_damaged_arrays_are_decode_errors(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).random((600, 600))
    made = grid(shape=(600, 600)).assign(sst=(("lat", "lon"), noise))
    made["sst"].encoding["zlib"] = True
    path = write_netcdf(tmp_path / "a.nc", made)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = b"\x55" * 2000
    path.write_bytes(content)
    assert _ending(file_source(path)).reason == "decode_error"
    path.write_bytes(content[:middle])
    assert _ending(file_source(path)).reason == "cant_open_file"


def test_damaged_chunks_of_zarr_are_decode_errors(tmp_path: Path) -> None:
    store = write_zarr(tmp_path / "a.zarr", grid())
    for chunk in (path for path in (store / "sst" / "c").rglob("*") if path.is_file()):
        chunk.write_bytes(b"junk")
    assert _ending(file_source(store)).reason == "decode_error"


def test_a_store_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    assert _ending(file_source(tmp_path / "a.zarr")).reason == "cant_open_file"


@pytest.mark.parametrize(
    ("made", "hint"),
    [
        (xr.Dataset({"sst": (("lat", "lon"), np.ones((9, 9)))}), "coordinates"),
        (grid((900, 900, 3000, 3000)), "units"),
        (grid(shape=(1, 1)), "row"),
    ],
)
def test_grids_that_lie_nowhere_get_a_hint(tmp_path: Path, made: xr.Dataset, hint: str) -> None:
    ending = _ending(file_source(write_netcdf(tmp_path / "a.nc", made)))
    assert ending.reason == "tile_generation_failed"
    assert ending.hint is not None
    assert hint in ending.hint
