"""`imprimatur policy status`, `diff`, `publish`, `rollback`, `rollout`: changing a gateway's rules from a terminal.

What they do, the API does: the same rights, the same records. Nothing comes into force here but by `rollback`; what is
published waits for a second person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import typer

from gateway import cli_rollout
from gateway.cli_asking import AsJson, Asking, Folder, Server, TokenStdin, plain
from gateway.lifecycle.content import OPERATORS_OWN, changes_between, difference
from gateway.lifecycle.store import sha256_of
from gateway.policy.bundle import BundleRefused, read_bundle


def add_to(policy: typer.Typer) -> None:
    """Add the commands. They end with 0 when it is done, 1 when rules differ or are refused, 2 when nobody can say."""

    @policy.command("status")
    def status(server: Server = "", token_stdin: TokenStdin = False, as_json: AsJson = False) -> None:
        """Say which rules are in force, since when, by whom, and whether the gateway that answers runs them."""
        with Asking(server, token_stdin) as gateway:
            told = gateway.send("GET", "/status")
        if as_json:
            typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        else:
            typer.echo(plain(_status(told)))
        raise typer.Exit(0 if told["here"]["revision"] == told["in_force"]["revision"] else 1)

    @policy.command("diff")
    def diff(
        folder: Folder = Path("policies"),
        against: Annotated[
            Path | None, typer.Option(help="Another folder; left out: the rules in force at the gateway.")
        ] = None,
        server: Server = "",
        token_stdin: TokenStdin = False,
    ) -> None:
        """Print what a folder would change, as a unified diff."""
        new = _files(folder)
        if against is not None:
            old = _files(against)
        else:
            with Asking(server, token_stdin) as gateway:
                _, old = _in_force(gateway, new)
        found = difference(old, new)
        for one in found:
            typer.echo("\n".join(plain(line.replace("\t", "    ")) for line in one.diff.split("\n")), nl=False)
        raise typer.Exit(1 if found else 0)

    @policy.command("publish")
    def publish(
        note: Annotated[str, typer.Option(help="Why: whoever agrees to it reads this.")],
        folder: Folder = Path("policies"),
        title: Annotated[str, typer.Option(help="What the draft is called; left out: the note.")] = "",
        group: Annotated[
            list[str] | None, typer.Option(help="For the people of this group first; may be repeated.")
        ] = None,
        percent: Annotated[float, typer.Option(help="For this share of all people and programs first.")] = 0,
        step: Annotated[
            list[float] | None,
            typer.Option(help="A share to which one person may widen it; may be repeated. 100 = everybody."),
        ] = None,
        impact: Annotated[
            str, typer.Option(help="Id of a replay of exactly these files against the rules in force.")
        ] = "",
        server: Server = "",
        token_stdin: TokenStdin = False,
    ) -> None:
        """Make a draft of what the folder changes, have the gateway check it, and propose it to a second person."""
        new = _files(folder)
        with Asking(server, token_stdin) as gateway:
            revision, old = _in_force(gateway, new)
            changes = changes_between(old, new)
            if not changes:
                typer.echo("The folder holds the rules in force: there is nothing to publish.")
                return
            files = {path: None if body is None else _text(path, body) for path, body in changes.items()}
            body = {"title": (title or note)[:200], "files": files, "note": note, "base": revision}
            draft = gateway.send("POST", "/drafts", body)
            typer.echo(f"draft {draft['id']}: {len(files)} files upon {revision[:12]}")
            report = gateway.send("POST", f"/drafts/{draft['id']}/check")
            for problem in report["problems"]:
                where = f"{problem['path']}:{problem['line']}:{problem['column']}"
                typer.secho(plain(f"{where}: {problem['message']} [{problem['check']}]"), fg="red", err=True)
            if not report["passed"]:
                _refuse("The gateway does not take these rules. Mend the files, then publish again.")
            asked = {"version": draft["version"]["number"], "note": note, "impact": impact or None}
            if group or percent or step:
                asked["stage"] = {"groups": group or [], "percent": percent, "steps": step or []}
            proposal = gateway.send("POST", f"/drafts/{draft['id']}/propose", asked)
        tests, share = report["tests"]["run"], report["coverage"]["share"]
        typer.echo(f"{tests} tests pass and run {share:.1%} of the lines.")
        typer.echo(f"proposal {proposal['id']} waits for somebody else, until {proposal['expires_at']}")

    @policy.command("rollback")
    def rollback(
        revision: Annotated[str, typer.Argument(help="8 or more of the first characters of its digest.")],
        reason: Annotated[str, typer.Option(help="Why: everybody will read it.")],
        server: Server = "",
        token_stdin: TokenStdin = False,
    ) -> None:
        """Put an approved revision in force again, now. Needs a second factor of the last five minutes."""
        with Asking(server, token_stdin) as gateway:
            made = gateway.send("POST", "/rollback", {"revision": revision, "reason": reason})
        typer.echo(plain(f"In force since {made['at']}: {made['revision']}"))

    cli_rollout.add_to(policy)


def _in_force(gateway: Asking, new: Mapping[str, bytes]) -> tuple[str, dict[str, bytes]]:
    """The approved rules at the gateway: those in force, or those that a break-glass edit gives way to. Only files that
    differ from `new` are fetched."""
    active = gateway.send("GET", "/status")["in_force"]
    revision = str(active["returns_to"] or active["revision"])
    old: dict[str, bytes] = {}
    for path, name in gateway.send("GET", f"/revisions/{revision}")["files"].items():
        if path in new and sha256_of(new[path]) == name:
            old[path] = new[path]
        else:
            old[path] = gateway.send("GET", f"/revisions/{revision}/files/{quote(path)}")["content"].encode()
    return revision, old


def _files(folder: Path) -> dict[str, bytes]:
    try:
        found = read_bundle(folder).files
    except BundleRefused as refused:
        _refuse(str(refused))
    return {path: body for path, body in found.items() if path.split("/")[0] not in OPERATORS_OWN}


def _text(path: str, body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        _refuse(f"{path}: is not UTF-8")


def _status(told: Mapping[str, Any]) -> str:
    active, here = told["in_force"], told["here"]
    lines = [f"{active['revision']} since {active['at']}: {active['kind']} by {active['actor']}, {active['reason']}"]
    if active["expires_at"]:
        lines.append(f"ends at {active['expires_at']}, then {active['returns_to']}")
    if here["revision"] != active["revision"]:
        lines.append(f"the gateway that answered still runs {here['revision']}: {here['error'] or 'it follows'}")
    return "\n".join(lines)


def _refuse(message: str) -> NoReturn:
    typer.secho(plain(message), fg="red", err=True)
    raise typer.Exit(1)
