"""The options of every command that opens a log to work in it: which key service, who signs, which database.

One group, so that what opens one command opens them all. Secrets come from files and the environment, never from the
command line: everybody on a machine sees the command lines of everybody else.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer
from pydantic import SecretStr, ValidationError

from audit.cli.key_options import Kek, Service, service_settings
from audit.errors import StoreError
from audit.keys.files import read_private
from audit.settings import AuditSettings
from audit.store.files.layout import Identity, Layout
from audit.store.moment import database_url_of, open_moment

DATABASE_URL_VARIABLE: Final = "AUDIT_DATABASE_URL"

LogFolder = Annotated[
    Path,
    typer.Argument(
        metavar="STORE",
        help="Directory of the log: all of it, or the keys of a log whose records are in a database.",
        show_default=False,
    ),
]
SigningKey = Annotated[
    Path | None, typer.Option(help="File of the signing key; a snapshot needs none.", show_default=False)
]
Witness = Annotated[Path | None, typer.Option(help="Witness file to append checkpoints to.", show_default=False)]
DatabaseUrlFile = Annotated[
    Path | None,
    typer.Option(
        help="File (mode 0600) with the postgresql:// URL of a log that is in a database; STORE is then its folder of "
        f"keys. {DATABASE_URL_VARIABLE} in the environment may hold the URL itself.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What a command was given to open a log with. Each field is an option of the command line."""

    kek: Kek = None
    service: Service = None
    signing_key: SigningKey = None
    witness: Witness = None
    database_url_file: DatabaseUrlFile = None

    def database_url(self) -> str | None:
        """The URL of the log's database; ``None`` for a log in files. Raises ``KeyRefused``, ``ValueError``."""
        if self.database_url_file is not None:
            text, source = read_private(self.database_url_file, "database URL").decode().strip(), "--database-url-file"
        else:
            text, source = os.environ.get(DATABASE_URL_VARIABLE, "").strip(), DATABASE_URL_VARIABLE
            if not text:
                return None
        url = database_url_of(text)
        if url is None:  # not quoted: it may hold a password
            raise ValueError(f"{source} holds no URL of a database: expected postgresql://user:password@host/name")
        return url

    def target(self, store: Path) -> Path | str:
        """What those read who open no log: its directory, or the URL of its database."""
        return self.database_url() or store

    def settings(self, store: Path, **more: Any) -> tuple[AuditSettings, bool]:
        """Settings that open the log of ``store``, and whether it is a snapshot. ``more``: further settings.

        Raises ``ValueError`` for options that do not go together, ``StoreError`` if ``store`` is no log of that kind.
        """
        key_service = service_settings(self.kek, self.service)
        if database_url_of(store):
            raise ValueError("name the directory of the log, which holds its keys, and its database by a file or in "
                             f"the environment: --database-url-file FILE, {DATABASE_URL_VARIABLE}")  # fmt: skip
        url = self.database_url()
        origin, is_snapshot = identity_of(store, url)
        try:
            settings = AuditSettings(
                directory=store,
                key_service=key_service,
                database_url=None if url is None else SecretStr(url),
                signing_key_path=None if is_snapshot else self.signing_key,
                witness_path=None if is_snapshot else self.witness,
                origin=origin,
                node="command",
                **more,
            )
        except ValidationError as error:  # its own text repeats what was given
            found = error.errors(include_input=False, include_context=False, include_url=False)
            raise ValueError("; ".join(str(one["msg"]) for one in found)) from None
        return settings, is_snapshot


def identity_of(store: Path, url: str | None) -> tuple[str, bool]:
    """Origin of a log, and whether it is a snapshot. A mistyped folder must not become the log's folder of keys, nor
    a log in files be passed over for a database that happens to stand in the environment."""
    layout = Layout(store)
    if layout.identity.exists():
        if url is not None:
            raise StoreError(
                f"{store} is a log in files, and a database was given as well: leave out --database-url-file, and take "
                f"{DATABASE_URL_VARIABLE} out of the environment"
            )
        identity = Identity.read(layout.identity)
        return identity.origin, identity.snapshot_taken_at is not None
    if not layout.keys_folder.is_dir():
        raise StoreError(f"{store} is not an audit store: it has neither {layout.identity.name} nor a folder of keys")
    if url is None:
        raise StoreError(
            f"{store} holds keys and no records: they are in a database; name it by --database-url-file FILE or "
            f"{DATABASE_URL_VARIABLE} in the environment"
        )
    with open_moment(url) as found:
        return found.identity.origin, False


def takes_log(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``LogOptions``, in the place of its parameter of that type.

    Typer reads a function's signature, so the options are put there.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    (place,) = [parameter.name for parameter in own if parameter.annotation is LogOptions]
    hints = get_type_hints(LogOptions, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [parameter.replace(kind=keyword) for parameter in own if parameter.name != place]
    parameters += [
        inspect.Parameter(field.name, keyword, default=field.default, annotation=hints[field.name])
        for field in fields(LogOptions)
    ]

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        given = LogOptions(**{field.name: values.pop(field.name) for field in fields(LogOptions)})
        command(**{place: given}, **values)

    del with_options.__wrapped__  # or its signature would be taken
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options
