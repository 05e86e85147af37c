"""An auditor with a role that may only read, and the page that tells how."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audit.store.moment import database_url_of, describe_target
from audit.verify import verify_store
from tests.support.postgres import shared_server

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "how-to" / "run-on-postgresql.md").read_text()


def _sql_blocks() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


async def test_the_page_s_auditor_verifies_and_cannot_write(place: Any, make: Any) -> None:
    async with place.open() as log:
        ticket = await log.intend(make.intent())
        await log.conclude(ticket, make.outcome(reasons=("dlp.payment-card",), effect="deny"))
    (block,) = [block for block in _sql_blocks() if "create role auditor" in block]
    role = f"auditor_{secrets.token_hex(4)}"
    statements = block.replace("auditor", role).replace("for role audit in", "for role postgres in")
    with place.dba() as dba:
        dba.execute(statements.encode())
        url = place.url.replace("postgres@", f"{role}@")
        try:
            report = verify_store(url, None, None)
            assert (report.ok, report.records, report.covered_size) == (True, 2, 2)
            for command in (["status", url, "--json"], ["verify", url, "--json"], ["proof", url, ticket.event_id]):
                done = subprocess.run(
                    [sys.executable, "-m", "audit", *command], capture_output=True, text=True, cwd=ROOT, check=False
                )
                assert done.returncode == 0, done.stderr
                if "--json" in command:
                    assert json.loads(done.stdout)
            writes = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "import psycopg, sys; psycopg.connect(sys.argv[1]).execute('delete from audit.record')",
                    url,
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            assert "permission denied" in writes.stderr
        finally:
            dba.execute(f"drop owned by {role}; drop role {role}".encode())


def test_the_page_s_questions_are_answered_by_the_schema(place: Any) -> None:
    with place.dba() as dba:
        for block in _sql_blocks():
            for statement in filter(None, (part.strip() for part in block.split(";"))):
                if statement.startswith("select"):
                    dba.execute(statement.encode())


async def test_what_was_done_to_covered_records_is_found_by_url(place: Any, make: Any) -> None:
    async with place.open() as log:
        for _ in range(3):
            await log.conclude(await log.intend(make.intent()), make.outcome(effect="deny", reasons=("dlp.iban",)))
    deeds = {
        "update audit.record_20261122 set action = 'image:edit' where seq = 2": 2,
        "update audit.sealed_20261122_standard set subject = subject || '\\x00' where seq = 4": 4,
        "delete from audit.record_20261122 where seq = 3": 3,
        "delete from audit.sealed_20261122_standard where seq = 1": 1,
        "delete from audit.reason_20261122 where head_seq = 4": 5,
        "update audit.sealed_20261122_standard set terms = array[gen_random_uuid()] where seq = 0": 0,
    }
    for deed, seq in deeds.items():
        backup = shared_server().create_database(place.url.rpartition("/")[2])
        copy = type(place)(shared_server().url(backup), place.folder)
        with copy.dba() as dba:
            dba.execute(deed.encode())
        report = verify_store(copy.url, None, None)
        assert not report.ok, deed
        assert min(finding.seq for finding in report.findings if finding.seq is not None) == seq, deed
        shared_server().drop_database(backup)


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        (Path("postgresql://u:p@h/d?sslmode=require"), "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=/run/pg"),
        ("/var/lib/audit", None),
        (Path("C:/audit"), None),
        ("postgresql", None),
    ],
)
def test_a_target_is_a_directory_or_a_url(target: str | Path, url: str | None) -> None:
    assert database_url_of(target) == url


def test_a_password_stays_out_of_reports() -> None:
    assert describe_target("postgresql://u:secret@h/d?sslpassword=x") == "postgresql://h/d"
