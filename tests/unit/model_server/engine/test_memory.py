"""Admission by memory, on a card that the test plays."""

from __future__ import annotations

import pytest

from model_server.engine.memory import MemoryBook, card_of
from model_server.observe import Metrics


class Card:
    """1000 bytes; a step of b pictures takes 100 + 100 b."""

    total_bytes = 1000

    def __init__(self) -> None:
        self.peak = 0
        self.released = 0
        self.waited = 0

    def reset_peak(self) -> None:
        self.peak = 0

    def peak_bytes(self) -> int:
        return self.peak

    def release(self) -> None:
        self.released += 1

    def wait(self) -> None:
        self.waited += 1


def seen(book: MemoryBook, card: Card, *batches: int) -> None:
    for batch in batches:
        book.before()
        card.peak = 100 + 100 * batch
        book.after("group", batch)


def test_no_more_pictures_than_ninety_two_percent_of_the_card_hold() -> None:
    card = Card()
    book = MemoryBook(card, 0.92, Metrics())
    seen(book, card, 1, 2, 4)
    assert book.allowed("group", 16) == 8  # 900 bytes; 9 would take 1000
    assert book.allowed("group", 3) == 3
    assert book.allowed("other group", 16) == 16  # never seen: the first step will tell


def test_one_is_always_tried_and_one_measurement_is_taken_as_proportional() -> None:
    card = Card()
    book = MemoryBook(card, 0.05, Metrics())
    seen(book, card, 1)
    assert book.allowed("group", 4) == 1
    wide = MemoryBook(card, 0.92, Metrics())
    seen(wide, card, 1)
    assert wide.allowed("group", 16) == 4  # 200 each


@pytest.mark.parametrize(("batch", "expected"), [(8, 4), (3, 1), (1, 1)])
def test_a_step_that_ran_out_is_never_tried_again_at_that_size(batch: int, expected: int) -> None:
    card = Card()
    book = MemoryBook(card, 0.92, Metrics())
    book.ran_out("group", batch)
    assert book.allowed("group", 16) == expected
    assert card.released == 1


def test_running_out_counts_without_a_card_too() -> None:
    book = MemoryBook(None, 0.92, Metrics())
    assert book.allowed("group", 16) == 16
    book.ran_out("group", 8)
    assert book.allowed("group", 16) == 4


def test_the_highest_use_is_a_figure_of_the_operator() -> None:
    card, metrics = Card(), Metrics()
    seen(MemoryBook(card, 0.92, metrics), card, 4, 2)
    assert metrics.registry.get_sample_value("imprimatur_model_memory_peak_bytes") == 500


def test_a_processor_has_no_card() -> None:
    assert card_of("cpu") is None


def test_a_step_on_a_card_has_ended_before_its_time_is_read() -> None:
    card = Card()
    MemoryBook(card, 0.92, Metrics()).wait()
    assert card.waited == 1
    MemoryBook(None, 0.92, Metrics()).wait()
