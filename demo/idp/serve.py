"""Runs canaille inside its own virtual environment: `python serve.py STATE_DIRECTORY`. Nothing else imports it.

Reads `idp.json` there, fills a fresh SQLite database from it, and listens. canaille 0.3.6 is used as it is, but for
four things done below through Flask's own hooks, because a demo of strong sign-in must not rest on a weak one:

1. `/auth/otp-setup` answers anyone who typed a user name: it replaces that person's TOTP secret and then counts as two
   factors, so that it signs in without any password (`amr` is then `otp mfa`). Here it answers nobody who already has
   a second factor, nor anyone who has not given a password. The gateway would not be fooled either way: its claim
   profile asks for two *different* factors, `pwd` and `otp`, never for the summary word `mfa`.
2. People without a second factor are let through with their password alone, as many providers do. That is what makes
   carol a real test of the gateway: it has to see for itself that there was no second factor.
3. `/login/NAME` moves the authentication time of an open session to now without asking anything, which would make
   `auth_time` worthless for step-up. While an application waits for a sign-in, open sessions are closed first.
4. The claim `department`, which canaille knows but does not send, and `jti`: without an id two access tokens that one
   person gets within a second are the same text, which canaille's own table refuses.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import canaille  # type: ignore[import-not-found]
from asgiref.wsgi import WsgiToAsgi  # type: ignore[import-not-found]
from canaille.app import models  # type: ignore[import-not-found]
from canaille.app.session import logout_all_users  # type: ignore[import-not-found]
from canaille.backends import Backend  # type: ignore[import-not-found]
from canaille.core.auth import AuthenticationSession, redirect_to_next_auth_step  # type: ignore[import-not-found]
from canaille.oidc.userinfo import UserInfo  # type: ignore[import-not-found]
from flask import Flask, abort, g, request, session  # type: ignore[import-not-found]
from hypercorn.asyncio import serve  # type: ignore[import-not-found]
from hypercorn.config import Config  # type: ignore[import-not-found]
from joserfc.jwk import RSAKey


def main(state: Path) -> None:
    given = json.loads((state / "idp.json").read_text(encoding="utf-8"))
    _send_more_claims()
    database = state / "idp.sqlite"
    database.unlink(missing_ok=True)  # filled again below: what the file holds is never older than `idp.json`
    app = canaille.create_app(config=_configuration(given, database, _signing_key(state / "idp-signing.json")))
    app.jinja_env.globals["random_id"] = uuid.uuid4
    mapping = app.config["CANAILLE_OIDC"]["USERINFO_MAPPING"]
    mapping |= {"DEPARTMENT": "{{ user.department or '' }}", "JTI": "{{ random_id() }}"}
    app.before_request(_guard_enrolment)
    app.before_request(_ask_everything_again)
    _fill(app, given)
    logging.getLogger("hypercorn.error").setLevel(logging.WARNING)

    listening = Config()
    listening.bind = [f"{given['host']}:{given['port']}"]
    listening.accesslog = None
    asyncio.run(serve(WsgiToAsgi(app), listening))


def _configuration(given: dict[str, Any], database: Path, signing_key: dict[str, Any]) -> dict[str, Any]:
    return {
        "SECRET_KEY": given["secret_key"],
        "SERVER_NAME": f"{given['host']}:{given['port']}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {
            "NAME": "Example Company",
            # Not `memory`: that backend joins a query's conditions with "or", so that one sign-in that somebody left
            # half-way makes every later code be mistaken for it.
            "DATABASE": "sql",
            "SMTP": None,
            "LANGUAGE": "en",
            "AUTHENTICATION_FACTORS": ["password", "otp"],
            # Nobody edits themselves into a group, and nobody is an administrator.
            "ACL": {
                "DEFAULT": {"PERMISSIONS": ["use_oidc", "edit_self"], "READ": ["user_name", "groups"], "WRITE": []}
            },
        },
        "CANAILLE_SQL": {"DATABASE_URI": f"sqlite:///{database}"},
        # The gateway belongs to the company: nobody is asked whether they consent to it.
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [signing_key], "TRUSTED_DOMAINS": [urlsplit(given["public_url"]).hostname]},
    }


def _signing_key(path: Path) -> dict[str, Any]:
    """The same key at every start, so that a restart does not look like a key rotation."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(json.dumps(RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)), encoding="utf-8")
    key: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return key


def _send_more_claims() -> None:
    UserInfo.REGISTERED_CLAIMS = [*UserInfo.REGISTERED_CLAIMS, "department", "jti"]
    scopes = dict(UserInfo.SCOPES_CLAIMS_MAPPING)
    scopes["profile"] = [*scopes["profile"], "department", "jti"]
    UserInfo.SCOPES_CLAIMS_MAPPING = scopes


def _guard_enrolment() -> Any:
    if request.endpoint != "core.auth.otp.setup":
        return None
    pending = session.get("auth")
    if pending is None:
        abort(403)
    person = Backend.instance.get(models.User, user_name=pending["user_name"])
    if person is None or person.secret_token:
        abort(403)
    if g.session is not None and g.session.user == person:
        return None  # signed in already: enrols a first second factor from the profile page
    if "password" not in pending.get("achieved", []):
        abort(403)
    g.auth = AuthenticationSession.load()
    g.auth.remaining = []
    return redirect_to_next_auth_step()


def _ask_everything_again() -> None:
    if request.endpoint == "core.auth.login" and "redirect-after-login" in session:
        logout_all_users()
        g.session = None


def _fill(app: Flask, given: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    with app.app_context(), Backend.instance.session():
        people: dict[str, list[Any]] = {}
        for row in given["people"]:
            first, _, last = row["display_name"].partition(" ")
            secret = row["totp_secret"]
            user = models.User(
                user_name=row["name"],
                formatted_name=row["display_name"],
                display_name=row["display_name"],
                given_name=first,
                family_name=last,
                emails=[row["email"]],
                department=row["department"],
                password=row["password"],
            )
            if secret is not None:
                user.secret_token = base64.b32decode(secret + "=" * (-len(secret) % 8)).decode()
                user.last_otp_login = now  # canaille reads this as "has enrolled"
            Backend.instance.save(user)
            for group in row["groups"]:
                people.setdefault(group, []).append(user)
        for name, members in people.items():
            Backend.instance.save(models.Group(display_name=name, members=members))

        client = models.Client(
            client_id=given["client_id"],
            client_secret=given["client_secret"],
            client_id_issued_at=now,
            client_name="Imprimatur",
            client_uri=given["public_url"],
            redirect_uris=[given["redirect_uri"]],
            post_logout_redirect_uris=[given["public_url"] + "/signed-out"],
            # Not `password`: that grant asks for no TOTP. Not `implicit`: it puts tokens into addresses.
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
            id_token_signed_response_alg="RS256",  # else canaille picks RS512 for an RSA key
        )
        Backend.instance.save(client)
        client.audience = [client]  # without it canaille sends `aud: []`
        Backend.instance.save(client)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
