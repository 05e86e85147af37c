"""The pinned network, changed so that its int8 weights are multiplied as integers.

As it ships, each weight is stored as int8 and turned back into floats before a `MatMul`: small on disk, slow to run.
Here each such `MatMul` becomes `DynamicQuantizeLinear` and `MatMulInteger` (ONNX operators, opset 11 and 10), with the
scale of each column applied after: the same weights, inputs rounded to 8 bits. One window takes a third of the time.
The heads are trained on what this network says, so the change is part of what was measured. It also gives out what it
holds between its layers: the last is trained to tell what a sentence is about, the ones before know its words.

An ONNX file is a protobuf message (`onnx.proto3`); the little that has to be read and written of it stands here, so
that no package of its own is needed for it. Everything that isn't changed is copied byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

_GRAPH: Final = 7
"""ModelProto.graph"""
_NODE: Final = 1
_RESULT: Final = 12
"""GraphProto.node, GraphProto.output"""
_NAME: Final = 1
"""ValueInfoProto.name"""
_INPUT, _OUTPUT, _KIND, _ATTRIBUTE = 1, 2, 4, 5
"""NodeProto"""
_FLOAT: Final = 1
"""TensorProto.FLOAT"""
_BYTES: Final = 2
"""The wire type of strings and messages."""


def with_integers(model: bytes, also: Sequence[str] = ()) -> bytes:
    """The same network with `MatMulInteger` wherever a weight called `X_q` is multiplied, and the values of these names
    given out, too. Raises `ValueError` when there is no such weight or value, or the file isn't a protobuf message."""
    return b"".join(
        _field(_GRAPH, _changed(value, also)) if number == _GRAPH else whole for number, value, whole in _fields(model)
    )


def _changed(graph: bytes, also: Sequence[str]) -> bytes:
    fields = list(_fields(graph))
    nodes = {i: _Node(value) for i, (number, value, _) in enumerate(fields) if number == _NODE}
    read_by: dict[str, list[_Node]] = {}
    for node in nodes.values():
        for name in node.inputs:
            read_by.setdefault(name, []).append(node)
    weights = {
        node.inputs[1]
        for node in nodes.values()
        if node.kind == "MatMul"
        and all(other.kind == "MatMul" for other in read_by[node.inputs[1]])
        and f"{node.inputs[1]}_q" in read_by
    }
    if not weights:
        raise ValueError("no weight that is stored as int8 is multiplied")
    missing = set(also) - {name for node in nodes.values() for name in node.outputs}
    if missing:
        raise ValueError(f"no value is called {', '.join(sorted(missing))}")
    unpacked = {name for weight in weights for name in (weight, f"{weight}_f")}
    rounded: set[str] = set()
    out = []
    for i, (_, _, whole) in enumerate(fields):
        own = nodes.get(i)
        if own is None or not unpacked & {*own.inputs[1:2], *own.outputs}:
            out.append(whole)
        elif own.kind == "MatMul":
            given, weight = own.inputs
            out += [_field(_NODE, made) for made in _multiply(given, weight, own.outputs[0], rounded)]
    return b"".join([*out, *(_field(_RESULT, _field(_NAME, name.encode())) for name in also)])


def _multiply(given: str, weight: str, result: str, rounded: set[str]) -> Iterator[bytes]:
    """Nodes for `given @ weight`; what several weights are multiplied with is rounded once."""
    if given not in rounded:
        rounded.add(given)
        yield _node("DynamicQuantizeLinear", [given], [f"{given}.int8", f"{given}.scale", f"{given}.zero"])
    yield _node("MatMulInteger", [f"{given}.int8", f"{weight}_q", f"{given}.zero"], [f"{result}.int32"])
    yield _node("Cast", [f"{result}.int32"], [f"{result}.sum"], _attribute("to", _FLOAT))
    yield _node("Mul", [f"{given}.scale", f"{weight}_scale"], [f"{result}.scale_of_sum"])
    yield _node("Mul", [f"{result}.sum", f"{result}.scale_of_sum"], [result])


class _Node:
    """What is looked at of a NodeProto."""

    def __init__(self, raw: bytes) -> None:
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.kind = ""
        for number, value, _ in _fields(raw):
            if number == _INPUT:
                self.inputs.append(value.decode())
            elif number == _OUTPUT:
                self.outputs.append(value.decode())
            elif number == _KIND:
                self.kind = value.decode()


def _node(kind: str, inputs: list[str], outputs: list[str], attribute: bytes = b"") -> bytes:
    parts = [_field(_INPUT, name.encode()) for name in inputs] + [_field(_OUTPUT, name.encode()) for name in outputs]
    return b"".join(parts) + _field(_KIND, kind.encode()) + attribute


def _attribute(name: str, value: int) -> bytes:
    """AttributeProto: name (1), i (3), type INT (20 = 2)."""
    return _field(_ATTRIBUTE, _field(1, name.encode()) + _varint(3 << 3) + _varint(value) + _varint(20 << 3) + b"\x02")


def _fields(raw: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, value, the whole field) of each field of a message; the value of a number is empty."""
    at = 0
    while at < len(raw):
        begin = at
        key, at = _read_varint(raw, at)
        value = b""
        match key & 7:
            case 0:
                _, at = _read_varint(raw, at)
            case 1:
                at += 8
            case 2:
                size, at = _read_varint(raw, at)
                value, at = raw[at : at + size], at + size
            case 5:
                at += 4
            case other:
                raise ValueError(f"not a protobuf message: wire type {other}")
        if at > len(raw):
            raise ValueError("not a protobuf message: it ends early")
        yield key >> 3, value, raw[begin:at]


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(raw):
            break
        value |= (raw[at] & 0x7F) << shift
        at += 1
        if raw[at - 1] < 0x80:
            return value, at
    raise ValueError("not a protobuf message: a number without an end")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value
