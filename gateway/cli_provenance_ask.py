"""`imprimatur provenance check --server`: a gateway is asked, as whoever signed in from this terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import httpx
import typer

from gateway import cli_login
from gateway.login.device_flow import LoginFailed, client, is_safe

PATH: Final = "/v1/content_provenance_checks"
TIMEOUT_SECONDS: Final = 90.0
"""For the file to go there and to be looked at; the gateway gives up earlier."""
MAX_WORDS: Final = 500
NAMES: Final[Mapping[str, str]] = {"c2pa": "manifest", "watermark": "watermark", "fingerprint": "fingerprint"}


def ask(server: str, data: bytes, token: str = "") -> NoReturn:
    """Print what the gateway says, and end: 0 = made there, 1 = nothing or a likeness, 2 = no answer."""
    server = server.rstrip("/")
    if not is_safe(server):
        _fail(f"{server} is not https, so your sign-in is not sent there. Use https://…")
    if not (token.isascii() and token.isprintable()):
        _fail("What came as a token is none.")
    try:
        with client() as http:
            bearer = token or cli_login.fresh(http, server).tokens.access_token
            answer = http.post(
                server + PATH,
                files={"file": ("picture", data)},  # its name stays here: names tell of people and places
                headers={"authorization": f"Bearer {bearer}", "accept": "application/json"},
                timeout=TIMEOUT_SECONDS,
            )
    except LoginFailed as failed:
        _fail(str(failed))
    except httpx.HTTPError as trouble:
        _fail(f"{server} can't be reached: {type(trouble).__name__}.")
    told = _object(answer)
    if answer.status_code != 200:
        error = told.get("error")
        words = _word(error.get("message")) if isinstance(error, dict) else ""
        _fail(words or f"{server} answered with status {answer.status_code}, and not as a gateway does.")
    results = [one for one in _list(told.get("results")) if isinstance(one, dict)]
    if told.get("object") != "content_provenance_check" or not results:
        _fail(f"{server} answered, but not as a gateway does.")
    typer.echo(_word(told.get("message")))
    for one in results:
        name = NAMES.get(str(one.get("type")), "mark")
        typer.echo(f"{name:<13}{_word(one.get('state') or one.get('outcome'))}: {_word(one.get('message'))}")
        for record_id in _list(one.get("record_ids")):
            typer.echo(f"{'':<13}{server}/audit/records/{_word(record_id)}")
    raise typer.Exit(0 if told.get("verdict") == "made-here" else 1)


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _word(value: object) -> str:
    """What may go to a terminal: no control character of somebody else's (CWE-150)."""
    return "".join(c for c in str(value or "")[:MAX_WORDS] if c.isprintable())


def _fail(text: str) -> NoReturn:
    typer.secho(text, fg="red", err=True)
    raise typer.Exit(2)
