"""`imprimatur policy replay` and `preview`: a gateway says what other rules would have done, to whoever signed in.
`explain` says it here, of one input.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli_asking import AsJson, Asking, Folder, Server, TokenStdin, plain, stop
from gateway.policy.bundle import CAPABILITIES, DATA_FILES, MANIFEST, BundleRefused, is_test, read_bundle
from gateway.policy.trial import try_out
from gateway.replay import runner
from gateway.replay.report import as_table
from gateway.replay.runner import ReplayFailed

LOOK_SECONDS: Final = 0.5
DECISION_SECONDS: Final = 5.0
"""An author's machine may be busy."""
ENDED: Final = ("done", "failed", "cancelled", "lost")


def add_to(policy: typer.Typer) -> None:
    """Add both commands. They end with 0 for an answer, 1 for rules that don't load, 2 when nobody can say."""

    @policy.command("replay")
    def replay(
        folder: Folder = Path("policies"),
        days: Annotated[int, typer.Option(min=1, max=30, help="How far back.")] = 7,
        against: Annotated[
            Path | None, typer.Option(help="Other rules to compare with; left out: those in force there.")
        ] = None,
        draft: Annotated[str, typer.Option(help="A draft's id instead of a folder, where rules are managed.")] = "",
        server: Server = "",
        token_stdin: TokenStdin = False,
        as_json: AsJson = False,
    ) -> None:
        """Have a gateway decide its past requests again by these rules, and tell whom that would have hit."""
        body: dict[str, Any] = {**({"draft": draft} if draft else {"files": _files(folder)}), "days": days}
        if against is not None:
            body["against"] = {"files": _files(against)}
        with Asking(server, token_stdin) as gateway:
            told = gateway.send("POST", "/replays", body)
            try:
                while told.get("status") not in ENDED:
                    if sys.stderr.isatty():
                        typer.echo(f"\r{told.get('done')} of {told.get('total')} decisions", nl=False, err=True)
                    time.sleep(LOOK_SECONDS)
                    told = gateway.send("GET", f"/replays/{told['id']}")
            except KeyboardInterrupt:
                gateway.send("DELETE", f"/replays/{told['id']}")
                stop("Cancelled.")
            if sys.stderr.isatty():
                typer.echo("\r", nl=False, err=True)
        if told["status"] != "done":
            for problem in told.get("problems") or ():
                where = f"{problem['path']}:{problem['line']}:{problem['column']}"
                typer.secho(plain(f"{where}: {problem['message']}"), fg="red", err=True)
            typer.secho(plain(told.get("failure") or "Cancelled."), fg="red", err=True)
            raise typer.Exit(1 if told.get("problems") else 2)
        typer.echo(json.dumps(told["report"], indent=2, ensure_ascii=False) if as_json else plain(_table(told)))

    @policy.command("preview")
    def preview(
        request_id: Annotated[str, typer.Argument(help="A past request's id, or a file with an input as JSON.")],
        folder: Folder = Path("policies"),
        stage: Annotated[str, typer.Option(help="request, prompt, upload or output; left out: the last.")] = "",
        server: Server = "",
        token_stdin: TokenStdin = False,
        as_json: AsJson = False,
    ) -> None:
        """Explain one decision by these rules beside that of the rules in force: which rules fired, and which condition
        did not hold, at which line, for want of which fact."""
        body: dict[str, Any] = {"files": _files(folder)}
        if Path(request_id).is_file():
            try:
                body["input"] = json.loads(Path(request_id).read_text("utf-8"))
            except ValueError as error:
                stop(f"{request_id}: expected an input as JSON ({error})")
        else:
            body |= {"request_id": request_id, "stage": stage}
        with Asking(server, token_stdin) as gateway:
            told = gateway.send("POST", "/previews", body)
        if as_json:
            typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
            return
        for title, key in (("in force", "baseline"), ("these rules", "candidate")):
            typer.echo(plain(_explained(title, told[key])))


def add_explain(policy: typer.Typer) -> None:
    """Add the command that needs no gateway. Ends with 0 for a decision, 1 for rules that give none, 2 for no input."""

    @policy.command("explain")
    def explain(
        given: Annotated[Path, typer.Argument(metavar="INPUT", help="A file with an input as JSON; - for stdin.")],
        folder: Folder = Path("policies"),
        expect: Annotated[
            str, typer.Option(help="End with 1 unless this is the effect: allow, mask, review, deny.")
        ] = "",
        as_json: AsJson = False,
    ) -> None:
        """Decide one input by these rules, here, and explain it: which rules fired, and which condition did not hold,
        at which line, for want of which fact."""
        try:
            document = json.loads(sys.stdin.read() if str(given) == "-" else given.read_text("utf-8"))
        except (OSError, ValueError) as error:
            stop(f"{given}: expected an input as JSON ({error}). docs/reference/policy-input.md shows one.")
        if not isinstance(document, dict):
            stop(f"{given}: expected a JSON object. docs/reference/policy-input.md shows one.")
        try:
            told = asyncio.run(_decided(folder, document))
        except (BundleRefused, ReplayFailed) as refused:
            typer.secho(plain(str(refused)), fg="red", err=True)
            raise typer.Exit(1) from None
        if as_json:
            typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        else:
            typer.echo(plain(_explained("these rules", told)))
        if expect and told["effect"] != expect:
            typer.secho(plain(f"Expected {expect}, decided {told['effect']}."), fg="red", err=True)
            raise typer.Exit(1)


async def _decided(folder: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    rules = await try_out(read_bundle(folder), decision_seconds=DECISION_SECONDS)
    told: dict[str, Any] = (await runner.preview(rules, None, document))["candidate"]
    return told


def _files(folder: Path) -> dict[str, str]:
    """What an engine reads of a folder, in base64. Detectors and tests stay here: they decide nothing."""
    try:
        found = read_bundle(folder).files
    except BundleRefused as refused:
        stop(str(refused))
    return {
        path: base64.b64encode(data).decode()
        for path, data in found.items()
        if path in (MANIFEST, CAPABILITIES)
        or path.rpartition("/")[2] in DATA_FILES
        or (path.endswith(".rego") and not is_test(path))
    }


def _table(told: Mapping[str, Any]) -> str:
    try:
        return as_table(told["report"])
    except (KeyError, TypeError, ValueError):
        stop("The gateway's report is not one that this version can read. Try --json.")


def _explained(title: str, told: Mapping[str, Any]) -> str:
    lines = [f"{title}: {told['effect']} {told['error']}".rstrip()]
    for reason in told["reasons"]:
        lines.append(f"  {reason['code']}: {reason['rule']} ({reason['path']}:{reason['line']})")
        for condition in reason["conditions"]:
            lines.append(f"    {condition['path']}:{condition['line']}: {condition['condition']}")
            for fact in condition["facts"]:
                value = "is missing" if fact["missing"] else f"= {json.dumps(fact['value'], ensure_ascii=False)}"
                lines.append(f"      {fact['name']} {value}")
    lines += [f"  missing: input.{name}" for name in told["missing_facts"]]
    return "\n".join(lines)
