"""What would load, by which path and with how much memory, and why not: asked before a server is started.

Reads and hashes the files of every model, and loads none of those that diffusers runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from model_server.embedded.package import WEIGHTS_FOLDER, load_model
from model_server.errors import ModelRefused
from model_server.loading.catalogue import ModelEntry, ModelSettings, entries_of
from model_server.manifest import loadable_files
from model_server.pipelines.embedded import EmbeddedStepModel
from model_server.settings import SettingsError

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Of one model. `refusal` is what loading would say, empty when it would load. Sizes of memory in bytes."""

    id: str
    refusal: str = ""
    pipeline: str = ""
    path: str = ""
    why: str = ""
    digest: str = ""
    files: int = 0
    parameters: int = 0
    dtype: str = ""
    device: str = ""
    device_name: str = ""
    offload: str = ""
    weights_bytes: int = 0
    peak_bytes: int = 0
    """Estimated: decoding one picture of the largest size, untiled."""
    free_bytes: int = 0
    """Of the device's memory, now."""
    sizes: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    licence: str = ""

    @property
    def fits(self) -> bool:
        """Whether weights and work would fit into what is free now; parts that wait elsewhere are not counted."""
        return self.offload != "none" or self.weights_bytes + self.peak_bytes <= self.free_bytes


def run(settings: ModelSettings, *, as_json: bool = False) -> int:
    """Print what is to be said of every model. Returns 0 when all would load, else 1."""
    try:
        found = [diagnose(entry) for entry in entries_of(settings)]
    except SettingsError as error:
        print(json.dumps({"error": str(error)}) if as_json else error)
        return 1
    if as_json:
        print(json.dumps({"models": [{**asdict(one), "fits": one.fits} for one in found]}, indent=1))
    else:
        print(as_text(found))
    return int(any(one.refusal for one in found))


def diagnose(entry: ModelEntry) -> Diagnosis:
    """What loading the entry would come to."""
    try:
        return _of_embedded(entry) if entry.kind == "embedded" else _of_diffusers(entry)
    except ModelRefused as error:
        return Diagnosis(entry.id, refusal=str(error))


def as_text(found: Sequence[Diagnosis]) -> str:
    """For people: a block a model, the verdict first."""
    return "\n\n".join(_block(one) for one in found)


def _block(one: Diagnosis) -> str:
    if one.refusal:
        return f"{one.id}: would not load\n  why      {one.refusal}"
    memory = f"{_amount(one.weights_bytes)} weights"
    if one.peak_bytes:
        memory += f" + {_amount(one.peak_bytes)} to decode {_largest(one.sizes)} (estimated)"
    if one.offload != "none":
        memory += f", in parts (offload {one.offload})"
    free = f"{_amount(one.free_bytes)} free on {one.device_name}" + ("" if one.fits else ": TOO LITTLE NOW")
    rows = {
        "class": one.pipeline,
        "path": f"{one.path}: {one.why}",
        "files": f"{one.files}, all as their digests say",
        "digest": one.digest,
        "numbers": f"{one.parameters:,} in {one.dtype} on {one.device}",
        "memory": memory,
        "": free,
        "sizes": ", ".join(one.sizes),
        "tasks": ", ".join(one.tasks),
        "licence": one.licence or "(nothing noted)",
    }
    return "\n".join([f"{one.id}: would load", *(f"  {name:8} {value}" for name, value in rows.items())])


def _of_diffusers(entry: ModelEntry) -> Diagnosis:
    # Only now: who serves the embedded model alone should not wait for diffusers.
    from model_server.loading.planning import plan

    planned = plan(entry)
    device = planned.placement.device
    return Diagnosis(
        id=entry.id,
        pipeline=planned.folder.pipeline_class,
        path=planned.choice.path,
        why=planned.choice.why,
        digest=planned.folder.digest,
        files=planned.folder.files,
        parameters=planned.folder.parameters,
        dtype=planned.placement.dtype,
        device=device,
        device_name=_device_name(device),
        offload=planned.placement.offload,
        weights_bytes=planned.weights_bytes,
        peak_bytes=planned.peak_bytes,
        free_bytes=_free_bytes(device),
        sizes=tuple(f"{width}x{height}" for width, height in planned.sizes),
        tasks=planned.tasks,
        licence=entry.licence,
    )


def _of_embedded(entry: ModelEntry) -> Diagnosis:
    folder = entry.folder or WEIGHTS_FOLDER
    loaded = load_model(folder, entry.digest)
    can = EmbeddedStepModel(loaded, entry.id).capabilities
    parameters = sum(tensor.numel() for tensor in loaded.net.parameters())
    return Diagnosis(
        id=entry.id,
        pipeline="the embedded model",
        path="step engine (embedded)",
        why="its own net, no diffusers",
        digest=can.digest,
        files=len(loadable_files(folder)),
        parameters=parameters,
        dtype="float32",
        device=can.device,
        device_name=_device_name(can.device),
        offload="none",
        weights_bytes=4 * parameters,
        free_bytes=_free_bytes(can.device),
        sizes=tuple(f"{width}x{height}" for width, height in can.sizes),
        tasks=can.tasks,
        licence=entry.licence or can.licence,
    )


def _device_name(device: str) -> str:
    return str(torch.cuda.get_device_name(device)) if device.startswith("cuda") else "this machine"


def _free_bytes(device: str) -> int:
    """Of the card, or of the machine where the device has no memory of its own."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _largest(sizes: Sequence[str]) -> str:
    return max(sizes, key=lambda size: int(size.partition("x")[0]) * int(size.partition("x")[2]))


def _amount(size_bytes: float) -> str:
    for unit in _UNITS:
        if size_bytes < 1000 or unit == _UNITS[-1]:
            break
        size_bytes /= 1000
    return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
