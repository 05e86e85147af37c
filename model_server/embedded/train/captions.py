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
colourful bright tasty delicious wild shiny fluffy smiling single
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


_FAR = 0.1
"""A thing this far from the middle, as a share of the picture's side, is said to be on that side."""
_SAY_PLACE = 0.5


def where(name: str, x: float, y: float, rng: random.Random) -> str:
    """The name of one thing with, now and then, where it is; `x` and `y` are its centre's place, 0..1."""
    across = "left" if x < 0.5 - _FAR else "right" if x > 0.5 + _FAR else ""
    down = "top" if y < 0.5 - _FAR else "bottom" if y > 0.5 + _FAR else ""
    place = " ".join(word for word in (down, across) if word)
    if not place or rng.random() >= _SAY_PLACE:
        return name
    return f"{name} {rng.choice(('in', 'at', 'on'))} {place}{rng.choice(('', ' corner') if down and across else ('',))}"


def together(names: Sequence[str], places: Sequence[tuple[float, float]], rng: random.Random) -> str:
    """All the things of one picture, two of them often with how they lie to each other."""
    if len(names) == 1:
        return where(names[0], *places[0], rng)
    if len(names) > 2 or rng.random() >= _SAY_PLACE:
        return " and ".join(names)
    across, down = (places[1][axis] - places[0][axis] for axis in (0, 1))
    if abs(across) > abs(down):
        first, second = names if across > 0 else names[::-1]
        said = ("{0} left of {1}", "{1} right of {0}", "{0} on left {1} on right", "{0} next to {1}")
    else:
        first, second = names if down > 0 else names[::-1]
        said = ("{0} above {1}", "{1} below {0}", "{0} over {1}", "{1} under {0}")
    return rng.choice(said).format(first, second)


def nothing(background: str, rng: random.Random) -> str:
    """A prompt that asks for bare background: what somebody types who wants a thing to be gone."""
    return rng.choice(("nothing", "empty", "plain background", f"{background} background", f"empty {background}"))
