"""A model of tree cover: any ONNX file with one input of quarters and one output of cover.

The shapes decide. The input is `(batch, quarter, height, width, channel)` or
`(batch, quarter, channel, height, width)`, float32; the output `(batch, height, width)`, with one
more axis of length 1 last or second, if it must be. A window of the output is the middle of the
input's. Where the file leaves a size open, `DEFAULT_INPUT_PX` and `DEFAULT_OUTPUT_PX` hold; the
batch is open or 1, the quarters are open or 4.

What shapes cannot say, the file's metadata may:

| key | value | without it |
|---|---|---|
| `estinel:channels` | names in order, as `B02,B03,slope,VV` | `model_stack.DEFAULT_CHANNELS` |
| `estinel:layout` | `NTHWC` or `NTCHW` | where the number of channels stands |
| `estinel:output_max` | the output that is 100 % cover, as `1` or `100` | 1 |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estinel_assets.ard.model_stack import DEFAULT_CHANNELS, QUARTERS, groups_for
from estinel_assets.errors import (
    BadInputError,
    MissingDependencyError,
    NotFoundError,
    public_url,
)
from estinel_assets.storage.opening import open_store
from estinel_assets.storage.paths import LocalRoot, parse_root
from estinel_assets.storage.port import ObjectStore

DEFAULT_INPUT_PX: Final = 172
DEFAULT_OUTPUT_PX: Final = 158

_LAYOUTS: Final[Mapping[str, tuple[int, int, int]]] = {"NTHWC": (4, 2, 3), "NTCHW": (2, 3, 4)}
"""For each layout the axes of channel, height and width."""
_AXES: Final = 5
_FLOAT: Final = "tensor(float)"
_ONNX_ERRORS: Final = (
    "EPFail",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NoModel",
    "NotImplemented",
    "RuntimeException",
)

Shape = Sequence[int | str | None]
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What goes into a model, and what comes out."""

    channels: tuple[str, ...]
    """In order; see `model_stack`."""
    layout: str
    """`NTHWC` or `NTCHW`."""
    input_px: int
    """Side of an input window."""
    output_px: int
    """Side of an output window, the middle of the input's."""
    output_max: float
    """The output that is 100 % cover."""

    @property
    def margin_px(self) -> int:
        """Around the output, of what the model sees and tells nothing of."""
        return (self.input_px - self.output_px) // 2


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is ready to run. It is not for other processes: load it there."""

    uri: str
    """Without what a URL may hide."""
    name: str
    """The file's, without its suffix."""
    sha256: str
    """Of the file, hexadecimal."""
    spec: ModelSpec
    run: Callable[[Values], Values]
    """From (quarter, channel, input_px, input_px) to (output_px, output_px)."""


def load_model(
    uri: str, open_at: Callable[[str], ObjectStore] = open_store, *, threads: int = 1
) -> Model:
    """Fetch a model and look at what it wants.

    Args:
        uri: `s3://bucket/folder/model.onnx`, `file:///folder/model.onnx` or a plain path.
        open_at: opens the store of a folder's URL, with the settings for S3 that it needs.
        threads: for a window; tiles are better worked on side by side.

    Raises:
        BadInputError: there is no such model, it is no ONNX file, or none of this form.
        MissingDependencyError: onnxruntime is not installed.
        StoreError: the store refuses.
    """
    runtime, errors = _runtime()
    store, path = _located(uri, open_at)
    shown = public_url(uri)
    try:
        body = store.get(path).data
    except NotFoundError:
        raise BadInputError(f"there is no model at {shown}: set the URI of one") from None
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
    except errors as error:
        raise BadInputError(f"{shown} cannot be used as an ONNX model: {_first(error)}") from error
    spec = _spec(session, shown)
    entry, out = session.get_inputs()[0].name, session.get_outputs()[0].name
    to_layout = (0, 2, 3, 1) if spec.layout == "NTHWC" else (0, 1, 2, 3)

    def run(window: Values) -> Values:
        given = np.ascontiguousarray(window.transpose(to_layout)[np.newaxis])
        try:
            (made,) = session.run([out], {entry: given})
        except errors as error:
            raise BadInputError(f"{shown} failed on a window: {_first(error)}") from error
        if made.size != spec.output_px**2:
            raise BadInputError(
                f"{shown} made an output of shape {made.shape} of a window of "
                f"{spec.input_px} pixels, not one of {spec.output_px} x {spec.output_px}"
            )
        cover: Values = made.reshape(spec.output_px, spec.output_px)
        return cover

    name = path.rpartition("/")[2].removesuffix(".onnx")
    return Model(shown, name, sha256(body).hexdigest(), spec, run)


def _runtime() -> tuple[Any, tuple[type[Exception], ...]]:
    """The library, and the errors that it raises."""
    try:
        runtime = import_module("onnxruntime")
        raised = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "a model needs the package onnxruntime, which is not installed: install the extra "
            "`inference`, as in `pip install 'estinel-assets[inference]'`"
        ) from error
    return runtime, tuple(getattr(raised, name) for name in _ONNX_ERRORS)


def _located(uri: str, open_at: Callable[[str], ObjectStore]) -> tuple[ObjectStore, str]:
    """The store of a file's folder, and the file's name in it."""
    if "://" not in uri or uri.startswith("file://"):
        root = parse_root(uri)
        if not isinstance(root, LocalRoot) or not root.folder.is_file():
            raise BadInputError(f"there is no model at {public_url(uri)}: set the URI of one")
        return open_at(LocalRoot(root.folder.parent).url), root.folder.name
    folder, _, name = uri.rpartition("/")
    if not name or folder.endswith((":/", "://")):
        raise BadInputError(
            f"{public_url(uri)} names no model: write s3://bucket/folder/model.onnx"
        )
    return open_at(folder), name


def _spec(session: Any, shown: str) -> ModelSpec:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != _FLOAT or outputs[0].type != _FLOAT:
        given = ", ".join(f"{one.name}: {one.type}" for one in [*inputs, *outputs])
        raise BadInputError(
            f"{shown} has {given}: give a model with one input and a first output of float32"
        )
    said = session.get_modelmeta().custom_metadata_map
    channels = _channels(said)
    groups_for(channels)
    shape, result = inputs[0].shape, outputs[0].shape
    layout = _layout(said, shape, len(channels), shown)
    input_px = _side(shape, _LAYOUTS[layout][1:], DEFAULT_INPUT_PX, shown)
    default_px = DEFAULT_OUTPUT_PX - DEFAULT_INPUT_PX + input_px
    output_px = _side(result, _output_axes(result, shown), default_px, shown)
    if not 0 < output_px <= input_px or (input_px - output_px) % 2:
        raise BadInputError(
            f"{shown} makes {output_px} pixels of {input_px}: the output must be the middle of "
            "the input"
        )
    return ModelSpec(channels, layout, input_px, output_px, _output_max(said, shown))


def _channels(said: Mapping[str, str]) -> tuple[str, ...]:
    names = said.get("estinel:channels")
    return tuple(name.strip() for name in names.split(",")) if names else DEFAULT_CHANNELS


def _layout(said: Mapping[str, str], shape: Shape, n_channels: int, shown: str) -> str:
    asked = said.get("estinel:layout")
    for layout, (channel, _, _) in _LAYOUTS.items():
        fits = (
            len(shape) == _AXES
            and _may_be(shape[0], 1)
            and _may_be(shape[1], QUARTERS)
            and _may_be(shape[channel], n_channels)
        )
        if fits and asked in (None, layout):
            return layout
    raise BadInputError(
        f"{shown} takes an input of shape {list(shape)}: give one of [1, {QUARTERS}, height, "
        f"width, {n_channels}] or [1, {QUARTERS}, {n_channels}, height, width], or name the "
        "channels and the layout in its metadata (estinel:channels, estinel:layout)"
    )


def _output_axes(shape: Shape, shown: str) -> tuple[int, int]:
    """The axes of height and width."""
    if len(shape) == 3:
        return 1, 2
    if len(shape) == 4 and shape[3] == 1:
        return 1, 2
    if len(shape) == 4 and shape[1] == 1:
        return 2, 3
    raise BadInputError(
        f"{shown} makes an output of shape {list(shape)}: give [1, height, width], with an axis "
        "of 1 last or second"
    )


def _side(shape: Shape, axes: tuple[int, ...], default: int, shown: str) -> int:
    """The side of a square window."""
    sides = {side for axis in axes if isinstance(side := shape[axis], int)}
    if len(sides) > 1:
        raise BadInputError(f"{shown} has windows of shape {list(shape)}, which are not square")
    return sides.pop() if sides else default


def _may_be(size: int | str | None, wanted: int) -> bool:
    return size == wanted or not isinstance(size, int)


def _output_max(said: Mapping[str, str], shown: str) -> float:
    text = said.get("estinel:output_max", "1")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise BadInputError(f"{shown} says estinel:output_max is {text[:40]!r}: write 1 or 100")
    return value


def _first(error: Exception) -> str:
    """The first line of what the library says."""
    return (str(error).splitlines() or [""])[0][:300]
