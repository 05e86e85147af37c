"""``python -m audit``

``verify`` is loaded by itself: an auditor's computer needs no database and no settings, and should not have to trust
the packages that read them.
"""

from __future__ import annotations

import sys
from importlib import import_module

if __name__ == "__main__":
    name = "verifying" if sys.argv[1:2] == ["verify"] else "commands"
    import_module(f"audit.cli.{name}").app(prog_name="python -m audit")
