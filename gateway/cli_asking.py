"""What commands that speak to a gateway about its rules share: who asks, the answer, and what may go to a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import httpx
import typer

from gateway import cli_login
from gateway.login.device_flow import LoginFailed, client, is_safe

TIMEOUT_SECONDS: Final = 60.0

Folder = Annotated[Path, typer.Argument(help="Folder of rules, laid out as an OPA bundle.")]
Server = Annotated[str, typer.Option(help="The gateway's address, https://…; left out: the one signed in to last.")]
TokenStdin = Annotated[bool, typer.Option("--token-stdin", help="Read the access token from standard input.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


class Asking:
    """A gateway, and who asks it."""

    def __init__(self, server: str, token_stdin: bool) -> None:
        self._server = server.rstrip("/")
        self._token = sys.stdin.readline().strip() if token_stdin else ""
        self._http = client()

    def __enter__(self) -> Asking:
        self._http.__enter__()
        try:
            if not self._token:
                kept = cli_login.fresh(self._http, self._server)
                self._server, self._token = kept.door.gateway.rstrip("/"), kept.tokens.access_token
        except LoginFailed as failed:
            stop(str(failed))
        if not is_safe(self._server):
            stop(f"{self._server or 'The address'} is not https, so your sign-in is not sent there. Use https://…")
        if not (self._token.isascii() and self._token.isprintable()):
            stop("What came as a token is none.")
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def send(self, method: str, path: str, body: object | None = None) -> dict[str, Any]:
        """The answer; ends the program when there is none."""
        try:
            answer = self._http.request(
                method,
                f"{self._server}/v1/policy{path}",
                json=body,
                headers={"authorization": f"Bearer {self._token}", "accept": "application/json"},
                timeout=TIMEOUT_SECONDS,
            )
        except httpx.HTTPError as trouble:
            stop(f"{self._server} can't be reached: {type(trouble).__name__}.")
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not isinstance(told, dict):
            stop(f"{self._server} answered with status {answer.status_code}, and not as a gateway does.")
        if answer.status_code >= 400:
            error = told.get("error")
            message = error.get("message") if isinstance(error, dict) else ""
            stop(plain(str(message or f"{self._server} answered with status {answer.status_code}.")))
        return told


def plain(text: str) -> str:
    """What may go to a terminal: no control character of somebody else's (CWE-150)."""
    return "".join(c for c in text if c.isprintable() or c == "\n")


def stop(message: str) -> NoReturn:
    """End the program: nobody can say."""
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(2)
