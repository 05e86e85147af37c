"""Every command and every question on the page about reading the log does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.query import read_query

DOCS = Path(__file__).parents[3] / "docs"
PAGE = "how-to/read-the-audit-log.md"
STORE = "/var/lib/imprimatur/audit"
QUESTIONS = [
    (str(path.relative_to(DOCS)), line)
    for path in sorted(DOCS.rglob("*.md"))
    for block in re.findall(r"^```query\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


@pytest.mark.parametrize(("page", "question"), QUESTIONS)
def test_every_question_on_a_page_can_be_asked(page: str, question: str) -> None:
    assert read_query(question, now=datetime(2026, 11, 22, 12, 0, tzinfo=UTC)).conditions or "created:" in question, (
        page
    )


async def test_every_command_of_the_page_is_carried_out(house: Any, make: Any) -> None:
    async with house.open() as log:
        await make.request(log, "alice", "deny", reasons=("dlp.payment-card",))
        await make.request(log, "bob")
    desk = house.folder / "desk"
    desk.mkdir()
    (desk / "audit.vkey").write_text(house.vkey)
    (desk / "audit-kek.key").write_bytes(house.settings.kek_path.read_bytes())
    (desk / "audit-kek.key").chmod(0o600)
    (desk / "checkpoints.txt").write_bytes(house.witness.read_bytes())
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(python -m audit verify november[^`]*)`", text)
    said = {}
    for line in lines:
        done = subprocess.run(
            ["bash", "-euc", line.replace("python ", f"{sys.executable} ", 1).replace(STORE, str(house.store))],
            cwd=desk,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said[line] = done.stdout
    (found,) = [out for line, out in said.items() if " search " in line]
    assert "dlp.payment-card" in found
    assert len([out for line, out in said.items() if " verify " in line and out.endswith("in order\n")]) == 2
    assert "alice" not in (desk / "november.csv").read_text()
