"""A part of an ONNX file as a file of its own, so that what does not depend on an input is computed once for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

#: Numbers of fields in onnx.proto3: ModelProto, GraphProto, NodeProto, and names of TensorProto and ValueInfoProto.
_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_TENSOR_NAME, _VALUE_NAME = 8, 1

#: ``TypeProto`` of a float32 tensor of any shape.
_FLOAT = b"\x0a\x02\x08\x01"

#: Bytes of the kinds of fields that have one length.
_FIXED = {1: 8, 5: 4}


def part(model: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """What makes ``outputs`` of ``inputs``, all of them float32; both may lie anywhere in the network.

    Nothing is computed or written anew: nodes and weights are the file's own bytes.

    Args:
        model: Content of an ONNX file without subgraphs, such as loops have.
        inputs: Names of values.
        outputs: Names of values.

    Raises:
        ValueError: If the outputs need an input of the network that is not among ``inputs``.

    Source: onnx.proto3 of ONNX 1.19 and the wire format of Protocol Buffers; does what ``onnx.utils.extract_model``
    does, which would need a package as large as the rest.
    """
    (graph,) = (payload for number, _, payload in _fields(model) if number == _GRAPH)
    fields = list(_fields(graph))
    weights = {_texts(payload, _TENSOR_NAME)[0]: raw for number, raw, payload in fields if number == _INITIALIZER}
    wanted, made, kept = set(outputs), set(inputs), []
    for number, raw, payload in reversed(fields):  # Nodes are in the order in which they can be computed.
        if number == _NODE and wanted.intersection(makes := _texts(payload, _NODE_OUTPUT)).difference(inputs):
            kept.append(raw)
            made.update(makes)
            wanted.update(_texts(payload, _NODE_INPUT))
    if absent := wanted.difference(made, weights, {""}):
        raise ValueError(f"the part also needs {sorted(absent)}")
    kept.reverse()
    kept += [raw for name, raw in weights.items() if name in wanted]
    kept += [_field(_INPUT, _field(_VALUE_NAME, name.encode()) + _field(2, _FLOAT)) for name in inputs]
    kept += [_field(_OUTPUT, _field(_VALUE_NAME, name.encode()) + _field(2, _FLOAT)) for name in outputs]
    rest = [raw for number, raw, _ in _fields(model) if number != _GRAPH]
    return b"".join(rest) + _field(_GRAPH, _field(2, b"part") + b"".join(kept))


def _texts(message: bytes, number: int) -> list[str]:
    return [payload.decode() for at, _, payload in _fields(message) if at == number]


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, all bytes and content of each field of a message; the content of numbers is left empty."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        size = _FIXED.get(key & 7, 0)
        if key & 7 == 0:
            _, at = _varint(message, at)
        elif key & 7 == 2:
            size, at = _varint(message, at)
        yield key >> 3, message[start : at + size], message[at : at + size] if key & 7 == 2 else b""
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _field(number: int, payload: bytes) -> bytes:
    size, length = len(payload), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload
