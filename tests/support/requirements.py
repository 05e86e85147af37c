"""Makes sure that what the tests drive is on this machine: `python -m tests.support.requirements`.

Chromium comes from the distribution's packages: installed when we are root, else asked for in words.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Path of a Chromium, from $CHROMIUM or the PATH."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    if chromium():
        return 0
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(
            "The browser tests need Chromium. Install it, for example with\n\n"
            f"    sudo {' '.join(command)}\n\nor name one in $CHROMIUM, and run `make test` again.",
            file=sys.stderr,
        )
        return 1
    print("Installing Chromium for the browser tests …", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update"], check=True, **quiet)
    subprocess.run(command, check=True, **quiet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
