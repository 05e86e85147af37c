"""``python -m audit keys`` on a key folder with some days in it."""

from __future__ import annotations

import json
import socket
import uuid
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit.cli.keys import app
from audit.governance.hold_keys import HoldKeys
from audit.governance.keys import GovernanceKeys
from audit.keys.ring import KeyRing
from audit.keys.services.file import FileKeyService, siblings
from audit.store.disk import Disk

ORIGIN = ("--origin", "example.com/audit")
BY = ("--by", "dana")
DAYS = [date(2026, 11, day) for day in (20, 21, 22)]


def invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def kek(tmp_path: Path) -> Path:
    invoke("init", "--kek", tmp_path / "kek", "--signing-key", tmp_path / "signing.pem", *ORIGIN)
    return tmp_path / "kek"


@pytest.fixture
def store(tmp_path: Path, kek: Path) -> Path:
    (tmp_path / "store").mkdir()
    ring = KeyRing(tmp_path / "store" / "keys", FileKeyService(kek), Disk())
    for day in DAYS:
        ring.get_or_create(day, "default", "standard")
    ring.destroy(DAYS[0], datetime(2026, 12, 23, tzinfo=UTC))
    return tmp_path / "store"


def test_init_makes_what_is_asked_for_and_replaces_nothing(tmp_path: Path, kek: Path) -> None:
    before = kek.read_bytes()
    again = invoke("init", "--kek", kek, "--signing-key", tmp_path / "other.pem", *ORIGIN, code=2)
    assert "never overwritten" in again
    assert (kek.read_bytes(), (tmp_path / "other.pem").exists()) == (before, False)
    alone = invoke("init", "--signing-key", tmp_path / "alone.pem", *ORIGIN)
    assert alone.startswith("example.com/audit+")
    assert invoke("public", "--signing-key", tmp_path / "alone.pem", *ORIGIN) == alone


def test_list_needs_no_key_and_shows_what_lives_and_what_was_destroyed(store: Path, kek: Path) -> None:
    key_id = FileKeyService(kek).key_id
    kek.unlink()
    text = invoke("list", store, "--now", "2026-11-24T00:00:00Z")
    assert f"2026-11-21  default              standard        3 d  {key_id}" in text
    assert "2026-11-20  destroyed 2026-12-23" in text
    found = json.loads(invoke("list", store, "--now", "2026-11-24T00:00:00Z", "--json"))
    assert [(key["day"], key["class"], key["age_days"], key["wrapped_by"]) for key in found["keys"]] == [
        ("2026-11-21", "standard", 3, key_id),
        ("2026-11-22", "standard", 2, key_id),
    ]
    assert [gone["scope"] for gone in found["destroyed"]] == ["2026-11-20"]


def test_check_says_that_all_is_well_or_names_what_is_not(store: Path, kek: Path) -> None:
    assert "2 keys open" in invoke("check", store, "--kek", kek)
    spoiled = store / "keys" / "2026-11-22.default.standard.json"
    spoiled.write_text(spoiled.read_text().replace('"wrapped": "', '"wrapped": "AAAA'))
    told = invoke("check", store, "--kek", kek, code=1)
    assert spoiled.name in told
    assert "1 keys do not open" in told
    assert "2026-11-21" not in told


def test_check_opens_the_keys_of_cases_and_holds_as_well(store: Path, kek: Path) -> None:
    service, folder, hold = FileKeyService(kek), store / "keys", str(uuid.uuid4())
    GovernanceKeys(folder, service, Disk()).ensure(may_create=True)
    HoldKeys(folder, service, Disk()).create(hold)
    assert "4 keys open" in invoke("check", store, "--kek", kek)
    (folder / "holds" / f"{hold}.json").write_bytes((folder / "governance.json").read_bytes())
    told = invoke("check", store, "--kek", kek, code=1)
    assert f"holds/{hold}.json" in told
    assert "governance.json:" not in told


def test_rotate_rewraps_the_keys_of_cases_and_holds_before_it_lets_the_old_one_go(store: Path, kek: Path) -> None:
    GovernanceKeys(store / "keys", FileKeyService(kek), Disk()).ensure(may_create=True)
    HoldKeys(store / "keys", FileKeyService(kek), Disk()).create(str(uuid.uuid4()))
    assert "2 keys of cases and holds rewrapped" in invoke("rotate", store, *BY, "--kek", kek)
    for old in siblings(kek):
        old.unlink()
    assert "4 keys open" in invoke("check", store, "--kek", kek)


def test_check_with_another_key_names_the_one_that_is_missing(store: Path, kek: Path, tmp_path: Path) -> None:
    other = FileKeyService.create(tmp_path / "other", Disk())
    told = invoke("check", store, "--kek", tmp_path / "other", code=1)
    assert FileKeyService(kek).key_id in told
    assert other.key_id not in told


def test_rotate_makes_a_new_key_and_says_when_the_old_one_can_go(store: Path, kek: Path) -> None:
    before, old_id = kek.read_bytes(), FileKeyService(kek).key_id
    told = invoke("rotate", store, *BY, "--kek", kek)
    kept = kek.with_name(f"kek.previous-{old_id}")
    assert kept.read_bytes() == before != kek.read_bytes()
    assert "2 rewrapped" in told
    assert f"nothing is wrapped by {kept} any more" in told
    kept.unlink()
    assert "2 keys open" in invoke("check", store, "--kek", kek)


def test_the_old_key_is_not_said_to_be_of_no_use_while_a_file_needs_it(store: Path, kek: Path) -> None:
    spoiled = store / "keys" / "2026-11-22.default.standard.json"
    spoiled.write_bytes((store / "keys" / "2026-11-21.default.standard.json").read_bytes())
    told = invoke("rotate", store, *BY, "--kek", kek, code=1)
    assert spoiled.name in told
    assert "erase it" not in told


def test_rewrap_can_be_repeated(store: Path, kek: Path) -> None:
    assert "0 rewrapped, 2 already" in invoke("rewrap", store, *BY, "--kek", kek)
    assert "2 rewrapped" in invoke("rewrap", store, *BY, "--kek", kek, "--everything")


def test_rewrap_moves_from_one_service_to_another(store: Path, kek: Path, tmp_path: Path) -> None:
    FileKeyService.create(tmp_path / "new", Disk())
    settings = tmp_path / "service.yaml"
    settings.write_text(f"kind: file\npath: {tmp_path / 'new'}\n")
    assert "does not have" in invoke("rewrap", store, *BY, "--service", settings, code=1)
    assert "2 rewrapped" in invoke("rewrap", store, *BY, "--service", settings, "--from-kek", kek)
    kek.unlink()
    assert "2 keys open" in invoke("check", store, "--service", settings)


@pytest.mark.parametrize("command", ["check", "rewrap"])
def test_the_key_is_given_in_exactly_one_way(store: Path, kek: Path, tmp_path: Path, command: str) -> None:
    for ways in ([], ["--kek", kek, "--service", tmp_path / "service.yaml"]):
        assert "either --kek FILE or --service" in invoke(
            command, store, *(BY if command == "rewrap" else ()), *ways, code=2
        )


def test_mistakes_are_told_in_a_line(tmp_path: Path, store: Path, kek: Path) -> None:
    def told(*arguments: Any) -> str:
        return invoke(*arguments, code=2)

    assert "is not an audit store" in told("list", tmp_path / "nowhere")
    assert "does not exist" in told("check", store, "--kek", tmp_path / "missing")
    (tmp_path / "service.yaml").write_text("kind: transit\nurl: http://vault.example.com\n")
    text = told("check", store, "--service", tmp_path / "service.yaml")
    assert "transit.url" in text
    assert "transit.key" in text
    kek.chmod(0o644)
    assert "0644" in told("rotate", store, *BY, "--kek", kek)


@pytest.mark.parametrize("command", ["init", "public", "list", "check", "rewrap", "rotate"])
def test_each_command_has_an_example(command: str) -> None:
    assert f"Example: python -m audit keys {command}" in " ".join(invoke(command, "--help").split())


def test_a_key_service_that_is_down_is_told_from_a_key_that_is_gone(store: Path, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound and not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        (tmp_path / "token").touch(0o600)
        (tmp_path / "token").write_text("s.token")
        settings = {
            "kind": "transit",
            "url": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "key": "kek",
            "token_path": str(tmp_path / "token"),
            "timeout_seconds": 1,
        }
        (tmp_path / "service.yaml").write_text(json.dumps(settings))
        told = invoke("check", store, "--service", tmp_path / "service.yaml", code=2)
    assert "cannot be reached" in told
    assert "s.token" not in told
