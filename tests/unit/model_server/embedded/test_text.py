from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from model_server.embedded.text import MAX_TOKENS, PAD_ID, Tokenizer

PIECES = ("[PAD]", "fox", "red", "app", "##le", "##s", "a", "on")
TOKENIZER = Tokenizer(PIECES)


def words(prompt: str) -> list[str]:
    return [PIECES[token] for token in TOKENIZER.encode(prompt) if token != PAD_ID]


def test_the_longest_piece_wins_and_continuations_are_marked() -> None:
    assert words("Apples on RED") == ["app", "##le", "##s", "on", "red"]


def test_words_that_name_nothing_are_dropped() -> None:
    assert words("Please draw me a picture of the fox") == ["fox"]


def test_what_is_in_no_piece_is_skipped() -> None:
    assert words("żółw 狐 fox!") == ["fox"]
    assert words("zzz") == []


def test_padding_has_no_piece_of_its_own_in_text() -> None:
    assert TOKENIZER.encode("[PAD] fox") == TOKENIZER.encode("pad fox")
    assert words("[PAD] fox")[-1] == "fox"


def test_count_is_what_the_model_reads() -> None:
    assert TOKENIZER.count("red fox") == 2
    assert TOKENIZER.count("fox " * 100) == MAX_TOKENS


@given(st.text(max_size=400))
def test_any_text_becomes_a_fixed_number_of_known_ids(prompt: str) -> None:
    ids = TOKENIZER.encode(prompt)
    assert len(ids) == MAX_TOKENS
    assert all(0 <= token < len(PIECES) for token in ids)


def test_a_word_of_a_million_letters_costs_no_time() -> None:
    assert TOKENIZER.encode("q" * 1_000_000) == [PAD_ID] * MAX_TOKENS


def test_the_list_is_read_from_json(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.json").write_text(json.dumps(PIECES))
    assert Tokenizer.load(tmp_path / "vocabulary.json").encode("fox") == TOKENIZER.encode("fox")
