"""The three programs of the demo together: identity provider, model server, gateway. The tests use the same."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from demo.idp import ROLE_MAPPING, DemoIdp, Person
from demo.idp.people import STAFF, Employee
from demo.process import Program, free_port
from gateway.storage.migrate import upgrade

ROOT: Final = Path(__file__).resolve().parent.parent
MODEL: Final = "imprimatur-embedded"
ORIGIN: Final = "demo.imprimatur.example/audit"
GATEWAY_PORT, MODEL_PORT, IDP_PORT = 8100, 8101, 8102


class Stack:
    """Everything under one state directory. `start` returns when all three are ready; `stop` leaves nothing running."""

    def __init__(
        self,
        state: Path,
        *,
        say: Callable[[str], None] = print,
        fixed_ports: bool = False,
        settings: Mapping[str, Any] | None = None,
        with_model: bool = True,
        with_idp: bool = True,
        staff: Sequence[Employee] = STAFF,
    ) -> None:
        self.state = state
        self._say = say
        self._with_model = with_model
        self._with_idp = with_idp
        ports = (GATEWAY_PORT, MODEL_PORT, IDP_PORT) if fixed_ports else (0, 0, 0)
        self.gateway_port, self.model_port, idp_port = (free_port(port) for port in ports)
        self.url = f"http://127.0.0.1:{self.gateway_port}"
        self.model_url = f"http://127.0.0.1:{self.model_port}"
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.idp = DemoIdp(state / "idp", idp_port, self.url, staff=staff, say=say)
        self.config_path = state / "gateway.json"
        self.policies = state / "policies"
        self._write_secrets()
        self._write_settings(settings or {})
        self.model = Program(
            "model server",
            ["-m", "model_server", "--host", "127.0.0.1", "--port", str(self.model_port)],
            f"{self.model_url}/readyz",
            state / "logs" / "model-server.log",
            {
                "IMPRIMATUR_MODEL_TOKEN_SECRET_PATH": str(state / "secrets" / "model-server.key"),
                "IMPRIMATUR_MODEL_NAME": MODEL,
            },
        )
        self.gateway = Program(
            "gateway",
            ["-m", "gateway.cli", "serve", "--config", str(self.config_path)],
            f"{self.url}/healthz",
            state / "logs" / "gateway.log",
            {},
        )

    @property
    def people(self) -> dict[str, Person]:
        return self.idp.people

    @property
    def audit_directory(self) -> Path:
        return self.state / "audit"

    def start(self) -> Self:
        """All three, side by side; ready when this returns. Raises DidNotStart, with nothing left running."""
        try:
            if self._with_idp:
                self.idp.start()
            if self._with_model:
                self.model.start()
            upgrade(self.database_url)
            if self._with_idp:
                self.idp.wait_ready()
                self._say(f"  identity provider   {self.idp.issuer}")
            self.gateway.start()
            self.gateway.wait_ready(60)
            self._say(f"  gateway             {self.url}")
            if self._with_model:
                self.model.wait_ready(120)
                self._say(f"  model server        {self.model_url}")
        except BaseException:
            self.stop()
            raise
        return self

    def restart_gateway(self) -> None:
        """Start it again after it was stopped or killed."""
        self.gateway.start()
        self.gateway.wait_ready(60)

    def stop(self) -> None:
        self.gateway.stop()
        self.model.stop()
        self.idp.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.state / 'gateway.sqlite'}"

    def _write_secrets(self) -> None:
        folder = self.state / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        for name in ("identity.key", "screening.key", "model-server.key"):
            path = folder / name
            if not path.exists():
                path.touch(mode=0o600)
                path.write_text(secrets.token_urlsafe(48))

    def _write_settings(self, changes: Mapping[str, Any]) -> None:
        # A copy of the rules, so that whoever plays with them does not edit the product's own.
        if not self.policies.exists():
            shutil.copytree(ROOT / "policies", self.policies)
        secret = self.state / "secrets"
        settings: dict[str, Any] = {
            "database_url": self.database_url,
            "pictures_path": str(self.state / "pictures"),
            "server": {"port": self.gateway_port, "public_url": self.url, "drain_seconds": 5},
            "identity": {
                "providers": [self.idp.provider()],
                "roles": {group: list(roles) for group, roles in ROLE_MAPPING.items()},
                "cookie_secure": False,  # plain http, and on loopback only
                "secret_path": str(secret / "identity.key"),
            },
            "policy": {"directory": str(self.policies)},
            "screening": {"secret_path": str(secret / "screening.key")},
            "provenance": {
                "directory": str(self.state / "provenance"),
                "watermark_secret_path": str(secret / "watermark.key"),
                "create_keys": True,
            },
            "upstream": {"url": self.model_url, "secret_path": str(secret / "model-server.key")},
            "audit": {
                "directory": str(self.audit_directory),
                "kek_path": str(secret / "audit-kek.key"),
                "signing_key_path": str(secret / "audit-signing.key"),
                "witness_path": str(self.state / "witness" / "checkpoints.txt"),
                "origin": ORIGIN,
                "create_keys": True,
            },
        }
        for section, values in changes.items():
            if isinstance(values, Mapping):
                settings.setdefault(section, {}).update(values)
            else:
                settings[section] = values
        # JSON is YAML, and needs no library here.
        self.config_path.write_text(json.dumps(settings, indent=2))
