"""canaille in a virtual environment of its own, made once and shared by every process that asks.

It pins other versions than the gateway, and a demo must not change what the gateway runs on.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
HOME: Final = Path(__file__).resolve().parents[2] / ".demo" / "idp-venv"
"""Where it lives: beside the checkout's other throw-away things."""


def ensure_installed(home: Path = HOME, say: Callable[[str], None] = print) -> Path:
    """The interpreter of a virtual environment that holds exactly `requirements.txt`. Safe to call from several
    processes at once: one installs, the others wait. Raises CalledProcessError when pip fails."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    marker = home / ".requirements.sha256"
    python = home / "bin" / "python"
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists() and marker.read_text().strip() == wanted and python.exists():
            return python
        say(f"identity provider: installing canaille into {home} (about 160 MB, once)")
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        with subprocess.Popen(
            [str(python), "-m", "pip", "install", "--no-input", "--progress-bar", "off", "-r", str(REQUIREMENTS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as pip:
            for line in pip.stdout or ():
                if line.startswith(("Collecting", "Installing", "Successfully", "ERROR")):
                    say(f"identity provider: {line.rstrip()[:140]}")
        if pip.returncode != 0:
            raise subprocess.CalledProcessError(pip.returncode, "pip install")
        marker.write_text(wanted)
    return python


if __name__ == "__main__":
    sys.stdout.write(f"{ensure_installed()}\n")
