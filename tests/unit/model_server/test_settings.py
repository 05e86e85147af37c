from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from model_server.settings import Settings, SettingsError

SECRET = "x" * 32


def test_without_a_secret_there_are_no_settings() -> None:
    with pytest.raises(ValidationError, match="token_secret_path"):
        Settings()


def test_serving_everyone_is_possible_on_loopback_only() -> None:
    assert Settings(insecure_no_auth=True).read_secret() is None
    assert Settings(insecure_no_auth=True, host="::1").read_secret() is None
    for host in ("0.0.0.0", "::", "10.0.0.5", "models.internal"):
        with pytest.raises(ValidationError, match="loopback"):
            Settings(insecure_no_auth=True, host=host)


def test_the_secret_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    assert Settings(token_secret_path=path).read_secret() == SECRET.encode()
    monkeypatch.setenv("IMPRIMATUR_MODEL_TOKEN_SECRET", SECRET)
    assert Settings().read_secret() == SECRET.encode()
    with pytest.raises(ValidationError, match="not both"):
        Settings(token_secret_path=path)


def test_a_short_secret_is_refused_without_being_shown(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("correct-horse-battery-staple-31")
    with pytest.raises(SettingsError, match="expected at least 32 bytes, got 31") as caught:
        Settings(token_secret_path=path).read_secret()
    assert "horse" not in str(caught.value)


def test_a_missing_secret_file_is_an_error_not_an_open_door(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Settings(token_secret_path=tmp_path / "nothing").read_secret()


def test_the_secret_does_not_show_when_settings_are_printed() -> None:
    assert SECRET not in repr(Settings(token_secret=SECRET))  # type: ignore[arg-type]


def test_a_diffusers_model_needs_its_folder() -> None:
    with pytest.raises(ValidationError, match="path"):
        Settings(insecure_no_auth=True, kind="diffusers")


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
