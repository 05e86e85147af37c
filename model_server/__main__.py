"""`python -m model_server`: load the model and serve it. `... manifest DIR`: list the digests of a folder."""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import uvicorn
from pydantic import ValidationError

from model_server.app import create_app
from model_server.auth import TokenCheck
from model_server.engine import AnyModel, Engine
from model_server.errors import ModelRefused
from model_server.loading import load
from model_server.manifest import write_manifest
from model_server.observe import Metrics, configure_logging, log
from model_server.settings import ENVIRONMENT_PREFIX, Settings, SettingsError

_REFUSED = 2
"""Exit status when settings or model are not fit to serve."""

logger = logging.getLogger("model_server")


class _Server(uvicorn.Server):
    """uvicorn, telling where it listens, and the engine when the end begins."""

    def __init__(self, config: uvicorn.Config, engine: Engine, address: tuple[str, int]) -> None:
        super().__init__(config)
        self._engine = engine
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self._address
        log(logger, logging.INFO, "server.listening", host=host, port=port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._engine.drain()  # before the sockets close: a request on a kept connection is told, not cut
        super().handle_exit(sig, frame)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model_server",
        description="Prompt to picture over HTTP, in the shape of the OpenAI Images API. For the inside of a network: "
        "callers need a service token.",
        epilog=f"Every option can be set in the environment as {ENVIRONMENT_PREFIX}<NAME>, for example "
        f"{ENVIRONMENT_PREFIX}TOKEN_SECRET_PATH. The secret itself is never an option.",
    )
    for name, field in Settings.model_fields.items():
        if name == "token_secret":  # a command line is visible to every process of the machine
            continue
        default = "" if field.default in (None, "", ()) else f" (default {field.default})"
        flag = "--" + name.replace("_", "-")
        description = (field.description or "").replace("%", "%%") + default
        if field.annotation is bool:
            parser.add_argument(flag, action="store_true", default=None, help=description)
        else:
            many = "*" if name == "sizes" else None
            parser.add_argument(flag, default=None, nargs=many, metavar=name.upper(), help=description)
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(dest="command", metavar="[manifest DIR]")
    manifest = commands.add_parser("manifest", help="hash a model folder that you trust into its SHA256SUMS")
    manifest.add_argument("folder", type=Path)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns 2, saying why on standard error, when it must not serve."""
    given = vars(_parser().parse_args(argv))
    if given.pop("command") == "manifest":
        print(write_manifest(given["folder"]))
        return 0
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        secret = settings.read_secret()
        configure_logging(settings.log_level)
        model = load(settings)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in problem["loc"])
            print(f"{place}: {problem['msg'].removeprefix('Value error, ')}".lstrip(": "), file=sys.stderr)
        return _REFUSED
    except (SettingsError, ModelRefused) as error:
        print(error, file=sys.stderr)
        return _REFUSED
    _serve(settings, secret, model)
    return 0


def _serve(settings: Settings, secret: bytes | None, model: AnyModel) -> None:
    metrics = Metrics()
    engine = Engine(model, queue_limit=settings.queue_limit, metrics=metrics)
    app = create_app(
        engine,
        check=TokenCheck(secret, _utc_now),
        metrics=metrics,
        clock=_utc_now,
        max_body_bytes=settings.max_body_bytes,
        drain_seconds=settings.drain_seconds,
    )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        )
        _Server(config, engine, (settings.host, listener.getsockname()[1])).run(sockets=[listener])


def _utc_now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
