"""Payment card numbers: issuer ranges and Luhn (ISO/IEC 7812-1, the schemes' published BINs), and their grouping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate

_RANGES: Final[tuple[tuple[int, int, frozenset[int]], ...]] = (
    # first prefix, last prefix (same number of digits), lengths
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),
    (300, 305, frozenset({14, 16})),  # Diners Club
    (3095, 3095, frozenset({14, 16})),
    (36, 36, frozenset({14, 16})),
    (38, 39, frozenset({14, 16})),
    (3528, 3589, frozenset({15, 16, 17, 18, 19})),  # JCB
    (2131, 2131, frozenset({15})),
    (1800, 1800, frozenset({15})),
    (4, 4, frozenset({13, 16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),
    (2200, 2204, frozenset({16, 17, 18, 19})),  # Mir
    (6011, 6011, frozenset({16, 17, 18, 19})),  # Discover
    (644, 649, frozenset({16, 17, 18, 19})),
    (65, 65, frozenset({16, 17, 18, 19})),
    (60, 60, frozenset({16})),  # RuPay, Hipercard
    (81, 82, frozenset({16})),  # RuPay
    (62, 62, frozenset({16, 17, 18, 19})),  # UnionPay
    (9792, 9792, frozenset({16})),  # Troy
    (50, 50, frozenset(range(12, 20))),  # Maestro
    (56, 58, frozenset(range(12, 20))),
    (6304, 6304, frozenset(range(12, 20))),
    (639, 639, frozenset(range(12, 20))),
    (67, 67, frozenset(range(12, 20))),
)
_BY_FIRST: Final[dict[str, tuple[tuple[str, str, frozenset[int]], ...]]] = {
    digit: tuple((str(lo), str(hi), lengths) for lo, hi, lengths in _RANGES if str(lo)[0] <= digit <= str(hi)[0])
    for digit in "0123456789"
}
MIN_DIGITS: Final = 12
MAX_DIGITS: Final = 19
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_SCHEME_GROUPS: Final = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (6, 13), (4, 4, 4, 4, 3)})


def _issuer_lengths(digits: str, start: int) -> frozenset[int]:
    for low, high, lengths in _BY_FIRST[digits[start]]:
        if low <= digits[start : start + len(low)] <= high:
            return lengths
    return frozenset()


class _Run:
    """Digits of a candidate with their places, the groups they stand in, and Luhn sums that answer in O(1)."""

    def __init__(self, candidate: Candidate) -> None:
        self.places = [candidate.start + i for i, c in enumerate(candidate.value) if c in "0123456789"]
        self.digits = "".join(candidate.text[p] for p in self.places)
        self.bounds = [0] + [i for i in range(1, len(self.places)) if self.places[i] != self.places[i - 1] + 1]
        self.bounds.append(len(self.places))
        values = [ord(c) - 48 for c in self.digits]
        even = [_DOUBLED[v] if i % 2 == 0 else v for i, v in enumerate(values)]
        odd = [v if i % 2 == 0 else _DOUBLED[v] for i, v in enumerate(values)]
        self._sums = ([0, *accumulate(even)], [0, *accumulate(odd)])

    def is_luhn(self, start: int, end: int) -> bool:
        """ISO/IEC 7812-1 annex B over `digits[start:end]`: every second digit from the right doubled."""
        sums = self._sums[end % 2]  # the digit before the last is at end - 2, of the same parity as end
        return (sums[end] - sums[start]) % 10 == 0

    def windows(self) -> Iterator[tuple[int, int]]:
        """(first group, one past the last group) of every stretch of 12 to 19 digits: values end where groups end."""
        groups = len(self.bounds) - 1
        for first in range(groups):
            for last in range(first + 1, groups + 1):
                count = self.bounds[last] - self.bounds[first]
                if count > MAX_DIGITS:
                    break
                if count >= MIN_DIGITS:
                    yield first, last


def _is_grouped_like_a_card(run: _Run, first: int, last: int, *, cued: bool) -> bool:
    sizes = tuple(run.bounds[i + 1] - run.bounds[i] for i in range(first, last))
    if len(sizes) == 1 or sizes in _SCHEME_GROUPS:
        return True
    if first > 0 or last < len(run.bounds) - 1:
        # A part of a longer row in another grouping: any long row of numbers (frames, RGB values) holds a
        # Luhn-valid stretch somewhere.
        return False
    size = sizes[0]
    return cued or (all(s == size for s in sizes[:-1]) and 1 <= sizes[-1] <= size)


def payment_card(candidate: Candidate) -> Sequence[Accepted]:
    """The card numbers in a row of digits; a number before or after the card doesn't hide it."""
    if candidate.countered or candidate.before(1) == "+":
        return ()
    run = _Run(candidate)
    found: list[Accepted] = []
    done = 0
    for first, last in run.windows():
        start, end = run.bounds[first], run.bounds[last]
        if start < done or not run.is_luhn(start, end) or (end - start) not in _issuer_lengths(run.digits, start):
            continue
        digits = run.digits[start:end]
        if len(set(digits)) < 2 or not _is_grouped_like_a_card(run, first, last, cued=candidate.cued):
            continue
        found.append(Accepted(run.places[start], run.places[end - 1] + 1, digits))
        done = end
    return found
