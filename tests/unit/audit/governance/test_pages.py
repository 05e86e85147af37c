"""The pages' commands are run as they stand there, in order."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.governance import names
from audit.governance.erasure import KeptReason
from tests.support.governed import Governed

DOCS = Path(__file__).parents[4] / "docs"
_ID = re.compile(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _commands(page: Path) -> Iterator[list[str]]:
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line)
            assert words[:3] == ["python", "-m", "audit"]
            yield words[3:]


@pytest.mark.parametrize("name", ["open-a-case", "place-a-hold", "answer-a-data-subject"])
def test_every_command_of_the_page_works(governed: Governed, name: str, tmp_path: Path) -> None:
    async def fill() -> str:
        async with governed.open():
            return (await governed.request("alice", "a wish")).event_id

    values = {
        "STORE": str(governed.directory),
        "KEK": str(governed.settings.kek_path),
        "KEY": str(governed.settings.signing_key_path),
        "EVENT": asyncio.run(fill()),
        "OUTPUT": str(tmp_path / "alice.json"),
    }
    runner, count = CliRunner(), 0
    for words in _commands(DOCS / "how-to" / f"{name}.md"):
        result = runner.invoke(app, [values.get(word, word) for word in words], catch_exceptions=False)
        assert result.exit_code == 0, (words, result.output)
        found = _ID.match(result.stdout)
        if found:
            values |= dict.fromkeys(("CASE", "HOLD", "ID"), found[0])
        count += 1
    assert count >= 4


def test_the_explanation_names_every_place() -> None:
    text = (DOCS / "explanation" / "who-may-look.md").read_text()
    for place in (names.DATABASE_NAME, names.LISTS_FOLDER, names.KEY_NAME, names.REGISTER_NAME, names.ERASED_NAME):
        assert place in text
    assert f"keys/{names.HOLDS_FOLDER}/" in text


def test_the_page_tells_everything_an_erasure_may_keep() -> None:
    text = (DOCS / "how-to" / "answer-a-data-subject.md").read_text()
    words = {KeptReason.HOLD: "under a hold", KeptReason.OPEN: "still running", KeptReason.ACCOUNTABILITY: "own work"}
    assert set(words) == set(KeptReason)
    for word in words.values():
        assert word in text
