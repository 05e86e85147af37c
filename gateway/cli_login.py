"""`imprimatur login`, `token` and `logout`: acting as oneself from a terminal, with a second factor and without a key.

Tokens go to the keyring or, when asked for, to standard output; everything that is said goes to standard error, so that
`OPENAI_API_KEY=$(imprimatur token)` gets the token and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

from gateway.login.device_flow import DeviceFlow, Invitation, LoginFailed, SignedOut, client
from gateway.login.keyring_shelf import KeyringShelf, Login

FRESH_SECONDS: Final = 60
"""An access token with less left than this is renewed before it is given out."""
_LOCK_SECONDS: Final = 30.0

Gateway = Annotated[str, typer.Argument(help="The gateway's address, https://…; left out: the one used last.")]


def add_to(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command()(login)
    app.command()(token)
    app.command()(logout)


def login(
    gateway: Gateway = "",
    provider: Annotated[str, typer.Option(help="Your sign-in provider's issuer, where there are several.")] = "",
    scope: Annotated[str, typer.Option(help="What to ask for instead of all that the gateway knows.")] = "",
    print_token: Annotated[
        bool,
        typer.Option("--print-token", help="Print the access token and keep nothing: for machines without keyring."),
    ] = False,
) -> None:
    """Sign in from this terminal: approve a code in any browser. What comes of it is kept in the system's keyring."""
    with _saying(), client() as http:
        shelf = None if print_token else KeyringShelf()
        if not gateway:
            last = None if shelf is None else shelf.take()
            if last is None:
                raise LoginFailed("Say which gateway: imprimatur login https://images.example.com")
            gateway = last.door.gateway
        flow = DeviceFlow(http)
        door = flow.find(gateway, provider, scope)
        invitation = flow.invite(door)
        _show(invitation)
        tokens = flow.wait(door, invitation)
        if flow.is_accepted(door.gateway, tokens.access_token) is False:
            flow.revoke(door, tokens.refresh_token)
            raise LoginFailed(
                "You are signed in at your provider, but the gateway does not accept its token. Your account may not "
                "be allowed in, or access_token_audience is not what the provider writes: ask the administrators."
            )
        if shelf is None:
            typer.echo(tokens.access_token)
            _say("Signed in. The token is printed, and kept nowhere.")
            return
        shelf.put(Login(door=door, tokens=tokens))
        _say(f"Signed in at {door.gateway}. Kept in: {shelf.name}. Use it: OPENAI_API_KEY=$(imprimatur token)")


def token(gateway: Gateway = "") -> None:
    """Print an access token that is good for a while, renewed if it has to be."""
    with _saying(), client() as http:
        typer.echo(fresh(http, gateway).tokens.access_token)


def fresh(http: httpx.Client, gateway: str = "") -> Login:
    """The sign-in at this gateway (left out: the one used last), renewed if it has to be. Raises LoginFailed."""
    shelf, flow = KeyringShelf(), DeviceFlow(http)
    with _alone():  # a refresh token works once: two programs that start together must not both use it
        kept = _kept(shelf, gateway)
        if kept.tokens.expires_at - time.time() < FRESH_SECONDS:
            try:
                kept = Login(door=kept.door, tokens=flow.refresh(kept.door, kept.tokens.refresh_token))
            except SignedOut as ended:
                shelf.drop(kept.door.gateway)
                raise LoginFailed(f"{ended} Sign in again: imprimatur login {kept.door.gateway}") from None
            shelf.put(kept)
    return kept


def logout(gateway: Gateway = "") -> None:
    """Forget the sign-in here, and give its refresh token back to the provider."""
    with _saying(), client() as http:
        shelf = KeyringShelf()
        with _alone():
            kept = _kept(shelf, gateway)
            shelf.drop(kept.door.gateway)
        given_back = DeviceFlow(http).revoke(kept.door, kept.tokens.refresh_token)
        _say("Signed out." if given_back else "Forgotten here. The provider was not told; it ends there by itself.")


def _kept(shelf: KeyringShelf, gateway: str) -> Login:
    found = shelf.take(gateway)
    if found is None:
        raise LoginFailed(f"You are not signed in. Run: imprimatur login {gateway or 'https://images.example.com'}")
    return found


def _show(invitation: Invitation) -> None:
    _say(f"Open {invitation.address} in a browser and enter this code:")
    _say(f"\n    {invitation.user_code}\n")
    if invitation.address_with_code:
        _say(f"Or open: {invitation.address_with_code}")
        _say("The page must show the same code. Never enter one that somebody else gave you.")
    _say("Waiting …")


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _saying() -> Iterator[None]:
    """Failures in words, and exit status 1."""
    try:
        yield
    except LoginFailed as failed:
        typer.secho(str(failed), fg="red", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _alone() -> Iterator[None]:
    """One of this person's commands at a time. A lock that is older than any command was left by one that died."""
    path = Path.home() / ".cache" / "imprimatur" / "login.lock"  # their own folder: nobody else can hold it
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            try:
                is_left = time.time() - path.stat().st_mtime > _LOCK_SECONDS
            except FileNotFoundError:
                continue
            if is_left or time.monotonic() > deadline:
                path.unlink(missing_ok=True)
                continue
            time.sleep(0.05)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
