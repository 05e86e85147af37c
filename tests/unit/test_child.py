import asyncio
import os

import pytest

from gateway.child import environment, started

ECHO = """
import sys
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
"""
SHOW = """
import json, os, sys
print(json.dumps({"environment": sorted(os.environ), "path": sys.path}))
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that a child can run."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text):
        (tmp_path / "what_runs.py").write_text(text, "utf-8")
        return "what_runs"

    return write


async def test_what_is_handed_over_comes_back(module):
    async with started(module(ECHO), line_bytes=1 << 16) as child:
        await child.hand_over(b"one\n", b"two\n")
        assert [line async for line in child.answers] == [b"one\n", b"two\n"]
        assert await child.ending() == ""
    assert not child.is_running


async def test_a_child_knows_nothing_of_our_environment(module, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    async with started(module(SHOW), line_bytes=1 << 16) as child:
        told = await child.answers.readline()
    assert b"DATABASE_PASSWORD" not in told
    assert b"PYTHONPATH" in told
    assert "DATABASE_PASSWORD" not in environment()


async def test_nothing_is_imported_from_the_folder_we_are_in(module, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    async with started(module(SHOW), line_bytes=1 << 16) as child:
        assert os.fsencode(str(tmp_path / "elsewhere")) not in await child.answers.readline()


@pytest.mark.parametrize(
    ("text", "ending"),
    [("raise SystemExit(3)", "exit status 3"), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL")],
)
async def test_how_it_ended_is_told(module, text, ending):
    async with started(module(text), line_bytes=1 << 16) as child:
        await child.hand_over(b"x" * (1 << 20))  # it never reads this: no error of ours
        assert await child.ending() == ending


async def test_it_ends_with_a_block_that_was_cancelled(module):
    running = []

    async def work():
        async with started(module(ECHO), line_bytes=1 << 16) as child:
            running.append(child)
            await child.answers.readline()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await work()
    assert running
    assert not running[0].is_running


async def test_a_line_longer_than_agreed_is_refused(module):
    async with started(module("print('x' * 5000)"), line_bytes=1000) as child:
        with pytest.raises(ValueError, match="limit"):
            await child.answers.readline()


async def test_what_it_says_of_its_errors_goes_nowhere(module, capfd):
    async with started(module("raise ValueError('4111 1111 1111 1111')"), line_bytes=1000) as child:
        assert await child.ending() == "exit status 1"
    captured = capfd.readouterr()
    assert "4111" not in captured.err + captured.out
