"""Words for a composed scene, said in the many ways that people ask for the same picture."""

from __future__ import annotations

import random
from collections.abc import Sequence

from model_server.embedded.train.concepts import Concept

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "red": (205, 60, 60),
    "orange": (240, 160, 70),
    "yellow": (250, 225, 110),
    "green": (90, 170, 90),
    "blue": (90, 140, 220),
    "purple": (150, 100, 190),
    "pink": (250, 180, 205),
    "black": (25, 25, 30),
    "gray": (150, 150, 155),
    "teal": (70, 165, 165),
    "brown": (140, 100, 75),
}
"""Colour word -> sRGB of the background it names."""

_COLOUR_WORDS = {"gray": ("gray", "grey"), "teal": ("teal", "turquoise"), "purple": ("purple", "violet")}
_STYLE_WORDS = {
    "cartoon": ("cartoon", "cartoon style", "noto style"),
    "flat": ("flat", "flat style", "vector art", "flat icon"),
    "3d": ("3d", "3d style", "3d render", "glossy"),
}
_FILLER_WORDS = """
cute happy cheerful little big small beautiful lovely friendly funny nice old young fresh sweet simple pretty
colourful bright tasty delicious wild shiny fluffy red green blue yellow orange brown smiling single
"""
_FILLERS = tuple(_FILLER_WORDS.split())
"""Adjectives the picture does not show. Seen in training, they teach the model to look past them."""

_SAY_STYLE, _SAY_BACKGROUND, _SAY_SYNONYM, _SAY_TAG, _SAY_FILLER, _SAY_NOTHING = 0.5, 0.75, 0.15, 0.06, 0.12, 0.1


def name_of(concept: Concept, tags: Sequence[str], rng: random.Random) -> str:
    """What to call the concept this time: mostly its name, sometimes another word or a related one before it."""
    chance = rng.random()
    if chance < _SAY_SYNONYM and concept.synonyms:
        return rng.choice(concept.synonyms)
    if chance > 1 - _SAY_TAG and tags:
        return f"{rng.choice(tags)} {concept.name}"
    return concept.name


def caption(subject: str, style: str, background: str, rng: random.Random, *, colour_shown: bool) -> str:
    """A prompt for the scene, or now and then the empty one (which guidance needs).

    `colour_shown`: the background is not the plain white default, so most captions name it.
    """
    if rng.random() < _SAY_NOTHING:
        return ""
    words = subject
    if rng.random() < _SAY_FILLER:
        words = f"{rng.choice(_FILLERS)} {words}"
    style_words = rng.choice(_STYLE_WORDS[style]) if rng.random() < _SAY_STYLE else ""
    if style_words and rng.random() < 0.7:
        words = f"{style_words} {words}"
        style_words = ""
    if rng.random() < (_SAY_BACKGROUND if colour_shown else 0.5):
        colour = rng.choice(_COLOUR_WORDS.get(background, (background,)))
        place = rng.choice(("on {} background", "on {} background", "{} background", "on {}")).format(colour)
        words = f"{place} {words}" if rng.random() < 0.1 else f"{words} {place}"
    return f"{words} {style_words}".strip()
