"""Reads the weights of an ONNX file without the `onnx` package, which a fine-tuning should not need.

An ONNX file is a protocol buffer (onnx/onnx.proto): ModelProto.graph = 7; GraphProto.node = 1, initializer = 5;
NodeProto.input = 1, output = 2, op_type = 4; TensorProto.dims = 1, data_type = 2, name = 8, raw_data = 9.
Weights in 8 bits (int8.py) are given as the numbers that they stand for.
"""

from __future__ import annotations

from typing import Iterator

import numpy as np
import torch

FLOAT, INT8 = 1, 3


def convolutions(data: bytes, source: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and bias of every convolution, in the order in which the file computes them."""
    try:
        graph = next(value for number, value in _fields(data) if number == 7)
        tensors = dict(_tensor(value) for number, value in _fields(graph) if number == 5)
        nodes = [_node(value) for number, value in _fields(graph) if number == 1]
        # PyTorch writes equal tensors once; an Identity node gives the others their names.
        for kind, inputs, outputs in nodes:
            if kind == "Identity" and inputs[0] in tensors:
                tensors[outputs[0]] = tensors[inputs[0]]
            # Of a weight, with a scale for each output channel; around maps it has other inputs.
            elif kind == "DequantizeLinear" and inputs[0] in tensors:
                tensors[outputs[0]] = tensors[inputs[0]] * tensors[inputs[1]].view(-1, 1, 1, 1)
        return [(tensors[inputs[1]], tensors[inputs[2]]) for kind, inputs, _ in nodes if kind == "Conv"]
    except (StopIteration, KeyError, IndexError, ValueError) as fault:
        raise SystemExit(f"{source}: its weights cannot be read ({fault}); start from the run's checkpoint") from fault


def _node(data: bytes) -> tuple[str, list[str], list[str]]:
    """Kind, inputs and outputs."""
    fields = list(_fields(data))
    words = lambda wanted: [bytes(value).decode() for number, value in fields if number == wanted]
    return "".join(words(4)), words(1), words(2)


def _tensor(data: bytes) -> tuple[str, torch.Tensor | None]:
    """Name and values; None when it is not of float32 or int8 (a shape, an axis)."""
    dims, kind, name, raw = [], 0, "", b""
    for number, value in _fields(data):
        if number == 1:
            # Numbers stand one by one or packed into one field.
            dims += [value] if isinstance(value, int) else list(_packed(value))
        elif number == 2:
            kind = value
        elif number == 8:
            name = bytes(value).decode()
        elif number == 9:
            raw = value
    if kind not in (FLOAT, INT8) or not raw:
        return name, None
    values = np.frombuffer(raw, "<f4" if kind == FLOAT else "i1")
    return name, torch.from_numpy(values.reshape(dims).copy())


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field number and value: a number, or the bytes of a string, a message or a packed list."""
    data, at = memoryview(data), 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        else:
            if kind == 2:
                length, at = _varint(data, at)
            elif kind in (1, 5):
                length = 8 if kind == 1 else 4
            else:
                raise ValueError(f"wire type {kind}")
            value, at = data[at:at + length], at + length
        yield key >> 3, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
