"""``python -m audit``"""

from __future__ import annotations

from audit.cli import app

if __name__ == "__main__":
    app(prog_name="python -m audit")
