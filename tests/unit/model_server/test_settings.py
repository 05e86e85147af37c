from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from model_server.limits import BodyLimits
from model_server.settings import Settings, SettingsError
from model_server.wire import GenerationRequest

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


TLS = {"tls_certificate_path": "server.pem", "tls_key_path": "server.key", "tls_client_ca_path": "ca.pem"}


@pytest.mark.parametrize("missing", sorted(TLS))
def test_tls_is_all_of_its_three_files_or_nothing(missing: str) -> None:
    given = {name: value for name, value in TLS.items() if name != missing}
    with pytest.raises(ValidationError, match="go together"):
        Settings(token_secret=SECRET, **given)
    assert Settings(token_secret=SECRET, **TLS).has_tls
    assert not Settings(token_secret=SECRET).has_tls


def test_with_tls_the_token_is_still_demanded() -> None:
    with pytest.raises(ValidationError, match="token_secret_path"):
        Settings(host="0.0.0.0", **TLS)


def test_tokens_may_be_left_out_on_a_public_address_only_where_tls_names_the_caller() -> None:
    with pytest.raises(ValidationError, match="loopback"):
        Settings(host="0.0.0.0", insecure_no_auth=True, **TLS)
    settings = Settings(host="0.0.0.0", insecure_no_auth=True, tls_client_name="gateway.internal", **TLS)
    assert settings.read_secret() is None


@pytest.mark.parametrize("field", [{"tls_client_name": "gateway.internal"}, {"probe_port": 8102}])
def test_what_only_tls_can_keep_is_refused_without_it(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"tls|TLS"):
        Settings(token_secret=SECRET, **field)


def test_the_memory_for_bodies_holds_at_least_one() -> None:
    with pytest.raises(ValidationError, match="upload_memory_bytes"):
        Settings(token_secret=SECRET, max_upload_bytes=1000, upload_memory_bytes=999)


def test_a_settings_file_of_models_needs_no_folder_of_one() -> None:
    assert Settings(token_secret=SECRET, kind="diffusers", models_path="models.yaml").path is None


def test_the_longest_request_that_the_wire_takes_fits_into_a_body() -> None:
    point = [0.123456, 0.123456]
    sketch = {"regions": [{"label": "\N{GRINNING FACE}" * 100, "stroke": [point] * 500, "width": 0.123456}] * 16}
    longest = {"prompt": "\N{GRINNING FACE}" * 32_000, "negative_prompt": "\N{GRINNING FACE}" * 32_000}
    body = json.dumps({**longest, "sketch": sketch})  # every character escaped, as a pair
    assert GenerationRequest.model_validate_json(body).sketch is not None
    assert len(body) < Settings(insecure_no_auth=True).max_body_bytes == BodyLimits().max_json_bytes
