"""How long records are kept comes from policy, per class and group, and a broken file changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.keeping import ABUSE, FILE, STANDARD, ZERO, Keeping, KeepingRules

SHIPPED = Path(__file__).parents[2] / "policies"


def rules(**changes: object) -> KeepingRules:
    values = {"classes": {"standard": 30, "abuse": 30, "zero": 30, "short": 7, "shorter": 3}}
    return KeepingRules.model_validate({**values, **changes})


def test_the_shipped_rules_keep_thirty_days_and_make_no_exception() -> None:
    shipped = Keeping(SHIPPED).rules()
    assert shipped.classes == {STANDARD: 30, ABUSE: 30, ZERO: 30}
    assert shipped.class_of(("writers", "all")) == STANDARD
    assert not shipped.keyword_index


def test_zero_wins_over_every_other_class_then_the_fewest_days() -> None:
    found = rules(groups={"a": "short", "b": "shorter", "c": "zero"})
    assert found.class_of(("a",)) == "short"
    assert found.class_of(("a", "b", "unknown")) == "shorter"
    assert found.class_of(("c", "b")) == ZERO


def test_abuse_is_flagged_by_code_or_family_and_never_by_a_mere_beginning() -> None:
    found = rules(abuse_reasons=["content.", "dlp.iban"])
    assert found.is_abuse(("content.violence",))
    assert found.is_abuse(("dlp.iban",))
    assert not found.is_abuse(("dlp.iban-like", "contents", "mfa.stale"))
    assert not rules().is_abuse(("content.violence",))


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": {"standard": 30, "abuse": 30}},
        {"classes": {"standard": 0, "abuse": 30, "zero": 30}},
        {"classes": {"standard": 4000, "abuse": 30, "zero": 30}},
        {"classes": {"standard": "30", "abuse": 30, "zero": 30}},
        {"groups": {"a": "nowhere"}},
        {"unknown": 1},
    ],
)
def test_rules_that_make_no_sense_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        rules(**changes)


def test_a_changed_file_comes_into_force_and_a_broken_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    path.write_text("classes: {standard: 30, abuse: 30, zero: 30}\n")
    keeping = Keeping(tmp_path)
    monkeypatch.setattr("gateway.keeping._LOOK_SECONDS", 0.0)
    path.write_text("classes: {standard: 14, abuse: 30, zero: 30}\n")
    os.utime(path, ns=(1, 1))
    assert keeping.rules().classes[STANDARD] == 14
    path.write_text("classes: {standard: never}\n")
    assert keeping.rules().classes[STANDARD] == 14
    path.unlink()
    assert keeping.rules().classes[STANDARD] == 14


def test_without_a_file_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        Keeping(tmp_path)
