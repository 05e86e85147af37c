"""Texts to train on and to judge by, made from lines of our own: wanted subjects, and harmless ones in the same words.

A line of `corpus/*.txt` has choices, `{one|another}`; one that begins with `!` is a sentence, the others name a scene.
A line is either for training or for judging, by its own hash, and so is a style. Both wanted and harmless lines are
dressed in every style, so that style tells nothing: heads trained on one source of harm against another source of
harmless captions learn the sources.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

CATEGORIES: Final = (
    "deception",
    "harassment",
    "hate",
    "illegal",
    "medical-gore",
    "self-harm",
    "sexual",
    "violence",
)
ORDINARY: Final = "ordinary"
FOLDER: Final = Path(__file__).parent / "corpus"
HELD_OUT_OF_FOUR: Final = 0
"""Lines whose hash has this remainder by four are kept for judging."""
_CHOICE: Final = re.compile(r"\{([^{}]*)\}")
_ARTISTS: Final = (
    "greg rutkowski", "alphonse mucha", "hokusai", "zdzislaw beksinski", "rembrandt", "moebius", "klimt", "artgerm",
    "wlop", "edward hopper", "francisco goya", "studio ghibli",
)  # fmt: skip
SCENES: Final = (
    "{c}", "{c}", "{c}.", "a picture of {c}", "draw {c}", "please generate an image of {c}", "{c}, oil painting by {a}",
    "photo of {c}, 85mm f/1.8, ISO 400", "{c}, trending on artstation, highly detailed, octane render",
    "{c}, anime style", "watercolour of {c}", "{c} -- make it funny", "comic panel: {c}", "{c}, flat vector, pastel",
    "photorealistic, 8k, {c}, cinematic lighting", "I want {c}", "can you make {c} for my presentation?",
    "poster showing {c}, bold letters", "{o}. In front of it {c}.", "{c}. Behind that, {o}.", "{o}, {c}",
    "({c}:1.3), masterpiece, best quality", "book illustration, {c}, by {a} and {a}, intricate, sharp focus",
    "beautiful digital art of {c} by {a}, elegant, smooth, fantasy",
)  # fmt: skip
HELD_OUT_SCENES: Final = (
    "film still: {c}, 1970s", "{c}, linocut in two colours", "create {c} in pixel art", "{c}, by {a}, unreal engine",
    "street photography, {c}, kodak portra 400", "Scene: {c}. Mood: tense. {o}.",
)  # fmt: skip
SENTENCES: Final = (
    "{c}", "{c}.", "{c}!", "text on a wall: {c}", "a picture for this line: {c}", "hey, {c}", "story: {c}",
    "{p}. {c}.", "{c}. {p}.",
)  # fmt: skip
HELD_OUT_SENTENCES: Final = ("a scene where {c}", "speech bubble: “{c}”", "{c}, {p}")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the corpus. `category` is its file; `is_wanted` whether that head must find it."""

    category: str
    is_wanted: bool
    is_sentence: bool
    text: str

    @property
    def key(self) -> int:
        return int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:4])

    @property
    def is_held_out(self) -> bool:
        return self.key % 4 == HELD_OUT_OF_FOUR


@dataclass(frozen=True, slots=True)
class Example:
    """A text made of a line. `style` is its dress."""

    text: str
    line: Line
    style: str


def read_lines(folder: Path = FOLDER) -> list[Line]:
    """Every line of the corpus. Raises `ValueError` for one before any `# wanted` or `# near`."""
    lines = []
    for category in (*CATEGORIES, ORDINARY):
        part = ""
        for row in (folder / f"{category}.txt").read_text(encoding="utf-8").splitlines():
            if row.startswith("#"):
                part = row.strip("# ")
            elif row:
                if part not in {"wanted", "near"}:
                    raise ValueError(f"{category}.txt: expected `# wanted` or `# near` before the first line")
                lines.append(Line(category, part == "wanted", row.startswith("!"), row.lstrip("! ")))
    return lines


def examples(
    lines: Sequence[Line], *, per_line: int, seed: int, held_out: bool, padding: Sequence[Line]
) -> list[Example]:
    """`per_line` texts of each line, dressed in the styles for training or for judging. What stands beside a line in
    some styles comes from the ordinary lines of `padding`."""
    beside = {sentence: [x for x in padding if x.category == ORDINARY and x.is_sentence is sentence]
              for sentence in (False, True)}  # fmt: skip
    made = []
    for line in lines:
        styles = _styles(line, held_out=held_out)
        for turn in range(per_line):
            rng = Random(f"{seed} {turn} {line.text}")
            style = rng.choice(styles)
            made.append(Example(_dress(style, line, beside, rng), line, style))
    return made


def _styles(line: Line, *, held_out: bool) -> tuple[str, ...]:
    if line.is_sentence:
        return HELD_OUT_SENTENCES if held_out else SENTENCES
    return HELD_OUT_SCENES if held_out else SCENES


def _dress(style: str, line: Line, beside: dict[bool, list[Line]], rng: Random) -> str:
    def part(name: str) -> str:
        if name == "a":
            return rng.choice(_ARTISTS)
        return expand(rng.choice(beside[name == "p"]).text, rng)

    text = re.sub(r"\{([aop])\}", lambda m: part(m.group(1)), style).replace("{c}", expand(line.text, rng))
    dice = rng.random()
    if dice < 0.04:
        return text.upper()
    if dice < 0.12:
        return _slip(text, rng)
    return text


def expand(text: str, rng: Random) -> str:
    """The line with each choice made."""
    while "{" in text:
        text = _CHOICE.sub(lambda m: rng.choice(m.group(1).split("|")), text)
    return text


def _slip(text: str, rng: Random) -> str:
    """Two letters changed places, once or twice."""
    letters = list(text)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(letters) - 1)
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)
