"""What a real OpenBao does beyond the suite: keys that must be refused, a token that may do no more than it must."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.errors import KeyRefused, KeyServiceUnavailable
from audit.keys.services.settings import TransitServiceSettings
from audit.keys.services.transit import TransitKeyService
from tests.support.openbao import OpenBao

Open = Callable[..., TransitKeyService]


@pytest.fixture
def opened(openbao: OpenBao, tmp_path: Path) -> Iterator[Open]:
    made: list[TransitKeyService] = []

    def open_(name: str, token: str, **changes: Any) -> TransitKeyService:
        path = tmp_path / f"token-{len(made)}"
        path.touch(0o600)
        path.write_text(token)
        values = {"url": openbao.url, "key": name, "token_path": path, "ca_path": openbao.ca_path, **changes}
        made.append(TransitKeyService(TransitServiceSettings(kind="transit", **values)))
        return made[-1]

    yield open_
    for service in made:
        service.close()


@pytest.fixture
def name() -> str:
    return f"kek-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"derived": False}, "not derived"),
        ({"exportable": True}, "can leave"),
        ({"allow_plaintext_backup": True}, "can leave"),
        ({"type": "rsa-2048", "derived": False}, "wrong type"),
    ],
)
def test_a_key_made_the_wrong_way_is_refused(
    openbao: OpenBao, opened: Open, name: str, options: dict[str, Any], reason: str
) -> None:
    openbao.make_key(name, **options)
    with pytest.raises(KeyRefused, match=reason):
        opened(name, openbao.make_token(name)).check()


def test_a_key_that_is_not_derived_would_open_under_any_context(openbao: OpenBao, opened: Open, name: str) -> None:
    """Why ``check`` asks: the engine ignores the context without a word."""
    openbao.make_key(name, derived=False)
    service = opened(name, openbao.make_token(name))
    assert service.unwrap(service.wrap(b"secret", b"one"), b"two") == b"secret"


def test_the_other_authenticated_ciphers_do_as_well(openbao: OpenBao, opened: Open, name: str) -> None:
    openbao.make_key(name, type="xchacha20-poly1305")
    service = opened(name, openbao.make_token(name))
    service.check()
    with pytest.raises(KeyRefused):
        service.unwrap(service.wrap(b"secret", b"one"), b"two")


def test_the_token_may_wrap_and_unwrap_and_nothing_else(openbao: OpenBao, opened: Open, name: str) -> None:
    openbao.make_key(name)
    token = openbao.make_token(name)
    opened(name, token).check()
    for method, path in (
        ("POST", f"transit/keys/{name}/rotate"),
        ("DELETE", f"transit/keys/{name}"),
        ("GET", f"transit/export/encryption-key/{name}"),
        ("GET", f"transit/backup/{name}"),
    ):
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            openbao.ask(method, path, token=token)


def test_a_revoked_token_says_nothing_of_the_key(openbao: OpenBao, opened: Open, name: str) -> None:
    openbao.make_key(name)
    token = openbao.make_token(name)
    service = opened(name, token)
    wrapped = service.wrap(b"secret", b"context")
    openbao.ask("POST", "auth/token/revoke", {"token": token})
    with pytest.raises(KeyServiceUnavailable, match="renew it"):
        service.unwrap(wrapped, b"context")


def test_a_key_or_engine_that_is_not_there_is_refused(openbao: OpenBao, opened: Open, name: str) -> None:
    with pytest.raises(KeyRefused):
        opened(name, openbao.token).check()
    with pytest.raises(KeyRefused):
        opened(name, openbao.token, mount="nowhere").check()


def test_a_version_that_was_trimmed_away_is_gone_for_good(openbao: OpenBao, opened: Open, name: str) -> None:
    openbao.make_key(name)
    service = opened(name, openbao.make_token(name))
    wrapped = service.wrap(b"secret", b"context")
    openbao.ask("POST", f"transit/keys/{name}/rotate")
    newer = service.wrap(b"secret", b"context")
    openbao.ask("POST", f"transit/keys/{name}/config", {"min_decryption_version": 2, "min_encryption_version": 2})
    openbao.ask("POST", f"transit/keys/{name}/trim", {"min_available_version": 2})
    with pytest.raises(KeyRefused):
        service.unwrap(wrapped, b"context")
    assert service.unwrap(newer, b"context") == b"secret"
