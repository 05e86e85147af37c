"""What travels between the gateway and its picture workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the detectors saw in one picture. Scores run from 0 to 1."""

    text: str = field(default="", repr=False)
    fingerprints: tuple[str, ...] = ()
    """PDQ in the eight ways it can be laid down; empty where the picture has too little in it."""
    quality: int = 0
    windows: str = field(default="", repr=False)
    """Fingerprints of parts of it (`gateway.prints.windows`), one after the other, in base64."""
    faces: tuple[str, ...] = field(default=(), repr=False)
    """Of the largest realistic faces the prints (`face_prints`), each in base64."""
    realistic: float = 0.0
    doubtful: float = 0.0
    nudity: float = 0.0
    classes: Mapping[str, float] = field(default_factory=dict)
    """By the name of an operator's classifier."""
    failed: tuple[str, ...] = ()
    """Detectors that gave no answer."""
    broken: str = ""
    """Which check of `decode` failed: then nothing was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """One net: a float32 input (1, 3, side, side) of RGB, an output (1, classes) of which `output` is its category."""

    name: str
    category: str
    path: str
    sha256: str
    side: int = 224
    output: int = 1
    softmax: bool = True
    """Whether the outputs are logits that stand against each other; else each is a probability already."""
    review: float = 0.5
    deny: float = 0.9
