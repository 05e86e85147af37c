"""What the commands share: arguments, clocks, errors as exit codes."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from audit.errors import AuditError
from audit.note import NoteRefused, VerifierKey

CANNOT = 2  # exit code for everything but a finding of verify

Store = Annotated[Path, typer.Argument(help="Directory of the store, or the URL of its database.", show_default=False)]
Now = Annotated[
    str | None,
    typer.Option("--now", help="Take this moment (RFC 3339, with offset) for the present.", show_default="the clock"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def moment(text: str | None) -> datetime:
    """A given moment, or the present. Raises ``typer.BadParameter``."""
    if text is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("expected a moment such as 2026-11-22T12:00:00Z") from None
    if at.tzinfo is None:
        raise typer.BadParameter("the moment needs an offset, such as Z or +01:00")
    return at.astimezone(UTC)


def clock(text: str | None) -> Callable[[], datetime]:
    """A clock that stands still at a given moment, or the real one."""
    if text is None:
        return lambda: datetime.now(UTC)
    at = moment(text)
    return lambda: at


def verifier_key(text: str | None) -> VerifierKey | None:
    """A public key as a line, or as a file that holds one. Raises ``typer.BadParameter``."""
    if text is None:
        return None
    try:
        return VerifierKey.parse(Path(text).read_text() if "+" not in text else text)
    except (NoteRefused, OSError, ValueError):
        raise typer.BadParameter(
            "expected a public key like example.com/audit+1a2b3c4d+Base64, or a file that holds one"
        ) from None


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Turn what can go wrong into one line on stderr and exit code 2."""
    try:
        yield
    except (AuditError, NoteRefused, ValueError, FileExistsError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(CANNOT) from None
    except (OSError, sqlite3.Error) as error:
        typer.echo(f"error: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(CANNOT) from None


def plain(value: object) -> Any:
    """A value of the log as JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name.rstrip("_"): plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value


def print_json(value: object) -> None:
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=not sys.stdout.encoding.lower().startswith("utf")))
