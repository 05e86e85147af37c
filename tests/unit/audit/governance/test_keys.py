"""The governance key and the holds' keys: bound to their purpose, made once, rewrapped, never made anew."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.errors import KeyRefused, StoreDamaged
from audit.governance.holds import HoldKind
from audit.governance.keys import GovernanceKeys
from audit.governance.rewrap import rewrap_governance
from audit.governance.scope import HoldScope, Scope
from audit.governance.wrapped import create_secret, load_secret
from audit.keys.services.file import FileKeyService
from audit.keys.services.rotation import rotate_file_key
from audit.keys.services.succession import Succession
from audit.store.disk import Disk
from tests.support.governed import Governed


@pytest.fixture
def kek(tmp_path: Path) -> FileKeyService:
    return FileKeyService.create(tmp_path / "secrets" / "kek", Disk())


@pytest.fixture
def keys(kek: FileKeyService, tmp_path: Path) -> Iterator[GovernanceKeys]:
    keys = GovernanceKeys(tmp_path, kek, Disk())
    keys.ensure(may_create=True)
    yield keys
    keys.wipe()


def test_a_cell_opens_in_its_place_only(keys: GovernanceKeys) -> None:
    sealed = keys.seal("table", "row", "column", b"text")
    assert keys.unseal("table", "row", "column", sealed) == b"text"
    for place in (("other", "row", "column"), ("table", "other", "column"), ("table", "row", "other")):
        with pytest.raises(StoreDamaged):
            keys.unseal(*place, sealed)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(StoreDamaged):
            keys.unseal("table", "row", "column", bytes(changed))
    with pytest.raises(StoreDamaged):
        keys.unseal("table", "row", "column", b"")


def test_a_mac_covers_table_names_and_values(keys: GovernanceKeys) -> None:
    macs = {
        keys.mac("case", (("a", 1), ("b", "x"))),
        keys.mac("hold", (("a", 1), ("b", "x"))),
        keys.mac("case", (("a", 1), ("c", "x"))),
        keys.mac("case", (("a", "1"), ("b", "x"))),
        keys.mac("case", (("a", 1),)),
    }
    assert len(macs) == 5


def test_one_of_many_who_make_the_key_at_once_makes_it(tmp_path: Path, kek: FileKeyService) -> None:
    def make(_: int) -> tuple[str, bytes]:
        return create_secret(tmp_path / "keys" / "governance.json", "governance", 64, kek, Disk())

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(make, range(8)))
    assert len(made) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["governance.json"]
    assert (tmp_path / "keys" / "governance.json").stat().st_mode & 0o777 == 0o600


def test_a_key_put_in_another_place_does_not_open(tmp_path: Path, kek: FileKeyService) -> None:
    path = tmp_path / "a.json"
    create_secret(path, "hold/a", 32, kek, Disk())
    with pytest.raises(KeyRefused):
        load_secret(path, "hold/b", kek)
    with pytest.raises(KeyRefused):
        load_secret(path, "hold/a", FileKeyService.create(tmp_path / "other-kek", Disk()))
    path.write_text("{}")
    with pytest.raises(KeyRefused, match="malformed"):
        load_secret(path, "hold/a", kek)


def test_a_missing_key_is_not_made_once_rows_exist(tmp_path: Path, kek: FileKeyService) -> None:
    with pytest.raises(KeyRefused, match="restore"):
        GovernanceKeys(tmp_path, kek, Disk()).ensure(may_create=False)


async def test_after_a_rotation_approvals_and_held_records_open_under_the_new_key(governed: Governed) -> None:
    async with governed.open() as governance:
        ticket = await governed.request("alice")
        case_id = await governed.active_case(Scope(actors=("alice",)))
        scope = HoldScope(event_ids=(ticket.event_id,))
        hold = await governance.holds.request(HoldKind.LEGAL, scope, "court", governed.officer("dana"))
        await governance.holds.place(hold.id, governed.officer("erin"))
        governed.forward(days=31)
        await governed.log.purge()
    kek = governed.settings.kek_path
    assert kek is not None
    rotation = rotate_file_key(kek, Disk())
    folder = governed.directory / "keys"
    assert rewrap_governance(folder, FileKeyService(kek), Disk()) == 2
    assert rewrap_governance(folder, FileKeyService(kek), Disk()) == 0
    Path(rotation.old_path).unlink()
    async with governed.open() as governance:
        assert (await governance.cases.get(case_id)).purpose == "reported misuse"
        (row, _) = await governed.rows(ticket.event_id)
        assert governance.holds.open_held(row) is not None


def test_secrets_move_from_one_key_service_to_another(tmp_path: Path, kek: FileKeyService) -> None:
    path, other = tmp_path / "keys" / "governance.json", FileKeyService.create(tmp_path / "other-kek", Disk())
    made = create_secret(path, "governance", 64, kek, Disk())
    before = path.read_bytes()
    with pytest.raises(KeyRefused):
        rewrap_governance(path.parent, other, Disk())
    assert path.read_bytes() == before
    assert rewrap_governance(path.parent, Succession(other, kek), Disk()) == 1
    assert load_secret(path, "governance", other) == made
    assert rewrap_governance(path.parent, other, Disk()) == 0
    assert rewrap_governance(path.parent, other, Disk(), everything=True) == 1
    assert load_secret(path, "governance", other) == made
