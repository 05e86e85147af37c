"""Evidence bundles: whole, selected, damaged, and made by an attacker."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.errors import RecordNotFound, StoreError
from audit.export import BundleRefused, Selection, export_evidence, is_bundle, open_bundle, write_bundle
from audit.export.bundle import BUNDLE_FORMAT, EVIDENCE, MANIFEST, README
from audit.export.bundle_seal import UNSEALED, seal
from audit.export.bundle_text import manifest_text, readme
from audit.export.evidence_lines import LineRefused, parse_record, read_lines
from audit.ids import parse_event_id
from audit.note import VerifierKey
from audit.proof import check_proof_text
from audit.verify import Attack, verify_evidence
from audit.witness import newest_witnessed

FORMAT = BUNDLE_FORMAT.encode()
TAKEN_AT = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)


@pytest.fixture
async def place(house: Any, make: Any) -> Any:
    """A closed log with two requests."""
    async with house.open() as log:
        house.ticket = await make.request(log, "alice", "deny", "a CANARY fox", reasons=("dlp.payment-card",))
        await make.request(log, "bob")
    return house


def take(place: Any, *selected: Any, **options: Any) -> Path:
    path: Path = place.folder / f"bundle-{len(list(place.folder.glob('*.zip')))}.zip"
    write_bundle(place.store, path, *selected, taken_at=TAKEN_AT, **options)
    return path


async def test_a_bundle_holds_all_that_an_auditor_needs(place: Any, tmp_path: Path) -> None:
    key = VerifierKey.parse(place.vkey)
    newest = newest_witnessed(place.witness, key)
    assert newest is not None
    path = tmp_path / "out.zip"
    receipt = write_bundle(place.store, path, taken_at=TAKEN_AT, witness_notes={"file": newest.note(key)})
    assert receipt.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (receipt.records, receipt.proofs, receipt.checkpoint_size) == (4, 4, 4)
    assert is_bundle(path)
    with open_bundle(path) as bundle:
        assert bundle.manifest["complete"] is True
        assert bundle.manifest["vkey"] == place.vkey
        assert bundle.checkpoint == bundle.witness_notes["file"] == (place.store / "checkpoint").read_text()
        assert len(bundle.proofs) == 4
        assert {check_proof_text(text, key).seq for text in bundle.proofs.values()} == {0, 1, 2, 3}
        with bundle.evidence() as file:
            assert len(list(read_lines(file))) == 5
            file.seek(0)
            (tmp_path / "evidence.jsonl").write_bytes(file.read())
    assert verify_evidence(tmp_path / "evidence.jsonl", key).ok
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        page = archive.read("README.txt").decode()
        assert page.count("python -m audit verify") == 1
        assert all(
            b"CANARY" not in archive.read(name) and b"alice" not in archive.read(name) for name in archive.namelist()
        )


async def test_the_same_export_gives_the_same_bytes(place: Any) -> None:
    assert take(place).read_bytes() == take(place).read_bytes()


async def test_a_selected_bundle_proves_each_record_by_itself(place: Any) -> None:
    selection = Selection(event_ids=frozenset({parse_event_id(place.ticket.event_id)}))
    with open_bundle(take(place, selection, with_content=False)) as bundle:
        assert bundle.manifest["complete"] is False
        assert bundle.manifest["events"] == [place.ticket.event_id]
        assert sorted(bundle.proofs) == [f"{place.ticket.event_id}.{half}.tlog-proof" for half in ("intent", "outcome")]
        with bundle.evidence() as file:
            rows = [parse_record(line) for line in list(read_lines(file))[1:]]
    assert all(row.content is None and path for row, path in rows)


async def test_large_bundles_leave_single_proofs_out(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.export.bundle.MAX_PROOFS", 3)
    with open_bundle(take(place)) as bundle:
        assert bundle.proofs == {}


async def test_a_failed_bundle_leaves_nothing_and_nothing_is_overwritten(place: Any, tmp_path: Path, make: Any) -> None:
    path = tmp_path / "out.zip"
    other = Selection(event_ids=frozenset({parse_event_id("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")}))
    with pytest.raises(RecordNotFound):
        write_bundle(place.store, path, other, taken_at=TAKEN_AT)
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_bundle(place.store, path, taken_at=TAKEN_AT)
    assert path.read_text() == "mine"


async def test_evidence_that_would_lack_a_day_is_not_called_complete(place: Any) -> None:
    place.day_file().write_bytes(b"not a database")
    with pytest.raises(StoreError, match="cannot be read"):
        export_evidence(place.store, io.StringIO())


async def test_days_select(place: Any, make: Any) -> None:
    place.clock.forward(days=1)
    async with place.open() as log:
        await make.request(log, "carol")
    out = io.StringIO()
    assert export_evidence(place.store, out, Selection(first_day=date(2026, 11, 23))) == 2
    assert export_evidence(place.store, out, Selection(last_day=date(2026, 11, 22))) == 4


def rebuilt(path: Path, change: Callable[[dict[str, bytes]], Any], *, fix_sums: bool = False) -> Path:
    """The bundle taken apart, changed, and put together again."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    if fix_sums:
        manifest = json.loads(entries[MANIFEST])
        manifest["files"] = [
            {"path": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in entries.items()
            if name != MANIFEST
        ]
        entries[MANIFEST] = manifest_text(manifest).encode()
    return written(path.with_name("changed.zip"), entries)


def written(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip with a sum that fits, as a forger would write it."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.comment = UNSEALED
        for name, data in entries.items():
            archive.writestr(name, data)
    sealed(path)
    return path


def sealed(path: Path) -> None:
    with path.open("r+b") as file:
        seal(file)


@pytest.mark.parametrize(
    ("change", "fix_sums", "says"),
    [
        (lambda entries: entries.update({EVIDENCE: entries[EVIDENCE] + b"\n"}), False, "damaged or changed"),
        (lambda entries: entries.update({"checkpoint": b"x"}), False, "damaged or changed"),
        (lambda entries: entries.pop("checkpoint"), True, "lacks checkpoint"),
        (lambda entries: entries.pop(EVIDENCE), True, "lacks evidence.jsonl"),
        (lambda entries: entries.pop(MANIFEST), False, "lacks manifest.json"),
        (lambda entries: entries.update({"../../etc/cron.d/x": b"x"}), True, "does not belong there"),
        (lambda entries: entries.update({"/etc/passwd": b"x"}), True, "does not belong there"),
        (lambda entries: entries.update({"proofs/../x.tlog-proof": b"x"}), True, "does not belong there"),
        (lambda entries: entries.update({"witness/a/b.txt": b"x"}), True, "does not belong there"),
        (lambda entries: entries.update({"witness/extra.txt": b"x"}), False, "not those of its manifest"),
        (lambda entries: entries.update({"witness/w.txt": b"\xff"}), True, "not UTF-8"),
        (lambda entries: entries.update({"witness/w.txt": bytes(70_000)}), True, "too long"),
        (lambda entries: entries.update({EVIDENCE: bytes(40_000_000)}), True, "unpack to more"),
        (lambda entries: entries.update({MANIFEST: b"{}"}), False, "malformed"),
        (lambda entries: entries.update({MANIFEST: b'{"files": [], "format": "other/1"}'}), False, "expected format"),
        (lambda entries: entries.update({MANIFEST: b'{"files": [1], "format": "%s"}' % FORMAT}), False, "malformed"),
        (lambda entries: entries.update({MANIFEST: b"[" * 100_000}), False, "malformed"),
        (lambda entries: entries.update({f"proofs/{n}.tlog-proof": b"" for n in range(1200)}), True, "too many"),
    ],
)  # fmt: skip
async def test_a_bundle_that_is_not_what_it_says_is_refused(
    place: Any, change: Callable[[dict[str, bytes]], Any], fix_sums: bool, says: str
) -> None:
    path = rebuilt(take(place), change, fix_sums=fix_sums)
    with pytest.raises(BundleRefused, match=says), open_bundle(path):
        pass


async def test_an_entry_that_is_there_twice_is_refused(place: Any) -> None:
    path = take(place)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("checkpoint", "another")
    sealed(path)
    with pytest.raises(BundleRefused, match="twice"), open_bundle(path):
        pass


async def test_an_encrypted_entry_is_refused_and_no_crash(place: Any) -> None:
    path = take(place)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")  # the first entry of the central directory; its flags are 8 bytes in
    data[at + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(BundleRefused, match="is encrypted"), open_bundle(path):
        pass


async def test_a_missing_file_is_not_called_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_bundle(tmp_path / "none.zip"):
        pass


async def test_another_compression_is_refused(place: Any) -> None:
    path = take(place)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    written(path, entries, zipfile.ZIP_LZMA)
    with pytest.raises(BundleRefused, match="never uses"), open_bundle(path):
        pass


async def test_a_cut_or_flipped_bundle_is_refused(place: Any) -> None:
    path = take(place)
    data = path.read_bytes()
    for spoilt in (data[:-100], data[: len(data) // 2], b"", data[:200] + bytes([data[200] ^ 1]) + data[201:]):
        path.write_bytes(spoilt)
        with pytest.raises(BundleRefused), open_bundle(path):
            pass


async def test_no_byte_of_a_bundle_may_differ(place: Any) -> None:
    path = take(place, with_content=False)
    data = path.read_bytes()
    assert len(data) > 1000
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        with pytest.raises(BundleRefused), open_bundle(path):
            pass
    for other in (data + b"\0", b"\0" + data, data[1:], data[:-1]):
        path.write_bytes(other)
        with pytest.raises(BundleRefused), open_bundle(path):
            pass


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda manifest: manifest.update(more=1), "manifest.json is malformed"),
        (lambda manifest: manifest.update(records="4"), "manifest.json is malformed"),
        (lambda manifest: manifest["files"][0].update(more=1), "manifest.json is malformed"),
        (lambda manifest: manifest.update(origin="example.com/other"), "README.txt is not the page"),
    ],
)
async def test_a_manifest_that_no_log_wrote_is_refused(
    place: Any, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    def forge(entries: dict[str, bytes]) -> None:
        manifest = json.loads(entries[MANIFEST])
        change(manifest)
        entries[MANIFEST] = manifest_text(manifest).encode()

    with pytest.raises(BundleRefused, match=says), open_bundle(rebuilt(take(place), forge)):
        pass


@pytest.mark.parametrize(
    ("name", "value"),
    [("records", 5), ("complete", False), ("checkpoint_size", 3), ("origin", "other"), ("vkey", "other")],
)
async def test_a_manifest_that_says_other_than_the_evidence_is_found(place: Any, name: str, value: Any) -> None:
    def forge(entries: dict[str, bytes]) -> None:
        manifest = json.loads(entries[MANIFEST]) | {name: value}
        entries.update({README: readme(manifest).encode(), MANIFEST: manifest_text(manifest).encode()})

    path = take(place)
    assert verify_evidence(path, VerifierKey.parse(place.vkey)).ok
    report = verify_evidence(rebuilt(path, forge, fix_sums=True), VerifierKey.parse(place.vkey))
    assert [finding.detail for finding in report.findings] == [f"manifest.json: {name} is not that of the evidence"]


async def test_a_proof_under_the_name_of_another_is_found(place: Any) -> None:
    def forge(entries: dict[str, bytes]) -> None:
        first, second = sorted(name for name in entries if name.startswith("proofs/"))[:2]
        entries[first] = entries[second]

    report = verify_evidence(rebuilt(take(place), forge, fix_sums=True), VerifierKey.parse(place.vkey))
    assert [finding.attack for finding in report.findings] == [Attack.MALFORMED]


async def test_whoever_fixes_the_sums_is_found_by_the_signature(place: Any, tmp_path: Path) -> None:
    def forge(entries: dict[str, bytes]) -> None:
        entries[EVIDENCE] = entries[EVIDENCE].replace(b'"effect":"deny"', b'"effect":"allow"')

    with open_bundle(rebuilt(take(place), forge, fix_sums=True)) as bundle, bundle.evidence() as file:
        (tmp_path / "evidence.jsonl").write_bytes(file.read())
    report = verify_evidence(tmp_path / "evidence.jsonl", VerifierKey.parse(place.vkey))
    assert not report.ok
    assert report.first_bad is not None
    assert report.first_bad.seq == 1


async def test_a_witness_name_cannot_leave_the_archive(place: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="short name"):
        write_bundle(place.store, tmp_path / "x.zip", taken_at=TAKEN_AT, witness_notes={"../x": "note"})
    assert not (tmp_path / "x.zip").exists()


def test_a_line_of_brackets_is_malformed_and_no_crash() -> None:
    with pytest.raises(LineRefused, match="nested too deeply"):
        parse_record(b"[" * 100_000 + b"\n")


def test_an_endless_line_does_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.export.evidence_lines.MAX_LINE_BYTES", 100)
    with pytest.raises(LineRefused, match="longer than"):
        list(read_lines(io.BytesIO(b"x" * 1000)))
