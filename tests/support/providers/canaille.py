"""canaille, the demo's own provider, as one of the three."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from demo.idp import DemoIdp
from tests.support.providers.base import BROWSER_CLIENT, CLI_CLIENT, HOST, Features, RunningProvider


class Canaille(RunningProvider):
    """A running canaille: `demo/idp` does the work."""

    name = "canaille"
    features: ClassVar[Features] = Features(
        amr=("pwd", "otp", "mfa"),
        acr=None,
        auth_time_moves=True,
        sid=False,
        refresh_token=True,
        refresh_error_of_the_dismissed="invalid_request",
        back_channel_logout="none",
        says_back_channel_logout=False,
        logout_token_typ=None,
        logout_returns="client_id",
        device_flow=False,
        jwt_access_token=False,
        access_token_shows_factors=False,
        access_token_groups="list",
        private_key_jwt=False,
        promises_iss=True,
        refresh_id_token=False,
    )

    def __init__(self, state: Path, public_url: str, *, port: int = 0) -> None:
        super().__init__(state, public_url, port=port)
        self._demo = DemoIdp(state, self.port, public_url, say=lambda _: None)

    @property
    def issuer(self) -> str:
        return self._demo.issuer

    def provider(self) -> dict[str, Any]:
        return self._demo.provider()

    def command(self) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError("demo/idp starts it")

    def start(self) -> Canaille:
        self._demo.start().wait_ready()
        self._add_command_line()
        return self

    def _add_command_line(self) -> None:
        """A public client beside the gateway's, made from that one's row."""
        mine = {
            "id": CLI_CLIENT,
            "client_id": CLI_CLIENT,
            "client_secret": None,
            "redirect_uris": json.dumps([f"http://{HOST}:{self.cli_port}/callback"]),
            "token_endpoint_auth_method": "none",
        }
        with closing(sqlite3.connect(self.state / "idp.sqlite", timeout=10)) as database, database:
            names = [row[1] for row in database.execute("PRAGMA table_info(client)")]
            row = database.execute("SELECT * FROM client WHERE client_id = ?", [BROWSER_CLIENT]).fetchone()
            values = {**dict(zip(names, row, strict=True)), **{n: v for n, v in mine.items() if n in names}}
            marks = ", ".join("?" for _ in names)
            database.execute(f"INSERT INTO client VALUES ({marks})", [values[name] for name in names])
            database.execute(
                'INSERT INTO client_audience_association_table (audience_id, client_id, "index") VALUES (?, ?, 0)',
                [CLI_CLIENT, CLI_CLIENT],
            )

    def stop(self) -> None:
        self._demo.stop()

    # Its administration is pages for people: what an administrator would click is written into its database instead.

    async def dismiss(self, name: str) -> None:
        self._write("UPDATE user SET lock_date = '2020-01-01 00:00:00.000000' WHERE user_name = ?", [name])

    async def reinstate(self, name: str) -> None:
        self._write("UPDATE user SET lock_date = NULL WHERE user_name = ?", [name])

    async def regroup(self, name: str, groups: tuple[str, ...]) -> None:
        person = "(SELECT id FROM user WHERE user_name = ?)"
        self._write(f"DELETE FROM membership_association_table WHERE user_id = {person}", [name])
        for group in groups:
            self._write(
                f"INSERT INTO membership_association_table (user_id, group_id) SELECT {person}, id FROM 'group' "
                "WHERE display_name = ?",
                [name, group],
            )

    def _write(self, statement: str, values: list[str]) -> None:
        with closing(sqlite3.connect(self.state / "idp.sqlite", timeout=10)) as database, database:
            if not database.execute(statement, values).rowcount:
                raise RuntimeError(f"{self.name}: nothing was changed by {statement}")
