"""`imprimatur policy rollout`: look at a staged rollout, widen it within what was approved, finish it, take it back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gateway.cli_asking import AsJson, Asking, Server, TokenStdin, plain, stop

Reason = Annotated[str, typer.Option(help="Why: everybody will read it.")]


def add_to(policy: typer.Typer) -> None:
    """Add the commands. They end with 0 when it is done, 1 when the gateway that answers does not follow, 2 when nobody
    can say or it is refused."""
    rollout = typer.Typer(no_args_is_help=True, help="Rules for some people first: status, widen, finish, withdraw.")
    policy.add_typer(rollout, name="rollout")

    @rollout.command("status")
    def status(server: Server = "", token_stdin: TokenStdin = False, as_json: AsJson = False) -> None:
        """Say what is being rolled out, for whom, how far it may go, and whether the gateway that answers follows."""
        with Asking(server, token_stdin) as gateway:
            told = gateway.send("GET", "/rollout")
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else plain(_status(told)))
        running = told["running"]
        raise typer.Exit(0 if running is None or told["here"]["step"] == running["number"] else 1)

    @rollout.command("widen")
    def widen(
        percent: Annotated[float, typer.Argument(help="An approved share of all people and programs.")],
        reason: Reason,
        server: Server = "",
        token_stdin: TokenStdin = False,
    ) -> None:
        """Go to a greater share. Needs a second factor of the last five minutes."""
        with Asking(server, token_stdin) as gateway:
            asked = {"after": _number(gateway), "reason": reason, "percent": percent}
            made = gateway.send("POST", "/rollout/widen", asked)
        typer.echo(plain(f"{made['revision'][:12]} is for {_audience(made)} since {made['at']}"))

    @rollout.command("finish")
    def finish(reason: Reason, server: Server = "", token_stdin: TokenStdin = False) -> None:
        """Put it in force for everybody, when that was approved. Needs a second factor of the last five minutes."""
        with Asking(server, token_stdin) as gateway:
            made = gateway.send("POST", "/rollout/finish", {"after": _number(gateway), "reason": reason})
        typer.echo(plain(f"In force since {made['at']}: {made['revision']}"))

    @rollout.command("withdraw")
    def withdraw(reason: Reason, server: Server = "", token_stdin: TokenStdin = False) -> None:
        """Take it back from everybody, now. Needs a second factor of the last five minutes."""
        with Asking(server, token_stdin) as gateway:
            made = gateway.send("POST", "/rollout/withdraw", {"after": _number(gateway), "reason": reason})
        typer.echo(plain(f"Taken back at {made['at']}: {made['revision']}"))


def _number(gateway: Asking) -> int:
    running = gateway.send("GET", "/rollout")["running"]
    if running is None:
        stop("No rules are being rolled out.")
    return int(running["number"])


def _audience(step: Mapping[str, Any]) -> str:
    parts = [f"group {name}" for name in step["groups"]]
    return ", ".join([*parts, f"{step['percent']:g} % of all others" if parts else f"{step['percent']:g} % of all"])


def _status(told: Mapping[str, Any]) -> str:
    running, here = told["running"], told["here"]
    if running is None:
        return "No rules are being rolled out."
    further = [share for share in running["steps"] if share > running["percent"]]
    steps = ", ".join("everybody" if share == 100 else f"{share:g} %" for share in further)
    lines = [
        f"{running['revision']} for {_audience(running)}",
        f"since {running['at']}: {running['kind']} by {running['actor']}, {running['reason']}",
        f"approved further: {steps or 'nothing, more takes another proposal'}",
    ]
    if here["step"] != running["number"]:
        lines.append(f"the gateway that answered does not follow yet: {here['error'] or 'it is about to'}")
    return "\n".join(lines)
