"""Small ONNX models, written byte by byte: nothing but onnxruntime is needed to run them.

The format is protocol buffers; field numbers are those of `onnx.proto`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_FLOAT, _INT64 = 1, 7
_OPSET = 13

Size = int | None
"""Of an axis; None leaves it open."""


def mean_model(
    weights: Sequence[float],
    input_px: Size,
    output_px: int,
    *,
    added: NDArray[np.float32] | None = None,
    to_margin: bool = False,
    layout: str = "NTHWC",
    metadata: Mapping[str, str] | None = None,
    input_shape: Sequence[Size] | None = None,
    output_shape: Sequence[Size] | None = None,
) -> bytes:
    """A model that gives the middle of its window: the weighted sum of channels, over quarters.

    Args:
        weights: one a channel.
        input_px: side of its input.
        output_px: side of its output.
        added: (output_px, output_px) that is added to every output.
        to_margin: whether the middle is what is within the margin, instead of `output_px`.
        layout: `NTHWC` or `NTCHW`.
        metadata: of the file.
        input_shape: what it says of its input, instead of the truth.
        output_shape: likewise of its output.
    """
    n = len(weights)
    last = layout == "NTHWC"
    margin = ((input_px or output_px) - output_px) // 2
    rows = [] if last else [_node("Transpose", ["in"], "rows", perm=[0, 1, 3, 4, 2])]
    nodes = [
        *rows,
        _node("Slice", ["in" if last else "rows", "starts", "ends", "axes"], "middle"),
        _node("ReduceMean", ["middle"], "mean", axes=[1], keepdims=0),
        _node("MatMul", ["mean", "weights"], "sum"),
        _node("Add", ["sum", "added"], "out"),
    ]
    shift = np.zeros((output_px, output_px)) if added is None else added
    constants = {
        "starts": np.array([margin, margin], dtype=np.int64),
        "ends": np.array([-margin if to_margin else margin + output_px] * 2, dtype=np.int64),
        "axes": np.array([2, 3], dtype=np.int64),
        "weights": np.array(weights, dtype=np.float32)[:, np.newaxis],
        "added": shift.astype(np.float32)[np.newaxis, :, :, np.newaxis],
    }
    true_shape = [1, 4, input_px, input_px, n] if last else [1, 4, n, input_px, input_px]
    graph = b"".join(
        [
            *(_message(1, node) for node in nodes),
            _text(2, "tree_cover"),
            *(_message(5, _tensor(name, value)) for name, value in constants.items()),
            _message(11, _value("in", input_shape or true_shape)),
            _message(12, _value("out", output_shape or [1, output_px, output_px, 1])),
        ]
    )
    entries = (metadata or {}).items()
    return b"".join(
        [
            _number(1, 8),
            _message(7, graph),
            _message(8, _number(2, _OPSET)),
            *(_message(14, _text(1, key) + _text(2, value)) for key, value in entries),
        ]
    )


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int | list[int]) -> bytes:
    parts = [_text(1, name) for name in inputs]
    parts += [_text(2, output), _text(4, kind)]
    for name, value in attributes.items():
        if isinstance(value, list):
            given = b"".join(_number(8, one) for one in value) + _number(20, 7)
        else:
            given = _number(3, value) + _number(20, 2)
        parts.append(_message(5, _text(1, name) + given))
    return b"".join(parts)


def _tensor(name: str, value: NDArray[np.generic]) -> bytes:
    kind = _INT64 if value.dtype == np.int64 else _FLOAT
    dims = b"".join(_number(1, size) for size in value.shape)
    return dims + _number(2, kind) + _text(8, name) + _message(9, value.tobytes())


def _value(name: str, shape: Sequence[Size]) -> bytes:
    dims = b"".join(
        _message(1, _text(2, f"free{axis}") if size is None else _number(1, size))
        for axis, size in enumerate(shape)
    )
    tensor = _number(1, _FLOAT) + _message(2, dims)
    return _text(1, name) + _message(2, _message(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
