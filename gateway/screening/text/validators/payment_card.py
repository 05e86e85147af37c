"""Payment card numbers: issuer ranges and Luhn (ISO/IEC 7812-1, the schemes' published BINs), and their grouping."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from gateway.screening.text.candidate import Accepted, Candidate, Surroundings
from gateway.screening.text.luhn import DOUBLED, values_of

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
_BY_FIRST: Final[dict[str, tuple[tuple[str, str, tuple[int, ...]], ...]]] = {
    digit: tuple(
        (str(lo), str(hi), tuple(sorted(lengths, reverse=True)))
        for lo, hi, lengths in _RANGES
        if str(lo)[0] <= digit <= str(hi)[0]
    )
    for digit in "0123456789"
}
MAX_GROUP: Final = 8
"""Nobody writes a card as fourteen digits and two: "…103, 16:9" is another number and a format."""
_GROUP: Final = re.compile(r"[0-9]+")
_EVEN_HEAD: Final = re.compile(r"([0-9]{1,8})([^0-9]{1,4})")
ENDLESS_CHARS: Final = 80
"""Nineteen digits with three signs and a line's end between them are shorter."""
_SCHEME_GROUPS: Final = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (6, 13), (4, 4, 4, 4, 3)})


def _issuer_lengths(digits: str, start: int) -> tuple[int, ...]:
    for low, high, lengths in _BY_FIRST[digits[start]]:
        if low <= digits[start : start + len(low)] <= high:
            return lengths
    return ()


class _Run:
    """Digits of a candidate with their places, the groups they stand in, and Luhn sums that answer in O(1)."""

    def __init__(self, candidate: Candidate) -> None:
        text = candidate.text
        self._starts: list[int] = []
        """Where in the text each group begins."""
        self.breaks: dict[int, int] = {}
        """Where groups begin (and the last one ends), as digit index -> number of the group."""
        self.signs: list[str] = []
        """What stands before each group."""
        groups: list[str] = []
        end, count = candidate.start, 0
        for group in _GROUP.finditer(text, candidate.start, candidate.end):
            start = group.start()
            self.signs.append(text[end:start] if count else "")
            self._starts.append(start)
            self.breaks[count] = len(groups)
            groups.append(group.group())
            end = group.end()
            count += end - start
        self.bounds = [*self.breaks, count]
        self.breaks[count] = len(groups)
        self.signs.append("")
        self.digits = "".join(groups)
        # Bytes, because a row of a hundred thousand digits is a text that somebody may send.
        plain = values_of(self.digits)
        doubled = plain.translate(DOUBLED)
        even, odd = bytearray(plain), bytearray(plain)
        even[::2], odd[1::2] = doubled[::2], doubled[1::2]
        self._sums = ([0, *accumulate(even)], [0, *accumulate(odd)])

    def place(self, digit: int) -> int:
        """Where in the text a digit stands."""
        group = bisect_right(self.bounds, digit) - 1
        return self._starts[group] + digit - self.bounds[group]

    def is_luhn(self, start: int, end: int) -> bool:
        """ISO/IEC 7812-1 annex B over `digits[start:end]`: every second digit from the right doubled."""
        sums = self._sums[end % 2]  # the digit before the last is at end - 2, of the same parity as end
        return (sums[end] - sums[start]) % 10 == 0

    def numbers(self) -> Iterator[tuple[int, int]]:
        """(first digit, one past the last) of each stretch that an issuer could have given: whole groups only."""
        for start in self.bounds[:-1]:
            for length in _issuer_lengths(self.digits, start):
                if start + length in self.breaks and self.is_luhn(start, start + length):
                    yield start, start + length

    def is_grouped_like_a_card(self, start: int, end: int, *, cued: bool) -> bool:
        """Whether people write a card number in these groups, and would set it off from its neighbours so."""
        first, last = self.breaks[start], self.breaks[end]
        sizes = tuple(self.bounds[i + 1] - self.bounds[i] for i in range(first, last))
        if len(sizes) == 1:
            return self.signs[first] not in (".", ",")  # "3.509906526439" is a decimal fraction
        if sizes in _SCHEME_GROUPS:
            return True
        is_even = sizes[-1] <= sizes[0] <= MAX_GROUP and all(size == sizes[0] for size in sizes[:-1])
        signs = set(self.signs[first + 1 : last])
        if first == 0 and last == len(self.signs) - 1:
            return is_even or (cued and all(sign.strip() in ("", "-") for sign in signs))
        # A part of a longer row: any long row of numbers (frames, RGB values) holds a Luhn-valid stretch somewhere,
        # so the part must be written alike in itself and unlike its neighbours.
        return is_even and len(signs) == 1 and signs.isdisjoint((self.signs[first], self.signs[last]))


def _is_endless(value: str) -> bool:
    """Whether a row is longer than any card and one like another all along ("1 2 3 4 …", "10-20-30-…"), so that no
    part of it is set off as a card would be. Groups of four are how cards are written, so a row of those is no such."""
    head = _EVEN_HEAD.match(value)
    if head is None or len(value) < ENDLESS_CHARS:
        return False
    size, sign = len(head.group(1)), head.group(2)
    groups = value.split(sign)
    return size != 4 and set(map(len, groups)) == {size} and "".join(groups).isdigit()


def payment_card(candidate: Candidate) -> Sequence[Accepted]:
    """The card numbers in a row of digits; a number before or after the card doesn't hide it."""
    if candidate.before(1) == "+" or _is_endless(candidate.value):
        return ()
    run = _Run(candidate)
    found: list[Accepted] = []
    done = 0
    around: Surroundings | None = None
    for start, end in run.numbers():
        digits = run.digits[start:end]
        is_plain = run.breaks[end] - run.breaks[start] == 1
        if start < done or len(set(digits)) < 2:
            continue
        around = around or candidate.look()
        if around.countered and is_plain:
            continue  # seeds and barcodes are written without gaps; "seed 4111 1111 1111 1111" is a card
        if run.is_grouped_like_a_card(start, end, cued=around.cued):
            found.append(Accepted(run.place(start), run.place(end - 1) + 1, digits))
            done = end
    return found
