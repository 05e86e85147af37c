"""A rule may ask for names beside a cue and for review only; all else is refused with file, line and advice."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.screening.entities import model
from gateway.screening.rules import ruleset
from gateway.screening.rules.errors import RuleError
from gateway.screening.rules.ruleset import load
from gateway.vocabulary import Effect

from .rulefile import GOOD, rules, write

CONTEXT = "  context:\n    required: true\n    window: 30\n    cues: [client, kunde]\n    against: [by]\n"
REFUSED = {
    "no context": (GOOD.replace(CONTEXT, ""), 8, "a name alone says nothing"),
    "cues that are not required": (GOOD.replace("    required: true\n", ""), 9, "`required: true`"),
    "required, and no cues": (GOOD.replace("    cues: [client, kunde]\n", ""), 9, "cues"),
    "to mask": (GOOD.replace("default: review", "default: mask\n  replacement: Jane Doe"), 15, "allow, got mask"),
    "to block": (GOOD.replace("default: review", "default: block"), 15, "review or allow, got block"),
    "to block in monitor mode": (
        GOOD.replace("default: review", "default: block").replace("enforce", "monitor"), 15, "review or allow"),
    "to block while it is off": (
        GOOD.replace("default: review", "default: block").replace("enforce", '"off"'), 15, "review or allow"),
    "critical": (GOOD.replace("severity: high", "severity: critical"), 5, "low, medium or high"),
    "beside a pattern": (GOOD.replace("- entity: PERSON", "- entity: PERSON\n    - regex: 'K-(\\d+)'"), 9, "their own"),
    "a pattern and a name at once": (
        GOOD.replace("- entity: PERSON", "- entity: PERSON\n      regex: 'K-(\\d+)'"), 8, "one of `regex`"),
    "a validator": (GOOD.replace(CONTEXT, "  validate: [iban]\n" + CONTEXT), 9, "a name has none"),
    "a kind of name that is none": (GOOD.replace("PERSON", "PRODUCT"), 8, "PERSON"),
    "a kind in small letters": (GOOD.replace("PERSON", "person"), 8, "PERSON"),
    "a match without a cue": (GOOD.replace("our client Anna", "our guest Anna"), 20, "none of `context.cues`"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_asks_for_more_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    text, line, says = REFUSED[case]
    with pytest.raises(RuleError) as caught:
        rules(tmp_path, text)
    assert (caught.value.file, caught.value.line) == ("dlp/client-name.yaml", line), str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        ("default: review", "default: review", Effect.REVIEW),
        ("default: review", "default: allow", Effect.ALLOW),
        ("mode: enforce", "mode: monitor", Effect.ALLOW),
    ],
)
def test_what_a_rule_for_names_proposes(old: str, new: str, effect: Effect, tmp_path: Path) -> None:
    loaded = rules(tmp_path, GOOD.replace(old, new))
    [named] = loaded.names["prompt"].rules
    assert named.detector.effect is effect
    assert named.detector.entities == {"PERSON"}
    assert loaded.scanners["prompt"].detectors == ()


def test_a_rule_that_is_off_is_not_run(tmp_path: Path) -> None:
    loaded = rules(tmp_path, GOOD.replace("enforce", '"off"'))
    assert loaded.names["prompt"].rules == ()
    assert "dlp.client-name" in loaded.rules


def test_a_rule_runs_over_the_fields_of_its_scope(tmp_path: Path) -> None:
    loaded = rules(tmp_path, GOOD.replace("severity: high", "severity: high\nscope: [filename]"))
    assert [len(loaded.names[scope].rules) for scope in ("prompt", "filename")] == [0, 1]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('["our client Anna Berger"]', '["our client in a park"]', 20, "tests.match[0]: expected a finding, got none"),
        (
            '"a client by Anna Berger"',
            '"a client called Anna Berger"',
            21,
            "tests.no_match[0]: expected no finding",
        ),
    ],
)
def test_its_own_tests_are_run_with_the_model_where_rules_are_checked(
    old: str, new: str, line: int, says: str, tmp_path: Path
) -> None:
    write(tmp_path, GOOD.replace(old, new))
    load(tmp_path)  # the gateway runs them when the model is first needed
    with pytest.raises(RuleError, match="client-name") as caught:
        load(tmp_path, prove_names=True)
    assert caught.value.line == line
    assert says in str(caught.value)


def test_the_shipped_rule_passes_its_own_tests(policies: Path) -> None:
    loaded = load(policies, prove_names=True)
    assert loaded.without_model == ()
    [named] = loaded.names["prompt"].rules
    assert named.detector.rule_id == "person-name-in-context"
    assert not named.detector.is_enforced
    assert len(named.match) >= 10
    assert len(named.no_match) >= 10


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PACKAGE", "en_core_web_sm_of_nobody")


@pytest.mark.usefixtures("not_installed")
def test_without_the_model_every_shipped_rule_loads_and_the_one_for_names_waits(policies: Path) -> None:
    loaded = load(policies, prove_names=True)
    assert loaded.without_model == ("person-name-in-context",)
    assert loaded.names["prompt"].rules == ()


@pytest.mark.usefixtures("not_installed")
def test_without_the_model_a_rule_in_force_is_still_run(tmp_path: Path) -> None:
    loaded = rules(tmp_path)
    assert loaded.without_model == ("client-name",)
    assert len(loaded.names["prompt"].rules) == 1


def test_the_revision_tells_whether_the_model_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = rules(tmp_path).revision
    monkeypatch.setattr(model, "PACKAGE", "en_core_web_sm_of_nobody")
    assert load(tmp_path).revision != there


def settings(tmp_path: Path, mode: str) -> list[str]:
    secret = tmp_path / "screening.key"
    secret.write_text("s" * 40)
    secret.chmod(0o600)
    write(tmp_path / "policies", GOOD.replace("enforce", mode))
    path = tmp_path / "settings.yaml"
    path.write_text(
        f"policy: {{directory: {tmp_path / 'policies'}}}\nscreening: {{secret_path: {secret}}}\n", encoding="utf-8"
    )
    return ["-c", str(path)]


def run(*words: str) -> tuple[int, str]:
    shown = CliRunner(env={"IMPRIMATUR_CONFIG": ""}).invoke(app, list(words))
    return shown.exit_code, " ".join(shown.output.split())


@pytest.mark.parametrize(("mode", "says"), [("enforce", "refused as screening.unavailable"), ("monitor", "waits")])
def test_the_doctor_and_the_check_say_what_is_missing_and_how_to_mend_it(
    mode: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(tmp_path, mode)
    assert "client-name.yaml" not in run("doctor", *config)[1]
    assert run("dlp", "check", *config) == (
        0, f"1 rules load and pass their own tests: revision {load(tmp_path / 'policies').revision}",
    )  # fmt: skip
    monkeypatch.setattr(model, "PACKAGE", "en_core_web_sm_of_nobody")
    for words in (("doctor", *config), ("dlp", "check", *config)):
        said = run(*words)[1]
        assert f"dlp/client-name.yaml: {'prompts' if mode == 'enforce' else 'waits'}" in said
        assert says in said
        assert "pip install 'imprimatur-gateway[ner]'" in said
    assert "1 of them not tried" in said


def test_the_doctor_tells_an_altered_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "SHA256", "0" * 64)
    said = run("doctor", *settings(tmp_path, "enforce"))[1]
    assert "expected 000000000000, got ecc04defc79c" in said
    assert "pip install --force-reinstall" in said


def test_the_doctor_asks_for_no_model_that_no_rule_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PACKAGE", "en_core_web_sm_of_nobody")
    assert "model of names" not in run("doctor", *settings(tmp_path, '"off"'))[1]


def test_the_check_says_which_names_it_finds(tmp_path: Path) -> None:
    config = settings(tmp_path, "enforce")
    assert run("dlp", "check", "for our client Peter Jones", *config)[1].endswith(
        "15-26 dlp.client-name: review, can't be masked"
    )
    assert run("dlp", "check", "by Peter Jones", *config)[1].endswith("nothing found")


def test_a_check_without_the_model_of_a_text_with_a_cue_says_what_a_gateway_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(tmp_path, "enforce")
    monkeypatch.setattr(model, "PACKAGE", "en_core_web_sm_of_nobody")
    monkeypatch.setattr(model, "_shared", [])
    code, said = run("dlp", "check", "for our client Peter Jones", *config)
    assert code == 1
    assert "a gateway would answer screening.unavailable: the model of names" in said


def test_looking_whether_the_model_is_there_loads_nothing() -> None:
    assert model.absent() == ""
    assert ruleset.SHA256 == model.SHA256
