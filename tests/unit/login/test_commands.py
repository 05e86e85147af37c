"""`imprimatur login`, `token` and `logout`, as somebody at a terminal meets them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends.chainer import ChainerBackend
from keyring.backends.fail import Keyring as NoKeyringHere
from keyring.backends.null import Keyring as NullKeyring
from typer.testing import CliRunner, Result

from gateway import cli_login
from gateway.cli import app
from gateway.login.device_flow import DeviceFlow
from gateway.login.keyring_shelf import KeyringShelf, is_keeping_secrets
from tests.support.device_issuer import ACCESS, GATEWAY, DeviceIssuer, error, tokens
from tests.support.memory_keyring import MemoryKeyring

runner = CliRunner()


@pytest.fixture
def ring() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    ring = MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture(autouse=True)
def issuer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DeviceIssuer:
    issuer = DeviceIssuer()
    monkeypatch.setattr(cli_login, "client", issuer.client)
    monkeypatch.setattr(cli_login, "DeviceFlow", lambda http: DeviceFlow(http, issuer.sleep, time.time))
    monkeypatch.setenv("HOME", str(tmp_path))
    return issuer


def run(*words: str) -> Result:
    return runner.invoke(app, words)


@pytest.fixture
def signed_in(ring: MemoryKeyring, issuer: DeviceIssuer) -> MemoryKeyring:
    issuer.polls = [tokens()]
    assert run("login", GATEWAY).exit_code == 0
    return ring


def test_login_shows_code_and_address_and_keeps_the_tokens_in_the_keyring(
    ring: MemoryKeyring, issuer: DeviceIssuer
) -> None:
    issuer.polls = [error("authorization_pending"), tokens()]
    shown = run("login", GATEWAY)
    assert shown.exit_code == 0
    assert "WDJB-MJHT" in shown.stderr
    assert "user_code=WDJB-MJHT" in shown.stderr
    assert shown.stdout == ""
    assert ACCESS in json.dumps(list(ring.entries.values()))
    assert ACCESS not in shown.stderr


def test_token_prints_the_token_and_nothing_else(signed_in: MemoryKeyring) -> None:
    shown = run("token")
    assert (shown.exit_code, shown.stdout) == (0, ACCESS + "\n")
    assert run("token", GATEWAY + "/").stdout == ACCESS + "\n"


def test_token_that_is_about_to_end_is_renewed_and_its_successor_kept(
    signed_in: MemoryKeyring, issuer: DeviceIssuer
) -> None:
    shelf = KeyringShelf()
    for number in (2, 3):
        kept = shelf.take()
        assert kept is not None
        old = type(kept.tokens)(
            access_token=kept.tokens.access_token,
            refresh_token=kept.tokens.refresh_token,
            expires_at=time.time() + 59,
        )
        shelf.put(type(kept)(door=kept.door, tokens=old))
        issuer.polls = [tokens(number)]
        assert run("token").stdout == f"eyJ.access-token-{number}.x\n"
    assert [form["refresh_token"] for form in issuer.posts("/token")[1:]] == ["refresh-1", "refresh-2"]


def test_sign_in_that_ended_at_the_provider_is_forgotten_and_says_what_to_do(
    ring: MemoryKeyring, issuer: DeviceIssuer
) -> None:
    issuer.polls = [tokens(expires_in=10), error("invalid_grant")]
    run("login", GATEWAY)
    shown = run("token")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert f"imprimatur login {GATEWAY}" in shown.stderr
    assert ring.entries == {}


def test_provider_that_is_away_costs_nobody_their_sign_in(ring: MemoryKeyring, issuer: DeviceIssuer) -> None:
    issuer.polls = [tokens(expires_in=10), error("temporarily_unavailable"), tokens(2)]
    run("login", GATEWAY)
    assert run("token").exit_code == 1
    assert run("token").stdout == "eyJ.access-token-2.x\n"


def test_logout_forgets_and_gives_the_refresh_token_back(signed_in: MemoryKeyring, issuer: DeviceIssuer) -> None:
    assert run("logout").exit_code == 0
    assert signed_in.entries == {}
    assert issuer.posts("/revoke")[0]["token"] == "refresh-1"
    shown = run("token")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "imprimatur login" in shown.stderr


def test_logging_in_again_leaves_nothing_of_the_longer_one_before(ring: MemoryKeyring, issuer: DeviceIssuer) -> None:
    issuer.polls = [tokens(access_token="a" * 6000)]
    run("login", GATEWAY)
    assert run("token").stdout == "a" * 6000 + "\n"
    issuer.polls = [tokens()]
    run("login")  # the gateway of last time
    assert run("token").stdout == ACCESS + "\n"
    assert not any("aaaa" in text for text in ring.entries.values())


@pytest.mark.parametrize("backend", [NoKeyringHere(), NullKeyring()])
def test_machine_without_a_keyring_is_told_before_anybody_approves_anything(
    issuer: DeviceIssuer, backend: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(backend)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    try:
        shown = run("login", GATEWAY)
        assert shown.exit_code == 1
        assert "--print-token" in shown.stderr
        assert issuer.asked == []
        issuer.polls = [tokens()]
        printed = run("login", GATEWAY, "--print-token")
        assert (printed.exit_code, printed.stdout) == (0, ACCESS + "\n")
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    finally:
        keyring.set_keyring(before)


def test_plain_files_and_chains_with_one_are_no_keyring() -> None:
    plain = type("PlaintextKeyring", (MemoryKeyring,), {"__module__": "keyrings.alt.file"})
    assert is_keeping_secrets(MemoryKeyring())
    assert not is_keeping_secrets(plain())
    for backends, good in (([], False), ([MemoryKeyring()], True), ([MemoryKeyring(), plain()], False)):
        chained = type("Chained", (ChainerBackend,), {"backends": backends})()
        assert is_keeping_secrets(chained) is good


def test_token_that_the_gateway_does_not_take_is_not_kept(ring: MemoryKeyring, issuer: DeviceIssuer) -> None:
    issuer.polls, issuer.session_status = [tokens()], 401
    shown = run("login", GATEWAY)
    assert shown.exit_code == 1
    assert "access_token_audience" in shown.stderr
    assert ring.entries == {}
    assert issuer.posts("/revoke")


def test_first_login_needs_an_address(ring: MemoryKeyring) -> None:
    shown = run("login")
    assert shown.exit_code == 1
    assert "imprimatur login https://" in shown.stderr


def test_lock_of_a_command_that_died_keeps_nobody_waiting_for_ever(signed_in: MemoryKeyring, tmp_path: Path) -> None:
    lock = tmp_path / ".cache" / "imprimatur" / "login.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    os.utime(lock, (time.time() - 31, time.time() - 31))
    assert run("token").stdout == ACCESS + "\n"
    assert not lock.exists()


def test_tokens_too_long_to_be_kept_are_not_kept_in_part(ring: MemoryKeyring, issuer: DeviceIssuer) -> None:
    issuer.polls = [tokens(access_token="a" * 70_000)]
    shown = run("login", GATEWAY)
    assert shown.exit_code == 1
    assert "too long" in shown.stderr
    assert ring.entries == {}


def test_broken_entry_is_as_good_as_none(signed_in: MemoryKeyring) -> None:
    for entry in list(signed_in.entries):
        if "#" in entry[1]:
            signed_in.entries[entry] = "{"
    assert run("token").exit_code == 1
