"""The gateway as `imprimatur serve` runs it, at its most talkative, and every question that policy is asked is written
down: `python -m tests.canary.launch CONFIG QUESTIONS [LEAK …]`.

A leak is a mistake that somebody could make, one for each place that is searched. With them the search must go red.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from starlette.types import Message, Receive, Scope, Send

from gateway import cli
from gateway.api.edge import Edge
from gateway.exchange import Decision
from gateway.policy.engine import EntryPoint
from gateway.policy.facade import Policy

Handle = Callable[[Edge, Scope, Receive, Send], Any]


def write_questions(path: Path) -> None:
    """Each document for the policy engine, as a line."""
    ask = Policy._ask

    async def asked(self: Policy, entry: EntryPoint, document: Mapping[str, Any]) -> Decision:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([entry.value, document], default=str) + "\n")
        return await ask(self, entry, document)

    Policy._ask = asked  # type: ignore[method-assign]


def _with_bodies(leak: Callable[[Scope, bytes], Any]) -> None:
    """`leak` gets every request with the first piece of its body, before it is handled."""
    handle: Handle = Edge.__call__

    async def leaking(self: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await handle(self, scope, receive, send)
        first: list[Message] = [await receive()]
        waits = leak(scope, first[0].get("body", b""))
        if waits is not None:
            await waits

        async def again() -> Message:
            return first.pop() if first else await receive()

        return await handle(self, scope, again, send)

    Edge.__call__ = leaking  # type: ignore[method-assign]


def _log(scope: Scope, body: bytes) -> None:
    if b"multipart" not in dict(scope["headers"]).get(b"content-type", b""):
        logging.getLogger("gateway.api").debug("body", extra={"fields": {"body": body.decode("latin-1")}})


def _print(scope: Scope, body: bytes) -> None:
    print(scope["query_string"].hex(), flush=True)


def _count(scope: Scope, body: bytes) -> None:
    """A path as a label: every address a series of its own."""
    scope["app"].state.services.metrics.requests.labels(route=scope["path"], method=scope["method"], status="-").inc()


async def _keep(scope: Scope, body: bytes) -> None:
    async with scope["app"].state.services.database.engine.begin() as connection:
        await connection.execute(sa.text("create table if not exists debugging (body text)"))
        await connection.execute(sa.text("insert into debugging values (:body)"), {"body": body[:2_000].hex()})


def _file(path: Path, scope: Scope, body: bytes) -> None:
    """A second log, beside the encrypted one."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / "requests.txt").open("ab") as file:
        file.write(body)


def _echo() -> None:
    from gateway import problems

    enveloped = problems.envelope

    def echoing(error: Any, request_id: str) -> dict[str, Any]:
        return enveloped(error, request_id) | {"context": repr(error.__traceback__.tb_next.tb_frame.f_locals)}

    problems.envelope = echoing


def _ask_with_prompt() -> None:
    from gateway import pipeline

    build = pipeline.build_input

    def built(**given: Any) -> dict[str, Any]:
        return build(**given) | {"prompt_text": given["request"].prompt}

    pipeline.build_input = built


def leak(name: str, state: Path) -> None:
    """Make this mistake from now on."""
    with_bodies = {"log": _log, "print": _print, "metrics": _count, "database": _keep}
    if name == "answers":
        _echo()
    elif name == "policy":
        _ask_with_prompt()
    else:
        _with_bodies(with_bodies.get(name) or partial(_file, state / name))


LEAKS: Final = ("log", "print", "metrics", "database", "audit", "tmp", "answers", "policy")


if __name__ == "__main__":
    config, questions, *leaks = sys.argv[1:]
    write_questions(Path(questions))
    for one in leaks:
        leak(one, Path(config).parent)
    cli.serve(Path(config), log_level="debug")
