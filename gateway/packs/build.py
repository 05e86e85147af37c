"""The shipped rules and a pack, made into one set of files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import gateway
from gateway.packs.merge import MergeFailed, merge
from gateway.packs.pack import Pack
from gateway.policy.bundle import DATA_FILES, MANIFEST, Bundle, bundle_of, read_bundle
from gateway.policy.yaml_data import YamlProblem

SHIPPED: Final = Path(gateway.__file__).resolve().parent.parent / "policies"
"""Beside the packages, in a wheel as in the sources."""


class BuildFailed(Exception):
    """These rules and this pack don't go together. The message names the file."""


def shipped_rules(folder: Path | None = None) -> Mapping[str, bytes]:
    """The files that packs are put upon: those that came with this program, or those of `folder`. Raises BundleRefused
    when they can't be read, BuildFailed when there are none."""
    folder = SHIPPED if folder is None else folder
    if not (folder / MANIFEST).is_file():
        raise BuildFailed(f"{folder}: there are no rules to begin with; say where the shipped ones are (--from)")
    return read_bundle(folder).files


def build(shipped: Mapping[str, bytes], pack: Pack, options: tuple[str, ...] = ()) -> Bundle:
    """One set of rules. Raises BuildFailed, PackUnknown."""
    files = dict(shipped)
    for layer in pack.layers(options):
        for path, body in layer.items():
            is_merged = path in shipped and path.rpartition("/")[2] in DATA_FILES and path not in pack.whole
            files[path] = _merged(path, files[path], body) if is_merged else body
    if pack.changes or options:
        files[MANIFEST] = _named(files[MANIFEST], pack, options)
    return bundle_of(files)


def _merged(path: str, base: bytes, changes: bytes) -> bytes:
    try:
        return merge(path, base.decode(), changes.decode()).encode()
    except (MergeFailed, YamlProblem) as error:
        raise BuildFailed(str(error)) from error


def _named(manifest: bytes, pack: Pack, options: tuple[str, ...]) -> bytes:
    """The manifest under the pack's name, so that each decision's record tells which it was."""
    told: dict[str, Any] = json.loads(manifest)
    told["revision"] = "-".join([str(told["revision"]), pack.name, *sorted(options)])
    told["metadata"] = {**told.get("metadata", {}), "title": f"Imprimatur's rules, {pack.title.lower()}"}
    return (json.dumps(told, indent=2) + "\n").encode()
