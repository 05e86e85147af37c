"""An evidence file is what the log wrote, byte for byte, or it is refused and the line or record named."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from audit.cli import app
from audit.export import Header, Selection, export_evidence, parse_record, record_line, write_bundle
from audit.ids import parse_event_id
from audit.note import NoteSigner, VerifierKey
from audit.record import Phase
from audit.row import leaf_of
from audit.store.moment import open_moment
from audit.tiles import TileTree, first_kept_tile
from audit.tree import RollingRoot
from audit.verify import Attack, Report, verify_evidence
from audit.verify.gone import pruned_by
from audit.vocabulary import LogEvent

TAKEN_AT = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
NEWLINE = b"\n"
runner = CliRunner()


@pytest.fixture
async def place(house: Any, make: Any) -> Any:
    """A closed log of four records, and its key."""
    async with house.open() as log:
        house.ticket = await make.request(log, "alice", "deny", "a CANARY fox", reasons=("dlp.payment-card",))
        await make.request(log, "bob")
    house.key = VerifierKey.parse(house.vkey)
    return house


def exported(place: Any, *selection: Selection, with_content: bool = True) -> bytes:
    out = io.StringIO()
    export_evidence(place.store, out, *selection, with_content=with_content)
    return out.getvalue().encode()


def selected(place: Any, **options: Any) -> bytes:
    return exported(place, Selection(event_ids=frozenset({parse_event_id(place.ticket.event_id)})), **options)


def verified(place: Any, data: bytes, *, with_key: bool = True) -> Report:
    path = place.folder / "evidence.jsonl"
    path.write_bytes(data)
    return verify_evidence(path, place.key if with_key else None)


def invoke(*arguments: object, code: int = 0) -> str:
    with ThreadPoolExecutor(1) as executor:
        result = executor.submit(runner.invoke, app, [str(argument) for argument in arguments]).result()
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.output


def flipped(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The file with one byte changed, for each byte: a letter to its other case, anything else by a bit."""
    for at, byte in enumerate(data):
        other = byte ^ (0x20 if bytes([byte]).isalpha() else 1 << at % 8)
        yield at, data[:at] + bytes([other]) + data[at + 1 :]


async def test_what_the_log_wrote_is_in_order(place: Any) -> None:
    for data, complete in (
        (exported(place), True),
        (exported(place, with_content=False), True),
        (selected(place), False),
    ):
        for with_key in (True, False):
            report = verified(place, data, with_key=with_key)
            assert report.ok, report.findings
            assert report.complete is complete
            assert report.vkey == place.vkey


@pytest.mark.parametrize("with_key", [True, False])
async def test_no_byte_of_a_whole_log_may_differ(place: Any, with_key: bool) -> None:
    data = exported(place, with_content=False)
    assert data.count(b"\n") == 5
    for at, other in flipped(data):
        report = verified(place, other, with_key=with_key)
        assert not report.ok, at
        line = data[:at].count(b"\n") + 1
        first = report.first_bad
        assert first is not None
        assert first.detail.startswith(f"line {line}: "), (at, first)
        assert first.seq == (None if line == 1 else line - 2), (at, first)


async def test_no_byte_of_a_selection_may_differ(place: Any) -> None:
    data = selected(place)
    assert data.count(b"\n") == 3
    for at, other in flipped(data):
        report = verified(place, other)
        assert not report.ok, at
        assert report.findings[0].detail.startswith(f"line {data[:at].count(NEWLINE) + 1}: "), (at, report.findings)


async def test_a_file_with_more_or_fewer_bytes_is_refused(place: Any) -> None:
    for data in (exported(place), selected(place)):
        for other in (data + b"\n", data + b" ", data[:-1], data[:-10], b"\n" + data, b"\xef\xbb\xbf" + data, b""):
            assert not verified(place, other).ok
        assert not verified(place, data.replace(b"\n", b"\r\n")).ok


def change(line: bytes, **members: Any) -> bytes:
    """A record's line with other members, in the spelling of the log."""
    value = json.loads(line)
    value["record"] |= members
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def loose(line: bytes) -> bytes:
    """The last character before the padding of a digest has bits that no byte needs."""
    return re.sub(
        rb'("leaf":"[^"]*)(.)="',
        lambda match: match[1] + bytes([match[2][0] + 1]) + b'="',
        line,
    )


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda line: line.replace(b'"phase"', b'"phase":"intent","phase"', 1), "not written as the log writes it"),
        (lambda line: change(line, more=1), "not written as the log writes it"),
        (lambda line: line.replace(b"}\n", b',"more":1}\n'), "not written as the log writes it"),
        (lambda line: line.replace(b",", b", ", 1), "not written as the log writes it"),
        (lambda line: line.replace(b'"seq":2,', b"", 1), "the record lacks seq"),
        (lambda line: line.replace(b'"seq":2,"head_seq":2', b'"head_seq":2,"seq":2'), "other members, order"),
        (lambda line: line.replace(b'"tenant":"d', b'"tenant":"\\u0064'), "not written as the log writes it"),
        (lambda line: change(line, event_id=json.loads(line)["record"]["event_id"].upper()), "not written"),
        (lambda line: change(line, event_id=json.loads(line)["record"]["event_id"].replace("-", "")), "not written"),
        (lambda line: change(line, event_id="x"), "event_id is malformed: not a UUID"),
        (loose, "leaf is malformed: base64 is not in its one spelling"),
        (lambda line: change(line, leaf="AAAA"), "leaf is malformed: expected 32 bytes, got 3"),
        (lambda line: change(line, envelope_salt=json.loads(line)["record"]["leaf"]), "expected 16 bytes, got 32"),
        (lambda line: change(line, seq=2.0), "seq is malformed: expected a whole number, got float"),
        (lambda line: change(line, seq="2"), "seq is malformed: expected a whole number, got str"),
        (lambda line: change(line, schema=True), "schema is malformed: expected a whole number, got bool"),
        (lambda line: change(line, effect=1), "effect is malformed: expected a string, got int"),
        (lambda line: change(line, effect=None), "effect is malformed: expected a value, got null"),
        (lambda line: change(line, content=[]), "content is malformed: expected a string, got list"),
        (lambda line: b'{"record":{}}\n', "the record lacks seq"),
        (lambda line: b'{"record":[]}\n', "it holds no record"),
        (lambda line: b"[1]\n", "expected a JSON object"),
        (lambda line: b"nonsense\n", "it is not JSON in ASCII"),
        (lambda line: b"[" * 100_000 + b"\n", "nested too deeply"),
        (lambda line: line.replace(b"}\n", b',"path":[]}\n'), "it has a path, or none, unlike"),
        (lambda line: line.replace(b"}\n", b',"path":["AAAA"]}\n'), "path is malformed: expected 32 bytes"),
        (lambda line: line.replace(b"}\n", b',"path":1}\n'), "path is malformed: expected a list"),
    ],
)  # fmt: skip
async def test_a_line_that_no_log_wrote_is_refused_and_named(
    place: Any, spoil: Callable[[bytes], bytes], says: str
) -> None:
    lines = exported(place).splitlines(keepends=True)
    assert spoil(lines[3]) != lines[3]
    lines[3] = spoil(lines[3])
    report = verified(place, b"".join(lines))
    assert [(finding.attack, finding.seq) for finding in report.findings] == [(Attack.MALFORMED, 2)]
    assert report.findings[0].detail.startswith("line 4: ")
    assert says in report.findings[0].detail
    said = invoke("verify", place.folder / "evidence.jsonl", "--vkey", place.vkey, code=1)
    assert "not as the log writes it at record 2: line 4: " in said
    assert said.endswith("NOT IN ORDER: 1 finding(s), first at record 2\n")


async def test_a_salt_that_gives_the_same_commitment_is_another_salt(place: Any) -> None:
    """HMAC pads its key with zeroes, so a salt with a zero behind it commits to the same."""
    lines = exported(place).splitlines(keepends=True)
    row, _ = parse_record(lines[1])
    lines[1] = record_line(row._replace(envelope_salt=row.envelope_salt + b"\0"), None)
    assert "expected 16 bytes, got 17" in verified(place, b"".join(lines)).findings[0].detail


async def test_records_that_are_not_all_there_or_not_in_order_are_found(place: Any) -> None:
    header, *records = exported(place).splitlines(keepends=True)

    def found(*lines: bytes) -> tuple[Attack, int | None]:
        first = verified(place, b"".join([header, *lines])).first_bad
        assert first is not None
        return first.attack, first.seq

    assert found(*records[:2], *records[3:]) == (Attack.ROW_MISSING, 2)
    assert found(*records[:3]) == (Attack.TRUNCATED, 3)
    assert found(records[1], records[0], *records[2:])[1] == 0
    assert found(*records, records[3]) == (Attack.ORDER_CHANGED, 3)
    more = parse_record(records[3])[0]._replace(seq=4)
    assert found(*records, record_line(more._replace(leaf=leaf_of(more)), None)) == (Attack.ROW_INSERTED, 4)


@pytest.mark.parametrize("seq", [0, 1, 3, 4, 2**70])
async def test_a_record_under_another_number_is_named_by_its_own(place: Any, seq: int) -> None:
    lines = exported(place).splitlines(keepends=True)
    lines[3] = change(lines[3], seq=seq)
    report = verified(place, b"".join(lines))
    assert [(finding.attack, finding.seq) for finding in report.findings] == [(Attack.ENVELOPE_CHANGED, 2)]


def test_a_prune_record_tells_a_number_that_a_log_can_have(place: Any) -> None:
    row, _ = parse_record(exported(place).splitlines(keepends=True)[4])
    prune = row._replace(action=LogEvent.PRUNE, phase=Phase.PURGE, about="3")
    assert pruned_by(prune) == 3
    for about in ("4", "9" * 20, "9" * 10_000, "-1", "", "x", "\u0663"):
        assert pruned_by(prune._replace(about=about)) == 0
    assert pruned_by(prune._replace(action=LogEvent.PURGE)) == 0
    assert pruned_by(prune._replace(phase=Phase.ACCESS)) == 0


async def test_every_header_that_the_log_did_not_write_is_refused(place: Any) -> None:
    data = exported(place)
    first, rest = data.split(b"\n", 1)
    header = Header.parse(first + b"\n")
    other = NoteSigner("example.com/audit", Ed25519PrivateKey.generate()).verifier_key
    for changed, attack, says in (
        (replace(header, key=other), Attack.CHECKPOINT_FORGED, "names another key or origin"),
        (replace(header, complete=False), Attack.MALFORMED, "it has a path, or none"),
        (replace(header, first_record=4, before=(bytes(32),)), Attack.HISTORY_REWRITTEN, "root"),
        (replace(header, first_record=8, before=(bytes(32),)), Attack.MALFORMED, "not below its checkpoint"),
        (replace(header, first_record=4), Attack.MALFORMED, "expected 1 hashes for 4 records, got 0"),
        (replace(header, before=(bytes(32),)), Attack.MALFORMED, "expected 0 hashes for 0 records, got 1"),
        (replace(header, first_record=-1), Attack.MALFORMED, "first_record cannot be"),
        (replace(header, complete=False, first_record=4), Attack.MALFORMED, "first_record cannot be"),
        (replace(header, checkpoint=header.checkpoint + "x"), Attack.CHECKPOINT_FORGED, "no signatures"),
    ):
        report = verified(place, changed.line() + (b"" if changed.first_record == 4 else rest))
        assert report.findings[0].attack is attack, report.findings
        assert says in report.findings[0].detail
    for spoilt, says in (
        (first.replace(b"evidence/2", b"evidence/1"), "expected format imprimatur-audit-evidence/2"),
        (first.replace(b'"complete"', b'"taken_at":"x","complete"'), "not written as the log writes it"),
        (first.replace(b"+", b"-", 1), "vkey: verifier key is malformed"),
        (first.replace(b'"origin":"example.com/audit",', b""), "not written as the log writes it"),
        (first.replace(b'"before":[],', b""), "the header lacks before"),
        (first.replace(b'"before":[]', b'"before":""'), "the header is malformed: expected a list"),
    ):
        report = verified(place, spoilt + b"\n" + rest)
        assert report.findings[0].detail.startswith("line 1: "), report.findings
        assert says in report.findings[0].detail


async def test_a_whole_log_cannot_begin_later_unless_that_is_on_record(place: Any) -> None:
    """Whoever hides the first records can compute what is before the rest, but not a record that they were pruned."""
    header, *records = exported(place).splitlines(keepends=True)
    with open_moment(place.store) as moment:
        tree = TileTree(moment.tree.read_tile, moment.tree.size)
        before = tuple(tree.subtrees(3))
    cut = replace(Header.parse(header), first_record=3, before=before)
    report = verified(place, cut.line() + records[3])
    assert [finding.attack for finding in report.findings] == [Attack.PRUNED_UNSEEN]
    assert (report.findings[0].seq, report.findings[0].through) == (0, 2)


def test_what_is_left_of_the_records_before_gives_every_root_after_it() -> None:
    """Also of a log without the tiles of these records."""
    leaves = [bytes([at % 256, at // 256]) * 16 for at in range(1000)]
    tree = TileTree(lambda level, index: b"", 0)
    tree.append(leaves)
    tiles = tree.take_dirty()
    for first in (1, 2, 3, 255, 256, 257, 511, 512, 700, 768, 999, 1000):
        kept = {key: tile for key, tile in tiles.items() if key[0] or key[1] >= first_kept_tile(first)}
        pruned = TileTree(lambda level, index, kept=kept: kept.get((level, index), b""), 1000)  # type: ignore[misc]
        rolling = RollingRoot()
        before = pruned.subtrees(first)
        assert len(before) == first.bit_count()
        for root in before:
            rolling.append_subtree(root, 1 << ((first - rolling.size).bit_length() - 1))
        for leaf in leaves[first:]:
            rolling.append(leaf)
        assert rolling.root() == tree.root(1000)
    assert TileTree(lambda level, index: b"", 0).subtrees(0) == []


async def test_what_is_left_out_of_the_file_is_said(place: Any) -> None:
    assert verified(place, exported(place)).notes == []
    (note,) = verified(place, exported(place, with_content=False)).notes
    assert note.startswith("4 record(s) without sealed parts")
    (note,) = verified(place, selected(place)).notes
    assert note.startswith("a selection: ")


async def test_only_what_cannot_be_asked_exits_2(place: Any) -> None:
    assert "FileNotFoundError" in invoke("verify", place.folder / "none.jsonl", "--vkey", place.vkey, code=2)
    path: Path = place.folder / "evidence.jsonl"
    path.write_bytes(exported(place))
    assert "goes with a store" in invoke("verify", path, "--witness", place.witness, code=2)
    for data in (b"", b"nonsense", b"\xff\xfe", b"{}\n", b"PK\3\4nonsense", exported(place)[1:]):
        path.write_bytes(data)
        for key in ((), ("--vkey", place.vkey)):
            said = invoke("verify", path, *key, code=1)
            assert "NOT IN ORDER: 1 finding(s)" in said
            assert "not an evidence file" in said or "not a whole zip file" in said
    found = json.loads(invoke("verify", path, "--json", code=1))
    assert (found["ok"], found["complete"], found["first_bad_seq"]) == (False, None, None)


async def test_a_damaged_bundle_is_not_in_order(place: Any) -> None:
    path = place.folder / "case.zip"
    write_bundle(place.store, path, taken_at=TAKEN_AT)
    said = invoke("verify", path, "--vkey", place.vkey)
    assert "note: taken at 2026-11-22T13:00:00+00:00, and selected as it says, by the bundle alone: not signed" in said
    data = path.read_bytes()
    for at in (0, 10, len(data) // 2, len(data) - 80, len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert "NOT IN ORDER" in invoke("verify", path, "--vkey", place.vkey, code=1)
