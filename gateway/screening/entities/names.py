"""From what the model takes for a name to what is one: the model was made for English news, and a prompt is neither.

It takes "Bild von einem" for a person, a cue for a part of a name, half of a name for the whole, and Nadia Girard for a
company. So cues and small words at both ends are cut off, and of a person both names are asked for, or a title before
one: a first name alone names nobody. Two names right beside a cue are a person's whatever the model takes them for.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from gateway.screening.entities.model import Named
from gateway.screening.text.cues import Cues
from gateway.screening.text.normalise import fold

PERSON: Final = "PERSON"
TITLES: Final = frozenset({
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "herr", "herrn", "frau", "m", "mme", "mlle", "madame", "monsieur",
    "sr", "sra", "srta", "senor", "senora", "don", "dona",
})  # fmt: skip
PARTICLES: Final = frozenset({
    "von", "van", "der", "den", "de", "del", "della", "di", "da", "dos", "du", "la", "le", "y", "zu", "bin", "al", "el",
    "und", "of",
})  # fmt: skip
"""Small words within a name; at its ends they are none of it."""
OFFICE: Final = frozenset({
    "account", "advisory", "advocacy", "appreciation", "assistance", "award", "base", "benefits", "board",
    "bonding", "booth", "care", "center", "centre", "club", "code", "complaint", "complaints", "data", "database",
    "day", "days", "desk", "development", "discount", "education", "effort", "engagement", "engineer", "evening",
    "event", "experience", "feedback", "file", "files", "focus", "form", "forum", "guide", "handbook", "health",
    "helpline", "hotline", "id", "insight", "insights", "intake", "interaction", "interface", "journal", "journey",
    "leaflet", "lifetime", "list", "loyalty", "management", "manager", "manual", "meeting", "monitor", "newsletter",
    "number", "of", "onboarding", "orientation", "outreach", "party", "persona", "personas", "portal", "portrait",
    "profile", "program", "programme", "recognition", "record", "records", "referral", "relations", "relationship",
    "report", "retention", "review", "reviews", "rights", "room", "safety", "satisfaction", "segment",
    "segmentation", "server", "service", "services", "software", "store", "stories", "story", "success", "summit",
    "support", "survey", "team", "testimonial", "testimonials", "training", "transport", "trust", "value", "voice",
    "waiting", "ward", "wellbeing", "wellness", "workshop", "zone",
})  # fmt: skip
"""What follows a cue in a title ("Customer Success Manager", "Patient Information Leaflet"): with one of these, two
words are no name."""
_WORD: Final = re.compile(r"[^\W\d_][\w'’.-]*")
_SHOWN_AS: Final = re.compile(r"[\s,]*\b(?:as|als|comme|como|en tant que|vestid[oa] de|déguisée? en)\b", re.IGNORECASE)
_STYLE: Final = re.compile(r"(?:['’]s)?[\s-]*(?:styled?|stil)\b", re.IGNORECASE)
_PARTED: Final = re.compile(r"[,;.!?\n|]")
_PLACED: Final = re.compile(
    r"\b(?:in|at|of|from|near|to|on|like|im|bei|beim|auf|aus|zur|zum|nach|am|wie|à|au|aux|en|dans|chez|de|del|des|a)\s+"
    r"(?:(?:the|an?|der|die|das|dem|den|la|le|les|el|los|las)\s+)?$",
    re.IGNORECASE,
)
"""A customer *in* Central Park, a patient *of* Sigmund Freud: the name is another's."""
_ABBREVIATED: Final = re.compile(r"\b(?:mrs?|ms|mx|dr|prof|hr|fr|sra?|mme|m)\.", re.IGNORECASE)
_WHOSE: Final = re.compile(r"\b(?:our|my|unser\w*|mein\w*|notre|nos|mon|ma|nuestr[oa]s?|mi)\s+$", re.IGNORECASE)
_BEFORE: Final = re.compile(r"([^\W\d_]+)\.?\s*$")
_TITLE_CHARS: Final = 12
_RIGHT: Final = re.compile(r"[\s:,(]{1,3}")
_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿ][\w'’-]*"
MORE_WORDS: Final = 3
MORE_CHARS: Final = 60
TITLE_REACH: Final = 60
TITLE_WORD: Final = 3
TITLE_WORDS: Final = 4


Words = list[tuple[int, int]]


def name_in(text: str, named: Named, cues: Cues, kinds: Collection[str]) -> tuple[int, int] | None:
    """The name that a rule wants in what the model found, tied to one of its cues; None where there is none."""
    words = _words(text, named.start, named.end)
    if named.label in kinds:
        runs = _runs(text, words, cues) if named.label == PERSON else [words]
        for run in runs:
            place = _trimmed(text, run, cues)
            if place and (named.label != PERSON or _is_full(text, run)) and is_tied(text, place, cues, named.label):
                return place
    if PERSON in kinds and words and not _is_title(text, words[0][0], words[-1][1]):
        for run in _runs(text, _widened(text, words), cues):
            place = _trimmed(text, run, cues)
            if (
                place
                and _is_full(text, run)
                and is_tied(text, place, cues, PERSON)
                and _is_right_beside(text, place, cues)
            ):
                return place
    return None


def is_tied(text: str, place: tuple[int, int], cues: Cues, label: str) -> bool:
    """Whether a cue stands near the name and speaks of it, and no word against it is nearer.

    Prompts are lists with commas between: in "a waiting room with patients, Marie Curie" the cue speaks of somebody
    else, as in "a customer at Burger King". So a cue before the name counts in the same part of the list. Behind it, it
    says whose it is ("our customer") or is several words ("born on"); who is shown *as* a customer is a character or an
    actor. What has a *style* is a painter.
    """
    start, end = place
    if _STYLE.match(text, end) or not cues.judge(text, start, end).cued:
        return False
    between = _behind_a_cue(text, start, cues)
    if between is not None and not _PARTED.search(_ABBREVIATED.sub("", between)):
        return label != PERSON or _PLACED.search(between) is None
    behind = text[end : end + cues.window // 2]
    first = next(cues.places(behind), None)
    if first is None or _SHOWN_AS.match(behind):
        return False
    return " " in behind[slice(*first)].strip() or _WHOSE.search(behind[: first[0]]) is not None


def _is_title(text: str, start: int, end: int) -> bool:
    """Whether Every Word Around Begins With A Capital, so that one says nothing."""
    around = text[max(0, start - TITLE_REACH) : start] + " " + text[end : end + TITLE_REACH]
    words = [match[0] for match in _WORD.finditer(around) if len(match[0]) >= TITLE_WORD]
    capitals = sum(word[0].isupper() for word in words)
    return capitals >= TITLE_WORDS and capitals > 3 * (len(words) - capitals)


def _is_right_beside(text: str, place: tuple[int, int], cues: Cues) -> bool:
    between = _behind_a_cue(text, place[0], cues)
    if between is not None and _RIGHT.fullmatch(_ABBREVIATED.sub("", between)):
        return True
    behind = text[place[1] : place[1] + cues.window // 2]
    first = next(cues.places(behind), None)
    return first is not None and _RIGHT.fullmatch(behind[: first[0]]) is not None


def _behind_a_cue(text: str, start: int, cues: Cues) -> str | None:
    """What stands between a name and the last cue before it; None where none is in reach."""
    before = text[max(0, start - cues.window) : start]
    last = max((end for _, end in cues.places(before)), default=None)
    return None if last is None else before[last:]


def _words(text: str, start: int, end: int) -> Words:
    return [(m.start() + start, m.start() + start + len(_bare(m[0]))) for m in _WORD.finditer(text[start:end])]


def _widened(text: str, words: Words) -> Words:
    """`words` with those beside them that are written as names are: the model may have found half of one."""
    if not words:
        return []
    start, end = words[0][0], words[-1][1]
    left = re.search(rf"(?:{_CAPITAL} ){{1,{MORE_WORDS}}}$", text[max(0, start - MORE_CHARS) : start])
    right = re.match(rf"(?: {_CAPITAL}){{1,{MORE_WORDS}}}", text[end : end + MORE_CHARS])
    return _words(text, start - len(left[0]) if left else start, end + len(right[0]) if right else end)


def _trimmed(text: str, run: Words, cues: Cues) -> tuple[int, int] | None:
    """Where the words lie that are left of `run`, which is cut in place."""
    while run and _is_none_of_it(text, run[0], cues):
        run.pop(0)
    while run and _is_none_of_it(text, run[-1], cues):
        run.pop()
    return (run[0][0], run[-1][1]) if run else None


def _runs(text: str, words: Words, cues: Cues) -> list[Words]:
    """`words` parted at each that stands in no name, and at cues: "Kundin Anna Berger vor ihrem Haus" holds one of two
    words."""
    runs: list[Words] = [[]]
    for start, end in words:
        written = text[start:end]
        if not cues.is_cue(written) and (written[:1].isupper() or fold(written) in PARTICLES):
            runs[-1].append((start, end))
        else:
            runs.append([])
    return runs


def _bare(word: str) -> str:
    """`word` without a genitive or the stop of a sentence; the stop of an initial stays."""
    for ending in ("'s", "’s"):
        word = word.removesuffix(ending)
    word = word.rstrip("'’-")
    return word if len(word) == 2 else word.rstrip(".")


def _is_none_of_it(text: str, word: tuple[int, int], cues: Cues) -> bool:
    written = text[word[0] : word[1]]
    return not written[:1].isupper() or cues.is_cue(written)


def _is_full(text: str, words: Words) -> bool:
    """Two words with capitals, one of them more than an initial; or one behind a title."""
    capitals = [text[start:end] for start, end in words if text[start:end][:1].isupper()]
    names = [word for word in capitals if fold(word).rstrip(".") not in TITLES]
    if any(fold(word) in OFFICE for word in names):
        return False
    if not any(len(word.rstrip(".")) > 1 for word in names):
        return False
    return len(names) > 1 or len(capitals) > len(names) or _has_title(text, words[0][0])


def _has_title(text: str, start: int) -> bool:
    before = _BEFORE.search(text, max(0, start - _TITLE_CHARS), start)
    return before is not None and fold(before[1]) in TITLES
