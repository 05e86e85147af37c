"""`imprimatur-model` (or `python -m model_server`): load the models and serve them.

`... manifest DIR` lists the digests of a folder; `... doctor` says what would load, and why not.
"""

from __future__ import annotations

# ruff: noqa: I001  (these two set what libraries read as they are imported)
from model_server import offline as _offline  # noqa: F401
from model_server import threads as _threads  # noqa: F401

import argparse
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from model_server.loading import doctor
from model_server.engine.engine import Engine
from model_server.errors import ModelRefused
from model_server.loading.load import load
from model_server.manifest import write_manifest
from model_server.observe import Metrics, configure_logging
from model_server.loading.reloading import Reloading
from model_server.http.server import serve
from model_server.settings import ENVIRONMENT_PREFIX, Settings, SettingsError
from model_server.http.tls import server_context

_REFUSED = 2
"""Exit status when settings or model are not fit to serve."""
_MODEL_OPTIONS = ("models_path", "kind", "path", "name", "digest", "sizes", "device", "dtype")


def command_line() -> argparse.ArgumentParser:
    """Every option and command of the program."""
    parser = argparse.ArgumentParser(
        prog="imprimatur-model",
        description="Prompt to picture over HTTP, in the shape of the OpenAI Images API. For the inside of a network: "
        "callers need a service token.",
        epilog=f"Every option can be set in the environment as {ENVIRONMENT_PREFIX}<NAME>, for example "
        f"{ENVIRONMENT_PREFIX}TOKEN_SECRET_PATH. The secret itself is never an option.",
    )
    _add_options(parser, Settings.model_fields)
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(dest="command", metavar="[manifest DIR | doctor]")
    manifest = commands.add_parser("manifest", help="hash a model folder that you trust into its SHA256SUMS")
    manifest.add_argument("folder", type=Path)
    doctor = commands.add_parser("doctor", help="say what would load, with how much memory, and why not; exit 0 or 1")
    doctor.add_argument("--json", action="store_true", help="for machines")
    _add_options(doctor, _MODEL_OPTIONS)
    return parser


def _add_options(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    for name in names:
        field = Settings.model_fields[name]
        if name == "token_secret":  # a command line is visible to every process of the machine
            continue
        default = "" if field.default in (None, "", ()) else f" (default {field.default})"
        flag = "--" + name.replace("_", "-")
        description = (field.description or "").replace("%", "%%") + default
        # Left out when not given: a command's own options must not undo those before it.
        if field.annotation is bool:
            parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=description)
        else:
            many = "*" if name == "sizes" else None
            parser.add_argument(flag, default=argparse.SUPPRESS, nargs=many, metavar=name.upper(), help=description)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the models' file again.

    Returns 2, saying why on standard error, when it must not serve.
    """
    given = vars(command_line().parse_args(argv))
    command = given.pop("command")
    if command == "manifest":
        print(write_manifest(given["folder"]))
        return 0
    try:
        if command == "doctor":  # it listens nowhere, so it needs no secret
            as_json = given.pop("json")
            return doctor.run(Settings(**(given | {"host": "127.0.0.1", "insecure_no_auth": True})), as_json=as_json)
        settings = Settings(**given)
        secret = settings.read_secret()
        configure_logging(settings.log_level)
        context = server_context(settings)
        metrics = Metrics()
        models = load(settings)
        engine = Engine(models, limits=settings.engine_limits, metrics=metrics)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in problem["loc"])
            print(f"{place}: {problem['msg'].removeprefix('Value error, ')}".lstrip(": "), file=sys.stderr)
        return _REFUSED
    except (SettingsError, ModelRefused) as error:
        print(error, file=sys.stderr)
        return _REFUSED
    signal.signal(signal.SIGHUP, Reloading(settings, models, engine).on_signal)
    serve(settings, secret, context, engine, metrics)
    return 0


if __name__ == "__main__":
    sys.exit(main())
