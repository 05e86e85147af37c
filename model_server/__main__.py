"""`imprimatur-model` (or `python -m model_server`): load the models and serve them.

`... manifest DIR` lists the digests of a folder.
"""

from __future__ import annotations

# ruff: noqa: I001  (these two set what libraries read as they are imported)
from model_server import offline as _offline  # noqa: F401
from model_server import threads as _threads  # noqa: F401

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from model_server.engine import Engine
from model_server.errors import ModelRefused
from model_server.loading import load
from model_server.manifest import write_manifest
from model_server.observe import Metrics, configure_logging
from model_server.server import serve
from model_server.settings import ENVIRONMENT_PREFIX, Settings, SettingsError
from model_server.tls import server_context

_REFUSED = 2
"""Exit status when settings or model are not fit to serve."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imprimatur-model",
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
        context = server_context(settings)
        metrics = Metrics()
        engine = Engine(load(settings), limits=settings.engine_limits, metrics=metrics)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in problem["loc"])
            print(f"{place}: {problem['msg'].removeprefix('Value error, ')}".lstrip(": "), file=sys.stderr)
        return _REFUSED
    except (SettingsError, ModelRefused) as error:
        print(error, file=sys.stderr)
        return _REFUSED
    serve(settings, secret, context, engine, metrics)
    return 0


if __name__ == "__main__":
    sys.exit(main())
