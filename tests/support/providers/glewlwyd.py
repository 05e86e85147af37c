"""Debian's glewlwyd 2.7.5: the odd one of the three. Its sign-in page is a program in JavaScript over a JSON interface,
so a person's part is spoken to that interface, with the browser's own cookies.

Two scopes ask for two strengths of sign-in: `openid` for the password, `imprimatur` for the password and a one-time
code. Who never enrolled one (carol) is not given `imprimatur`, and comes to the gateway with her password alone.
"""

from __future__ import annotations

import gzip
import json
import secrets
import sqlite3
from contextlib import closing
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
from joserfc.jwk import RSAKey

from demo.idp.browserless import SignInStopped
from demo.idp.people import Person
from tests.support.providers.base import (
    BROWSER_CLIENT,
    CLI_CLIENT,
    HOST,
    ROBOT_CLIENT,
    Features,
    RunningProvider,
    kept,
    write_secret,
)
from tests.support.providers.packages import glewlwyd_environment, glewlwyd_root

FIRST_PASSWORD: Final = "password"
"""What its own first database says; replaced by a random one before anybody else is told of the port."""
STRONG_SCOPE: Final = "imprimatur"
PLUGIN: Final = "oidc"
CLOSED: Final = "closed"
"""Our word for its page after a sign-out that leads nowhere."""


class Glewlwyd(RunningProvider):
    """A running glewlwyd, set up over its administration interface when it first answers."""

    name = "glewlwyd"
    features: ClassVar[Features] = Features(
        amr=("password", "otp"),
        acr=None,
        auth_time_moves=False,
        sid=True,
        refresh_token=True,
        refresh_error_of_the_dismissed=None,
        back_channel_logout="ends",
        says_back_channel_logout=False,
        logout_token_typ="JWT",
        logout_returns="id_token_hint",
        device_flow=True,
        jwt_access_token=True,
        access_token_shows_factors=False,
        access_token_groups="comma-string",
        private_key_jwt=True,
        promises_iss=False,
        refresh_id_token=False,
    )

    @property
    def issuer(self) -> str:
        return f"http://{HOST}:{self.port}/api/{PLUGIN}"

    @property
    def robot_scope(self) -> str:
        return STRONG_SCOPE

    @property
    def _home(self) -> str:
        return f"http://{HOST}:{self.port}"

    def provider(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "label": "Example Company",
            "issuer": self.issuer,
            "client_id": BROWSER_CLIENT,
            "client_secret_path": str(self.client_secret_path),
            "scopes": ["openid", STRONG_SCOPE],
            "algorithms": ["RS256"],
            "access_token_audience": self.resource,
            "device_client_id": CLI_CLIENT,
            "profile": {
                "mfa_amr_two_distinct_of": ["password", "otp"],
                "groups_claim": "groups",
                "groups_form": "list",
                "logout_token_typ_jwt": True,
            },
        }

    def ready_url(self) -> str:
        return f"{self._home}/config"

    def command(self) -> tuple[list[str], dict[str, str]]:
        root = glewlwyd_root()
        database = self.state / "idp.sqlite"
        if not database.exists():
            script = gzip.decompress((root / "usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz").read_bytes())
            with closing(sqlite3.connect(database)) as connection:
                connection.executescript(script.decode())
        modules = root / "usr/lib/glewlwyd"
        settings = {
            "port": self.port,
            "bind_address": HOST,
            "external_url": self._home,
            "login_url": "login.html",
            "api_prefix": "api",
            "static_files_path": str(root / "usr/share/glewlwyd/webapp/"),
            "log_mode": "console",
            "log_level": "WARNING",
            "cookie_domain": HOST,
            "cookie_secure": False,
            "cookie_same_site": "lax",
            "session_expiration": 28800,
            "session_key": "GLEWLWYD2_SESSION_ID",
            "admin_scope": "g_admin",
            "profile_scope": "g_profile",
            "user_module_path": str(modules / "user"),
            "user_middleware_module_path": str(self.state / "none"),
            "client_module_path": str(modules / "client"),
            "user_auth_scheme_module_path": str(modules / "scheme"),
            "plugin_module_path": str(modules / "plugin"),
            "hash_algorithm": "SHA512",
        }
        (self.state / "none").mkdir(exist_ok=True)
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        lines.append(f'database = {{ type = "sqlite3" path = {json.dumps(str(database))} }};')
        write_secret(self.state / "glewlwyd.conf", "\n".join(lines) + "\n")
        program = str(root / "usr/bin/glewlwyd")
        return [program, "--config-file", str(self.state / "glewlwyd.conf")], glewlwyd_environment(root)

    # ------------------------------------------------------------------------------------------------------ set up

    def prepared(self) -> None:
        password = self.state / "admin.secret"
        if password.exists():
            return
        with httpx.Client(base_url=f"{self._home}/api", trust_env=False, timeout=30) as admin:
            _ok(admin.post("/auth/", json={"username": "admin", "password": FIRST_PASSWORD}))
            self._add_scheme(admin)
            _ok(admin.post("/mod/plugin/", json=self._plugin()))
            for client in self._clients():
                _ok(admin.post("/client/", json=client))
            for person in self.people.values():
                _ok(admin.post("/user/", json=_user(person)))
            _ok(admin.put("/user/admin", json={**_ok(admin.get("/user/admin")), "password": kept(password)}))
        self._enrol()

    def _add_scheme(self, admin: httpx.Client) -> None:
        # Groups of a person are a property of ours in its user module, given to applications as a claim.
        module = _ok(admin.get("/mod/user/database"))
        many = {"multiple": True, "read": True, "write": True, "profile-read": True, "profile-write": False}
        module["parameters"]["data-format"] |= {"groups": many, "department": many | {"multiple": False}}
        _ok(admin.put("/mod/user/database", json=module))
        _ok(admin.put("/mod/user/database/reset"))
        # Its own first settings name this property in the singular, and its end-session page reads the plural.
        module = _ok(admin.get("/mod/client/database"))
        module["parameters"]["data-format"]["post_logout_redirect_uris"] = {
            "multiple": True,
            "read": True,
            "write": True,
        }
        _ok(admin.put("/mod/client/database", json=module))
        _ok(admin.put("/mod/client/database/reset"))
        parameters = {
            "issuer": "Example Company",
            "secret-minimum-size": 16,
            "otp-length": 6,
            "hotp-allow": False,
            "totp-allow": True,
            "totp-window": 1,
            "totp-start-offset": 0,
        }
        scheme = {
            "module": "otp",
            "name": "otp",
            "display_name": "One-time code",
            "expiration": 600,
            "max_use": 0,
            "allow_user_register": False,
            "parameters": parameters,
        }
        _ok(admin.post("/mod/scheme/", json=scheme))
        code = {"otp": [{"scheme_type": "otp", "scheme_name": "otp"}]}
        scope = {
            "name": STRONG_SCOPE,
            "display_name": "Imprimatur",
            "description": "Pictures",
            "password_required": True,
            "password_max_age": 0,
            "scheme": code,
            "scheme_required": {"otp": 1},
        }
        _ok(admin.post("/scope/", json=scope))
        _ok(admin.put("/scope/openid", json={"display_name": "Open ID", "password_required": True, "scheme": {}}))

    def _plugin(self) -> dict[str, Any]:
        claims = [
            {"name": "groups", "user-property": "groups", "type": "string", "mandatory": True},
            {"name": "department", "user-property": "department", "type": "string", "mandatory": True},
            {"name": "preferred_username", "user-property": "username", "type": "string", "mandatory": True},
        ]
        key = RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}, auto_kid=True)
        return {
            "module": "oidc",
            "name": PLUGIN,
            "display_name": "OpenID Connect",
            "parameters": {
                "iss": self.issuer,
                "jwks-private": json.dumps({"keys": [key.as_dict(private=True)]}),
                "default-kid": "",
                "jwt-type": "rsa",
                "jwt-key-size": "256",
                "key": "",
                "cert": "",
                "access-token-duration": 300,
                "refresh-token-duration": 28800,
                "code-duration": 60,
                "refresh-token-rolling": True,
                "refresh-token-one-use": "always",
                "client-refresh-token-one-use-parameter": "",
                "allow-non-oidc": True,
                "auth-type-code-enabled": True,
                "auth-type-code-revoke-replayed": True,
                "auth-type-token-enabled": False,
                "auth-type-id-token-enabled": True,
                "auth-type-none-enabled": False,
                "auth-type-password-enabled": False,
                "auth-type-client-enabled": True,
                "auth-type-device-enabled": True,
                "auth-type-refresh-enabled": True,
                "scope": [],
                "additional-parameters": [{"user-parameter": "groups", "token-parameter": "groups"}],
                "claims": claims,
                "name-claim": "mandatory",
                "name-claim-scope": [],
                "email-claim": "mandatory",
                "email-claim-scope": [],
                "scope-claim": "no",
                "scope-claim-scope": [],
                "address-claim": {"type": "no"},
                "service-documentation": "",
                "op-policy-uri": "",
                "op-tos-uri": "",
                "jwks-show": True,
                "jwks-x5c": [],
                "subject-type": "public",
                "allowed-scope": ["openid", STRONG_SCOPE],
                "restrict-scope-client-property": "",
                "pkce-allowed": True,
                "pkce-method-plain-allowed": False,
                "pkce-required": True,
                "pkce-scopes": [],
                "introspection-revocation-allowed": True,
                "introspection-revocation-allow-target-client": True,
                "introspection-revocation-auth-scope": [],
                "request-parameter-allow": True,
                "request-parameter-ietf-strict": False,
                "request-parameter-allow-encrypted": False,
                "request-uri-allow-https-non-secure": False,
                "request-maximum-exp": 300,
                "client-pubkey-parameter": "pubkey",
                "client-jwks-parameter": "jwks",
                "client-jwks_uri-parameter": "jwks_uri",
                "encrypt-out-token-allow": False,
                "register-client-allowed": False,
                "session-management-allowed": True,
                "front-channel-logout-allowed": False,
                "back-channel-logout-allowed": True,
                "session-cookie-name": "GLEWLWYD2_OIDC_SESSION",
                "session-cookie-expiration": 28800,
                "device-authorization-expiration": 300,
                "device-authorization-interval": 5,
                "client-cert-source": "no",
                "oauth-dpop-allowed": False,
                "resource-allowed": True,
                "resource-scope": {STRONG_SCOPE: [self.resource]},
                "resource-client-property": "resource",
                "resource-scope-and-client-property": False,
                "oauth-rar-allowed": False,
                "oauth-par-allowed": False,
                "oauth-ciba-allowed": False,
                "oauth-as-iss-id": True,
            },
        }

    def _clients(self) -> list[dict[str, Any]]:
        return [
            {
                "client_id": BROWSER_CLIENT,
                "name": "Imprimatur",
                "confidential": True,
                "enabled": True,
                "client_secret": self.client_secret,
                "token_endpoint_auth_method": ["client_secret_basic"],
                "redirect_uri": [self.redirect_uri],
                "authorization_type": ["code", "refresh_token"],
                "post_logout_redirect_uris": [f"{self.public_url}/signed-out"],
                "backchannel_logout_uri": self.logout_uri,
                "backchannel_logout_session_required": "true",
                "resource": [self.resource],
                "scope": [],
            },
            {
                "client_id": CLI_CLIENT,
                "name": "imprimatur login",
                "confidential": False,
                "enabled": True,
                "token_endpoint_auth_method": ["none"],
                "redirect_uri": [f"http://{HOST}:{self.cli_port}/callback"],
                "authorization_type": ["code", "refresh_token", "device_authorization"],
                "resource": [self.resource],
                "scope": [],
            },
            {
                "client_id": ROBOT_CLIENT,
                "name": "a robot",
                "confidential": True,
                "enabled": True,
                "client_secret": secrets.token_urlsafe(32),
                "token_endpoint_auth_method": ["private_key_jwt"],
                "jwks": {"keys": [self.robot_public_key()]},
                "authorization_type": ["client_credentials"],
                "redirect_uri": [],
                "resource": [self.resource],
                "scope": [STRONG_SCOPE],
            },
        ]

    def _enrol(self) -> None:
        # An administrator can't enrol a known secret for somebody else over the interface; its table can.
        rows = [(p.name, p.totp_secret) for p in self.people.values() if p.totp_secret]
        with closing(sqlite3.connect(self.state / "idp.sqlite", timeout=10)) as database, database:
            database.executemany(
                "INSERT INTO gs_otp (gso_mod_name, gso_username, gso_otp_type, gso_secret, gso_totp_time_step_size, "
                "gso_last_used) VALUES ('otp', ?, 1, ?, 30, 0)",
                rows,
            )

    # ------------------------------------------------------------------------------------------- a person's part

    async def answer(self, browser: httpx.AsyncClient, page: httpx.Response, person: Person) -> httpx.Response | None:
        """What its page would do: password, code, consent, and on to where it was asked to go."""
        if not page.url.path.endswith("/login.html"):
            return None
        asked = {name: values[0] for name, values in parse_qs(urlsplit(str(page.url)).query).items()}
        api = f"{self._home}/api"
        if asked.get("prompt") == "end_session":
            return await self._end_session(browser, asked)
        scopes = await self._scopes(browser, asked["scope"])
        # A session of its own is used without a question, unless the application asked for one.
        is_known = all("available" in scope for scope in scopes.values()) and asked.get("prompt") != "login"
        if not is_known:
            await self._post(browser, {"username": person.name, "password": person.password})
            scopes = await self._scopes(browser, asked["scope"])
        available = {name: scope for name, scope in scopes.items() if scope["available"]}
        if not is_known and any(scope["schemes"] for scope in available.values()):
            if person.totp_secret is None:
                raise SignInStopped(f"{person.name} has no second factor to answer with", page)
            self._forget_last_code(person.name)
            code = {"value": pyotp.TOTP(person.totp_secret).now()}
            scheme = {"username": person.name, "scheme_type": "otp", "scheme_name": "otp", "value": code}
            await self._post(browser, scheme)
        await browser.put(f"{api}/auth/grant/{asked['client_id']}", json={"scope": " ".join(available)})
        return await browser.get(f"{asked['callback_url']}&g_continue", follow_redirects=False)

    async def _scopes(self, browser: httpx.AsyncClient, asked: str) -> dict[str, Any]:
        found = await browser.get(f"{self._home}/api/auth/scheme/", params={"scope": asked})
        return dict(found.raise_for_status().json())

    async def _post(self, browser: httpx.AsyncClient, answer: dict[str, Any]) -> None:
        done = await browser.post(f"{self._home}/api/auth/", json=answer)
        if done.status_code != 200:
            raise SignInStopped("the provider did not accept the answer", done)

    async def _end_session(self, browser: httpx.AsyncClient, asked: dict[str, str]) -> httpx.Response:
        # What its button does: end the session at the applications, then here, then go where it was asked to.
        api = f"{self._home}/api"
        (await browser.delete(f"{api}/{asked['plugin']}/session/{asked['sid']}")).raise_for_status()
        (await browser.delete(f"{api}/auth/")).raise_for_status()
        closed = f"{self._home}/login.html?prompt={CLOSED}"
        return await browser.get(asked.get("callback_url", closed), follow_redirects=False)

    def is_end(self, page: httpx.Response) -> bool:
        """Its page is always the same program: the address says when there is nothing more to do."""
        return page.url.params.get("prompt") in ("deviceComplete", CLOSED)

    def _forget_last_code(self, name: str) -> None:
        # It takes no code twice (RFC 6238, 5.2), and the next one comes in half a minute, which tests do not wait for.
        with closing(sqlite3.connect(self.state / "idp.sqlite", timeout=10)) as database, database:
            database.execute("UPDATE gs_otp SET gso_last_used = 0 WHERE gso_username = ?", [name])

    async def dismiss(self, name: str) -> None:
        await self._change(name, {"enabled": False})

    async def reinstate(self, name: str) -> None:
        await self._change(name, {"enabled": True})

    async def regroup(self, name: str, groups: tuple[str, ...]) -> None:
        await self._change(name, {"groups": list(groups)})

    async def _change(self, name: str, changes: dict[str, Any]) -> None:
        async with httpx.AsyncClient(base_url=f"{self._home}/api", trust_env=False) as admin:
            _ok(await admin.post("/auth/", json={"username": "admin", "password": kept(self.state / "admin.secret")}))
            _ok(await admin.put(f"/user/{name}", json=_ok(await admin.get(f"/user/{name}")) | changes))


def _user(person: Person) -> dict[str, Any]:
    return {
        "username": person.name,
        "password": person.password,
        "name": person.display_name,
        "email": person.email,
        "enabled": True,
        "scope": ["openid", *([STRONG_SCOPE] if person.totp_secret else [])],
        "groups": list(person.groups),
        "department": person.department,
    }


def _ok(response: httpx.Response) -> Any:
    if response.is_error:
        raise RuntimeError(f"{response.request.method} {response.url}: {response.status_code} {response.text[:500]}")
    return response.json() if response.content else None
