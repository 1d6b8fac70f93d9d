"""An array that is compressed and laid aside step by step, so that a year of it takes no memory.

It is a value of an `xarray.Dataset`, which knows its shape and type and can have it read, but not
reckoned with. `ard_zarr.write_group` puts its steps into the store as they are.
"""

from typing import Any, Final

import numpy as np
import zarr
from numcodecs import Blosc
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import BloscCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from estinel_assets.ard.scratch import Kept, ScratchFile

COMPRESSOR: Final = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")
"""Of every array. For real scenes nearly as small as zstd, and many times as fast."""


class EncodedSteps:
    """An array (step, …) of which each step is one chunk of Zarr v3."""

    # Else numpy and xarray would take the array apart to reckon with it.
    __array_ufunc__ = None

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, scratch: ScratchFile) -> None:
        """Make an array full of 0, which stands for nodata.

        Args:
            shape: the length along each dimension, steps first.
            dtype: the numbers' type.
            scratch: keeps the steps.
        """
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._scratch = scratch
        self._packing = Blosc(
            COMPRESSOR.cname.value,
            COMPRESSOR.clevel,
            Blosc.BITSHUFFLE,
            COMPRESSOR.blocksize,
            self.dtype.itemsize,
        )
        self._kept: dict[str, Kept] = {}

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """The length of a chunk along each dimension."""
        return (1, *self.shape[1:])

    def put(self, step: int, values: NDArray[Any]) -> None:
        """Set a step, once.

        Args:
            step: its number.
            values: of the shape and type of a step.

        Raises:
            ValueError: they are not.
            StoreError: there is no room.
        """
        if values.shape != self.shape[1:] or values.dtype != self.dtype:
            raise ValueError(
                f"a step of {self.dtype} {self.shape[1:]} cannot be {values.dtype} {values.shape}"
            )
        if values.max() == 0:  # as Zarr has it, nodata needs no chunk
            return
        # As Zarr does it for each chunk, which for a single one takes as long again.
        little = np.ascontiguousarray(values, self.dtype.newbyteorder("<"))
        chunk = f"c/{step}" + "/0" * (self.ndim - 1)
        self._kept[chunk] = self._scratch.keep(self._packing.encode(little))

    def objects(self) -> dict[str, Kept]:
        """The chunks as Zarr stores them, by key below the array, such as `c/0/0/0/0`."""
        return dict(self._kept)

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 - so has numpy it; it is a copy always
    ) -> NDArray[Any]:
        """All steps, decoded."""
        buffer = default_buffer_prototype().buffer
        objects = {key: buffer.from_bytes(kept.read()) for key, kept in self._kept.items()}
        array = zarr.create_array(
            MemoryStore(objects),
            shape=self.shape,
            chunks=self.chunk_shape,
            dtype=self.dtype,
            compressors=(COMPRESSOR,),
            fill_value=0,
        )
        return np.asarray(array[...], dtype=dtype)

    def __array_function__(self, *_: object) -> Any:
        """Refuse to be reckoned with."""
        return NotImplemented
