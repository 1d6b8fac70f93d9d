"""An array that is compressed and laid aside step by step, so that a year of it takes no memory.

It is a value of an `xarray.Dataset`, which knows its shape and type and can have it read, but not
reckoned with. `ard_zarr.write_group` puts its steps into the store as they are.
"""

from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import BloscCodec
from zarr.core.array import Array
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
        objects: dict[str, Any] = {}
        self._on(objects)[step] = values
        self._kept |= {
            key: self._scratch.keep(found.to_bytes())
            for key, found in objects.items()
            if key.startswith("c/")
        }

    def objects(self) -> dict[str, Kept]:
        """The chunks as Zarr stores them, by key below the array, such as `c/0/0/0/0`."""
        return dict(self._kept)

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 - so has numpy it; it is a copy always
    ) -> NDArray[Any]:
        """All steps, decoded."""
        buffer = zarr.core.buffer.default_buffer_prototype().buffer
        objects = {key: buffer.from_bytes(kept.read()) for key, kept in self._kept.items()}
        return np.asarray(self._on(objects)[...], dtype=dtype)

    def __array_function__(self, *_: object) -> Any:
        """Refuse to be reckoned with."""
        return NotImplemented

    def _on(self, objects: dict[str, Any]) -> Array[Any]:
        """As an array of Zarr's on some objects."""
        return zarr.create_array(
            MemoryStore(objects),
            shape=self.shape,
            chunks=self.chunk_shape,
            dtype=self.dtype,
            compressors=(COMPRESSOR,),
            fill_value=0,
            config={"write_empty_chunks": True},
        )
