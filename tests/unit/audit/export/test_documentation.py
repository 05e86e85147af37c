"""The pages on feeds and formats say what the code does, and their examples run."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from audit.cli import app
from audit.export import ExportRecord
from audit.export.bundle import BUNDLE_FORMAT, CHECKPOINT, EVIDENCE, MANIFEST, README
from audit.export.cef import cef_line, product_version
from audit.export.csv import csv_header
from audit.export.jsonl import json_object
from audit.export.ocsf import ocsf_event
from audit.push.signature import SIGNATURE_HEADER, sign
from audit.push.webhook import BODY_FORMAT, DELIVERY_HEADER
from audit.record import Subject

ROOT = Path(__file__).parents[4]
FEED = (ROOT / "docs" / "how-to" / "feed-a-siem.md").read_text(encoding="utf-8")
FORMATS = (ROOT / "docs" / "reference" / "export-formats.md").read_text(encoding="utf-8")
ALICE = Subject(actor="alice", display="Alice Liddell", department="press", groups=("writers",))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks(FEED, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("python -m audit")]


@pytest.mark.parametrize("line", commands())
def test_every_command_of_the_page_is_one_that_the_program_takes(line: str) -> None:
    name, *words = shlex.split(line)[3:]
    group: Any = typer.main.get_command(app)
    group.commands[name].make_context(name, words)  # raises for an option or value that is not there


def test_the_page_s_receiver_tells_ours_from_others() -> None:
    (code,) = blocks(FEED, "python")
    scope: dict[str, Any] = {}
    exec(code, scope)
    body, secret = b'{"records":[]}', b"s" * 32
    now = int(time.time())
    assert scope["is_ours"](sign(body, [b"o" * 32, secret], now), body, secret)
    assert not scope["is_ours"](sign(body, [secret], now), body + b" ", secret)
    assert not scope["is_ours"](sign(body, [secret], now - 600), body, secret)
    assert not scope["is_ours"](sign(body, [b"o" * 32], now), body, secret)


def test_the_examples_of_formats_are_what_is_written(record: Callable[..., ExportRecord]) -> None:
    made = record(ALICE)
    event, line = blocks(FORMATS, "json")
    assert json.loads(event) == ocsf_event(made)
    assert json.loads(line) == json_object(made)
    assert blocks(FORMATS, "csv") == [csv_header().replace("\r\n", "\n")]
    (cef,) = blocks(FORMATS, "text")
    assert cef.strip() == cef_line(made).replace(f"|{product_version()}|", "|0.1.0|")


def test_every_attribute_and_key_is_in_a_table(record: Callable[..., ExportRecord]) -> None:
    event = ocsf_event(record(ALICE, about="2026-10-22"))
    assert [name for name in event if f"`{name}`" not in FORMATS] == []
    pairs = re.findall(r" ([A-Za-z0-9]+)=", cef_line(record(ALICE, about="x")))
    named = {"cs2", "cs3", "cs4", "cs5", "cn2"}  # within a range that the table names
    assert [key for key in pairs if not key.endswith("Label") and key not in named and f"`{key}`" not in FORMATS] == []
    for name in (BUNDLE_FORMAT, CHECKPOINT, EVIDENCE, MANIFEST, README, SIGNATURE_HEADER, DELIVERY_HEADER, BODY_FORMAT):
        assert f"`{name}`" in FORMATS
