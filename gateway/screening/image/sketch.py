"""Whether two prompts are about the same, from what may be kept of them: a few small numbers under a secret.

Of the words that say what a picture shows, each becomes one of 4,096 numbers (HMAC-SHA-256, cut to 12 bits), and the
sixteen lowest are kept: a bottom-k sketch (Broder, *On the resemblance and containment of documents*, 1997). Without
the secret the numbers say nothing; with it a dozen words of a language share each, so that no prompt can be read back.
Words, not meanings: "vixen" and "fox", or "Fuchs" and "fox", are different to it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from typing import Final

MOST_WORDS: Final = 16
BUCKETS: Final = 1 << 12
RELATED_FROM: Final = 0.5
"""The share of the shorter prompt's words that stand in the other one too, from which both are about the same."""
Sketch = tuple[int, ...]

_WORD: Final = re.compile(r"[^\W_]+")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Scripts that set no spaces between words: there each pair of signs counts as one."""
_EMPTY: Final = frozenset(
    # What holds sentences together, and what says how a picture is made instead of what it shows.
    re.findall(
        r"\S+",
        """a an the of in on at by for from to with without and or as is are be it its this that these those his
        her their der die das den dem des ein eine einen einem eines und oder mit ohne im am auf von vom
        zu zum zur bei ist sind le la les un une du de et ou avec sans dans sur au aux en est sont el los
        las una unos unas y o con sin del al es son image picture photo photograph photography drawing
        illustration painting render icon emoji style background detailed high quality resolution
        realistic 4k 8k hd bild foto zeichnung stil hintergrund peinture dessin fond imagen dibujo estilo
        fondo""",
    )
)


def sketch(text: str, secret: bytes) -> Sketch:
    """Of a prompt: rising numbers, at most MOST_WORDS; none for an empty one. Where no word says anything (signs,
    "a picture"), the prompt as a whole counts as one."""
    plain = unicodedata.normalize("NFKC", text).casefold().strip()
    numbers = {_number(word, secret) for word in _words(plain) or {plain} - {""}}
    return tuple(sorted(numbers)[:MOST_WORDS])


def are_related(one: Sketch, other: Sketch) -> bool:
    """Whether two prompts seem to be about the same. An empty one is related to none."""
    if not one or not other:
        return False
    # Of two full sketches only numbers up to the lower of the last ones can be in both.
    last = min(sketch[-1] if len(sketch) == MOST_WORDS else BUCKETS for sketch in (one, other))
    first, second = ({number for number in sketch if number <= last} for sketch in (one, other))
    return len(first & second) >= RELATED_FROM * min(len(first), len(second))


def packed(numbers: Sketch) -> bytes:
    """Two bytes each."""
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def unpacked(data: bytes) -> Sketch:
    """What `packed` was given."""
    return tuple(int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2))


def _words(text: str) -> set[str]:
    found = set()
    for word in _WORD.findall(text):
        if _UNSPACED.search(word):
            found |= {word[place : place + 2] for place in range(max(1, len(word) - 1))}
        elif word not in _EMPTY:
            found.add(word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word)
    return found


def _number(word: str, secret: bytes) -> int:
    digest = hmac.digest(secret, b"memorisation word\0" + word.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return int.from_bytes(digest[:2], "big") % BUCKETS
