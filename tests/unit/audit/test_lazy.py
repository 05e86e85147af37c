"""The package loads what is asked for and no more: an auditor installs two packages, not a database."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import audit
import audit.cli
from audit.export import export_evidence

ROOT = Path(__file__).parents[3]
# Stands in the way of packages that verification must do without, in this interpreter and in those it starts.
REFUSING = """
import runpy, sys
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sqlalchemy", "alembic", "pydantic_settings", "yaml", "httpx"}:
            raise ImportError("verification loads " + name)
sys.meta_path.insert(0, Refusing())
sys.argv = ["audit", *sys.argv[1:]]
runpy.run_module("audit", run_name="__main__")
"""


def test_every_name_is_the_one_that_a_type_checker_sees() -> None:
    tree = ast.parse(Path(str(audit.__file__)).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) == set(audit.__all__)
    for name, (home, there) in seen.items():
        assert getattr(audit, name) is getattr(import_module(str(home)), there), name
    assert set(audit.__all__) <= set(dir(audit))


@pytest.mark.parametrize("module", [audit, audit.cli])
def test_a_name_that_is_not_there_is_missed_as_anywhere(module: Any) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


async def test_verification_loads_no_database_and_no_settings(house: Any, make: Any) -> None:
    async with house.open() as log:
        ticket = await make.request(log)
        (house.folder / "x.tlog-proof").write_text((await log.proof(ticket.event_id))[0].text)
    with (house.folder / "all.jsonl").open("w", newline="") as file:
        export_evidence(house.store, file)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", REFUSING, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    for name in ("all.jsonl", "x.tlog-proof", "log", "log/checkpoint"):
        done = run("verify", house.folder / name, "--vkey", house.vkey)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "in order" in done.stdout
    assert "verification loads" in run("status", house.store).stderr  # what the others need is truly in the way
