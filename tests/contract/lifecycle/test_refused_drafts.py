"""Hostile and broken drafts (`tests/vectors/policy/drafts.yaml`): each refused with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.rule_desk import SHIPPED, RuleDesk

pytestmark = [pytest.mark.xdist_group("lifecycle"), pytest.mark.asyncio(loop_scope="module")]

VECTORS = yaml.safe_load((Path(__file__).parents[2] / "vectors/policy/drafts.yaml").read_text("utf-8"))


def files_of(desk: RuleDesk, vector: dict[str, Any]) -> dict[str, str | None]:
    """Whole files, from what a vector says of them."""
    files: dict[str, str | None] = {}
    for path, edit in vector["edit"].items():
        is_shipped = ".." not in path and (SHIPPED / path.lstrip("/")).is_file()
        there = desk.text(path) if is_shipped else ""
        if edit is None:
            files[path] = None
        elif isinstance(edit, list):
            assert edit[0] in there, "the vector does not fit the shipped rules any more"
            files[path] = there.replace(edit[0], edit[1])
        else:
            files[path] = there + edit * vector.get("times", 1)
        if vector.get("chain"):
            links = "\n".join(f"f{n}(x) := f{n + 1}(x)" for n in range(vector["chain"]))
            files[path] = f"{vector['begin']}{links}\nf{vector['chain']}(x) := x\n\nx if f0(1)\n"
    return files


def test_there_are_forty_of_them() -> None:
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS) >= 40


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
async def test_a_hostile_or_broken_draft_is_refused_with_its_place(desk: RuleDesk, vector: dict[str, Any]) -> None:
    files = files_of(desk, vector)
    # Written as JSON here: a client's library would not send half a character.
    headers = {**await desk.person("ann", "policy-author"), "content-type": "application/json"}
    body = json.dumps({"title": vector["name"], "files": files})
    answer = await desk.client.post("/v1/policy/drafts", content=body, headers=headers)
    if vector["at"] == "door":
        assert answer.status_code == 413
        return
    if vector["at"] == "save":
        assert answer.status_code == 400, answer.text
        message = answer.json()["error"]["message"]
        assert message.startswith(f"{vector['where']}:")
        assert vector["says"] in message
        return
    draft = answer.json()
    report = await desk.post(f"drafts/{draft['id']}/check")
    assert not report["passed"]
    fitting = [
        problem
        for problem in report["problems"]
        if problem["path"] == vector["where"] and vector["says"] in problem["message"]
    ]
    assert fitting, report["problems"]
    text = files.get(vector["where"])
    if "line" in vector and text is not None:
        lines = text.split("\n")
        assert any(vector["line"] in lines[problem["line"] - 1] for problem in fitting), fitting
    assert all(problem["line"] >= 1 for problem in fitting) or vector["where"].endswith("/")
    proposed = await desk.ask("POST", f"drafts/{draft['id']}/propose", {"version": 1, "note": "please"})
    assert proposed.status_code == 400
    assert f"{vector['where']}:" in proposed.json()["error"]["message"]
