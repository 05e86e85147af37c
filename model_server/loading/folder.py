"""What lies in a model's folder, and whether it may be loaded: told from names, settings and headers alone.

A model folder comes from outside. Nothing here runs or unpickles any of it, and nothing else may read it before
`inspect` has said yes: the listed files and no others, no code, no pickles, every component a class of diffusers or
transformers themselves, whole safetensors files (their headers are JSON; the format has no room for code).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from model_server.errors import ModelRefused
from model_server.manifest import check_manifest, digest_of_files, loadable_files

INDEX = "model_index.json"

_LIBRARIES = frozenset({"diffusers", "transformers"})
_CODE = frozenset({".py", ".pyc", ".pyd", ".so", ".dll", ".dylib"})
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".h5", ".msgpack"})
"""Formats of weights that are, or whose readers were, able to run code. Beside safetensors they are of no use."""
_LONGEST_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library itself."""
_LONGEST_SETTINGS_BYTES = 64 << 20
_VARIANT = re.compile(r"\.([A-Za-z0-9_]+)(?:-\d{5}-of-\d{5})?\.safetensors$")
"""Diffusers' own way to name files of one model in another number type: `model.fp16.safetensors`."""
_WORD_LISTS = frozenset({"tokenizer.json", "vocab.json"})
"""Read by tokenizers' own parser as data; they are long, and their strings are anyone's words."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of one component: how many numbers, their size in the files, and which variant of the files."""

    parameters: int
    size_bytes: int
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that may be loaded. `components` has each component's class, None for one that is left out."""

    path: Path
    digest: str
    files: int
    pipeline_class: str
    components: Mapping[str, str | None]
    weights: Mapping[str, Weights]
    variant: str | None
    """Of the files' names, such as fp16, where some part comes in no other."""
    settings: Mapping[str, Mapping[str, Any]]
    """Each component's own config.json; of the pipeline itself under its class."""

    @property
    def parameters(self) -> int:
        return sum(part.parameters for part in self.weights.values())

    def setting(self, component: str, name: str, default: Any = None) -> Any:
        """One value of a component's config.json."""
        value = self.settings.get(component, {}).get(name)
        return default if value is None else value


def inspect(path: Path, expected_digest: str = "", *, root: Path | None = None) -> ModelFolder:
    """What is in the folder. Raises ModelRefused, naming the file and what is wrong with it.

    `root`: a folder whose files are named by the digests of nobody's list, the hub's cache. Links may lead to
    anywhere in it, and the pinned digest, which must be given, stands for the list.
    """
    if not path.is_dir():
        raise ModelRefused("the model's folder is not there")
    _check_names(path, (root or path).resolve())
    if root is None:
        digest = check_manifest(path, expected_digest)
    else:
        digest = digest_of_files(path)
        if not expected_digest:
            raise ModelRefused(
                f"a model of the hub has no list of digests: when you trust it, pin it by `digest: {digest}`"
            )
        if digest != expected_digest:
            raise ModelRefused(f"the model is not the pinned one: expected {expected_digest}, got {digest}")
    index = _index(path)
    settings = {name: _json(path / name / "config.json", path) for name in _component_folders(path)}
    for file in _settings_files(path):
        if _has_key(_json(file, path), "auto_map"):
            raise ModelRefused(f"{file.relative_to(path).as_posix()} asks for code of its own (auto_map)")
    weights = {name: part for name in _component_folders(path) if (part := _weights(path / name, path)) is not None}
    if not weights:
        raise ModelRefused("there is no .safetensors file: weights in other formats are never read")
    variants = {part.variant for part in weights.values()} - {None}
    if len(variants) > 1:
        raise ModelRefused(
            f"the parts come in variants that can't go together: {', '.join(sorted(map(str, variants)))}"
        )
    components = {name: value[1] for name, value in index.items() if isinstance(value, list)}
    pipeline_class = str(index["_class_name"])
    settings[pipeline_class] = {name: value for name, value in index.items() if not isinstance(value, list)}
    files, variant = len(loadable_files(path)), next(iter(variants), None)
    return ModelFolder(path, digest, files, pipeline_class, components, weights, variant, settings)


def _check_names(path: Path, root: Path) -> None:
    """Refuse links, strange files, code and pickles, by name and kind alone."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            entry = Path(folder, name)
            shown = entry.relative_to(path).as_posix()
            mode = entry.lstat().st_mode
            if stat.S_ISLNK(mode):
                # A linked folder's files are in no list; a link that leads out reads what nobody meant to serve.
                if entry.is_dir() or not entry.exists() or not entry.resolve().is_relative_to(root):
                    raise ModelRefused(f"{shown} is a link that leads out of the folder, or to another folder")
            elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise ModelRefused(f"{shown} is neither file nor folder")
            if entry.suffix.lower() in _CODE:
                raise ModelRefused(f"the folder holds code ({shown}); a model is weights and settings only")
            if entry.suffix.lower() in _PICKLES:
                raise ModelRefused(f"{shown} may be a pickle, which runs code as it is read: keep only .safetensors")


def _index(path: Path) -> Mapping[str, Any]:
    """The pipeline's model_index.json, every component of it from a library that we trust."""
    if not (path / INDEX).is_file():
        raise ModelRefused(f"the folder has no {INDEX}: it is not a diffusers pipeline")
    index = _json(path / INDEX, path)
    if not isinstance(index.get("_class_name"), str):
        raise ModelRefused(f"{INDEX} names a pipeline class of its own: code from a model folder is never run")
    for key, value in index.items():
        if key.startswith("_") or not isinstance(value, list):
            continue
        if len(value) != 2 or not all(part is None or isinstance(part, str) for part in value):
            raise ModelRefused(f"{INDEX}: component {key} is not a library and a class")
        library = value[0]
        if library is not None and library not in _LIBRARIES and library not in _pipeline_packages():
            raise ModelRefused(f"{INDEX}: component {key} is of library {library!r}, which is not trusted")
    return index


@cache
def _pipeline_packages() -> frozenset[str]:
    """The packages of `diffusers.pipelines`, which an index may name as a library too. Imports nothing."""
    spec = importlib.util.find_spec("diffusers")
    if spec is None or spec.origin is None:  # it is a dependency of this package
        return frozenset()
    folders = Path(spec.origin).parent / "pipelines"
    return frozenset(entry.name for entry in folders.iterdir() if (entry / "__init__.py").is_file())


def _component_folders(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir())


def _files(path: Path) -> Iterator[Path]:
    return (entry for entry in sorted(path.rglob("*")) if entry.is_file())


def _settings_files(path: Path) -> list[Path]:
    return [file for file in _files(path) if file.suffix == ".json" and file.name not in _WORD_LISTS]


def _json(file: Path, path: Path) -> Mapping[str, Any]:
    """The object in a file of settings; empty when there is no such file or it holds something else."""
    if not file.is_file():
        return {}
    shown = file.relative_to(path).as_posix()
    if file.stat().st_size > _LONGEST_SETTINGS_BYTES:
        raise ModelRefused(f"{shown} is longer than {_LONGEST_SETTINGS_BYTES} bytes")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{shown} is not valid JSON") from error
    return content if isinstance(content, dict) else {}


def _has_key(value: Any, name: str) -> bool:
    if isinstance(value, Mapping):
        return name in value or any(_has_key(inner, name) for inner in value.values())
    return isinstance(value, list) and any(_has_key(inner, name) for inner in value)


def _weights(folder: Path, path: Path) -> Weights | None:
    """The weights of a component, from the headers of its files; None when it has none."""
    variants: dict[str | None, list[Weights]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        match = _VARIANT.search(file.name)
        found = _header(file, file.relative_to(path).as_posix())  # of all: a broken one may be what a loader takes
        variants.setdefault(match[1] if match else None, []).append(found)
    if not variants:
        return None
    if None not in variants and len(variants) > 1:
        names = ", ".join(sorted(map(str, variants)))
        raise ModelRefused(f"{folder.name} comes in several variants ({names}): keep one of them")
    variant = None if None in variants else next(iter(variants))
    files = variants[variant]
    return Weights(sum(one.parameters for one in files), sum(one.size_bytes for one in files), variant)


def _header(file: Path, shown: str) -> Weights:
    """What a safetensors file says it holds, when it is long enough to."""
    length = file.stat().st_size
    with file.open("rb") as stream:
        header_bytes = int.from_bytes(stream.read(8), "little")
        if length < 8 or header_bytes > min(_LONGEST_HEADER_BYTES, length - 8):
            raise ModelRefused(f"{shown} is not a whole safetensors file")
        try:
            header = json.loads(stream.read(header_bytes))
            tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
            end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
            parameters = sum(_product(tensor["shape"]) for tensor in tensors)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise ModelRefused(f"{shown} has a damaged header") from error
    if end != length - 8 - header_bytes:
        raise ModelRefused(f"{shown} is cut: its header promises {end} bytes, {length - 8 - header_bytes} are there")
    return Weights(parameters, end)


def _product(shape: list[int]) -> int:
    product = 1
    for side in shape:
        product *= int(side)
    return product
