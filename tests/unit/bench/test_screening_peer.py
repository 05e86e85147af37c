"""How the screening bench counts beside Presidio."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import screening, screening_names, screening_peer
from bench.screening_corpus import Sample
from bench.screening_peer import Beside, Entity, quality
from bench.support.results import Figure
from gateway.screening.entities import model
from gateway.screening.facade import Screening

CARD = Sample("card 4111", (("dlp.payment-card", 5, 9),))


@pytest.mark.parametrize(
    ("found", "f1"),
    [
        ([Entity("CREDIT_CARD", 5, 9, 1.0)], 1.0),
        ([Entity("CREDIT_CARD", 0, 4, 1.0)], 0.0),
        ([Entity("PHONE_NUMBER", 5, 9, 0.4), Entity("CREDIT_CARD", 5, 9, 1.0)], 2 / 3),
        ([Entity("CREDIT_CARD", 5, 9, 0.1)], 0.0),
        ([Entity("PERSON", 0, 4, 0.9), Entity("CREDIT_CARD", 5, 9, 1.0)], 1.0),
        ([], 0.0),
    ],
)
def test_a_finding_is_right_when_it_has_the_type_of_the_value_that_it_overlaps(found: list[Entity], f1: float) -> None:
    counted = quality([CARD], [(1.0, found)], {"payment-card", "phone-number"}, 0.4)
    assert counted["all"] == pytest.approx(f1)


def test_a_kind_without_a_recognizer_is_not_held_against_it() -> None:
    iban = Sample("DE89", (("dlp.iban", 0, 4),))
    counted = quality([CARD, iban], [(1.0, [Entity("CREDIT_CARD", 5, 9, 1.0)]), (1.0, [])], {"payment-card"}, 0.0)
    assert counted["all"] == 1


def test_without_presidio_the_table_says_so_and_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screening_peer, "PYTHON", tmp_path / "none")
    assert screening_peer.measure() == Beside(f1={})
    assert "pip install -r bench/requirements-presidio.txt" in capsys.readouterr().out
    assert (screening_peer.ROOT / "bench/requirements-presidio.txt").is_file()


def test_its_figures_stand_next_to_ours_of_the_same_name() -> None:
    ours = [
        Figure(figure="text: iban, 1 - F1 on our held-out seeds", unit="ratio", value=0.01),
        Figure(figure=screening.COMMON, unit="ratio", value=0.02),
        Figure(figure="text: CPU p99 at 400 characters", unit="ms", value=0.4),
        Figure(figure="text: CPU p99 at 400 characters with names beside cues", unit="ms", value=4, beside={"a": 1}),
        Figure(figure="text: something of our own", unit="ratio", value=0.3),
    ]
    peer = Beside({"iban": 0.9, "all": 0.8}, 0.2, 0.01, {400: 43.0})
    merged = [dict(figure.beside) for figure in screening.beside(ours, peer)]
    assert merged == [
        {"Presidio": pytest.approx(0.1)},
        {"Presidio": pytest.approx(0.2)},
        {"Presidio": 43.0},
        {"a": 1, "Presidio": 43.0},
        {},
    ]
    assert screening.beside(ours, Beside(f1={})) == ours


def test_our_own_figure_beside_it_is_of_the_kinds_that_it_knows() -> None:
    assert Beside({"iban": 0.9, "all": 0.9}).kinds == ("iban",)
    assert "payment-card" in Beside(f1={}).kinds


async def test_without_the_model_of_names_the_table_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model, "PACKAGE", "en_core_web_sm_of_nobody")
    made = Screening(directory=screening.ROOT / "policies", secret=bytes(range(32)))
    assert await screening_names.names(made) == []
    await made.aclose()
    assert "imprimatur-gateway[ner]" in capsys.readouterr().out


def test_a_made_name_stands_where_it_is_said_to() -> None:
    for language in screening_names.FRAMES:
        text, start, end = screening_names.in_context(language, 1)
        first, _, last = text[start:end].partition(" ")
        assert first in screening_names.FIRST[language]
        assert last in screening_names.LAST[language]
    assert len(screening_names.dense(4_000, 1)) == 3_999
    assert "{}" not in " ".join(map(screening_names.art, range(50)))
