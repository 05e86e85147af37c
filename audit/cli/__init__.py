"""The command ``python -m audit``: verify, look, open, export, purge; without the gateway.

Exit codes: 0 done and in order, 1 verification found something, 2 the command could not be carried out.

``app`` is loaded when it is first asked for: whoever only verifies needs no more than ``verifying``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.cli.commands import app

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("audit.cli.commands").app
