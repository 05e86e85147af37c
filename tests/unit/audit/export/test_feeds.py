"""JSON Lines, CSV and CEF: read back by parsers that share nothing with the writers, under hostile names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pycef
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.export import ExportRecord, FeedFormat, write_feed
from audit.export.cef import cef_line
from audit.export.csv import COLUMNS, csv_header, csv_row
from audit.export.jsonl import json_object
from audit.record import Effect, Phase, Subject

Maker = Callable[..., ExportRecord]
HOSTILE = [
    '=HYPERLINK("https://evil.example","x")',
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r\n=1",
    "  =1",
    "＝1+1",
    'quo"te, comma',
    "line\nbreak",
    "pipe|equals=back\\slash",
    "suser=root act=allow",
    "\\",
    "\\=",
    "\u2028separator\u202eturned",
    "half \ud800",
    "\x1b[2J\x00",
    "CEF:0|Evil|x|1|1|1|1|",
]


def parse_rfc4180(text: str) -> list[list[str]]:
    """The grammar of RFC 4180, section 2, as a state machine. Nothing is forgiven."""
    rows: list[list[str]] = []
    row: list[str] = []
    at = 0
    while at < len(text):
        assert text[at] == '"', "every field is quoted"
        at += 1
        field = ""
        while True:
            if text[at] != '"':
                assert text[at] not in "\r\n"
                field += text[at]
                at += 1
            elif text[at + 1 : at + 2] == '"':
                field += '"'
                at += 2
            else:
                at += 1
                break
        row.append(field)
        if text[at] == ",":
            at += 1
        else:
            assert text[at : at + 2] == "\r\n"
            at += 2
            rows.append(row)
            row = []
    assert not row
    return rows


def parse_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """CEF as its format guide has it: header split at bare pipes, pairs found from their keys, escapes undone."""
    header: list[str] = []
    field = ""
    at = 0
    while len(header) < 7:
        if line[at] == "\\":
            field += line[at + 1]
            at += 2
        elif line[at] == "|":
            header.append(field)
            field = ""
            at += 1
        else:
            field += line[at]
            at += 1
    pairs: dict[str, str] = {}
    rest = line[at:]
    starts: list[tuple[int, int]] = []  # of a key, and of its value
    position = 0
    while position < len(rest):
        if rest[position] == "\\":
            position += 2
            continue
        if rest[position] == "=":
            begin = rest.rfind(" ", 0, position) + 1
            starts.append((begin, position + 1))
        position += 1
    for number, (begin, value_at) in enumerate(starts):
        end = starts[number + 1][0] - 1 if number + 1 < len(starts) else len(rest)
        value = rest[value_at:end]
        undone, place = "", 0
        while place < len(value):
            step = 2 if value[place] == "\\" else 1
            undone += value[place + step - 1]
            place += step
        key = rest[begin : value_at - 1]
        assert key not in pairs, "a value smuggled a second pair in"
        pairs[key] = undone
    return header, pairs


def test_csv_has_a_header_that_stays_and_a_row_a_record(record: Maker, person: Subject) -> None:
    out = io.StringIO()
    assert write_feed([record(person), record(seq=42)], out, FeedFormat.CSV) == 2
    header, first, second = parse_rfc4180(out.getvalue())
    assert tuple(header) == COLUMNS
    # Written out, so that a change of order is a change of this line: consumers count columns.
    assert ",".join(header) == (
        "uid,origin,seq,head_seq,event_id,phase,tenant,day,class,recorded_at,action,effect,reasons,about,"
        "bundle_revision,model,model_digest,credits,latency_bucket_ms,schema,node,actor,display,department,groups,"
        "leaf_hash,checkpoint_size"
    )
    row = dict(zip(header, first, strict=True))
    assert row["display"] == "Alice Ä. O'Neil"
    assert row["groups"] == "writers;night shift"
    assert row["recorded_at"] == "2026-11-22T12:00:01.234567Z"
    assert dict(zip(header, second, strict=True))["actor"] == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_csv_runs_in_a_spreadsheet_or_breaks_its_row(record: Maker, text: str) -> None:
    subject = Subject(actor=text, display=text, department=text, groups=(text,))
    (row,) = parse_rfc4180(csv_row(record(subject)))
    assert len(row) == len(COLUMNS)
    for cell in row:
        assert not cell.strip().startswith(("=", "+", "@", "\t", "\r", "＝"))
        assert not cell.lstrip().startswith("-")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixture is a plain function
@given(text=st.text(min_size=1, max_size=80))
def test_any_name_comes_back_as_one_cell_one_pair_one_string(record: Maker, text: str) -> None:
    made = record(Subject(actor=text, display=text))
    (row,) = parse_rfc4180(csv_row(made))
    assert len(row) == len(COLUMNS)
    _, pairs = parse_cef(cef_line(made))
    assert set(pairs) == set(parse_cef(cef_line(record(Subject(actor="alice"))))[1])
    json.dumps(json_object(made), ensure_ascii=False).encode()


def test_a_negative_number_stays_a_number_in_csv(record: Maker) -> None:
    (row,) = parse_rfc4180(csv_row(record(latency_bucket_ms=-1)))
    assert row[COLUMNS.index("latency_bucket_ms")] == "-1"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_forges_a_pair_or_a_line_of_cef(record: Maker, text: str) -> None:
    line = cef_line(record(Subject(actor=text)))
    assert len(line.splitlines()) == 1
    header, pairs = parse_cef(line)
    assert header[:3] == ["CEF:0", "Imprimatur", "Audit log"]
    plain = cef_line(record(Subject(actor="alice")))
    assert set(pairs) == set(parse_cef(plain)[1])
    assert pairs["act"] == "deny"
    kept = "".join(character for character in text if character.isprintable() and character.isascii())
    assert "".join(character for character in pairs["suser"] if character.isprintable() and character.isascii()) == kept


def test_an_ordinary_cef_line_is_read_by_an_ordinary_parser(record: Maker, person: Subject) -> None:
    values = pycef.parse(cef_line(record(person)))
    assert values["DeviceVendor"] == "Imprimatur"
    assert values["DeviceEventClassID"] == "image:generate"
    assert values["DeviceName"] == "image:generate deny"
    assert values["DeviceSeverity"] == "6"
    assert values["externalId"].endswith(".outcome")
    assert values["suser"] == "alice"
    assert values["reason"] == "dlp.payment-card policy.quota"
    assert values["sequence"] == "41"
    assert values["requestId"] == record().envelope.event_id
    assert values["rt"] == "1795348801234"


@pytest.mark.parametrize("effect", ["", *Effect])
@pytest.mark.parametrize("phase", list(Phase))
def test_cef_leaves_out_what_is_empty_and_its_label(record: Maker, effect: str, phase: Phase) -> None:
    line = cef_line(record(effect=effect, phase=phase, model="", bundle_revision="", reasons=()))
    _, pairs = parse_cef(line)
    assert all(pairs.values())
    assert "cs3Label" not in pairs
    assert {"cs1", "cs1Label", "cn3", "cn3Label"} <= set(pairs)


def test_json_lines_name_everything_always(record: Maker, person: Subject) -> None:
    out = io.StringIO()
    write_feed([record(), record(person, effect="")], out, FeedFormat.JSONL)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert set(first) == set(second)
    assert first["subject"] is None
    assert second["subject"] == {
        "actor": "alice",
        "display": "Alice Ä. O'Neil",
        "department": "press",
        "groups": ["writers", "night shift"],
    }
    assert out.getvalue().isascii()
    assert first == json_object(record())


@pytest.mark.parametrize("feed_format", list(FeedFormat))
@pytest.mark.parametrize("text", HOSTILE)
def test_every_format_can_be_written_as_utf_8_one_record_a_line(
    record: Maker, text: str, feed_format: FeedFormat
) -> None:
    out = io.StringIO()
    write_feed([record(Subject(actor=text, display=text))] * 3, out, feed_format)
    lines = out.getvalue().encode().decode().splitlines()
    assert len(lines) == 3 + (feed_format is FeedFormat.CSV)


@pytest.mark.parametrize("feed_format", list(FeedFormat))
def test_writing_holds_one_record_at_a_time(record: Maker, feed_format: FeedFormat) -> None:
    alive = 0
    most = 0

    class Counted:
        def write(self, text: str) -> int:
            return len(text)

    def records() -> object:
        nonlocal alive, most
        for seq in range(1000):
            alive += 1
            most = max(most, alive)
            yield record(seq=seq)
            alive -= 1

    assert write_feed(records(), Counted(), feed_format) == 1000  # type: ignore[arg-type]
    assert most == 1


def test_the_header_of_csv_is_written_once(record: Maker) -> None:
    out = io.StringIO()
    write_feed([], out, FeedFormat.CSV)
    assert out.getvalue() == csv_header()
