"""Makes sure that what the tests drive is on this machine: `python -m tests.support.requirements`.

Chromium and SoftHSM (a PKCS #11 token in software) come from the distribution's packages: installed when we are root,
else asked for in words. OpenSSL, which plays the time-stamping authority, is part of every distribution. Node (20 or
newer) runs one of the three identity providers, which `tests.support.providers.packages` fetches.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.providers import packages as providers

NAMES = ("chromium", "chromium-browser", "google-chrome")
NODE_MAJOR = 20
SOFTHSM = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


def chromium() -> str | None:
    """Path of a Chromium, from $CHROMIUM or the PATH."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


def softhsm() -> str | None:
    """Path of SoftHSM's PKCS #11 module, from $SOFTHSM2_MODULE or the usual places."""
    return os.environ.get("SOFTHSM2_MODULE") or next((path for path in SOFTHSM if Path(path).exists()), None)


def node() -> str | None:
    """Path of a Node that is new enough for oidc-provider, with npm beside it."""
    path = shutil.which("node")
    if path is None or shutil.which("npm") is None:
        return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = version.lstrip("v").partition(".")[0]
    return path if major.isdigit() and int(major) >= NODE_MAJOR else None


def main() -> int:
    """Install what is missing. 1 when somebody has to do it by hand."""
    if (problem := _install_packages()) != 0:
        return problem
    if not node():
        print(
            f"The tests of sign-in run a provider on Node {NODE_MAJOR} or newer, and this machine has none that new. "
            "Install it (https://nodejs.org/en/download) and run `make test` again.",
            file=sys.stderr,
        )
        return 1
    providers.main()
    return 0


def _install_packages() -> int:
    packages: list[str] = []
    if not chromium():
        packages += ["chromium", "fonts-dejavu-core"]
    if not softhsm() or not shutil.which("softhsm2-util"):
        packages.append("softhsm2")
    if not shutil.which("openssl"):
        packages.append("openssl")
    if not shutil.which("node") or not shutil.which("npm"):
        packages += ["nodejs", "npm"]
    if not packages:
        return 0
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(
            f"The tests need {', '.join(packages)}. Install them, for example with\n\n"
            f"    sudo {' '.join(command)}\n\n"
            "or name yours in $CHROMIUM and $SOFTHSM2_MODULE, and run `make test` again.",
            file=sys.stderr,
        )
        return 1
    print(f"Installing {', '.join(packages)} for the tests …", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update"], check=True, **quiet)
    subprocess.run(command, check=True, **quiet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
