"""What a person sent just before: a value cut in two over two prompts is still a value.

Kept for each actor, in this process's memory only, of at most two prompts and for ten minutes: up to four pieces that
look like parts of a value ("4111 1111", "DE89 3704"), of at most forty characters each; which rules had a cue word
somewhere; and the HMACs of list values that were found. No other words. It is never logged, has no `repr`, and goes
with the process: another process of the gateway does not know it.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

KEEP_SECONDS: Final = 600.0
MAX_ACTORS: Final = 10_000
MAX_PROMPTS: Final = 2
MAX_PIECES: Final = 4
MAX_PIECE_CHARS: Final = 40
MIN_PIECE_DIGITS: Final = 4
MAX_TOKENS: Final = 32
JOINS: Final = ("", " ", "-")
"""How two pieces may have stood beside each other before they were cut."""
_PIECE: Final = re.compile(r"(?<![^\W_])[A-Za-z_]{0,12}\d[A-Za-z0-9_]*(?:[ ./-]{1,2}[A-Za-z]{0,4}\d[A-Za-z0-9_]*)*")
_SETTING: Final = re.compile(
    r"(?i)(?:\bseed|\biso|\bcfg|\bsteps?|\bratio|\bsize|\byear|\bv|--\w+|f/|#|\bpage|\bpantone|\bisbn)[\s:=]{0,3}$"
)
"""Before a number of the picture itself: seeds change with every prompt, and side by side some pass for cards."""
_FRACTION: Final = re.compile(r"\d{1,3}\.\d+")
SETTING_CHARS: Final = 12


class Piece(NamedTuple):
    """Part of a value, perhaps. `repr` shows no text."""

    start: int
    end: int
    text: str

    def __repr__(self) -> str:
        return f"Piece({self.start}, {self.end})"


def pieces_of(text: str) -> list[Piece]:
    """The stretches of a normalised text that may be parts of a value, in order of place."""
    pieces = []
    for match in _PIECE.finditer(text):
        start, end = match.span()
        if sum(c.isdigit() for c in match.group()) < MIN_PIECE_DIGITS or end - start > MAX_PIECE_CHARS:
            continue
        if _FRACTION.fullmatch(match.group()):
            continue
        if not _SETTING.search(text[max(0, start - SETTING_CHARS) : start]):
            pieces.append(Piece(start, end, match.group()))
    return pieces


class Joined(NamedTuple):
    """Pieces of an earlier prompt and of this one, written as one."""

    text: str
    seam: int
    """Where the earlier prompt's part ends."""
    start: int
    end: int
    """The stretch of this prompt that takes part."""

    def __repr__(self) -> str:
        return f"Joined({self.start}, {self.end})"


def joined(earlier: Sequence[str], now: Sequence[Piece]) -> Iterator[Joined]:
    """Every way to put the last pieces of before and the first of now side by side."""
    for back in range(1, min(3, len(earlier)) + 1):
        for ahead in range(1, min(3, len(now)) + 1):
            if back + ahead > MAX_PIECES:
                continue
            for sign in JOINS:
                head = sign.join(earlier[-back:]) + sign
                tail = sign.join(piece.text for piece in now[:ahead])
                yield Joined(head + tail, len(head), now[0].start, now[ahead - 1].end)


@dataclass(slots=True)
class _Prompt:
    at: float
    pieces: tuple[str, ...] = field(repr=False)
    cued: frozenset[str] = frozenset()
    """Rules that had a cue in it."""
    tokens: dict[str, frozenset[int]] = field(repr=False, default_factory=dict)
    """List name -> what stands for its values that were found."""


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of an actor's last prompts."""

    pieces: tuple[str, ...] = field(repr=False, default=())
    cued: frozenset[str] = frozenset()
    tokens: dict[str, frozenset[int]] = field(repr=False, default_factory=dict)


class Recent:
    """The last prompts of many actors. Bounded: the actor who was away longest goes first. For one thread."""

    def __init__(self, *, keep_seconds: float = KEEP_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep = keep_seconds
        self._clock = clock
        self._prompts: OrderedDict[str, list[_Prompt]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Recent({len(self._prompts)} actors)"

    def __len__(self) -> int:
        self._forget_old()
        return len(self._prompts)

    def before(self, actor: str) -> Before:
        """What the actor's last prompts left, oldest first."""
        self._forget_old()
        prompts = [p for p in self._prompts.get(actor, ()) if p.at > self._clock() - self._keep]
        tokens: dict[str, frozenset[int]] = {}
        for prompt in prompts:
            for name, found in prompt.tokens.items():
                tokens[name] = tokens.get(name, frozenset()) | found
        pieces = tuple(piece for prompt in prompts for piece in prompt.pieces)
        return Before(pieces, frozenset().union(*(prompt.cued for prompt in prompts)), tokens)

    def keep(
        self, actor: str, pieces: Sequence[Piece], cued: frozenset[str], tokens: dict[str, frozenset[int]]
    ) -> None:
        """Remember this prompt's pieces, and forget the one before the last."""
        prompts = self._prompts.pop(actor, [])
        last = tuple(piece.text for piece in pieces[-MAX_PIECES:])
        kept = {name: frozenset(sorted(found)[:MAX_TOKENS]) for name, found in tokens.items() if found}
        prompts.append(_Prompt(self._clock(), last, cued, kept))
        self._prompts[actor] = prompts[-MAX_PROMPTS:]
        while len(self._prompts) > MAX_ACTORS:
            self._prompts.popitem(last=False)

    def forget(self, actor: str) -> None:
        """Nothing of this actor any more."""
        self._prompts.pop(actor, None)

    def _forget_old(self) -> None:
        horizon = self._clock() - self._keep
        while self._prompts:
            actor, prompts = next(iter(self._prompts.items()))
            if prompts[-1].at > horizon:
                return
            del self._prompts[actor]
