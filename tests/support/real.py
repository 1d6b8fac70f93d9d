"""Where the real inputs of the tests are."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def real_data_root() -> Path:
    """The folder of real inputs: `ESTINEL_REAL_DATA`, else `../shared/data`."""
    return Path(os.environ.get("ESTINEL_REAL_DATA") or ROOT.parent / "shared" / "data")


def real_data(relative: str) -> Path:
    """A real input, or a skipped test where the folder is absent."""
    path = real_data_root() / relative
    if not path.exists():
        pytest.skip(f"real input {relative} is absent: set ESTINEL_REAL_DATA to its folder")
    return path
