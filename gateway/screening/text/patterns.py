"""Many patterns over one text in linear time, by RE2.

The security team edits the patterns, and people choose the text: a backtracking engine would let either stop the
gateway (ReDoS, CWE-1333). RE2 has no backtracking; one `Set` pass says which patterns occur at all, and only those are
then walked for their spans.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import re2

MAX_PATTERN_CHARS: Final = 4_000
NESTED: Final = re2.compile(
    r"\((?:\?[a-zA-Z]*:|\?P?<\w+>)?(?:\[(?:\\.|[^\]\\])+\]|\\[pP](?:\{\w+\}|\w)|\\.|[^\\()\[\]|*+?{}])[*+]\??\)[*+]"
)
"""A group of one repeated atom, repeated. Linear here, but rules are copied to where engines backtrack (CWE-1333)."""
MEMORY_BYTES_ONE: Final = 8 << 20
"""RE2's own default budget for one compiled pattern and its automaton."""
MEMORY_BYTES_SET: Final = 64 << 20
KEPT_PATTERNS: Final = 2_048
"""A rule's pattern is wanted by the rule's own tests, by its scanner for each field, and at the next reload again."""


class PatternError(ValueError):
    """A pattern can't be used; the message says why and never quotes a text."""


def _options(memory_bytes: int) -> Any:
    options = re2.Options()
    options.max_mem = memory_bytes
    options.log_errors = False  # RE2's own log goes to stderr and would quote the pattern's surroundings
    return options


@lru_cache(maxsize=KEPT_PATTERNS)
def compile_pattern(pattern: str) -> Any:
    """`pattern` compiled by RE2, or `PatternError`. What it returns is immutable and may be used by several threads."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise PatternError(f"pattern is too long: expected at most {MAX_PATTERN_CHARS} characters, got {len(pattern)}")
    if NESTED.search(pattern):
        raise PatternError("a repeat of a repeat, as in (a+)+, says no more than a+ and stops other engines: write a+")
    try:
        compiled = re2.compile(pattern, _options(MEMORY_BYTES_ONE))
    except re2.error as error:
        cause = error.args[0] if error.args else ""
        text = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
        raise PatternError(f"not an RE2 pattern: {text}") from None
    if compiled.search("") is not None:
        raise PatternError("pattern matches the empty text, so it would match everywhere")
    return compiled


class PatternSet:
    """Compiled patterns. Safe to use from several threads."""

    def __init__(self, patterns: Sequence[str], *, memory_bytes: int = MEMORY_BYTES_SET) -> None:
        self._compiled = [compile_pattern(p) for p in patterns]
        self._set = re2.Set.SearchSet(_options(memory_bytes))
        # A Set that runs out of memory answers "nothing matched" and raises nothing: fail open. The sentinel
        # matches every text, so its absence from an answer tells that the answer is not one.
        self._sentinel = self._set.Add("")
        self._first = self._sentinel + 1
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def __len__(self) -> int:
        return len(self._compiled)

    def matching(self, text: str | EncodedText) -> list[int]:
        """Indexes of the patterns that occur in `text`, in rising order; all of them when the Set can't tell."""
        found = self._set.Match(text.raw if isinstance(text, EncodedText) else text) or []
        if self._sentinel not in found:
            return list(range(len(self._compiled)))
        return sorted(i - self._first for i in found if i != self._sentinel)

    def spans(self, index: int, text: str | EncodedText) -> Iterator[tuple[int, int]]:
        """Where pattern `index` occurs: the span of its group 1 where it has one, else of the whole match."""
        return spans(self._compiled[index], text)


def spans(compiled: Any, text: str | EncodedText) -> Iterator[tuple[int, int]]:
    """Where a compiled pattern occurs: the span of its group 1 where it has one, else of the whole match."""
    encoded = text if isinstance(text, EncodedText) else EncodedText(text)
    group = 1 if compiled.groups else 0
    for match in compiled.finditer(encoded.raw):
        start, end = match.span(group)
        if 0 <= start < end:
            yield encoded.character(start), encoded.character(end)


class EncodedText:
    """A text in UTF-8, encoded once for all patterns, with the way back from bytes to characters.

    RE2 works on bytes; its Python wrapper would encode the text again for every search and count characters for
    every match. `repr` shows no text.
    """

    __slots__ = ("_characters", "raw")

    def __init__(self, text: str) -> None:
        self.raw = text.encode("utf-8", "replace")
        self._characters: array[int] | None = None
        if len(self.raw) != len(text):
            self._characters = array("I")
            for place, character in enumerate(text):
                self._characters.extend(
                    [place] * (1 if character < "\x80" else len(character.encode("utf-8", "replace")))
                )
            self._characters.append(len(text))

    def __repr__(self) -> str:
        return f"EncodedText({len(self.raw)} bytes)"

    def character(self, byte: int) -> int:
        """The character that byte `byte` belongs to."""
        return byte if self._characters is None else self._characters[byte]
