"""Everything that is decided about a model before its weights are read, for loading and doctor alike."""

from __future__ import annotations

from dataclasses import dataclass

from model_server.loading.assembly import Placement, check_compile, place, tasks_of
from model_server.loading.catalogue import ModelEntry
from model_server.loading.choice import Choice, check_sizes, choose
from model_server.loading.finding import find
from model_server.loading.folder import ModelFolder
from model_server.loading.needs import decode_peak_bytes, weights_bytes
from model_server.wire import Task


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be loaded, how and where. Sizes of memory in bytes; `peak_bytes` is an estimate."""

    folder: ModelFolder
    choice: Choice
    placement: Placement
    sizes: tuple[tuple[int, int], ...]
    tasks: tuple[Task, ...]
    weights_bytes: int
    peak_bytes: int


def plan(entry: ModelEntry) -> Plan:
    """The plan for an entry. Reads and hashes its files. Raises ModelRefused."""
    folder = find(entry)
    choice = choose(folder, entry.family)
    sizes = entry.sizes or (choice.own_size,)
    check_sizes(choice, sizes)
    check_compile(entry, folder)
    tasks = tasks_of(folder, choice)
    placement = place(entry, folder, sizes)
    return Plan(
        folder,
        choice,
        placement,
        sizes,
        tasks,
        weights_bytes(folder, placement.dtype),
        decode_peak_bytes(folder, sizes, placement.dtype),
    )
