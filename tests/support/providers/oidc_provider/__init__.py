"""npm's certified oidc-provider: the second real provider, with what the demo's lacks. The server is `serve.mjs`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx

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
from tests.support.providers.packages import npm_packages

SERVE: Final = Path(__file__).with_name("serve.mjs")
TWO_FACTORS: Final = "urn:example:acr:two-factors"
ONE_FACTOR: Final = "urn:example:acr:password"
RESOURCE_SCOPES: Final = ("image:generate", "image:edit")


class OidcProvider(RunningProvider):
    """A running oidc-provider. `groups_in="userinfo"` keeps groups out of its ID tokens."""

    name = "oidc-provider"
    features: ClassVar[Features] = Features(
        amr=("pwd", "otp", "mfa"),
        acr=TWO_FACTORS,
        auth_time_moves=True,
        sid=True,
        refresh_token=True,
        refresh_error_of_the_dismissed="invalid_grant",
        back_channel_logout="ends",
        says_back_channel_logout=True,
        logout_token_typ="logout+jwt",
        logout_returns="client_id",
        device_flow=True,
        jwt_access_token=True,
        access_token_shows_factors=True,
        access_token_groups="list",
        private_key_jwt=True,
        promises_iss=True,
        refresh_id_token=True,
    )

    def __init__(self, state: Path, public_url: str, *, port: int = 0, groups_in: str = "id_token") -> None:
        super().__init__(state, public_url, port=port)
        self._groups_in = groups_in
        self._control_token = kept(state / "control.secret")

    @property
    def issuer(self) -> str:
        return f"http://{HOST}:{self.port}"

    def provider(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "label": "Example Company",
            "issuer": self.issuer,
            "client_id": BROWSER_CLIENT,
            "client_secret_path": str(self.client_secret_path),
            "scopes": ["openid", "profile", "email", "groups"],
            "algorithms": ["RS256"],
            "access_token_audience": self.resource,
            "acr_values": TWO_FACTORS,
            "device_client_id": CLI_CLIENT,
            "profile": {"mfa_acr_in": [TWO_FACTORS], "trusts_auth_time": True},
        }

    def command(self) -> tuple[list[str], dict[str, str]]:
        packages = npm_packages()
        given = {
            "issuer": self.issuer,
            "host": HOST,
            "port": self.port,
            "people": [asdict(person) for person in self.people.values()],
            "secret_key": kept(self.state / "idp-cookies.secret"),
            "control_token": self._control_token,
            "acr_two_factors": TWO_FACTORS,
            "acr_one_factor": ONE_FACTOR,
            "browser_client_id": BROWSER_CLIENT,
            "groups_in": self._groups_in,
            "resource": self.resource,
            "resource_scopes": list(RESOURCE_SCOPES),
            "clients": self._clients(),
        }
        write_secret(self.state / "idp.json", json.dumps(given, indent=1))
        return ["node", "--no-warnings", str(SERVE), str(self.state)], {"IDP_PACKAGES": str(packages)}

    def _clients(self) -> list[dict[str, Any]]:
        return [
            {
                "client_id": BROWSER_CLIENT,
                "client_secret": self.client_secret,
                "redirect_uris": [self.redirect_uri],
                "post_logout_redirect_uris": [f"{self.public_url}/signed-out"],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "client_secret_basic",
                "backchannel_logout_uri": self.logout_uri,
                "backchannel_logout_session_required": True,
            },
            {
                "client_id": CLI_CLIENT,
                "application_type": "native",
                # RFC 8252, 7.3: whatever port the program listens on.
                "redirect_uris": ["http://127.0.0.1/callback"],
                "grant_types": [
                    "authorization_code",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            },
            {
                "client_id": ROBOT_CLIENT,
                "redirect_uris": [],
                "response_types": [],
                "grant_types": ["client_credentials"],
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": "ES256",
                "jwks": {"keys": [self.robot_public_key()]},
            },
        ]

    async def dismiss(self, name: str) -> None:
        await self._control(name, {"is_active": False})

    async def reinstate(self, name: str) -> None:
        await self._control(name, {"is_active": True})

    async def regroup(self, name: str, groups: tuple[str, ...]) -> None:
        await self._control(name, {"groups": list(groups)})

    async def events(self) -> list[dict[str, str]]:
        """What went wrong or well inside it: `backchannel.success`, `backchannel.error`, …, the oldest first."""
        async with self._controlling() as client:
            return list((await client.get("/control/events")).raise_for_status().json())

    async def _control(self, name: str, changes: dict[str, Any]) -> None:
        async with self._controlling() as client:
            (await client.post(f"/control/people/{name}", json=changes)).raise_for_status()

    def _controlling(self) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self._control_token}"}
        return httpx.AsyncClient(base_url=self.issuer, headers=headers, trust_env=False)
