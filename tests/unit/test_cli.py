"""The `imprimatur` command, as an operator meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app

ROOT = Path(__file__).parents[2]

runner = CliRunner()


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRIMATUR_CONFIG", "")  # restored afterwards: the command sets it
    path = tmp_path / "settings.yaml"
    secret = tmp_path / "secrets"
    settings = {
        "database_url": f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite",
        "identity": {"secret_path": str(secret / "identity.key")},
        "screening": {"secret_path": str(secret / "screening.key")},
        "provenance": {
            "directory": str(tmp_path / "provenance"),
            "watermark_secret_path": str(secret / "watermark.key"),
        },
        "upstream": {"secret_path": str(secret / "model-server.key")},
    }
    path.write_text(json.dumps(settings))
    return path


@pytest.mark.parametrize("words", [[], ["serve"], ["migrate"], ["doctor"], ["keys"], ["keys", "init"], ["version"]])
def test_every_command_explains_itself(words):
    shown = runner.invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.output


def test_migrating_twice_is_the_same_as_once(config):
    newest = max(path.stem[:4] for path in (ROOT / "gateway/storage/migrations/versions").glob("[0-9]*.py"))
    for _ in range(2):
        assert f"revision {newest}" in runner.invoke(app, ["migrate", "-c", str(config)]).output


def test_keys_are_made_for_our_eyes_only_and_never_made_twice(config, tmp_path):
    assert "made" in runner.invoke(app, ["keys", "init", "-c", str(config)]).output
    made = {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in (tmp_path / "secrets").iterdir()}
    assert {mode for _, mode in made.values()} == {0o600}
    assert "kept" in runner.invoke(app, ["keys", "init", "-c", str(config)]).output
    assert made["identity.key"][0] == (tmp_path / "secrets" / "identity.key").read_text()


def test_the_doctor_says_what_is_missing_and_how_to_mend_it(config, tmp_path):
    shown = runner.invoke(app, ["doctor", "-c", str(config)])
    assert shown.exit_code == 1
    assert "imprimatur keys init" in shown.output
    assert "nobody can sign in" in shown.output
    runner.invoke(app, ["keys", "init", "-c", str(config)])
    (tmp_path / "secrets" / "identity.key").chmod(0o644)
    assert "chmod 600" in runner.invoke(app, ["doctor", "-c", str(config)]).output


def test_the_doctor_never_prints_a_secret(config, tmp_path):
    runner.invoke(app, ["keys", "init", "-c", str(config)])
    shown = runner.invoke(app, ["doctor", "-c", str(config)]).output
    assert not any(path.read_text() in shown for path in (tmp_path / "secrets").iterdir())


def test_a_wrong_setting_is_named(config):
    config.write_text(json.dumps({"server": {"port": "no"}, "typo": 1}))
    shown = runner.invoke(app, ["doctor", "-c", str(config)])
    assert shown.exit_code == 2
    assert "server.port" in shown.output
    assert "typo" in shown.output


def test_a_missing_file_is_named():
    shown = runner.invoke(app, ["serve", "-c", "/nowhere.yaml"])
    assert shown.exit_code == 2
    assert "/nowhere.yaml: no such file" in shown.output
