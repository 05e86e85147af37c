"""The files of diversity rewriting: refused with their place, exchanged while the gateway runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.diversity import Diversity, DiversityError
from gateway.diversity.vocabulary import MAX_FILE_BYTES

POLICIES = Path(__file__).parents[3] / "policies"
SHARES = "gateway/config/diversity/data.yaml"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    shutil.copytree(POLICIES / "diversity", tmp_path / "diversity")
    (tmp_path / SHARES).parent.mkdir(parents=True)
    shutil.copy(POLICIES / SHARES, tmp_path / SHARES)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (SHARES, "woman: 49.7", "woman: -1", "diversity/data.yaml: world: genders.woman"),
        (SHARES, "woman: 49.7", "women: 49.7", "expected only woman, man, nonbinary"),
        (SHARES, "black: 14.5", "martian: 14.5", "origins has no words for martian"),
        (SHARES, "woman: 49.7\n    man: 50.3", "woman: 0\n    man: 0", "one share above 0"),
        (SHARES, "world:", "word:", "diversity/data.yaml: world"),
        ("diversity/en.yaml", "language: en", "language: de", "language must be the file's name"),
        ("diversity/en.yaml", "woman_words:", "women_words:", "en.yaml: women_words"),
        ("diversity/en.yaml", '"{f} woman"', '"{x} woman"', "nothing else in braces"),
        ("diversity/en.yaml", '"{f} woman"', '"{f woman"', "nothing else in braces"),
        ("diversity/de.yaml", "clause: \", die Person ist {who}\"", "clause: \"\"", "de.yaml: clause"),
        ("diversity/de.yaml", "n: Schwarzes", "k: Schwarzes", "de.yaml: origins.black"),
        ("diversity/fr.yaml", "nouns:", "nouns: [", "fr.yaml: not YAML"),
        ("diversity/fr.yaml", 'nonbinary: "un enfant"', 'girl: "un enfant"', "fr.yaml: alone.child"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_its_name_and_place(
    bundle: Path, file: str, old: str, new: str, told: str
) -> None:
    change(bundle / file, old, new)
    with pytest.raises(DiversityError, match=told):
        Diversity(bundle)


def test_missing_and_huge_files_are_refused(bundle: Path) -> None:
    (bundle / "diversity/en.yaml").write_text("#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(DiversityError, match=r"en.yaml: file is too large"):
        Diversity(bundle)
    shutil.rmtree(bundle / "diversity")
    with pytest.raises(DiversityError, match="no files with words"):
        Diversity(bundle)


def first(diversity: Diversity) -> str:
    texts = diversity.rewrite_each("a doctor", "r", 1)
    return texts[0] if texts else ""


def test_a_changed_file_comes_into_force_and_a_broken_one_leaves_the_old(bundle: Path) -> None:
    now = 0.0
    diversity = Diversity(bundle, reload_seconds=1.0, clock=lambda: now)
    change(bundle / "diversity/en.yaml", "the person is {who}", "shown as {who}")
    assert ", the person is " in first(diversity)
    now = 1.0
    assert ", shown as " in first(diversity)
    (bundle / "diversity/en.yaml").write_text("nonsense")
    now = 2.0
    assert ", shown as " in first(diversity)
    assert diversity.error.startswith("en.yaml: ")


def test_each_picture_has_a_text_of_its_own(bundle: Path) -> None:
    diversity = Diversity(bundle)
    texts = diversity.rewrite_each("a doctor", "r", 10)
    assert texts is not None
    assert len(texts) == 10
    assert len(set(texts)) > 2
    assert list(texts) == [(diversity.rewrite_each("a doctor", "r", n) or ("",))[-1] for n in range(1, 11)]
    assert diversity.rewrite_each("a lighthouse", "r", 10) is None
