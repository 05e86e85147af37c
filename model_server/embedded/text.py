"""Words to token ids for the embedded model: a greedy longest-match tokenizer over a fixed list of word pieces.

No transformer runs at request time: each piece has one fixed vector, distilled once from a sentence encoder
(see `train/table.py`), so a word never drawn in training still lands near its seen neighbours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

PAD_ID = 0
MAX_TOKENS = 15
"""Content tokens a prompt may hold. With the learned null token the text part is 16 long, and 80 with 64 patches."""

_WORD = re.compile(r"[a-z0-9]+")
_LONGEST_WORD = 40
"""Longer runs of letters are cut here, so that greedy matching stays linear on hostile input."""

_STOP_WORDS = """
a an the of to please picture image photo drawing illustration draw paint make create generate show me i want
my some is are it its that this and with very
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that name nothing to draw. Dropping them keeps the short context for what does."""


class Tokenizer:
    """Turns a prompt into exactly `MAX_TOKENS` ids, padded with `PAD_ID`. Letters of no piece are skipped, no error."""

    def __init__(self, pieces: Sequence[str]) -> None:
        """`pieces` in table order; continuation pieces start with `##` (the WordPiece spelling); index 0 is padding."""
        self._ids = {piece: index for index, piece in enumerate(pieces) if index != PAD_ID}

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read the JSON list of pieces that training wrote."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def encode(self, prompt: str) -> list[int]:
        """Token ids of the first `MAX_TOKENS` pieces of the prompt's content words."""
        ids: list[int] = []
        for word in _WORD.findall(prompt.lower()):
            if word in STOP_WORDS:
                continue
            ids.extend(self._pieces(word[:_LONGEST_WORD]))
            if len(ids) >= MAX_TOKENS:
                break
        ids = ids[:MAX_TOKENS]
        return ids + [PAD_ID] * (MAX_TOKENS - len(ids))

    def count(self, prompt: str) -> int:
        """Pieces the model will actually read of this prompt (for usage figures)."""
        return sum(1 for token in self.encode(prompt) if token != PAD_ID)

    def _pieces(self, word: str) -> list[int]:
        found: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                token = self._ids.get(("##" if start else "") + word[start:end])
                if token is not None:
                    found.append(token)
                    start = end
                    break
            else:
                start += 1
        return found
