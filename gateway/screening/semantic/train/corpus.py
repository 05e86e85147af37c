"""Texts to train on and to judge by, made from lines of our own: wanted subjects, and harmless ones in the same words.

A line has choices, `{one|another}`; one that begins with `!` is a sentence, the others name a scene; `+violence` before
it: that head must find it too. `# wanted` and `# near` begin a part, with a language behind when it isn't English.
`corpus/` is for training. `held_out/` is for judging: written to another plan (small scenes of single people, hardly a
choice, other words), in styles of its own, and nothing is ever set by it; so is `held_out_2/`, by somebody who had seen
neither. Both wanted and harmless lines are dressed in
every style, so that style tells nothing: heads trained on one source of harm against another source of harmless
captions learn the sources.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
LANGUAGES: Final = ("en", "de", "fr", "es")
FOLDER: Final = Path(__file__).parent / "corpus"
HELD_OUT: Final = Path(__file__).parent / "held_out"
HELD_OUT_2: Final = Path(__file__).parent / "held_out_2"
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
    "beautiful digital art of {c} by {a}, elegant, smooth, fantasy", "{c}, 4k, --ar 16:9 --v 6", "need pic asap: {c}",
    "hi! {c} pls, thx", "a client asked me for {c}", "you are an illustrator. paint {c}", "wide shot, {c}, fog, {o}",
    "what would {c} look like?", "lowpoly {c}", "{t}. {c}. {h}", "{t}, {c}. {h}", "{t}. {c}", "{c}. {h}",
    "pencil sketch / {c} / no colour", "for our newsletter: {c}",
)  # fmt: skip
HELD_OUT_SCENES: Final = (
    "film still: {c}, 1970s", "{c}, linocut in two colours", "create {c} in pixel art", "{c}, by {a}, unreal engine",
    "street photography, {c}, kodak portra 400", "Scene: {c}. Mood: tense. {o}.", "mood board no. 3: {c}",
    "our art director wants {c}, keep it simple", "{c} // second draft, brighter", "{c}",
)  # fmt: skip
SENTENCES: Final = (
    "{c}", "{c}.", "{c}!", "text on a wall: {c}", "a picture for this line: {c}", "hey, {c}", "story: {c}",
    "{p}. {c}.", "{c}. {p}.", "so... {c}", "{c} pls", "> {c}", "draw what this says: {c}",
    "{t}. {c}. {h}", "{t}. {c}", "{c}. {h}",
)  # fmt: skip
HELD_OUT_SENTENCES: Final = ("a scene where {c}", "speech bubble: “{c}”", "{c}, {p}", "{c}", "(whispering) {c}")
OTHER_SCENES: Final = {
    "de": ("{c}", "{c}", "Zeichne: {c}", "{c}, Ölgemälde", "{c}, Foto, 85mm", "Plakat: {c}", "bitte ein Bild: {c}"),
    "fr": ("{c}", "{c}", "dessine : {c}", "{c}, peinture à l'huile", "{c}, photo, 85mm", "affiche : {c}", "svp {c}"),
    "es": ("{c}", "{c}", "dibuja: {c}", "{c}, pintura al óleo", "{c}, foto, 85mm", "cartel: {c}", "por favor {c}"),
}
OTHER_HELD_OUT_SCENES: Final = {
    "de": ("Standbild: {c}", "{c}, Linolschnitt"),
    "fr": ("image de film : {c}", "{c}, linogravure"),
    "es": ("fotograma: {c}", "{c}, linóleo"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the corpus. `category` is its file; if `is_wanted`, that head must find it, and those in `also`."""

    category: str
    is_wanted: bool
    is_sentence: bool
    text: str
    also: tuple[str, ...] = ()
    language: str = "en"
    author: str = "1"
    """The number in the file's name: what one author wrote is judged by what others wrote."""

    @property
    def key(self) -> int:
        return int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:4])

    def is_for(self, category: str) -> bool:
        """Whether the head of this category must find it."""
        return self.is_wanted and (self.category == category or category in self.also)


@dataclass(frozen=True, slots=True)
class Example:
    """A text made of a line. `style` is its dress."""

    text: str
    line: Line
    style: str


def read_lines(folder: Path = FOLDER) -> list[Line]:
    """Every line of a folder's files: `<category>.txt`, and `<category>.2.txt` and so on by other authors. Raises
    `ValueError` with the file and row that is wrong."""
    lines = []
    for category in (*CATEGORIES, ORDINARY):
        for path in (folder / f"{category}.txt", *sorted(folder.glob(f"{category}.*.txt"))):
            lines += _lines(category, path)
    return lines


def _lines(category: str, path: Path) -> list[Line]:
    part, language, lines = "", "", []
    author = path.stem.removeprefix(category).removeprefix(".") or "1"
    for number, row in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}, row {number}"
        if row.startswith("#"):
            part, _, language = row.strip("# ").partition(" ")
            language = language or "en"
            if part not in {"wanted", "near"} or language not in LANGUAGES:
                raise ValueError(f"{where}: expected `# wanted` or `# near`, and a language of {LANGUAGES}")
        elif row:
            if not part:
                raise ValueError(f"{where}: expected `# wanted` or `# near` before the first line")
            lines.append(replace(_line(category, part == "wanted", language, row, where), author=author))
    return lines


def _line(category: str, is_wanted: bool, language: str, row: str, where: str) -> Line:
    words = row.split(" ")
    also = []
    while words[0].startswith("+"):
        also.append(words.pop(0)[1:])
    if not set(also) <= set(CATEGORIES) - {category} or (also and not is_wanted):
        raise ValueError(f"{where}: expected other categories behind `+`, on wanted lines only; got {also}")
    is_sentence = words[0] == "!"
    return Line(category, is_wanted, is_sentence, " ".join(words[is_sentence:]), tuple(also), language)


def examples(
    lines: Sequence[Line], *, per_line: int, seed: int, held_out: bool, padding: Sequence[Line]
) -> list[Example]:
    """`per_line` texts of each line, dressed in the styles for training or for judging. What stands beside a line in
    some styles comes from the ordinary lines of `padding`."""
    beside = {sentence: [x for x in padding if x.category == ORDINARY and x.language == "en"
                         and x.is_sentence is sentence] for sentence in (False, True)}  # fmt: skip
    made = []
    for line in lines:
        styles = _styles(line, held_out=held_out)
        for turn in range(per_line):
            rng = Random(f"{seed} {turn} {line.text}")
            style = rng.choice(styles)
            text = _dress(style, line, beside, rng)
            if not held_out and rng.random() < 0.04:  # says nothing, whatever letters it has
                text = f"{text} {_code(rng)}"
            made.append(Example(text, line, style))
    return made


def _styles(line: Line, *, held_out: bool) -> tuple[str, ...]:
    if line.language != "en":
        if line.is_sentence:
            return ("{c}",)
        return (OTHER_HELD_OUT_SCENES if held_out else OTHER_SCENES)[line.language]
    if line.is_sentence:
        return HELD_OUT_SENTENCES if held_out else SENTENCES
    return HELD_OUT_SCENES if held_out else SCENES


def _dress(style: str, line: Line, beside: dict[bool, list[Line]], rng: Random) -> str:
    def part(name: str) -> str:
        if name == "a":
            return rng.choice(_ARTISTS)
        words = expand(rng.choice(beside[name == "p"]).text, rng)
        if name in "ht":  # cut off where a window of a longer text would end
            some = words.split()[: rng.randint(2, 9)] if name == "h" else words.split()[-rng.randint(2, 9) :]
            return " ".join(some)
        return words

    text = re.sub(r"\{([aopht])\}", lambda m: part(m.group(1)), style).replace("{c}", expand(line.text, rng))
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


def _code(rng: Random) -> str:
    """A number of an article, a file, a seed."""
    groups = (
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=rng.randint(2, 6)))
        for _ in range(rng.randint(1, 4))
    )
    code = rng.choice("-_ .").join(groups)
    return rng.choice(("ref {}", "#{}", "SKU {}", "{}.png", "seed {}", "{}", "--no {}")).format(code)


def _slip(text: str, rng: Random) -> str:
    """Two letters changed places, once or twice."""
    letters = list(text)
    if len(letters) < 2:
        return text
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(letters) - 1)
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)
