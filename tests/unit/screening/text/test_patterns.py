"""RE2 runs the patterns: linear, and loud when it can't."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.screening.text.patterns import (
    MAX_PATTERN_CHARS,
    EncodedText,
    PatternError,
    PatternSet,
    compile_pattern,
)


def test_only_patterns_that_occur_are_named() -> None:
    patterns = PatternSet(["cat", r"\d+", "dog"])
    assert patterns.matching("a dog of 7") == [1, 2]
    assert patterns.matching("nothing") == []


def test_the_span_is_of_group_one_where_there_is_one() -> None:
    patterns = PatternSet([r"(?:^|\s)(\d+)", r"x\d+"])
    assert list(patterns.spans(0, "a 12 é 34")) == [(2, 4), (7, 9)]
    assert list(patterns.spans(1, "é x12")) == [(2, 5)]


@pytest.mark.parametrize("pattern", ["(", "(?<=a)b", r"(a)\1", "[", "x*", "", "a{1,100000}"])
def test_a_pattern_that_re2_or_we_do_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)


def test_a_pattern_too_large_to_compile_is_refused() -> None:
    with pytest.raises(PatternError):
        compile_pattern(r"(?:\pL{1,1000}){1,900}")


def test_a_very_long_pattern_is_refused_before_it_is_compiled() -> None:
    with pytest.raises(PatternError, match="too long"):
        compile_pattern("a" * (MAX_PATTERN_CHARS + 1))


class _Exhausted:
    """A Set that ran out of memory: RE2 then answers that nothing matched."""

    def Match(self, _text: str) -> list[int]:  # noqa: N802 - RE2's own name
        return []


def test_a_set_that_cannot_tell_means_that_every_pattern_is_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns: Any = PatternSet(["cat", "dog"])
    patterns._set = _Exhausted()
    assert patterns.matching("a dog") == [0, 1]
    assert list(patterns.spans(1, "a dog")) == [(2, 5)]


def test_no_patterns_is_a_set_that_finds_nothing() -> None:
    assert PatternSet([]).matching("anything") == []


@settings(deadline=None)  # other work on the machine is no defect
@given(st.text(alphabet="aé€😀1 ", max_size=30))
def test_a_place_in_bytes_is_the_same_place_in_characters(text: str) -> None:
    encoded = EncodedText(text)
    for place in range(len(text) + 1):
        assert encoded.character(len(text[:place].encode())) == place
